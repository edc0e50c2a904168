"""Survey-in: where the antenna is, from the mean of many fixes, and an alarm when it moves.

Fixes are worth little one by one: their errors last for minutes and hours, so the error of the mean
falls with the time, not with their number. Only gated fixes count. Knows no clock but the fixes'
own. What is found outlives a restart, so that a node carried off while it was dark is noticed.
"""

import math
from dataclasses import dataclass

import msgspec
from msgspec import UNSET

from agent.core.clock.place_mean import Kept, PlaceMean
from agent.core.clock.time_signs import Fix, Place
from agent.core.records.position import PlaceEvent, Position
from agent.core.units import NS_PER_S

_LEAST_SATELLITES = 5
_MOST_HDOP = 4.0
_MOVED_M, _MOVED_SIGMAS, _MOVED_AFTER_S = 50.0, 5.0, 5.0
_HOUR_S = 3600.0
_HOURLY_OFF_M = 10.0
_ROUND = 1.2
_STRAY_M, _STRAY_AFTER_S = 100.0, 60.0


@dataclass(frozen=True, slots=True)
class SurveySettings:
    """A survey is done after `least_s` once its sigma is below `enough_m`."""

    least_s: float = 3600.0
    enough_m: float = 2.0


class SurveyMemory(msgspec.Struct):
    """A survey, finished or not, as it outlives a restart."""

    mean: Kept
    is_surveyed: bool
    has_moved: bool


class Survey:
    """Feed it fixes; each call returns what there is to record.

    The first survey makes the place that later fixes are held against, unless `known` gives it.
    `memory` is what an earlier run knew.
    """

    def __init__(
        self,
        settings: SurveySettings,
        known: Place | None = None,
        memory: SurveyMemory | None = None,
    ) -> None:
        self._settings = settings
        self._known = _at(known, 0) if known else None
        self._is_given = known is not None
        self._mean: PlaceMean | None = None
        self._hour: PlaceMean | None = None
        self._off_since_ns: int | None = None
        self._stray_since_ns: int | None = None
        self.has_moved = False
        if memory is not None and not self._is_given:
            self._mean = PlaceMean(memory.mean)
            self._known = self._mean if memory.is_surveyed else None
            self.has_moved = memory.has_moved and memory.is_surveyed

    @property
    def memory(self) -> SurveyMemory | None:
        """What a later run must know; None while there is nothing."""
        mean = self._known or self._mean
        if mean is None or self._is_given:
            return None
        return SurveyMemory(mean.kept, self._known is not None, self.has_moved)

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
        return self._sigma_m(self._known or self._mean)

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
        if self._mean is None or self._is_elsewhere(fix.place, fix.host_ns):
            self._mean = PlaceMean.around(fix.place)
        mean = self._mean
        mean.add(fix.place, fix.host_ns)
        if mean.span_s < self._settings.least_s:
            return []
        if (self._sigma_m(mean) or 0.0) > self._settings.enough_m:
            return []
        self._known = mean
        return [_record(mean, "surveyed", None)]

    def _is_elsewhere(self, place: Place, host_ns: int) -> bool:
        """Whether an unfinished survey was of another place: all fixes of a minute are far off."""
        if self._mean is None or self._mean.distance_m(place) < _STRAY_M:
            self._stray_since_ns = None
            return False
        self._stray_since_ns = self._stray_since_ns or host_ns
        return host_ns - self._stray_since_ns >= _STRAY_AFTER_S * NS_PER_S

    def _sigma_m(self, mean: PlaceMean | None) -> float | None:
        if mean is None:
            return None
        return 0.0 if self._is_given and mean is self._known else math.hypot(*mean.sigmas_m)

    def _hourly(self, fix: Fix) -> list[Position]:
        if fix.place is None:
            return []
        if self._hour is None:
            self._hour = PlaceMean.around(fix.place)
        hour = self._hour
        hour.add(fix.place, fix.host_ns)
        if hour.span_s < _HOUR_S:
            return []
        self._hour = None
        off_m = self._known.distance_m(hour.place) if self._known else None
        records = [_record(hour, "hourly", off_m)]
        if (
            off_m is not None
            and off_m > _HOURLY_OFF_M + 2 * (self._sigma_m(hour) or 0.0)
            and not self.has_moved
        ):
            self.has_moved = True
            records.append(_record(hour, "moved", off_m))
        elif off_m is not None and off_m <= _HOURLY_OFF_M and self.has_moved:
            self.has_moved = False
            records.append(_record(hour, "returned", off_m))
        return records

    def _watch(self, place: Place, host_ns: int) -> list[Position]:
        """The alarm: fixes far from the known place for some seconds on end."""
        if self._known is None:
            return []
        off_m = self._known.distance_m(place)
        if off_m <= max(_MOVED_M, _MOVED_SIGMAS * (self.sigma_m or 0.0)):
            was_off, self._off_since_ns = self._off_since_ns, None
            if self.has_moved and was_off is not None:
                self.has_moved = False
                return [_record(_at(place, host_ns), "returned", off_m)]
            return []
        if self._off_since_ns is None:
            self._off_since_ns, self._hour = host_ns, None
        if self.has_moved or host_ns - self._off_since_ns < _MOVED_AFTER_S * NS_PER_S:
            return []
        self.has_moved = True
        return [_record(_at(place, host_ns), "moved", off_m)]


def _record(mean: PlaceMean, event: PlaceEvent, off_m: float | None) -> Position:
    place, (east_m, north_m) = mean.place, mean.sigmas_m
    is_round = max(east_m, north_m) <= _ROUND * min(east_m, north_m)
    return Position(
        event=event,
        latitude_deg=round(place.latitude_deg, 7),
        longitude_deg=round(place.longitude_deg, 7),
        height_m=None if place.height_m is None else round(place.height_m, 1),
        sigma_m=round(math.hypot(east_m, north_m), 2),
        fixes=max(1, mean.fixes),
        span_s=int(mean.span_s),
        off_m=None if off_m is None else round(off_m, 1),
        sigma_east_m=UNSET if is_round else round(east_m, 2),
        sigma_north_m=UNSET if is_round else round(north_m, 2),
    )


def _at(place: Place, host_ns: int) -> PlaceMean:
    mean = PlaceMean.around(place)
    mean.add(place, host_ns)
    return mean


def _is_good(fix: Fix) -> bool:
    hdop = fix.place.hdop if fix.place else None
    enough = fix.satellites is None or fix.satellites >= _LEAST_SATELLITES
    return fix.is_valid and enough and (hdop is None or hdop <= _MOST_HDOP)
