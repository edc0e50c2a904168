"""The mean of many fixes and its error, on the plane that touches the ellipsoid at the first.

The errors of a standing receiver last: minutes by noise and satellites, hours by multipath and the
ionosphere. How long they last is told by the means of quarters of an hour: how much two neighbours
differ, against how much all of them do (von Neumann's ratio).
"""

import math
from bisect import bisect_left
from itertools import pairwise

import msgspec

from agent.core.clock.time_signs import Place
from agent.core.units import NS_PER_S

BLOCK_S = 900.0
_MOST_BLOCKS = 7 * 96
_FIRST_SIGMA_M = 5.0
_LEAST_BLOCKS = 4
_LASTS_S = (300.0, 600.0, 1200.0, 2400.0, 5400.0, 10_800.0, 21_600.0)
_SLOW_S, _SLOW_M = 10_800.0, 1.5  # multipath lasts hours, and is about so much on a roof
_FEW = 1.5  # what few independent blocks leave open of scatter and duration
_SEMI_MAJOR_M, _ECCENTRICITY_2 = 6_378_137.0, 6.694379990141e-3


class Block(msgspec.Struct):
    """The mean of a quarter of an hour, in metres from the origin."""

    count: int = 0
    heights: int = 0
    east_m: float = 0.0
    north_m: float = 0.0
    height_m: float = 0.0


class Kept(msgspec.Struct):
    """A mean as it outlives a restart."""

    latitude_deg: float
    longitude_deg: float
    blocks: list[Block]


class PlaceMean:
    """Feed it places; host time counts within a run only, and what a restart takes is no time."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._north_m_per_deg, self._east_m_per_deg = metres_per_degree(kept.latitude_deg)
        self._began_ns: int | None = None
        self._in_block_s = 0.0
        self._sigmas_m: tuple[float, float] | None = None

    @classmethod
    def around(cls, origin: Place) -> "PlaceMean":
        """An empty one."""
        return cls(Kept(float(origin.latitude_deg), float(origin.longitude_deg), []))

    @property
    def kept(self) -> Kept:
        """What must be kept to go on after a restart."""
        return self._kept

    @property
    def fixes(self) -> int:
        """How many places are in it."""
        return sum(block.count for block in self._kept.blocks)

    @property
    def span_s(self) -> float:
        """How long it was fed."""
        blocks = self._kept.blocks
        return BLOCK_S * max(0, len(blocks) - 1) + (self._in_block_s if blocks else 0.0)

    @property
    def place(self) -> Place:
        """The mean: of the blocks, so that more fixes in some count no more."""
        blocks = self._kept.blocks
        east_m, north_m = _mean([b.east_m for b in blocks]), _mean([b.north_m for b in blocks])
        heights = [block.height_m for block in blocks if block.heights]
        return Place(
            self._kept.latitude_deg + north_m / self._north_m_per_deg,
            self._kept.longitude_deg + east_m / self._east_m_per_deg,
            _mean(heights) if heights else None,
            None,
        )

    @property
    def sigmas_m(self) -> tuple[float, float]:
        """1-sigma of the mean to the east and to the north, renewed with each block."""
        if self._sigmas_m is None or len(self._kept.blocks) < _LEAST_BLOCKS:
            self._sigmas_m = self._measured_sigmas_m()
        return self._sigmas_m

    def _measured_sigmas_m(self) -> tuple[float, float]:
        blocks, span_s = self._kept.blocks, self.span_s
        prior = _SLOW_M**2 * _share(span_s, _SLOW_S)
        if len(blocks) < _LEAST_BLOCKS:
            first = _FIRST_SIGMA_M / math.sqrt(1 + span_s / _SLOW_S)
            return first, first
        ways = [[block.east_m for block in blocks], [block.north_m for block in blocks]]
        scatters = [_variance(way) for way in ways]
        both = sum(scatters) / 2
        lasts_s = _duration_s(ways, both, span_s)
        share = min(_share(span_s, lasts_s), 0.95)
        few = 1 + (_FEW - 1) * min(1.0, 8 * lasts_s / span_s)
        mine = [few**2 * (both + scatter) / 2 * share / (1 - share) for scatter in scatters]
        return math.sqrt(mine[0] + prior), math.sqrt(mine[1] + prior)

    def add(self, place: Place, host_ns: int) -> None:
        """One more."""
        if self._began_ns is None or host_ns - self._began_ns >= BLOCK_S * NS_PER_S:
            self._began_ns = host_ns
            self._kept.blocks.append(Block())
            self._sigmas_m = None
            del self._kept.blocks[:-_MOST_BLOCKS]
        self._in_block_s = (host_ns - self._began_ns) / NS_PER_S
        block, (east_m, north_m) = self._kept.blocks[-1], self._offset_m(place)
        block.count += 1
        block.east_m += (east_m - block.east_m) / block.count
        block.north_m += (north_m - block.north_m) / block.count
        if place.height_m is not None:
            block.heights += 1
            block.height_m += (place.height_m - block.height_m) / block.heights

    def distance_m(self, place: Place) -> float:
        """From the mean to a place."""
        east_m, north_m = self._offset_m(place)
        blocks = self._kept.blocks
        return math.hypot(
            east_m - _mean([block.east_m for block in blocks]),
            north_m - _mean([block.north_m for block in blocks]),
        )

    def _offset_m(self, place: Place) -> tuple[float, float]:
        east_deg = (place.longitude_deg - self._kept.longitude_deg + 180.0) % 360.0 - 180.0
        north_deg = place.latitude_deg - self._kept.latitude_deg
        return float(east_deg * self._east_m_per_deg), float(north_deg * self._north_m_per_deg)


def metres_per_degree(latitude_deg: float) -> tuple[float, float]:
    """Metres per degree of latitude and of longitude: WGS 84's radii of curvature there."""
    sine_2 = math.sin(math.radians(latitude_deg)) ** 2
    root = math.sqrt(1 - _ECCENTRICITY_2 * sine_2)
    meridian_m = _SEMI_MAJOR_M * (1 - _ECCENTRICITY_2) / root**3
    parallel_m = _SEMI_MAJOR_M / root * math.cos(math.radians(latitude_deg))
    return math.radians(meridian_m), math.radians(max(parallel_m, 1.0))


def _share(span_s: float, lasts_s: float) -> float:
    """Variance of the mean over `span_s` of a first-order Gauss-Markov process of that time
    constant, in units of its own."""
    ratio = max(span_s, 1.0) / lasts_s
    return 2 / ratio * (1 - -math.expm1(-ratio) / ratio)


def _duration_s(ways: list[list[float]], scatter: float, span_s: float) -> float:
    """For how long errors last, of `_LASTS_S`: the shortest that explains the ratio; where chance
    could have made it the longer one."""
    steps = [(b - a) ** 2 for way in ways for a, b in pairwise(way)]
    if not scatter or not steps:
        return _LASTS_S[0]
    ratio = sum(steps) / len(steps) / (2 * scatter)
    noise = 1.0 / math.sqrt(len(steps))
    expected = [_expected_ratio(span_s, lasts_s) for lasts_s in _LASTS_S]
    at = bisect_left([-one for one in expected], -(ratio * (1 - 2 * noise)))
    return _LASTS_S[min(at, len(_LASTS_S) - 1)]


def _expected_ratio(span_s: float, lasts_s: float) -> float:
    """Von Neumann's ratio of block means that one expects: what two neighbours do not share, over
    what the blocks scatter about their own mean."""
    x = BLOCK_S / lasts_s
    own = 2 / x * (1 - -math.expm1(-x) / x)
    shared = (math.expm1(-x) / x) ** 2
    return (own - shared) / max(own - _share(span_s, lasts_s), 1e-6)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _variance(values: list[float]) -> float:
    mean = _mean(values)
    return sum((value - mean) ** 2 for value in values) / len(values)
