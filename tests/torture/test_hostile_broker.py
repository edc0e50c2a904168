"""A broker that sends nonsense and lies: the node does nothing that it says, and lives on."""

import random
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pytest

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.adapters.mqtt.incoming import MAX_PACKET_BYTES
from agent.app.uplink import Uplink
from agent.core.records.chain import Head
from agent.core.records.envelope import seal
from agent.core.records.kinds import RECEIPT_TYPE
from agent.core.units import NS_PER_S
from agent.ports import Lost
from simulator.centre.locator.registry import Registry
from simulator.centre.locator.service import SUBSCRIPTIONS, LocatorService
from simulator.centre.locator.store import EventStore
from tests.agent.app.test_commanddesk import Room, sealed
from tests.support.drafts import (
    LOCATOR,
    LOCATOR_KEYS,
    NOW,
    draft,
    heartbeat,
    identity_of,
    outbox_of,
    receipt,
    sealed_receipt,
    sealed_status,
    signer_of,
)
from tests.support.hostile import Hostile
from tests.support.links import Collector, world_of
from tests.support.located import stations
from tests.support.malformed import Truth, hostile, length_of
from tests.support.network import Watched
from tests.support.tiny_broker import CONNACK_5

NODES, RECORDS = 8, 12
REPLACED_S = 35.0
MORE_MEMORY_BYTES = 32 << 20
PATIENCE_S = 600.0
JUMP_NS = 2 * NS_PER_S
VERBS = ("ping", "report-now", "set-config", "rotate-key")
MALLORY = signer_of("mallory")


class Victim:
    """One node with RECORDS unreceipted records, at a broker of its own."""

    def __init__(self, number: int, directory: Path, good_url: str, packets: int) -> None:
        self.name, rng = f"n{number}", random.Random(number)
        self.identity = identity_of(self.name)
        self.outbox = outbox_of(self.name, directory / f"{self.name}.sqlite")
        for turn in range(RECORDS):
            self.outbox.append(draft(heartbeat() if turn % 3 else None))
        self.head = self.outbox.head()
        self.desk, self.obeyed, self.ordered = Room(), 0, 0
        is_v5 = number % 4 != 0
        flood = islice(hostile(self._truth(is_v5), rng), packets)
        self.broker = Hostile(flood, good_url, is_v5=is_v5)
        options = MqttOptions(
            url=self.broker.url,
            client_id=self.name,
            protocol="5" if is_v5 else "3.1.1",
            subscriptions=(f"{self.identity.topic}/receipt", f"{self.identity.topic}/command/#"),
        )
        self._skipped_ns, self._begun_ns = 0, time.monotonic_ns()
        self.link = Watched(MqttLink(options), lambda: 0)
        self.uplink = Uplink(
            self.identity,
            self.outbox,
            self.link,
            LOCATOR_KEYS,
            lambda backlog, connects: sealed_status(self.name, backlog, connects),
            rng,
            on_command=self._judge,
        )
        self.longest_s = 0.0

    def step(self) -> None:
        """One turn; the time between two connections is skipped."""
        self.uplink.step(time.monotonic_ns() - self._begun_ns + self._skipped_ns)
        if self.link.is_down:
            self._skipped_ns += JUMP_NS
        elif over_s := self.broker.over_since_s:
            self.longest_s = max(self.longest_s, time.monotonic() - over_s)

    def close(self) -> None:
        self.link.close()
        self.broker.close()
        self.outbox.close()

    def _judge(self, verb: str, payload: bytes) -> None:
        told = self.desk.take(payload, verb)
        self.ordered += 1
        self.obeyed += sum(getattr(one, "outcome", "") == "done" for one in told)
        self.desk.said.clear()
        self.desk.replies.clear()

    def _truth(self, is_v5: bool) -> Truth:
        topic, beyond = self.identity.topic, Head(self.head.chain, 10**9, self.head.digest)
        commands = [sealed(self.desk.command(verb)) for verb in VERBS]
        foreign = self.desk.command("ping", source="urn:earshot:town:north:n99")
        return Truth(
            topics=[f"{topic}/receipt"] * 4 + [f"{topic}/command/{verb}" for verb in VERBS],
            genuine=[sealed_receipt(receipt(self.name, self.head))] * 4 + commands,
            false=[
                sealed_receipt(receipt(self.name, self.head), MALLORY),
                sealed_receipt(receipt(self.name, beyond, [(1, 10**15)]), MALLORY),
                sealed_receipt(receipt("n99", self.head)),
                sealed_receipt(receipt(self.name, Head("e" * 32, 5, "f" * 64))),
                seal(RECEIPT_TYPE, b'{"upto_seq":-1}', LOCATOR),
                sealed_status(self.name, 0, 0),
                sealed(foreign),
                *(sealed(self.desk.command(verb), MALLORY) for verb in VERBS),
            ],
            is_v5=is_v5,
        )


def resident_bytes() -> int:
    """What this process holds of the machine's memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def torment(victims: list[Victim], packets: int) -> int:
    """Step all until they have had their packets; by how many bytes they grew after a quarter."""
    give_up_s, early = time.monotonic() + PATIENCE_S, 0
    while not all(one.broker.is_done for one in victims):
        assert time.monotonic() < give_up_s, [one.broker.outcomes for one in victims]
        for one in victims:
            one.step()
        sent = sum(one.broker.outcomes.total() for one in victims)
        early = early or (resident_bytes() if sent > packets // 4 else 0)
        time.sleep(0.001)
    return resident_bytes() - early


def delivered(victims: list[Victim], directory: Path, url: str) -> dict[str, list[int]]:
    """What the locator holds of each, once their way to a good broker is free."""
    places = {one.name: (0.0, 0.0, 5.0) for one in victims}
    registry = Registry(stations("north", "town", places), None)
    store = EventStore(directory / "locator.sqlite", registry.keys, LOCATOR)
    link = MqttLink(MqttOptions(url=url, client_id="locator", subscriptions=SUBSCRIPTIONS))
    service = LocatorService(store, link, registry, rng=random.Random(1))
    give_up_s = time.monotonic() + PATIENCE_S
    while not all(one.uplink.idle for one in victims):
        assert time.monotonic() < give_up_s, [one.uplink.trouble for one in victims]
        service.step(time.monotonic_ns(), lambda: NOW)
        for one in victims:
            one.step()
        time.sleep(0.001)
    held: dict[str, list[int]] = {one.name: [] for one in victims}
    for body in store.bodies():
        held[body.source.rpartition(":")[2]].append(body.seq)
    assert service.counters.rejected == {}
    assert store.chain_faults() == []
    link.close()
    store.close()
    return held


@pytest.mark.system
@pytest.mark.parametrize(
    "packets",
    [pytest.param(300, id="some"), pytest.param(10_000, id="many", marks=pytest.mark.torture)],
)
def test_malformed_packets_have_no_effect(memory: Path, packets: int) -> None:
    """Broken MQTT, false receipts, forged orders: no record goes, none is obeyed, nothing dies.

    A connection that one of them ended is replaced at once, the memory does not grow, and over a
    good broker all that waited then arrives.
    """
    with world_of("mosquitto") as world, ExitStack() as stack:
        victims = [
            Victim(number, memory, world.broker.url, -(-packets // NODES))
            for number in range(1, NODES + 1)
        ]
        for one in victims:
            stack.callback(one.close)
        grown_bytes = torment(victims, packets)
        outcomes = sum((one.broker.outcomes for one in victims), Counter())
        ordered = sum(one.ordered for one in victims)
        bad_receipts = sum(one.uplink.counters.bad_receipts for one in victims)
        for one in victims:
            assert (one.outbox.backlog(), one.outbox.head()) == (RECORDS, one.head)
            assert (one.obeyed, one.desk.restarts) == (0, [])
            assert all(reason.strip() and "\n" not in reason for reason in one.link.reasons)
        held = delivered(victims, memory, world.broker.url)
    longest_s = max(one.longest_s for one in victims)
    print(
        f"\n{outcomes.total()} packets: {dict(outcomes)}; {bad_receipts} receipts and {ordered} "
        f"orders ignored; replaced {longest_s:.2f} s after its end at most; "
        f"{grown_bytes / 2**20:+.1f} MB"
    )
    assert outcomes.total() >= packets
    assert min(outcomes["read"], outcomes["ended"], bad_receipts, ordered) > packets // 50
    assert held == {one.name: list(range(1, RECORDS + 1)) for one in victims}
    assert longest_s <= REPLACED_S
    assert grown_bytes <= MORE_MEMORY_BYTES


class Endless:
    """A broker whose first message never ends; it sends `chunk` of it every `every_s`."""

    def __init__(self, told_bytes: int, chunk: int, every_s: float) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._pace, self._told = (chunk, every_s), told_bytes
        self.sent = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        wire, _ = self._listener.accept()
        chunk, every_s = self._pace
        with wire:
            try:
                wire.recv(4096)
                wire.sendall(CONNACK_5 + b"\x32" + length_of(self._told))
                while self.sent < self._told:
                    wire.sendall(bytes(chunk))
                    self.sent += chunk
                    time.sleep(every_s)
            except OSError:
                pass  # the node hung up, as it should

    def close(self) -> None:
        self._listener.close()
        self._thread.join()


def test_a_packet_too_large_for_anything_ends_the_connection() -> None:
    """A quarter of a gigabyte announced and sent: the node hangs up after a small part of it."""
    broker = Endless((1 << 28) - 1, 1 << 16, 0.0)
    before_bytes = resident_bytes()
    link = Collector(MqttLink(MqttOptions(f"mqtt://127.0.0.1:{broker.port}", "n1", protocol="5")))
    link.publisher.connect()
    (lost,) = link.wait(Lost)
    assert f"more than {MAX_PACKET_BYTES} bytes" in lost.reason
    assert resident_bytes() - before_bytes <= MORE_MEMORY_BYTES
    assert broker.sent < 1 << 27
    link.publisher.close()
    broker.close()


@pytest.mark.torture
@pytest.mark.parametrize("every_s", [0.5, 60.0], ids=["dripping", "silent"])
def test_a_packet_that_never_ends_is_given_up(every_s: float) -> None:
    """In real time: whether its bytes drip or stop, the link is replaced within 35 s."""
    broker = Endless(MAX_PACKET_BYTES, 16, every_s)
    link = Collector(MqttLink(MqttOptions(f"mqtt://127.0.0.1:{broker.port}", "n1", protocol="5")))
    begun_s = time.monotonic()
    link.publisher.connect()
    while not link.seen(Lost):
        assert time.monotonic() < begun_s + REPLACED_S
        time.sleep(0.05)
    print(f"\na message that drips every {every_s} s: over {time.monotonic() - begun_s:.1f} s")
    link.publisher.close()
    broker.close()
