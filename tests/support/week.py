"""Days of one node's life in virtual time: power cuts, outages of broker and sky, clocks that jump.

The very node, keeper, store, uplink and locator, on virtual hardware. A day ends with a power cut:
nothing is said, nothing is flushed. All that a later day needs is on the disk, so that a trial that
was stopped goes on with the next day.
"""

import random
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from agent.adapters.levelfile import LevelFile
from agent.adapters.outbox import SqliteOutbox
from agent.app.keeping import Keeping
from agent.app.node import Node, NodeSettings
from agent.app.presence import seal_status
from agent.app.uplink import Uplink
from agent.core.audio import AudioFormat
from agent.core.clock.time_signs import Discontinuity, RealtimeStep, TimeMark, TimeSign
from agent.core.clock.timebase import ClockSettings
from agent.core.hearing.level_history import LevelHistory
from agent.core.records import Sealer
from agent.core.records.kinds import Identity
from agent.core.units import NS_PER_S, rfc3339
from simulator.centre.locator.registry import Registry
from simulator.centre.locator.service import EVENTS, STATUSES, LocatorService
from simulator.centre.locator.store import EventStore
from simulator.centre.locator.watch import Watch
from simulator.grid.hardware import Board, Hardware, Loss, assemble
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from simulator.scene.oscillators import XO, AdcClock, Oscillator
from simulator.scene.randomness import stream
from simulator.scene.sources import StreetNoise, pascals, street_noise
from tests.support.cells import Cell
from tests.support.drafts import LOCATOR, LOCATOR_KEYS, heartbeat, impulse, signer_of
from tests.support.located import stations

RATE_HZ, BLOCK = 12_000, 4096
DAY_S = 86_400
FIRST_NS = 1_790_000_000 * NS_PER_S
DARK_S = 40
FULL_SCALE_DB_SPL = 120.0
TURN_NS = 2 * NS_PER_S
TILE_S = 600
NODE, EARLIER, EARLIER_RECORDS = "n1", "n0", 4096
SLEPT_NS = 2 * NS_PER_S
LOSSES, LOST = 12, (100, 24_000)


@dataclass(frozen=True)
class Plan:
    """What happens on one day, in seconds from its first sample; drawn from the day's number."""

    day: int
    length_s: float
    sky_s: tuple[tuple[float, float], ...]
    broker_s: tuple[tuple[float, float], ...]
    step_s: float
    sleep_s: float
    losses: tuple[Loss, ...]

    @property
    def epoch_ns(self) -> int:
        return FIRST_NS + self.day * (DAY_S + DARK_S) * NS_PER_S


def plan_of(day: int, length_s: float = DAY_S) -> Plan:
    """Six outages of the sky, three of the broker (the last may outlast the power), two jumps."""
    rng = np.random.default_rng((17, day))
    slot = (length_s - 180.0) / LOSSES
    losses = [
        (round((120.0 + (number + 0.5 * rng.random()) * slot) * RATE_HZ), int(rng.integers(*LOST)))
        for number in range(LOSSES)
    ]
    return Plan(
        day,
        length_s,
        tuple(_spells(rng, 6, length_s, (60.0, 2400.0))),
        tuple(_spells(rng, 3, length_s, (300.0, 5400.0))),
        float(rng.uniform(0.1, 0.4) * length_s),
        float(rng.uniform(0.5, 0.9) * length_s),
        tuple(losses),
    )


def _spells(
    rng: np.random.Generator, count: int, length_s: float, lasts_s: tuple[float, float]
) -> Iterator[tuple[float, float]]:
    """One within each of `count` equal parts of the day."""
    part_s = length_s / count
    for number in range(count):
        lasts = min(float(np.exp(rng.uniform(*np.log(lasts_s)))), 0.6 * part_s)
        start = (number + float(rng.uniform(0.1, 0.95))) * part_s
        yield start, start + lasts


class Noise:
    """A Sound: a street that never ends, from a tile without a seam."""

    def __init__(self, plan: Plan, tile: np.ndarray) -> None:
        self.format = AudioFormat(RATE_HZ, FULL_SCALE_DB_SPL)
        crystal = Oscillator(plan.epoch_ns, 23.0, XO, stream(plan.day, "converter"))
        self.clock = AdcClock(crystal, RATE_HZ)
        self._tile, self._left = tile, round(plan.length_s * RATE_HZ)

    def chunks(self) -> Iterator[np.ndarray]:
        while self._left > 0:
            yield self._tile[: self._left]
            self._left -= len(self._tile)


def tile() -> np.ndarray:
    """Ten minutes of street noise that join end to start."""
    rng = np.random.default_rng(5)
    wave = street_noise(TILE_S * RATE_HZ, RATE_HZ, StreetNoise(), rng) / pascals(FULL_SCALE_DB_SPL)
    return np.clip(np.rint(wave * 32_768), -32_768, 32_767).astype(np.int16)


class Sky:
    """The receiver and the host's own jumps: one step of CLOCK_REALTIME, one sleep of 2 s."""

    def __init__(self, hardware: Hardware, plan: Plan) -> None:
        self._hardware = hardware
        begun_ns = hardware.clock.monotonic_ns()
        self._step_ns: int | None = begun_ns + round(plan.step_s * NS_PER_S)
        self._sleep_ns = begun_ns + round(plan.sleep_s * NS_PER_S)
        self._slept = False

    def poll(self) -> Iterator[TimeSign]:
        now_ns = self._hardware.clock.monotonic_ns()
        if self._step_ns is not None and now_ns >= self._step_ns:
            yield RealtimeStep(now_ns, "system clock was stepped by 3600.000 s")
            self._step_ns = None
        if now_ns >= self._sleep_ns and not self._slept:
            self._slept = True
            yield Discontinuity(now_ns, f"host slept for {SLEPT_NS / NS_PER_S:.1f} s")
        for sign in self._hardware.reference.poll():
            if self._slept and isinstance(sign, TimeMark):
                yield TimeMark(sign.host_ns, sign.utc_ns + SLEPT_NS, sign.sigma_ns, sign.source)
            else:
                yield sign


@dataclass
class Day:
    """What came of one day, before its records are looked at."""

    steps: int = 0
    backlog: int = 0
    alarms: list[str] = field(default_factory=list)


class Life:
    """One node and its locator; `directory` outlives both."""

    def __init__(self, directory: Path, sound: np.ndarray) -> None:
        self._directory, self._sound = directory, sound
        self.stations = stations("a", "lab", {NODE: (0.0, 0.0, 3.0), EARLIER: (90.0, 0.0, 3.0)})
        directory.mkdir(parents=True, exist_ok=True)
        if not self.store.exists():
            self._fill()

    @property
    def store(self) -> Path:
        return self._directory / "locator.sqlite"

    def _fill(self) -> None:
        """A locator in use: what it holds and remembers of another node is there from the first
        day on, so that what grows is not taken for the node's."""
        cell = Cell("a", "lab", {NODE: (0.0, 0.0, 3.0), EARLIER: (90.0, 0.0, 3.0)})
        with closing(EventStore(self.store, cell.registry.keys, LOCATOR)) as store:
            for number in range(EARLIER_RECORDS):
                said = impulse() if number % 2 else heartbeat()
                utc_ns = FIRST_NS - (EARLIER_RECORDS - number) * 60 * NS_PER_S
                message = cell.say(EARLIER, said, utc_ns)
                store.admit(message.topic, message.payload)
            store.commit()
            store.mark_told()

    def live(self, plan: Plan, drain_s: int = 0) -> Day:
        """One day to its power cut; with `drain_s` the node then lives on so long, without faults
        of the link, so that the locator gets what it had left."""
        broker, day = VirtualBroker(), Day()
        registry = Registry(self.stations, None)
        with closing(EventStore(self.store, registry.keys, LOCATOR)) as store:
            link = VirtualPublisher(broker, "locator", (EVENTS, STATUSES), persistent=True)
            service = LocatorService(
                store, link, registry, rng=random.Random(1), watch=Watch(registry.stations)
            )
            self._run(plan, broker, service, day, drain_s)
        return day

    def _run(
        self, plan: Plan, broker: VirtualBroker, service: LocatorService, day: Day, drain_s: int
    ) -> None:
        hardware = _hardware(plan, Noise(plan, self._sound))
        sky, levels = Sky(hardware, plan), LevelFile(self._directory / "levels", "virtual")
        signer = signer_of(NODE)
        identity = Identity(
            site="lab", cell="a", node=NODE, keyid=signer.keyid, boot=f"{plan.day + 1:032x}"
        )
        sealer = Sealer(identity, signer)
        outbox = SqliteOutbox(
            self._directory / "outbox.sqlite", sealer, partial(secrets.token_hex, 16), durable=False
        )
        keeping = Keeping(outbox)
        node = Node(
            NodeSettings("week", "0" * 64, outbox.previous_run, ClockSettings(latency_ns=0)),
            hardware.microphone.format,
            keeping,
            hardware.vitals,
            history=LevelHistory(levels.levels),
        )
        link = VirtualPublisher(broker, identity.source, (f"{identity.topic}/receipt",))
        status = partial(seal_status, sealer, True)
        uplink = Uplink(identity, keeping, link, LOCATOR_KEYS, status, random.Random(2))
        turn = partial(self._turn, plan, broker, service, uplink, hardware)
        begun_ns = next_ns = hardware.clock.monotonic_ns()
        while (piece := hardware.microphone.read()) is not None:
            for item in (*sky.poll(), piece):
                node.step(item)
                _keep(keeping, item.host_ns)
                day.steps += 1
            if piece.host_ns >= next_ns:
                next_ns = piece.host_ns + TURN_NS
                turn(piece.host_ns - begun_ns)
                levels.keep(piece.host_ns)
                _keep(keeping, piece.host_ns)
        for second in range(drain_s):
            turn((round(plan.length_s) + second) * NS_PER_S, is_drained=True)
            _keep(keeping, hardware.clock.monotonic_ns())
        day.backlog = outbox.backlog()
        link.close()
        outbox.close(clean=False)  # the power is cut: no stop is said

    def _turn(
        self,
        plan: Plan,
        broker: VirtualBroker,
        service: LocatorService,
        uplink: Uplink,
        hardware: Hardware,
        at_ns: int,
        *,
        is_drained: bool = False,
    ) -> None:
        at_s = at_ns / NS_PER_S
        if any(start <= at_s < end for start, end in plan.broker_s) and not is_drained:
            broker.kill()
        else:
            broker.restart()
        uplink.step(at_ns)
        utc_ns = plan.epoch_ns + at_ns
        service.step(at_ns, lambda: rfc3339(utc_ns))


def _keep(keeping: Keeping, host_ns: int) -> None:
    while keeping.has_work and keeping.step(host_ns):
        pass


def _hardware(plan: Plan, sound: Noise) -> Hardware:
    def utc(spells_s: Sequence[tuple[float, float]]) -> tuple[tuple[int, int], ...]:
        return tuple(
            (plan.epoch_ns + round(a * NS_PER_S), plan.epoch_ns + round(b * NS_PER_S))
            for a, b in spells_s
        )

    board = Board(
        block_samples=BLOCK, host_ppm=11.0, losses=plan.losses, pps_outages=utc(plan.sky_s)
    )
    return assemble(sound, board, NODE, plan.day, 8.0)
