"""From counted seconds to UTC and back: leap seconds that were lived through, weeks set right."""

from typing import Literal

from agent.core.records.fields import Leap
from agent.core.units import NS_PER_S

GPS_WEEKS_NS = 1024 * 7 * 86_400 * NS_PER_S
DAY_NS = 86_400 * NS_PER_S
_SOON_NS = 6 * 365 * DAY_NS

DateFault = Literal["", "date before this software", "date far in the future"]


class Calendar:
    """From counted seconds to UTC: remembers the leap seconds that were lived through.

    During 23:59:60 UTC reads like the first second of the next day, and that second is then
    repeated (`leap` tells which of both it was). Satellites tell weeks modulo 1024, so a date is
    only good within that: it is taken as the first such one not before what is known, the date of
    this software (`earliest_utc_ns`, 0: unknown) or a confirmed time of an earlier run. That is
    right for 19 years after either, whatever the receiver's firmware believes.
    """

    def __init__(self, earliest_utc_ns: int, last_known_utc_ns: int | None) -> None:
        self._floor_ns = max(earliest_utc_ns, last_known_utc_ns or 0)
        self._leaps: list[tuple[int, int]] = []  # (count from which on, seconds added)
        self.announced: Leap = "unknown"
        self.has_rolled_over = False
        self._last_ns: int | None = None

    @property
    def has_floor(self) -> bool:
        """Whether there is a date that none can be before."""
        return self._floor_ns > 0

    def is_soon_after_floor(self, utc_ns: int) -> bool:
        """Whether a date is one that this software can be expected to see. Receivers that do not
        know the week yet begin with dates of their own, which end up anywhere in 19 years."""
        return self.has_floor and utc_ns < self._floor_ns + _SOON_NS

    def utc_of(self, count_ns: int) -> int:
        """UTC in ns since 1970 of a counted instant."""
        return count_ns - sum(added for since, added in self._leaps if count_ns >= since)

    def count_of(self, utc_ns: int) -> int:
        """The counted instant of `utc_ns`, taken as after all known leap seconds."""
        return utc_ns + sum(added for _, added in self._leaps)

    def leap_at(self, count_ns: int) -> Leap:
        """What to say about leap seconds at a counted instant."""
        for since, added in self._leaps:
            if added > 0 and since - NS_PER_S <= count_ns < since:
                return "insert"
        return self.announced

    def insert_leap_second(self, midnight_count_ns: int) -> None:
        """The second that began at `midnight_count_ns` was 23:59:60."""
        if not any(since == midnight_count_ns + NS_PER_S for since, _ in self._leaps):
            self._leaps.append((midnight_count_ns + NS_PER_S, NS_PER_S))
            self.announced = "none"

    def skip_leap_second(self, midnight_count_ns: int) -> None:
        """23:59:59 was left out: the count at midnight was one second behind."""
        self._leaps.append((midnight_count_ns, -NS_PER_S))
        self.announced = "none"

    def of_receiver(self, utc_ns: int) -> int:
        """A receiver's date, set right by multiples of 1024 weeks (`has_rolled_over` if it was)."""
        if not self.has_floor:
            return self._not_back_again(utc_ns)
        least_ns = self._floor_ns - DAY_NS
        right_ns = least_ns + (utc_ns - least_ns) % GPS_WEEKS_NS
        self.has_rolled_over = right_ns != utc_ns
        return right_ns

    def _not_back_again(self, utc_ns: int) -> int:
        """Without a floor dates are as they are told; but one that falls back by 1024 weeks while
        it is listened to rolled over just then."""
        last_ns, weeks = self._last_ns, 0
        if last_ns is not None and utc_ns < last_ns - DAY_NS:
            weeks = round((last_ns - utc_ns) / GPS_WEEKS_NS)
            weeks *= abs(utc_ns + weeks * GPS_WEEKS_NS - last_ns) < DAY_NS
        self.has_rolled_over = weeks > 0
        self._last_ns = utc_ns + weeks * GPS_WEEKS_NS
        return self._last_ns

    def check(self, utc_ns: int) -> DateFault:
        """What is wrong with a date of a host's clock, which counts no weeks; empty if nothing."""
        if utc_ns < self._floor_ns - DAY_NS:
            return "date before this software"
        return "date far in the future" if self._is_far(utc_ns) else ""

    def _is_far(self, utc_ns: int) -> bool:
        return 0 < self._floor_ns < utc_ns - GPS_WEEKS_NS
