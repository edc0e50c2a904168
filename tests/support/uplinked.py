"""One node's outbox and uplink at the virtual broker, in virtual time."""

from dataclasses import dataclass, field

from agent.adapters.outbox import SqliteOutbox
from agent.app import uplink as module
from agent.app.uplink import Uplink
from agent.core.records.chain import Head
from agent.core.records.kinds import Receipt
from agent.core.units import NS_PER_MS, NS_PER_S
from agent.ports import Message
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from tests.support.drafts import (
    LOCATOR,
    draft,
    identity_of,
    registry_of,
    sealed_receipt,
    signer_of,
)

IDENTITY = identity_of("n1")
NODE_KEYS = {signer_of("n1").keyid: registry_of("n1")[IDENTITY.source]}
RECEIPTS = f"{IDENTITY.topic}/receipt"


@dataclass
class Pole:
    """One node's outbox and uplink, the broker, and someone who reads at the other end.

    The last of `voices` stands for the key in force, and is what the last will says.
    """

    broker: VirtualBroker
    outbox: SqliteOutbox
    uplink: Uplink
    listener: VirtualPublisher
    voices: list[str] = field(default_factory=list)
    now_ns: int = 5 * NS_PER_S

    def run(self, seconds: float, step_ms: int = 100) -> None:
        for _ in range(round(seconds * 1_000 / step_ms)):
            self.uplink.step(self.now_ns)
            self.now_ns += step_ms * NS_PER_MS

    def append(self, count: int, data=None) -> list[Head]:
        return [self.outbox.append(draft(data)).head for _ in range(count)]

    def heard(self, tail: str = "/event/") -> list[bytes]:
        told = [event for event in self.listener.poll() if isinstance(event, Message)]
        return [message.payload for message in told if tail in message.topic]

    def answer(self, content: Receipt, signer=LOCATOR) -> None:
        self.listener.publish(RECEIPTS, sealed_receipt(content, signer))
        self.run(0.2)

    @property
    def counters(self) -> module.UplinkCounters:
        return self.uplink.counters
