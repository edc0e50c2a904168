"""Thin lines in virtual time: the node's uplink and the real locator at the ends of a slow line."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from msgspec.structs import replace

from agent.adapters.outbox import SqliteOutbox
from agent.app.presence import seal_status
from agent.app.uplink import Uplink
from agent.core.records.kinds import Impulse, TimePair
from agent.core.units import NS_PER_MS, NS_PER_S
from simulator.centre.locator.registry import Registry, Station
from simulator.centre.locator.service import SUBSCRIPTIONS, LocatorService
from simulator.centre.locator.store import EventStore
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from tests.support.drafts import (
    LOCATOR,
    LOCATOR_KEYS,
    NOW,
    draft,
    heartbeat,
    identity_of,
    impulse,
    outbox_of,
    registry_of,
    sealer_of,
)
from tests.support.thinline import ThinLine

STEP_NS = 20 * NS_PER_MS
IDENTITY = identity_of("n1")
Backlog = Literal["impulses", "heartbeats", "mixture"]


def shot() -> Impulse:
    """An impulse record as long as those of a pole: 3.4 kB in its envelope."""
    pairs = tuple(
        TimePair(samples=48_000_000 - 480_000 * one, utc_ns=str(10**18 + one)) for one in range(36)
    )
    return replace(impulse(), time_pairs=pairs)


@dataclass
class Pole:
    """A node with records that wait, the line, and a locator at the far end of it."""

    outbox: SqliteOutbox
    uplink: Uplink
    line: ThinLine
    service: LocatorService
    ears: VirtualPublisher
    now_ns: int = 10 * NS_PER_S
    step_ns: int = STEP_NS
    said: dict[bytes, int] = field(default_factory=dict)  # alerts that nobody heard yet: since when
    waits_s: list[float] = field(default_factory=list)

    def step(self) -> None:
        self.line.advance(self.now_ns)
        self.uplink.step(self.now_ns)
        self.service.step(self.now_ns, lambda: NOW)
        for event in self.ears.poll():
            since_ns = self.said.pop(getattr(event, "payload", b""), None)
            if since_ns is not None:
                self.waits_s.append((self.now_ns - since_ns) / NS_PER_S)
        self.now_ns += self.step_ns

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * NS_PER_S / self.step_ns)):
            self.step()

    def fire(self, times: int, rng: random.Random, every_s: float) -> list[float]:
        """So many new alerts; how long each was on its way, the longest last."""
        for _ in range(times):
            self.run(rng.uniform(0.2, 2 * every_s))
            sealed = self.outbox.append(draft(shot(), host_ns=self.now_ns))
            self.said[sealed.envelope] = self.now_ns
        self.run(20)
        assert not self.said, f"{len(self.said)} alerts never arrived"
        return sorted(self.waits_s)


@pytest.fixture
def pole_at(tmp_path: Path) -> Iterator[Callable[..., Pole]]:
    """Makes poles; their stores are closed after the test."""
    with ExitStack() as stores:
        yield lambda *line: made_at(tmp_path, stores, *line)


def made_at(
    directory: Path, stores: ExitStack, bit_s: float, round_trip_s: float, max_kbit_s: float = 0
) -> Pole:
    broker = VirtualBroker()
    sealer, outbox = sealer_of("n1"), outbox_of("n1", directory / "o.db")
    round_trip_ns = round(round_trip_s * NS_PER_S)
    topic = f"{IDENTITY.topic}/receipt"
    line = ThinLine(broker, IDENTITY.source, (topic,), bit_s=bit_s, round_trip_ns=round_trip_ns)
    uplink = Uplink(
        IDENTITY,
        outbox,
        line,
        LOCATOR_KEYS,
        lambda backlog, connects: seal_status(sealer, True, backlog, connects),
        random.Random(1),
        max_kbit_s=max_kbit_s,
    )
    key = registry_of("n1")[IDENTITY.source]
    known = Station(IDENTITY.source, "town", "north", "n1", key, (0.0, 0.0, 3.0), 1.0)
    registry = Registry({IDENTITY.source: known}, None)
    store = EventStore(directory / "l.db", registry.keys, LOCATOR)
    link = VirtualPublisher(broker, "locator", SUBSCRIPTIONS, persistent=True)
    ears = VirtualPublisher(broker, "ears", (f"{IDENTITY.topic}/event/impulse",))
    ears.connect()
    stores.callback(outbox.close)
    stores.callback(store.close)
    service = LocatorService(store, link, registry, rng=random.Random(1))
    service.step(0, lambda: NOW)
    return Pole(outbox, uplink, line, service, ears)


@pytest.mark.parametrize(
    ("backlog", "bit_s", "round_trip_s", "bar_s", "alerts"),
    [
        ("impulses", 64_000, 0.6, 2.0, 30),
        ("heartbeats", 64_000, 0.6, 2.0, 30),
        ("mixture", 64_000, 0.6, 2.0, 30),
        ("mixture", 16_000, 1.6, 8.0, 12),
    ],
)
def test_a_new_alert_overtakes_what_waits(
    pole_at: Callable[..., Pole],
    backlog: str,
    bit_s: float,
    round_trip_s: float,
    bar_s: float,
    alerts: int,
) -> None:
    """Whatever waits, each new alert is there within 2 s (8 s on the thinnest line), while the
    backlog takes four fifths of the line and the receipts a quarter of that at most."""
    pole = pole_at(bit_s, round_trip_s)
    for turn in range(600):
        is_shot = backlog == "impulses" or (backlog == "mixture" and turn % 3 == 0)
        pole.outbox.append(draft(shot() if is_shot else heartbeat()))
    rng = random.Random(f"{backlog} {bit_s}")
    begun_ns = pole.now_ns
    waits_s = pole.fire(alerts, rng, every_s=128_000 / bit_s)
    assert pole.outbox.backlog() > 50
    line, lasted_s = pole.line, (pole.now_ns - begun_ns) / NS_PER_S
    used = line.up.octets * 8 / bit_s / lasted_s
    print(waits_s[len(waits_s) // 2], waits_s[-1], used, line.down.octets / line.up.octets)
    assert waits_s[-1] <= bar_s
    assert used >= 0.8
    assert line.down.octets <= line.up.octets / 4


def test_a_quiet_hour_costs_little_and_the_way_down_less(pole_at: Callable[..., Pole]) -> None:
    """A heartbeat a minute and its receipt: a quarter of what goes up comes down, at most."""
    pole = pole_at(64_000, 0.6)
    pole.step_ns = 250 * NS_PER_MS
    pole.run(30)
    up, down = pole.line.up.octets, pole.line.down.octets
    for _ in range(60):
        pole.outbox.append(draft(heartbeat(), host_ns=pole.now_ns))
        pole.run(60)
    up, down = pole.line.up.octets - up, pole.line.down.octets - down
    print(f"quiet hour: {up} octets up, {down} down")
    assert pole.uplink.idle
    assert pole.uplink.counters.published <= 61  # a scout at most is said twice
    assert down <= up / 4


def test_the_cap_holds_for_all_but_young_alerts(pole_at: Callable[..., Pole]) -> None:
    """On a line that could do more the backlog takes what it may, and a new alert is not slower."""
    max_kbit_s = 8.0
    pole = pole_at(256_000, 0.2, max_kbit_s)
    for _ in range(600):
        pole.outbox.append(draft(heartbeat()))
    pole.run(20)
    begun_ns, before = pole.now_ns, pole.line.up.octets
    pole.fire(1, random.Random(1), every_s=1.0)
    waits_s = pole.fire(1, random.Random(1), every_s=1.0)
    used = (pole.line.up.octets - before) * 8 / (pole.now_ns - begun_ns) * NS_PER_S
    assert 0.85 * max_kbit_s * 1_000 <= used <= 1.1 * max_kbit_s * 1_000 + 500
    assert waits_s[-1] <= 1.0
