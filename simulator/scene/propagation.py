"""What air and walls do to sound on its way: time, spreading, absorption and mirror images.

Air is uniform and moves as a whole: no shear, turbulence or refraction. Walls are vertical,
flat, as high as needed, and reflect all frequencies alike; nothing stands in the direct path.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from agent.core.units import sound_speed_mps

Floats = npt.NDArray[np.floating]
Spectrum = npt.NDArray[np.complex128]
Point = tuple[float, float, float]
"""East, north, up in metres."""

_T0_K = 293.15
_TRIPLE_K = 273.16
_P0_KPA = 101.325


@dataclass(frozen=True, slots=True)
class Air:
    """Still or moving air; wind comes from `wind_from_deg`, clockwise from north."""

    temperature_c: float = 15.0
    humidity_pct: float = 70.0
    pressure_kpa: float = 101.325
    wind_mps: float = 0.0
    wind_from_deg: float = 0.0

    @property
    def wind_enu_mps(self) -> Point:
        """Where the air goes."""
        bearing = math.radians(self.wind_from_deg)
        return (-self.wind_mps * math.sin(bearing), -self.wind_mps * math.cos(bearing), 0.0)


@dataclass(frozen=True, slots=True)
class Wall:
    """A vertical wall over the segment between two (east, north) points, in metres.

    `reflection` is the part of the pressure that comes back, 0 to 1.
    """

    start_m: tuple[float, float]
    end_m: tuple[float, float]
    reflection: float


@dataclass(frozen=True, slots=True)
class Path:
    """One way from source to receiver. `gain` is what reflection leaves, before spreading."""

    travel_s: float
    length_m: float
    gain: float


def travel_s(source: Point, receiver: Point, air: Air) -> float:
    """Seconds that sound takes through air that moves as a whole.

    The wavefront is a sphere of radius c t around a centre that drifts with the wind, so t
    solves |r - w t| = c t: the component of the wind along the path is what counts, the one
    across it matters only in second order.
    """
    away = [b - a for a, b in zip(source, receiver, strict=True)]
    along = sum(a * w for a, w in zip(away, air.wind_enu_mps, strict=True))
    margin = sound_speed_mps(air.temperature_c) ** 2 - air.wind_mps**2
    distance = math.hypot(*away)
    return (math.sqrt(along**2 + margin * distance**2) - along) / margin


def absorption_db_per_m(frequency_hz: Floats, air: Air) -> Floats:
    """Pure-tone absorption of ISO 9613-1:1993 equations 3 to 5, dB/m, shape as given."""
    return np.asarray(20.0 / math.log(10.0) * _loss_per_m(frequency_hz, air).real)


def propagate(spectrum: Spectrum, frequency_hz: Floats, path: Path, air: Air) -> Spectrum:
    """The spectrum of a wave known at 1 m, after `path`, its travel time not yet applied.

    Spherical spreading, reflection and absorption with the dispersion that belongs to it, so
    that nothing comes before the front. Lowest frequencies travel at the speed of sound.
    """
    reach = np.exp(-path.length_m * _loss_per_m(frequency_hz, air))
    return np.asarray(spectrum * reach * (path.gain / max(path.length_m, 1.0)))


def paths(
    source: Point, receiver: Point, air: Air, walls: Sequence[Wall], ground_reflection: float
) -> Iterator[Path]:
    """The direct path, then one specular echo from the ground and each wall that gives one.

    The ground is the plane up = 0. A wall gives an echo when source and receiver are on the
    same side of it and the line from the mirrored source meets it within its ends.
    """
    yield _path([source, receiver], 1.0, air)
    if ground_reflection > 0.0:
        east, north, up = source
        bounce = _towards((east, north, -up), receiver, up / max(up + receiver[2], 1e-9))
        yield _path([source, bounce, receiver], ground_reflection, air)
    for wall in walls:
        bounce_or_none = _specular_point(source, receiver, wall)
        if bounce_or_none is not None:
            yield _path([source, bounce_or_none, receiver], wall.reflection, air)


def _path(corners: list[Point], gain: float, air: Air) -> Path:
    legs = list(pairwise(corners))
    length_m = sum(math.dist(a, b) for a, b in legs)
    return Path(sum(travel_s(a, b, air) for a, b in legs), length_m, gain)


def _specular_point(source: Point, receiver: Point, wall: Wall) -> Point | None:
    (east0, north0), (east1, north1) = wall.start_m, wall.end_m
    length = math.hypot(east1 - east0, north1 - north0)
    along = ((east1 - east0) / length, (north1 - north0) / length)

    def seen_from_wall(point: Point) -> tuple[float, float]:
        east, north = point[0] - east0, point[1] - north0
        return east * along[0] + north * along[1], north * along[0] - east * along[1]

    (source_at, source_off), (receiver_at, receiver_off) = map(seen_from_wall, (source, receiver))
    if source_off * receiver_off <= 0.0:
        return None
    share = source_off / (source_off + receiver_off)
    at = source_at + share * (receiver_at - source_at)
    if not 0.0 <= at <= length:
        return None
    up = source[2] + share * (receiver[2] - source[2])
    return (east0 + at * along[0], north0 + at * along[1], up)


def _towards(a: Point, b: Point, share: float) -> Point:
    east, north, up = (x + share * (y - x) for x, y in zip(a, b, strict=True))
    return (east, north, up)


def _loss_per_m(frequency_hz: Floats, air: Air) -> Spectrum:
    """Absorption in neper/m (real part) and the phase that goes with it (imaginary part).

    Real parts are ISO 9613-1 equation 5. Each relaxation is written f^2 / (fr + jf), whose real
    part is the standard's f^2 / (fr + f^2/fr): the only causal response with that absorption.
    """
    warm = (air.temperature_c + 273.15) / _T0_K
    pressure = air.pressure_kpa / _P0_KPA
    vapour = 10.0 ** (4.6151 - 6.8346 * (_TRIPLE_K / (warm * _T0_K)) ** 1.261)
    h = air.humidity_pct * vapour / pressure
    oxygen_hz = pressure * (24.0 + 4.04e4 * h * (0.02 + h) / (0.391 + h))
    nitrogen_hz = (pressure * warm**-0.5) * (
        9.0 + 280.0 * h * math.exp(-4.170 * (warm ** (-1.0 / 3.0) - 1.0))
    )
    classical = 1.84e-11 / pressure * warm**0.5
    oxygen = 0.01275 * math.exp(-2239.1 / (warm * _T0_K)) / (oxygen_hz + 1j * frequency_hz)
    nitrogen = 0.1068 * math.exp(-3352.0 / (warm * _T0_K)) / (nitrogen_hz + 1j * frequency_hz)
    return np.asarray(frequency_hz**2 * (classical + warm**-2.5 * (oxygen + nitrogen)))
