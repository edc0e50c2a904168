"""The nodes of a run: the real agent on virtual hardware, with a key and a chain of its own.

Keys, chains and boots are drawn from the seed and the node's place, so that what is signed
depends on sound, time and seed alone. Who steps the nodes, and when, is `grid`'s.
"""

import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import agent
from agent.adapters.keyfile import Ed25519FileSigner
from agent.adapters.outbox import PreviousRun, SqliteOutbox
from agent.app.keeping import Keeping
from agent.app.node import Node, NodeSettings
from agent.app.presence import seal_status
from agent.app.uplink import Uplink
from agent.core.audio import AudioBlock, AudioGap
from agent.core.clock.timebase import ClockSettings
from agent.core.records import Sealer
from agent.core.records.envelope import load_public_key
from agent.core.records.fields import source_of
from agent.core.records.kinds import Identity
from agent.core.units import NS_PER_US
from agent.ports import Signer
from simulator.centre.locator.registry import Registry, Station
from simulator.grid.hardware import Hardware, items
from simulator.grid.wires import LinkTo
from simulator.scene.randomness import stream

_LATENCY_BOUND_NS = 500 * NS_PER_US
_SETTINGS = f"virtual node, latency_bound_ns = {_LATENCY_BOUND_NS}"


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node to run; `hardware` is made when the node's turn comes."""

    site: str
    cell: str
    node: str
    enu_m: tuple[float, float, float]
    sigma_m: float
    hardware: Callable[[], Hardware]

    @property
    def source(self) -> str:
        """How its records name it."""
        return source_of(self.site, self.cell, self.node)


def locator_signer(seed: int) -> Ed25519FileSigner:
    """The key that signs the receipts of a run."""
    return Ed25519FileSigner.from_seed(stream(seed, "locator key").bytes(32))


def registry_of(plans: Iterable[NodePlan], seed: int) -> Registry:
    """What the locator is told of the nodes."""
    stations = (
        Station(
            source=plan.source,
            site=plan.site,
            cell=plan.cell,
            node=plan.node,
            key=load_public_key(_node_signer(plan, seed).public_key()),
            enu_m=plan.enu_m,
            sigma_m=plan.sigma_m,
        )
        for plan in plans
    )
    return Registry({station.source: station for station in stations}, None)


class VirtualNode:
    """One node under way. It pins `locator`'s key; its outbox lies in `directory`."""

    def __init__(
        self, plan: NodePlan, seed: int, directory: Path, link_to: LinkTo, locator: Signer
    ) -> None:
        signer = _node_signer(plan, seed)
        identity = Identity(
            site=plan.site,
            cell=plan.cell,
            node=plan.node,
            keyid=signer.keyid,
            boot=_hex32(plan, seed, "boot"),
        )
        hardware = plan.hardware()
        self.source, self.heard_s, self.is_done = plan.source, 0.0, False
        self._clock = hardware.clock
        self._hear_until_ns = self._clock.monotonic_ns()
        self._items = items(hardware.microphone, hardware.reference)
        self._rate_hz = hardware.microphone.format.rate_hz
        sealer = Sealer(identity, signer)
        self._outbox = _outbox(plan, seed, directory, sealer)
        self._keeping = Keeping(self._outbox)
        self._node = _node(hardware, self._keeping, self._outbox.previous_run)
        self._link = link_to(
            identity.source,
            f"{identity.topic}/receipt",
            will=lambda: (f"{identity.topic}/status", seal_status(sealer, online=False)),
        )
        self._uplink = Uplink(
            identity,
            self._keeping,
            self._link,
            {locator.keyid: load_public_key(locator.public_key())},
            partial(seal_status, sealer, True),
            random.Random(_hex32(plan, seed, "uplink jitter")),  # noqa: S311 - not a secret
        )

    @property
    def utc_ns(self) -> int:
        """UTC where it is, by its own clock."""
        return self._clock.realtime_ns()

    @property
    def records(self) -> int:
        """How many it has made."""
        return self._outbox.head().seq

    @property
    def backlog(self) -> int:
        """How many of them have no receipt."""
        return self._outbox.backlog()

    @property
    def is_delivered(self) -> bool:
        """True once it has said all, and the locator holds it."""
        return self.is_done and self._uplink.idle

    @property
    def trouble(self) -> str:
        """The link's latest trouble, for a person."""
        return self._uplink.counters.last_reason or "no receipt came"

    def hear(self, for_ns: int) -> None:
        """Hear on for so long by its own clock; where the sound ends, so does the run."""
        if self.is_done:
            return
        self._hear_until_ns += for_ns
        for item in self._items:
            self._node.step(item)
            self._keep(item.host_ns)
            if isinstance(item, AudioBlock):
                self.heard_s += len(item.samples) / self._rate_hz
            elif isinstance(item, AudioGap):
                self.heard_s += item.lost / self._rate_hz
            if item.host_ns >= self._hear_until_ns:
                return
        self._node.stop(self._clock.monotonic_ns(), "end of sound")
        self._keep(self._clock.monotonic_ns())
        self.is_done = True

    def deliver(self, now_ns: int) -> None:
        """One turn of the uplink."""
        self._uplink.step(now_ns)
        self._keep(self._clock.monotonic_ns())

    def _keep(self, host_ns: int) -> None:
        """Turns of the keeper, until nothing is left to do. Raises StoreError."""
        while self._keeping.has_work and self._keeping.step(host_ns):
            pass
        if self._keeping.waiting:
            self._keeping.flush()

    def close(self) -> None:
        """Leave the broker and free the store."""
        self._link.close()
        self._outbox.close(clean=self.is_done)


def _node_signer(plan: NodePlan, seed: int) -> Ed25519FileSigner:
    key = stream(seed, "evidence key", plan.site, plan.cell, plan.node).bytes(32)
    return Ed25519FileSigner.from_seed(key)


def _hex32(plan: NodePlan, seed: int, purpose: str) -> str:
    return stream(seed, purpose, plan.site, plan.cell, plan.node).bytes(16).hex()


def _outbox(plan: NodePlan, seed: int, directory: Path, sealer: Sealer) -> SqliteOutbox:
    path = directory / f"{plan.site}.{plan.cell}.{plan.node}.sqlite"
    return SqliteOutbox(path, sealer, partial(_hex32, plan, seed, "chain"), durable=False)


def _node(hardware: Hardware, keeping: Keeping, previous_run: PreviousRun) -> Node:
    settings = NodeSettings(
        software=agent.__version__,
        settings_sha256=hashlib.sha256(_SETTINGS.encode()).hexdigest(),
        previous_run=previous_run,
        clock=ClockSettings(latency_bound_ns=_LATENCY_BOUND_NS),
    )
    return Node(settings, hardware.microphone.format, keeping, hardware.vitals)
