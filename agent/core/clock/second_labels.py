"""Which second a pulse was: bare pulses are named by the reports that follow them.

Once a few seconds are named, the oscillator itself names the next pulse and the reports only
confirm. Knows leap seconds (UTC is counted on without them) and dates that cannot be. How good
a pulse is in phase is for `discipline` to judge.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

from agent.core.clock.time_signs import Fix
from agent.core.records.fields import Leap
from agent.core.units import NS_PER_MS, NS_PER_S

GPS_WEEKS_NS = 1024 * 7 * 86_400 * NS_PER_S
DAY_NS = 86_400 * NS_PER_S
LATEST_LAG_NS = 990 * NS_PER_MS
_LAG_WINDOW_NS = 150 * NS_PER_MS
_LAGS_KEPT = 15
_LAGS_TO_LEARN = 5
_CONTRADICTIONS_TO_BELIEVE = 5
_CHAIN_SLACK = 500e-6
_CHAIN_SECONDS = 3
_MIDNIGHT_NS = 5 * NS_PER_S
_YEARS_20_NS = 20 * 366 * DAY_NS

DateFault = Literal["", "date before this software", "date far in the future"]


@dataclass(frozen=True, slots=True)
class Named:
    """A pulse at `at_ns` of host time began the second `count_ns`, leap seconds not counted."""

    at_ns: int
    count_ns: int


class Calendar:
    """From counted seconds to UTC: remembers the leap seconds that were lived through.

    During 23:59:60 UTC reads like the first second of the next day, and that second is then
    repeated (`leap` tells which of both it was). Dates before `earliest_utc_ns` (0: unknown) or 20
    years after are refused; one that is 1024 weeks off is set right only if that lands within
    2 days of `last_known_utc_ns`.
    """

    def __init__(self, earliest_utc_ns: int, last_known_utc_ns: int | None) -> None:
        self._earliest_utc_ns, self._last_known_utc_ns = earliest_utc_ns, last_known_utc_ns
        self._leaps: list[tuple[int, int]] = []  # (count from which on, seconds added)
        self.announced: Leap = "unknown"
        self.has_rolled_over = False

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

    def check(self, utc_ns: int) -> tuple[int, DateFault]:
        """`utc_ns`, set right if a week rollover explains it, and what is wrong with it else."""
        known_ns = self._last_known_utc_ns
        if known_ns is not None and abs(utc_ns - known_ns) > GPS_WEEKS_NS // 2:
            for turns in (1, 2, -1):
                shifted_ns = utc_ns + turns * GPS_WEEKS_NS
                if abs(shifted_ns - known_ns) <= 2 * DAY_NS:
                    self.has_rolled_over = True
                    return shifted_ns, ""
        if utc_ns < self._earliest_utc_ns:
            return utc_ns, "date before this software"
        if 0 < self._earliest_utc_ns < utc_ns - _YEARS_20_NS:
            return utc_ns, "date far in the future"
        return utc_ns, ""


class Namer:
    """Feed it pulses and reports in host order; both may complete the name of a pulse."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._pulses: deque[tuple[int, int]] = deque(maxlen=8)  # (host_ns, length of its chain)
        self._lags_ns: deque[int] = deque(maxlen=_LAGS_KEPT)
        self._names: deque[Named] = deque(maxlen=8)
        self._contradictions: list[int] = []
        self.fault = ""
        self.confirmed_ns: int | None = None

    @property
    def lag_ns(self) -> int | None:
        """How long after its pulse a report arrives, as learnt; None before."""
        if len(self._lags_ns) < _LAGS_TO_LEARN:
            return None
        return sorted(self._lags_ns)[len(self._lags_ns) // 2]

    def on_pulse(self, host_ns: int, expected_count_ns: int | None) -> Named | None:
        """A pulse; its name if the oscillator expects `expected_count_ns` well enough."""
        chains = [
            chain
            for earlier_ns, chain in self._pulses
            if _is_whole_seconds(host_ns - earlier_ns, _CHAIN_SECONDS)
        ]
        self._pulses.append((host_ns, max(chains, default=0) + 1))
        if expected_count_ns is None:
            return None
        second_ns = (expected_count_ns + NS_PER_S // 2) // NS_PER_S * NS_PER_S
        return self._give(host_ns, second_ns)

    def on_fix(self, fix: Fix) -> tuple[Named | None, int]:
        """A report: the pulse it names if that had no name, and by how many ns of whole seconds
        the names given so far are wrong (0 unless reports have insisted on it)."""
        self.fault = ""
        if fix.utc_ns is None or not fix.is_valid:
            return None, 0
        if fix.utc_ns % NS_PER_S:
            self.fault = "report between two seconds"
            return None, 0
        utc_ns, self.fault = self._calendar.check(fix.utc_ns)
        if self.fault:
            return None, 0
        pulse = self._pulse_before(fix.host_ns)
        if pulse is None:
            self.fault = "no pulse before the report"
            return None, 0
        return self._name(pulse, utc_ns, fix)

    def _name(self, pulse: tuple[int, int], utc_ns: int, fix: Fix) -> tuple[Named | None, int]:
        at_ns, chain = pulse
        lag_ns = fix.host_ns - at_ns
        if self.lag_ns is not None and abs(lag_ns - self.lag_ns) > _LAG_WINDOW_NS:
            self.fault = "report out of its usual time"
            self._forget_a_lag()
            return None, 0
        named = next((name for name in self._names if name.at_ns == at_ns), None)
        if named is None and chain < 2:
            return None, 0
        self._lags_ns.append(lag_ns)
        if named is None:
            return self._give(at_ns, self._calendar.count_of(utc_ns)), 0
        return None, self._compare(named.count_ns, utc_ns, fix)

    def _give(self, at_ns: int, count_ns: int) -> Named:
        self._names.append(Named(at_ns, count_ns))
        return self._names[-1]

    def _compare(self, count_ns: int, utc_ns: int, fix: Fix) -> int:
        """A report about a pulse that has a name: it confirms, tells of a leap, or contradicts."""
        calendar = self._calendar
        if fix.is_leap_second:
            calendar.insert_leap_second(count_ns)
            return 0
        wrong_ns = calendar.utc_of(count_ns) - utc_ns
        near_midnight = (utc_ns + NS_PER_S) % DAY_NS < _MIDNIGHT_NS
        if wrong_ns == NS_PER_S and near_midnight and calendar.announced == "insert":
            calendar.insert_leap_second(_midnight(count_ns))
            return 0
        if wrong_ns == -NS_PER_S and near_midnight and calendar.announced == "delete":
            calendar.skip_leap_second(_midnight(count_ns + NS_PER_S) - NS_PER_S)
            return 0
        if not wrong_ns:
            self.confirmed_ns = fix.host_ns
            self._contradictions.clear()
            return 0
        if self._contradictions and self._contradictions[-1] != wrong_ns:
            self._contradictions.clear()
        self._contradictions.append(wrong_ns)
        self.fault = "report contradicts the count"
        if len(self._contradictions) < _CONTRADICTIONS_TO_BELIEVE:
            return 0
        self.forget()
        return wrong_ns

    def forget(self) -> None:
        """The names given hold no longer; the lag stays as learnt."""
        self._names.clear()
        self._contradictions.clear()
        self._pulses.clear()

    def _pulse_before(self, host_ns: int) -> tuple[int, int] | None:
        """The best-chained pulse within the second before; the latest of equals."""
        near = [pulse for pulse in self._pulses if 0 < host_ns - pulse[0] <= LATEST_LAG_NS]
        return max(near, key=lambda pulse: (pulse[1], pulse[0]), default=None)

    def _forget_a_lag(self) -> None:
        """Reports that are always elsewhere win in the end."""
        self._lags_ns.popleft()


def _is_whole_seconds(step_ns: int, most_s: int) -> bool:
    seconds = (step_ns + NS_PER_S // 2) // NS_PER_S
    return 1 <= seconds <= most_s and abs(step_ns - seconds * NS_PER_S) <= _CHAIN_SLACK * step_ns


def _midnight(count_ns: int) -> int:
    """The midnight nearest before, by count (right while no leap second was lived through)."""
    return count_ns // DAY_NS * DAY_NS
