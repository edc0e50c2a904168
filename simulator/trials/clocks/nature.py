"""Clock worlds: TOML files of what nature does to a node's clocks, drawn per seed, told to nobody.

A scenario declares its constants to the node; a world does not. The node runs on its defaults and
on what an installer could know, which is the table `declared`. Every key is described in
`docs/clock-worlds.md`, and what the words do in `life`, `weather`, `deliveries`, `sky`, `ntp`.
"""

from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from simulator.grid.scenario import ScenarioError
from simulator.scene.tables import faults_of
from simulator.trials.clocks.drawn import Drawn, DrawnNotNegative, NotNegative, Positive
from simulator.trials.clocks.scenario import parsed

Share = Annotated[float, Meta(ge=0, le=1)]
DelayLaw = Literal["exponential", "lognormal", "pareto", "uniform"]
Told = Literal["counted", "late", "uncounted"]
Daemon = Literal["chrony", "timesyncd"]
Speech = Literal["signs", "rmc", "two_rmc", "gns_zda", "ubx_pvt", "ubx_timeutc", "casic"]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file."""


class Happening(_Table, frozen=True, kw_only=True):
    """Something that comes `count` times, each time at another moment, for so long, by so much."""

    count: DrawnNotNegative = 1.0
    at_s: DrawnNotNegative | None = None
    for_s: DrawnNotNegative = 0.0
    by: Drawn = 0.0


class WeatherTable(_Table, frozen=True, kw_only=True):
    """The temperature inside the box."""

    mean_c: Drawn = 25.0
    day_swing_c: DrawnNotNegative = 0.0
    starts_at_hour: DrawnNotNegative = (0.0, 24.0)
    sun_c: DrawnNotNegative = 0.0
    clouds_per_hour: NotNegative = 0.0
    load_c: DrawnNotNegative = 0.0
    loads_per_hour: NotNegative = 0.0
    lag_s: DrawnNotNegative = 900.0
    sensor_lag_s: DrawnNotNegative = 120.0
    sensor_noise_c: DrawnNotNegative = 0.5


class CrystalTable(_Table, frozen=True, kw_only=True):
    """A crystal: offset, cubic in the distance of temperature from `turnover_c`, walk, aging."""

    ppm: Drawn = (-30.0, 30.0)
    turnover_c: Drawn = 25.0
    ppm_per_c: Drawn = 0.0
    ppm_per_c2: Drawn = 0.0
    ppm_per_c3: Drawn = 0.0
    wander_ppm_per_sqrt_hour: DrawnNotNegative = 0.1
    aging_ppm_per_day: Drawn = 0.0


class AudioTable(_Table, frozen=True, kw_only=True):
    """The converter and the way of its samples into the host's memory."""

    claimed_hz: DrawnNotNegative = 48_000.0
    true_hz: DrawnNotNegative | None = None
    block_samples: DrawnNotNegative = 1024.0
    latency_us: DrawnNotNegative = 0.0
    frame_us: DrawnNotNegative = 0.0
    frames_per_interrupt: DrawnNotNegative = 1.0
    frame_ppm: Drawn = (-50.0, 50.0)
    locked_to_frames: Share = 0.0
    buffer_ms: DrawnNotNegative = 250.0


class DeliveryTable(_Table, frozen=True, kw_only=True):
    """How late the reader is once samples are in memory."""

    laws: Annotated[tuple[DelayLaw, ...], Meta(min_length=1)] = ("lognormal",)
    median_us: DrawnNotNegative = 100.0
    spread: DrawnNotNegative = 0.8
    shape: DrawnNotNegative = 2.0
    loads: tuple[Happening, ...] = ()
    stalls: tuple[Happening, ...] = ()
    told: Annotated[tuple[Told, ...], Meta(min_length=1)] = ("counted",)
    miscount_samples: DrawnNotNegative = 20.0


class PulseTable(_Table, frozen=True, kw_only=True):
    """The receiver's pulse and its way to the host."""

    jitter_ns: DrawnNotNegative = 30.0
    bias_ns: Drawn = (-100.0, 100.0)
    late_us: DrawnNotNegative = 0.0
    late_spread: DrawnNotNegative = 0.5
    late_times_under_load: DrawnNotNegative = 1.0
    frame_us: DrawnNotNegative = 0.0
    frame_ppm: Drawn = (-50.0, 50.0)
    way_is_told: Share = 0.0
    lost_share: DrawnNotNegative = 0.0
    doubles_share: DrawnNotNegative = 0.0
    false_per_minute: DrawnNotNegative = 0.0
    edge_late_ms: DrawnNotNegative = 0.0
    width_ms: DrawnNotNegative = 0.0
    per_second: DrawnNotNegative = 1.0
    dragged: tuple[Happening, ...] = ()
    outages: tuple[Happening, ...] = ()


class ReportTable(_Table, frozen=True, kw_only=True):
    """The receiver's sentences."""

    lag_ms: DrawnNotNegative = 150.0
    jitter_ms: DrawnNotNegative = 8.0
    wander_ms: DrawnNotNegative = 0.0
    lost_share: DrawnNotNegative = 0.0
    wrong_s: Drawn = 0.0
    wrong_for_s: DrawnNotNegative = 0.0
    weeks: Drawn = 0.0
    weeks_for_s: DrawnNotNegative = 0.0
    leaps: DrawnNotNegative | None = None
    says_sixty: Share = 1.0
    speaks: Annotated[tuple[Speech, ...], Meta(min_length=1)] = ("signs",)
    every_s: DrawnNotNegative = 1.0
    fraction_ms: DrawnNotNegative = 0.0
    transport_ms: DrawnNotNegative = 0.0
    tells_leap: Share = 0.0
    tells_next: Share = 0.0
    tells_spoofing: Share = 0.0


class NtpTable(_Table, frozen=True, kw_only=True):
    """The path to a time server and who follows it."""

    daemons: Annotated[tuple[Daemon, ...], Meta(min_length=1)] = ("chrony", "timesyncd")
    round_trip_ms: DrawnNotNegative = 20.0
    asymmetry: Drawn = (-0.5, 0.5)
    jitter_ms: DrawnNotNegative = 0.5
    poll_s: DrawnNotNegative = 64.0
    server_error_ms: DrawnNotNegative = 0.5
    is_witness: bool = False
    follows_receiver: Share = 0.0
    lost: tuple[Happening, ...] = ()


class MishapTable(_Table, frozen=True, kw_only=True):
    """What happens to the host. `by` of a step is in seconds."""

    sleeps: tuple[Happening, ...] = ()
    steps: tuple[Happening, ...] = ()
    stops: tuple[Happening, ...] = ()
    restarts: tuple[Happening, ...] = ()


class MemoryTable(_Table, frozen=True, kw_only=True):
    """What an earlier run left: the last time that it had confirmed."""

    is_new: bool = False
    days_ago: DrawnNotNegative = 1.0


class DeclaredTable(_Table, frozen=True, kw_only=True):
    """What the installer told the node; what is absent stays at the node's default."""

    latency_error_us: DrawnNotNegative | None = None
    pps_sigma_ns: Annotated[int, Meta(gt=0)] | None = None
    edge_sigma_ns: Annotated[int, Meta(gt=0)] | None = None
    system_sigma_ms: Annotated[int, Meta(gt=0)] | None = None
    nmea_lag_error_ms: DrawnNotNegative | None = None


class WorldLimits(_Table, frozen=True, kw_only=True):
    """What is allowed, all draws pooled; see `verdict` for what each word means."""

    from_s: NotNegative = 60.0
    within_1_sigma: Share = 0.63
    within_2_sigma: Share = 0.95
    told_within_2_sigma: Share = 0.0
    draws_beyond_3_sigma: Share = 0.02
    beyond_share: Share = 0.01
    max_ratio: Positive = 2.5
    locked_share: Share = 0.95
    confirmed_share: Share = 0.0
    most_confirmed_share: Share = 1.0
    most_locked_share: Share = 1.0
    better_than_ms: Positive = 5.0
    sure_sigma: Positive = 10.0
    sure_s: NotNegative = 1.0
    relock_s: Positive = 60.0
    holdover_within_2_sigma: Share = 0.93
    holdover_max_ratio: Positive = 5.0
    doubt_within_s: Positive | None = None
    doubt_says: str = ""
    ppm_within: Positive | None = None
    corrected_ratio: Positive | None = None
    corrected_within_3_sigma: Share = 0.97


class ClockWorld(_Table, frozen=True, kw_only=True):
    """The whole file. A `long` one is left out unless it is asked for by name."""

    world: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$")]
    about: str
    long: bool = False
    duration_s: Annotated[int, Meta(ge=90, le=7 * 86_400)] = 300
    source: Literal["system", "nmea", "pps", "pps-adc"] = "pps"
    start_utc_s: Annotated[int, Meta(ge=1_800_000_000, le=2_900_000_000)] = 1_830_000_000
    midnight_at_s: NotNegative | None = None
    leaps: Annotated[int, Meta(ge=0, le=1)] = 0
    sound: bool = True
    weather: WeatherTable = WeatherTable()
    host: CrystalTable = CrystalTable()
    converter: CrystalTable = CrystalTable()
    audio: AudioTable = AudioTable()
    delivery: DeliveryTable = DeliveryTable()
    pulse: PulseTable = PulseTable()
    report: ReportTable = ReportTable()
    ntp: NtpTable = NtpTable()
    mishaps: MishapTable = MishapTable()
    memory: MemoryTable = MemoryTable()
    declared: DeclaredTable = DeclaredTable()
    limits: WorldLimits = WorldLimits()


def folder() -> Path:
    """Where the packaged worlds are."""
    return Path(str(resources.files("simulator.trials.clocks") / "worlds"))


def names() -> list[str]:
    """The packaged worlds, in order."""
    return sorted(path.stem for path in folder().glob("*.toml"))


def load(path_or_name: str | Path) -> ClockWorld:
    """The world in a file, or the packaged one of that name. Raises ScenarioError."""
    path = Path(path_or_name)
    path = path if path.suffix == ".toml" else folder() / f"{path_or_name}.toml"
    return of_table(parsed(path), path.name)


def is_world(table: dict[str, Any]) -> bool:
    """Whether a parsed file is a world, not a scenario: it says `world = "..."`."""
    return "world" in table


def of_table(table: dict[str, Any], file: str) -> ClockWorld:
    """The world in a parsed file. Raises ScenarioError naming every fault."""
    if faults := list(faults_of(table, ClockWorld)):
        raise ScenarioError(f"{file}: " + "; ".join(faults))
    world = msgspec.convert(table, ClockWorld)
    if world.source == "pps-adc" and not world.sound:
        raise ScenarioError(f'{file}: source "pps-adc" needs sound = true')
    if world.midnight_at_s is not None and (world.start_utc_s + world.midnight_at_s) % 86_400:
        raise ScenarioError(f"{file}: start_utc_s + midnight_at_s is no midnight")
    return world
