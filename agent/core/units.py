"""Units and the few physical formulas that node, simulator and locator must share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_US = 1_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Line:
    """y = level + pace * x; `scatter` is the 1-sigma of one point, `pace_sigma` that of `pace`."""

    level: float
    pace: float
    scatter: float
    pace_sigma: float


def straight_line(points: Sequence[tuple[float, float]]) -> Line:
    """Least squares through at least three points (x, y), not all at one x."""
    count = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    pace = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rests = (y - mean_y - pace * (x - mean_x) for x, y in points)
    variance = sum(rest * rest for rest in rests) / (count - 2)
    return Line(mean_y - pace * mean_x, pace, math.sqrt(variance), math.sqrt(variance / spread))


def sound_speed_mps(temperature_c: float) -> float:
    """Speed of sound in dry air, m/s, for a temperature in degrees Celsius.

    Ideal gas, 331.3 * sqrt(1 + T/273.15) (Cramer 1993, J. Acoust. Soc. Am. 93, 2510; dry air,
    within 0.2 m/s of the full formula between -20 and 40 C; humidity adds up to 0.6 %).
    """
    return 331.3 * math.sqrt(1.0 + temperature_c / 273.15)


def metres_of_sound(sigma_ns: float) -> float:
    """How far sound at 15 C travels in `sigma_ns` nanoseconds, in metres."""
    return sigma_ns / NS_PER_S * sound_speed_mps(15.0)


def dbfs(amplitude: float) -> float:
    """Level of an amplitude relative to full scale 1.0; -200 dBFS for silence."""
    return 20.0 * math.log10(amplitude) if amplitude > 1e-10 else -200.0


def moment_of(utc_ns: int) -> datetime:
    """UTC nanoseconds since 1970 as a date, down to the whole second."""
    return datetime.fromtimestamp(utc_ns // NS_PER_S, tz=UTC)


def ns_of(moment: datetime) -> int:
    """A date with its zone as ns since 1970, down to the whole second."""
    return (moment - _EPOCH) // timedelta(seconds=1) * NS_PER_S


def rfc3339(utc_ns: int) -> str:
    """UTC nanoseconds since 1970 as RFC 3339 with nine decimals."""
    return f"{moment_of(utc_ns):%Y-%m-%dT%H:%M:%S}.{utc_ns % NS_PER_S:09d}Z"


def parse_rfc3339_ns(text: str) -> int:
    """RFC 3339 UTC text to integer nanoseconds since 1970, exact to the last digit given.

    Raises ValueError if the text is not an RFC 3339 time in UTC.
    """
    if not text.endswith(("Z", "+00:00")):
        raise ValueError(f"{text!r} is not a UTC time")
    stem = text.removesuffix("Z").removesuffix("+00:00")
    whole, _, fraction = stem.partition(".")
    if fraction and not (fraction.isascii() and fraction.isdigit() and len(fraction) <= 9):
        raise ValueError(f"{text!r} has a malformed fraction of a second")
    moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    seconds = round((moment - _EPOCH).total_seconds())
    return seconds * NS_PER_S + int(fraction.ljust(9, "0") or "0")


def nominal_ns(sample: float, rate_hz: int) -> int:
    """Nominal time of a sample since the stream opened; exact over years of samples."""
    whole = int(sample // 1)
    seconds, rest = divmod(whole, rate_hz)
    within_ns = (rest + (sample - whole)) * NS_PER_S / rate_hz
    return seconds * NS_PER_S + round(within_ns)
