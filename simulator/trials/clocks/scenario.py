"""Clock scenarios: short TOML files that say what happens to a node's clocks, and what is allowed.

Without sound, so that many seeds of many minutes are cheap. What the words do to the clocks is
`world`'s; holding the outcome against the limits is `trial`'s.
"""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from simulator.grid.scenario import ScenarioError
from simulator.scene.oscillators import TCXO, XO, Crystal
from simulator.scene.tables import faults_of

NotNegative = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
CRYSTALS: dict[str, Crystal] = {"xo": XO, "tcxo": TCXO}


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file."""


class Spell(_Table, frozen=True, kw_only=True):
    """Something that lasts from `at_s` for `for_s` seconds; `by` is how much, see its list."""

    at_s: NotNegative
    for_s: NotNegative = 0.0
    by: float = 0.0


class OscillatorTable(_Table, frozen=True, kw_only=True):
    """A crystal; its constant offset is drawn per seed, 1-sigma `ppm`."""

    crystal: Literal["xo", "tcxo"] = "xo"
    ppm: NotNegative = 15.0
    warming_c_per_hour: float = 0.0


class DeliveryTable(_Table, frozen=True, kw_only=True):
    """How late blocks are handed over. `load` gives spells with another mean (us)."""

    law: Literal["exponential", "uniform"] = "exponential"
    mean_us: NotNegative = 500.0
    floor_us: NotNegative = 0.0
    load: tuple[Spell, ...] = ()


class PulseTable(_Table, frozen=True, kw_only=True):
    """The receiver's pulse as the node sees it.

    Besides `jitter_us` all pulses of a seed share an offset that is uniform with 1-sigma
    `shared_us`, which is what the node is told. `lost`: spells without; `stepped`: spells off by
    so many us; `dragged`: spells that drift by so many ns per s; `stuck`: spells in which the
    line rings at `by` Hz instead.
    """

    jitter_us: NotNegative = 1.0
    shared_us: NotNegative = 1.0
    lost_share: Share = 0.0
    false_per_minute: NotNegative = 0.0
    doubles_share: Share = 0.0
    lost: tuple[Spell, ...] = ()
    lost_at_random_per_day: NotNegative = 0.0
    stepped: tuple[Spell, ...] = ()
    dragged: tuple[Spell, ...] = ()
    stuck: tuple[Spell, ...] = ()


class ReportTable(_Table, frozen=True, kw_only=True):
    """The receiver's sentences. `void`: spells without a fix; `off_s`: spells off by seconds;
    `silent`: spells without sentences."""

    lag_ms: Positive = 120.0
    jitter_ms: NotNegative = 8.0
    tells_leap: bool = True
    tells_spoofing: bool = False
    void: tuple[Spell, ...] = ()
    silent: tuple[Spell, ...] = ()
    off_s: tuple[Spell, ...] = ()


class HostTable(_Table, frozen=True, kw_only=True):
    """Mishaps of the host. `slews` change its pace by so many ppm; `overruns` lose `for_s` of
    sound and miscount it by `by` samples; in `sleeps` all its clocks stand still."""

    slews: tuple[Spell, ...] = ()
    overruns: tuple[Spell, ...] = ()
    sleeps: tuple[Spell, ...] = ()


class ClockLimits(_Table, frozen=True, kw_only=True):
    """What is allowed, over all seconds from `from_s` on and all seeds pooled.

    Errors in us; shares of seconds for |error| against sigma. `max_ratio` is the median sigma
    over the RMS error. `locked_share` and `never` concern the state.
    """

    from_s: NotNegative = 60.0
    rms_us: float | None = None
    bias_us: float | None = None
    within_1_sigma: tuple[Share, Share] = (0.63, 0.80)
    within_2_sigma: Share = 0.93
    beyond_3_sigma: Share = 0.003
    max_ratio: float | None = None
    locked_share: tuple[Share, Share] = (0.0, 1.0)
    max_locked_error_us: float | None = None
    states_seen: tuple[str, ...] = ()
    doubts_seen: tuple[str, ...] = ()


class ClockScenario(_Table, frozen=True, kw_only=True):
    """The whole file. A `long` one is left out unless it is asked for by name."""

    name: str
    about: str
    long: bool = False
    duration_s: Annotated[int, Meta(ge=30, le=90 * 86_400)] = 600
    source: Literal["system", "nmea", "pps", "pps-adc"] = "pps"
    latency: Literal["calibrated", "bounded"] = "calibrated"
    start_utc_s: int = 1_830_000_000
    leap_at_s: int | None = None
    sound: bool = True
    adc: OscillatorTable = OscillatorTable()
    host: OscillatorTable = OscillatorTable()
    delivery: DeliveryTable = DeliveryTable()
    pulse: PulseTable = PulseTable()
    report: ReportTable = ReportTable()
    mishaps: HostTable = HostTable()
    limits: ClockLimits = ClockLimits()


def folder() -> Path:
    """Where the packaged scenarios are."""
    return Path(str(resources.files("simulator.trials.clocks") / "scenarios"))


def names() -> list[str]:
    """The packaged scenarios, in order."""
    return sorted(path.stem for path in folder().glob("*.toml"))


def load(path_or_name: str | Path) -> ClockScenario:
    """The scenario in a file, or the packaged one of that name. Raises ScenarioError."""
    path = Path(path_or_name)
    if path.suffix != ".toml":
        path = folder() / f"{path_or_name}.toml"
        if not path.is_file():
            known = ", ".join(names())
            raise ScenarioError(f"{path_or_name}: no such clock scenario; known: {known}")
    return of_table(parsed(path), path.name)


def parsed(path: Path) -> dict[str, Any]:
    """The TOML in a file. Raises ScenarioError."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"{path}: is not TOML: {error}") from None


def of_table(table: dict[str, Any], file: str) -> ClockScenario:
    """The scenario in a parsed file. Raises ScenarioError naming every fault."""
    if faults := list(faults_of(table, ClockScenario)):
        raise ScenarioError(f"{file}: " + "; ".join(faults))
    return msgspec.convert(table, ClockScenario)
