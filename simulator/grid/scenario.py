"""A scenario file: who listens where, what sounds when, and the limits that the run must keep.

Reading it yields values only; `scene` and `hardware` turn them into what nodes hear and are.
What was really fired is told by `truth`, to the score alone.
"""

import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from agent.core.units import NS_PER_MS, NS_PER_S
from agent.errors import EarshotError
from simulator.grid.hardware import Board, Hardware, assemble
from simulator.scene.oscillators import XO, AdcClock, Oscillator
from simulator.scene.propagation import Air, Wall
from simulator.scene.randomness import stream
from simulator.scene.scene import Listener, Reverberation, Scene, SceneAudio, Shot
from simulator.scene.sources import SOURCES, StreetNoise
from simulator.scene.tables import faults_of, unknown

MAX_START_SPREAD_NS = 200 * NS_PER_MS

Name = Annotated[str, Meta(pattern="^[A-Za-z0-9-]{1,32}$")]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
AboveGround = tuple[float, float, NotNegative]
Share = Annotated[float, Meta(ge=0, le=1)]
Ppm = Annotated[float, Meta(ge=-200, le=200)]
Level = Annotated[float, Meta(ge=-20, le=194)]
Count = Annotated[int, Meta(ge=0)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class ScenarioError(EarshotError):
    """A scenario cannot be read or makes no sense; the one line names the file and all faults."""


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file."""


class AirTable(_Table, frozen=True, kw_only=True):
    """Weather, the same everywhere."""

    temperature_c: Annotated[float, Meta(ge=-40, le=60)] = 15.0
    humidity_pct: Annotated[float, Meta(gt=0, le=100)] = 70.0
    pressure_kpa: Annotated[float, Meta(ge=50, le=110)] = 101.325
    wind_mps: Annotated[float, Meta(ge=0, le=40)] = 0.0
    wind_from_deg: Annotated[float, Meta(ge=0, le=360)] = 0.0


class NoiseTable(_Table, frozen=True, kw_only=True):
    """RMS levels of the street's noise, dB SPL."""

    level_db_spl: Level = 52.0
    wind_db_spl: Level = 65.0
    hum_db_spl: Level = 35.0
    hum_hz: Positive = 100.0


class StreetTable(_Table, frozen=True, kw_only=True):
    """What gives sound back besides the walls."""

    ground_reflection: Share = 0.0
    reverberation: bool = False
    below_direct_db: NotNegative = 20.0
    decay_s: Annotated[float, Meta(gt=0, le=3)] = 0.4


class WallTable(_Table, frozen=True, kw_only=True):
    """A reflecting wall between two (east, north) points."""

    start_m: tuple[float, float]
    end_m: tuple[float, float]
    reflection: Share = 0.6


class SpanTable(_Table, frozen=True, kw_only=True):
    """Something that happens to a node from `at_s` for `for_s` seconds."""

    at_s: NotNegative
    for_s: Positive


class NodeTable(_Table, frozen=True, kw_only=True):
    """One node: where it hangs and what its parts are like."""

    name: Name
    enu_m: AboveGround
    adc_ppm: Ppm = 0.0
    host_ppm: Ppm = 0.0
    warming_c_per_hour: float = 0.0
    delay_floor_us: NotNegative = 0.0
    delay_mean_us: NotNegative = 500.0
    pps_sigma_us: NotNegative = 1.0
    full_scale_db_spl: Annotated[float, Meta(ge=60, le=194)] = 123.0
    audio_losses: tuple[SpanTable, ...] = ()
    pps_outages: tuple[SpanTable, ...] = ()


class ShotTable(_Table, frozen=True, kw_only=True):
    """One sound, or several from one place; `level_db_spl` is its peak at 1 m."""

    at_s: NotNegative
    enu_m: AboveGround
    kind: str = "muzzle_blast"
    level_db_spl: Level = 160.0
    rounds: Annotated[int, Meta(ge=1, le=1000)] = 1
    interval_ms: Positive = 100.0

    def times_s(self) -> Iterator[float]:
        """When each round is fired, in seconds after the scenario's start."""
        return (self.at_s + number * self.interval_ms / 1000.0 for number in range(self.rounds))


class Limits(_Table, frozen=True, kw_only=True):
    """What the located incidents are held against."""

    max_error_m: Positive
    min_located: Count
    max_false: Count


class Scenario(_Table, frozen=True, kw_only=True):
    """The whole file."""

    name: Name
    seed: Seed
    start_utc: Annotated[datetime, Meta(tz=True)]
    duration_s: Annotated[float, Meta(gt=0, le=90 * 86_400)]
    rate_hz: Annotated[int, Meta(ge=12_000, le=96_000)] = 48_000
    block_samples: Annotated[int, Meta(ge=16, le=65_536)] = 1024
    site: Name
    cell: Name
    air: AirTable = AirTable()
    noise: NoiseTable = NoiseTable()
    street: StreetTable = StreetTable()
    limits: Limits
    nodes: Annotated[tuple[NodeTable, ...], Meta(min_length=1)]
    walls: tuple[WallTable, ...] = ()
    shots: tuple[ShotTable, ...] = ()

    def utc_ns(self, at_s: float) -> int:
        """UTC of a moment that the file gives in seconds after the start."""
        whole_s = round(self.start_utc.timestamp())
        return whole_s * NS_PER_S + round(at_s * NS_PER_S)

    def scene(self) -> Scene:
        """What can be heard."""
        reverberation = Reverberation(self.street.below_direct_db, self.street.decay_s)
        return Scene(
            seed=self.seed,
            start_utc_ns=self.utc_ns(0.0),
            end_utc_ns=self.utc_ns(self.duration_s),
            air=Air(**msgspec.structs.asdict(self.air)),
            noise=StreetNoise(**msgspec.structs.asdict(self.noise)),
            shots=tuple(
                Shot(self.utc_ns(at_s), shot.enu_m, SOURCES[shot.kind](shot.level_db_spl))
                for shot in self.shots
                for at_s in shot.times_s()
            ),
            walls=tuple(Wall(w.start_m, w.end_m, w.reflection) for w in self.walls),
            ground_reflection=self.street.ground_reflection,
            reverberation=reverberation if self.street.reverberation else None,
        )

    def hardware(self, node: NodeTable) -> Hardware:
        """The virtual ports of one of the nodes; its stream opens within 0.2 s of the start."""
        scene, board = self.scene(), self._board(node)
        late_ns = stream(self.seed, "stream start", node.name).integers(MAX_START_SPREAD_NS)
        oscillator = Oscillator(
            scene.start_utc_ns + int(late_ns),
            node.adc_ppm,
            XO,
            stream(self.seed, "adc oscillator", node.name),
            board.temperature_c(self.air.temperature_c),
        )
        listener = Listener(node.name, node.enu_m, node.full_scale_db_spl)
        sound = SceneAudio(scene, listener, AdcClock(oscillator, self.rate_hz))
        return assemble(sound, board, node.name, self.seed, self.air.temperature_c)

    def _board(self, node: NodeTable) -> Board:
        return Board(
            block_samples=self.block_samples,
            host_ppm=node.host_ppm,
            warming_c_per_hour=node.warming_c_per_hour,
            delay_floor_us=node.delay_floor_us,
            delay_mean_us=node.delay_mean_us,
            pps_sigma_us=node.pps_sigma_us,
            losses=tuple(
                (round(span.at_s * self.rate_hz), max(1, round(span.for_s * self.rate_hz)))
                for span in node.audio_losses
            ),
            pps_outages=tuple(
                (self.utc_ns(span.at_s), self.utc_ns(span.at_s + span.for_s))
                for span in node.pps_outages
            ),
        )


def load(path_or_name: str | Path) -> Scenario:
    """The scenario in a file, or the packaged one of that name. Raises ScenarioError."""
    path = Path(path_or_name)
    packaged = resources.files("simulator.grid") / "scenarios" / f"{path_or_name}.toml"
    try:
        if path.suffix != ".toml" and packaged.is_file():
            return parse(packaged.read_text("utf-8"), f"{path_or_name}.toml")
        return parse(path.read_text("utf-8"), str(path))
    except FileNotFoundError:
        known = ", ".join(names())
        raise ScenarioError(f"{path}: no such scenario; give a file or one of: {known}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read: {error}") from None


def names() -> list[str]:
    """The packaged scenarios."""
    folder = resources.files("simulator.grid") / "scenarios"
    return sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".toml"))


def parse(text: str, where: str) -> Scenario:
    """The scenario in TOML `text`. Raises ScenarioError: `where`, then every fault, in one line."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{where}: is not TOML: {error}") from None
    faults = list(faults_of(table, Scenario))
    if not faults:
        scenario = msgspec.convert(table, Scenario)
        faults = list(_contradictions(scenario))
        if not faults:
            return scenario
    raise ScenarioError(f"{where}: " + "; ".join(faults))


def _contradictions(scenario: Scenario) -> Iterator[str]:
    """What no single value shows."""
    if scenario.start_utc.utcoffset() or scenario.start_utc.microsecond:
        yield "start_utc must be a whole second of UTC, as in 2026-03-14T21:00:00Z"
    times = Counter(node.name for node in scenario.nodes)
    yield from (f"nodes: {count} are named {name!r}" for name, count in times.items() if count > 1)
    for node in scenario.nodes:
        spans = node.audio_losses
        if any(later.at_s < span.at_s + span.for_s for span, later in pairwise(spans)):
            yield f"nodes: the audio_losses of {node.name!r} overlap or are out of order"
    for index, wall in enumerate(scenario.walls):
        if wall.start_m == wall.end_m:
            yield f"walls[{index}] has no length"
    for index, shot in enumerate(scenario.shots):
        if shot.kind not in SOURCES:
            yield f"shots[{index}].kind {unknown(shot.kind, SOURCES)}"
        if max(shot.times_s()) >= scenario.duration_s:
            yield f"shots[{index}] sounds after the end, duration_s = {scenario.duration_s:g}"
