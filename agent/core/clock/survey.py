"""Survey-in: where the antenna is, from the mean of many fixes, and an alarm when it moves.

Fixes are worth little one by one: their errors last for minutes, so the error of the mean falls
with the time, not with their number. Only gated fixes count. Knows no clock but the fixes' own.
"""

import math
from dataclasses import dataclass

from agent.core.clock.time_signs import Fix, Place
from agent.core.records.position import PlaceEvent, Position
from agent.core.units import NS_PER_S

_LEAST_SATELLITES = 5
_MOST_HDOP = 4.0
_CORRELATION_S = 600.0
_LEAST_SCATTER_M = 1.0
_FIRST_SIGMA_M = 5.0
_MOVED_M, _MOVED_SIGMAS, _MOVED_AFTER_S = 50.0, 5.0, 5.0
_HOUR_S = 3600.0
_HOURLY_OFF_M = 10.0
_SEMI_MAJOR_M, _ECCENTRICITY_2 = 6_378_137.0, 6.694379990141e-3


@dataclass(frozen=True, slots=True)
class SurveySettings:
    """A survey is done after `least_s` once its sigma is below `enough_m`."""

    least_s: float = 3600.0
    enough_m: float = 2.0


class Survey:
    """Feed it fixes; each call returns what there is to record.

    The first survey makes the place that later fixes are held against, unless `known` gives it.
    """

    def __init__(self, settings: SurveySettings, known: Place | None = None) -> None:
        self._settings = settings
        self._known = _Mean.at(known) if known else None
        self._mean: _Mean | None = None
        self._hour: _Mean | None = None
        self._off_since_ns: int | None = None
        self.has_moved = False

    @property
    def is_surveyed(self) -> bool:
        """Whether there is a place to hold fixes against."""
        return self._known is not None

    @property
    def has_jumped(self) -> bool:
        """Whether fixes stand far off the surveyed place now."""
        return self.has_moved and self._off_since_ns is not None

    @property
    def sigma_m(self) -> float | None:
        """1-sigma of the place as known so far; None before the first fix."""
        mean = self._known or self._mean
        return mean.sigma_m if mean else None

    def on_fix(self, fix: Fix) -> list[Position]:
        """Learn from one fix that tells a place."""
        if fix.place is None or not _is_good(fix):
            return []
        told = self._watch(fix.place, fix.host_ns)
        if self._off_since_ns is not None:
            return told  # a place that is not ours teaches nothing
        return told + self._hourly(fix) + self._survey(fix)

    def _survey(self, fix: Fix) -> list[Position]:
        if self._known is not None or fix.place is None:
            return []
        if self._mean is None:
            self._mean = _Mean(fix.place, fix.host_ns)
        mean = self._mean
        mean.add(fix.place, fix.host_ns)
        if mean.span_s < self._settings.least_s or mean.sigma_m > self._settings.enough_m:
            return []
        self._known = mean
        return [mean.record("surveyed", None)]

    def _hourly(self, fix: Fix) -> list[Position]:
        if fix.place is None:
            return []
        if self._hour is None:
            self._hour = _Mean(fix.place, fix.host_ns)
        hour = self._hour
        hour.add(fix.place, fix.host_ns)
        if hour.span_s < _HOUR_S:
            return []
        self._hour = None
        off_m = self._known.distance_m(hour.place) if self._known else None
        records = [hour.record("hourly", off_m)]
        if off_m is not None and off_m > _HOURLY_OFF_M + 2 * hour.sigma_m and not self.has_moved:
            self.has_moved = True
            records.append(hour.record("moved", off_m))
        elif off_m is not None and off_m <= _HOURLY_OFF_M and self.has_moved:
            self.has_moved = False
            records.append(hour.record("returned", off_m))
        return records

    def _watch(self, place: Place, host_ns: int) -> list[Position]:
        """The alarm: fixes far from the known place for some seconds on end."""
        if self._known is None:
            return []
        off_m = self._known.distance_m(place)
        if off_m <= max(_MOVED_M, _MOVED_SIGMAS * self._known.sigma_m):
            was_off, self._off_since_ns = self._off_since_ns, None
            if self.has_moved and was_off is not None:
                self.has_moved = False
                return [_Mean(place, host_ns).record("returned", off_m)]
            return []
        if self._off_since_ns is None:
            self._off_since_ns, self._hour = host_ns, None
        if self.has_moved or host_ns - self._off_since_ns < _MOVED_AFTER_S * NS_PER_S:
            return []
        self.has_moved = True
        return [_Mean(place, host_ns).record("moved", off_m)]


class _Mean:
    """Running mean on the plane that touches the ellipsoid at the first fix (metres)."""

    def __init__(self, origin: Place, host_ns: int) -> None:
        self._origin = origin
        self._north_m_per_deg, self._east_m_per_deg = metres_per_degree(origin.latitude_deg)
        self._since_ns = self._until_ns = host_ns
        self._count = self._heights = 0
        self._east = self._north = self._height = self._squares = 0.0

    @classmethod
    def at(cls, place: Place) -> "_Mean":
        """A place that was surveyed by other means."""
        mean = cls(place, 0)
        mean._count, mean._squares = 10**9, 0.0
        return mean

    @property
    def span_s(self) -> float:
        return (self._until_ns - self._since_ns) / NS_PER_S

    @property
    def place(self) -> Place:
        return Place(
            self._origin.latitude_deg + self._north / self._north_m_per_deg,
            self._origin.longitude_deg + self._east / self._east_m_per_deg,
            self._height if self._heights else None,
            None,
        )

    @property
    def sigma_m(self) -> float:
        """Scatter over the root of the number of independent fixes.

        Errors of a standing receiver last about 10 minutes (first-order Gauss-Markov), so a span
        T holds about 1 + T / (2 * 600 s) independent ones.
        """
        if self._count >= 10**9:
            return 0.0
        if self._count < 2:
            return _FIRST_SIGMA_M
        scatter_m = max(_LEAST_SCATTER_M, math.sqrt(self._squares / (self._count - 1) / 2))
        independent = 1 + self.span_s / (2 * _CORRELATION_S)
        return max(scatter_m, _FIRST_SIGMA_M / independent) / math.sqrt(independent)

    def add(self, place: Place, host_ns: int) -> None:
        """Welford's update in two dimensions (Technometrics 4, 1962, 419)."""
        east, north = self._offset_m(place)
        self._until_ns = max(self._until_ns, host_ns)
        self._count += 1
        away_east, away_north = east - self._east, north - self._north
        self._east += away_east / self._count
        self._north += away_north / self._count
        self._squares += away_east * (east - self._east) + away_north * (north - self._north)
        if place.height_m is not None:
            self._heights += 1
            self._height += (place.height_m - self._height) / self._heights

    def distance_m(self, place: Place) -> float:
        east, north = self._offset_m(place)
        return math.hypot(east - self._east, north - self._north)

    def record(self, event: PlaceEvent, off_m: float | None) -> Position:
        place = self.place
        return Position(
            event=event,
            latitude_deg=round(place.latitude_deg, 7),
            longitude_deg=round(place.longitude_deg, 7),
            height_m=None if place.height_m is None else round(place.height_m, 1),
            sigma_m=round(self.sigma_m, 2),
            fixes=max(1, self._count),
            span_s=int(self.span_s),
            off_m=None if off_m is None else round(off_m, 1),
        )

    def _offset_m(self, place: Place) -> tuple[float, float]:
        east_deg = (place.longitude_deg - self._origin.longitude_deg + 180.0) % 360.0 - 180.0
        north_deg = place.latitude_deg - self._origin.latitude_deg
        return east_deg * self._east_m_per_deg, north_deg * self._north_m_per_deg


def metres_per_degree(latitude_deg: float) -> tuple[float, float]:
    """Metres per degree of latitude and of longitude: WGS 84's radii of curvature there."""
    sine_2 = math.sin(math.radians(latitude_deg)) ** 2
    root = math.sqrt(1 - _ECCENTRICITY_2 * sine_2)
    meridian_m = _SEMI_MAJOR_M * (1 - _ECCENTRICITY_2) / root**3
    parallel_m = _SEMI_MAJOR_M / root * math.cos(math.radians(latitude_deg))
    return math.radians(meridian_m), math.radians(max(parallel_m, 1.0))


def _is_good(fix: Fix) -> bool:
    hdop = fix.place.hdop if fix.place else None
    enough = fix.satellites is None or fix.satellites >= _LEAST_SATELLITES
    return fix.is_valid and enough and (hdop is None or hdop <= _MOST_HDOP)
