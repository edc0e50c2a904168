"""Which second a pulse was: bare pulses are named by the reports that follow them.

Once a few seconds are named, the oscillator itself names the next pulse and the reports only
confirm. Knows leap seconds (UTC is counted on without them) and dates that cannot be. How good
a pulse is in phase is for `discipline` to judge.
"""

from collections import deque
from dataclasses import dataclass

from agent.core.clock.counting import DAY_NS, Calendar
from agent.core.clock.leap_seconds import may_leap
from agent.core.clock.time_signs import Fix, NextPulse
from agent.core.records.fields import Leap
from agent.core.units import NS_PER_MS, NS_PER_S

LATEST_LAG_NS = 990 * NS_PER_MS
_LEAST_LAG_NS = 0
_LAG_WINDOW_NS = 150 * NS_PER_MS
_LAGS_KEPT = 15
_LAGS_TO_LEARN = 5
_CONTRADICTIONS_TO_BELIEVE = 5
_CHAIN_SLACK = 500e-6
_CHAIN_SECONDS = 3
_STEPS_KEPT, _LEAST_STEPS, _STEADY_NS, _OFTEN = 16, 7, 2_200_000, (2, 4, 5, 10)
_MOST_STEPS, _FEW_STEPS, _SOON_NS = 0.6, 0.25, 30 * NS_PER_S
_MIDNIGHT_NS = 5 * NS_PER_S
_LEAP_SLACK_NS = 50 * NS_PER_MS
_FORGET_LEAP_NS = 3600 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Named:
    """A pulse at `at_ns` of host time began the second `count_ns`, leap seconds not counted."""

    at_ns: int
    count_ns: int


class Namer:
    """Feed it pulses and reports in host order; both may complete the name of a pulse."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._pulses: deque[tuple[int, int]] = deque(maxlen=8)  # (host_ns, length of its chain)
        self._steps: deque[int] = deque(maxlen=_STEPS_KEPT)
        self.pulses_a_second = 1
        self._first_name_ns: int | None = None
        self._is_named_by_host = False
        self._lags_ns: deque[int] = deque(maxlen=_LAGS_KEPT)
        self._names: deque[Named] = deque(maxlen=8)
        self._contradictions: list[int] = []
        self.fault = ""
        self.confirmed_ns: int | None = None
        self._host_leap: tuple[int, Leap] = (0, "unknown")
        self._day: int | None = None
        self.has_leapt_alone = False
        self._next: NextPulse | None = None
        self.was_foretold = False

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
        self._count_pulses(host_ns)
        self._pulses.append((host_ns, max(chains, default=0) + 1))
        if expected_count_ns is None:
            return None
        second_ns = (expected_count_ns + NS_PER_S // 2) // NS_PER_S * NS_PER_S
        per_second = self.pulses_a_second
        if per_second > 1 and abs(expected_count_ns - second_ns) > NS_PER_S // (2 * per_second):
            return None
        self._take_word(host_ns, second_ns)
        return self._give(host_ns, second_ns)

    def _count_pulses(self, host_ns: int) -> None:
        """How often within a second pulses come: by most of the last steps, for some are lost, and
        once so until few of them are like that."""
        if self._pulses:
            self._steps.append(host_ns - self._pulses[-1][0])
        if len(self._steps) < _LEAST_STEPS:
            return
        fits = {
            often: sum(abs(step * often - NS_PER_S) < often * _STEADY_NS for step in self._steps)
            for often in _OFTEN
        }
        often = max(fits, key=lambda one: fits[one])
        share = fits[often] / len(self._steps)
        if share >= _MOST_STEPS:
            self.pulses_a_second = often
        elif share < _FEW_STEPS:
            self.pulses_a_second = 1

    @property
    def is_named_too_soon(self) -> bool:
        """Whether the count began on pulses of which it then turned out that several come within a
        second: any of them may have been taken for the second."""
        first_ns = self._first_name_ns
        if self.pulses_a_second == 1 or first_ns is None or self._is_named_by_host:
            return False
        return self._pulses[-1][0] - first_ns < _SOON_NS

    def on_next_pulse(self, word: NextPulse) -> None:
        """The receiver names the pulse to come."""
        self._next = word

    def sawtooth_ns(self, host_ns: int) -> int:
        """By how much the pulse at `host_ns` was foretold to be late."""
        word = self._next
        is_of_it = word is not None and 0 < host_ns - word.host_ns < NS_PER_S
        return round(word.sawtooth_ns) if word is not None and is_of_it else 0

    def _take_word(self, host_ns: int, count_ns: int) -> None:
        """Whether the receiver named this pulse so before it came."""
        word, self._next = self._next, None
        self.was_foretold = False
        if word is None or not 0 < host_ns - word.host_ns < NS_PER_S - word.delay_ns:
            return  # what came right after a pulse may have been about that one
        named_ns = self._calendar.count_of(self._calendar.of_receiver(word.utc_ns))
        self.was_foretold = named_ns == count_ns

    def on_fix(self, fix: Fix) -> tuple[Named | None, int]:
        """A report: the pulse it names if that had no name, and by how many ns of whole seconds
        the names given so far are wrong (0 unless reports insist on it)."""
        self.fault = ""
        if fix.utc_ns is None or not fix.is_valid:
            return None, 0
        utc_ns = self._calendar.of_receiver(fix.utc_ns)
        pulse = self._pulse_before(fix.host_ns)
        if pulse is None:
            self.fault = "no pulse before the report"
            return None, 0
        return self._name(pulse, utc_ns, fix)

    def _name(self, pulse: tuple[int, int], utc_ns: int, fix: Fix) -> tuple[Named | None, int]:
        """The lag is what lies between the instant that is reported and the report, less than a
        second. Where reports are of instants between two seconds, the pulse may be later."""
        at_ns, chain = pulse
        lag_ns = fix.host_ns - at_ns - utc_ns % NS_PER_S
        utc_ns -= utc_ns % NS_PER_S
        if lag_ns < _LEAST_LAG_NS:
            lag_ns, utc_ns = lag_ns + NS_PER_S, utc_ns + NS_PER_S
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
        if self._first_name_ns is None:
            self._first_name_ns, self._is_named_by_host = at_ns, self.pulses_a_second > 1
        self._names.append(Named(at_ns, count_ns))
        return self._names[-1]

    def _compare(self, count_ns: int, utc_ns: int, fix: Fix) -> int:
        """A report about a pulse that has a name: it confirms, tells of a leap, or contradicts."""
        calendar = self._calendar
        if fix.is_leap_second and self._may_leap(utc_ns):
            calendar.insert_leap_second(count_ns)
            return 0
        wrong_ns = calendar.utc_of(count_ns) - utc_ns
        near_midnight = (utc_ns + NS_PER_S) % DAY_NS < _MIDNIGHT_NS and self._may_leap(utc_ns)
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
        return self._contradict(wrong_ns)

    def _contradict(self, wrong_ns: int) -> int:
        if self._contradictions and self._contradictions[-1] != wrong_ns:
            self._contradictions.clear()
        self._contradictions.append(wrong_ns)
        self.fault = "report contradicts the count"
        return wrong_ns if len(self._contradictions) >= _CONTRADICTIONS_TO_BELIEVE else 0

    def on_lone_fix(self, fix: Fix, utc_ns: int, expected_count_ns: int | None) -> tuple[int, int]:
        """A report where no pulse comes: the counted instant of `utc_ns`, and by how many ns of
        whole seconds the count is wrong (0 unless reports insist on it)."""
        self.fault = ""
        count_ns = self._calendar.count_of(utc_ns)
        if fix.is_leap_second and self._may_leap(utc_ns):
            self._calendar.insert_leap_second(count_ns)
        elif expected_count_ns is not None:
            wrong_s = round((expected_count_ns - count_ns) / NS_PER_S)
            if wrong_s:
                return count_ns, self._contradict(wrong_s * NS_PER_S)
            self._contradictions.clear()
        return count_ns, 0

    def _may_leap(self, utc_ns: int) -> bool:
        """Whether a leap second can be now. Where the list of them has expired and the host's
        clock does not announce it, it is followed and left open."""
        is_known = self._host_leap[1] in ("insert", "delete")
        told = may_leap(utc_ns)
        self.has_leapt_alone = self.has_leapt_alone or (told == "unknown" and not is_known)
        return is_known or told != "no"

    def on_host_leap(self, host_ns: int, leap: Leap) -> None:
        """What the host's clock says of a leap second to come. A word that was not repeated for
        some hours is no word."""
        is_ahead = leap in ("insert", "delete")
        if is_ahead or host_ns - self._host_leap[0] > _FORGET_LEAP_NS:
            self._host_leap = host_ns, leap

    def leaps_near(self, utc_ns: int) -> bool:
        """Whether it is 23:59:60 by the host's own announcement: the kernel says 23:59:59 twice
        then, and this program 00:00:00."""
        is_ahead = self._host_leap[1] in ("insert", "delete")
        return is_ahead and (utc_ns + _LEAP_SLACK_NS) % DAY_NS < NS_PER_S + 2 * _LEAP_SLACK_NS

    def may_have_leapt(self, utc_ns: int) -> bool:
        """Whether a midnight went by since the last call at which a second may have leapt."""
        day, last = utc_ns // DAY_NS, self._day
        self._day = day
        return last is not None and day == last + 1 and self._can_leap(day * DAY_NS)

    def _can_leap(self, midnight_ns: int) -> bool:
        is_announced = {self._host_leap[1], self._calendar.announced} & {"insert", "delete"}
        return bool(is_announced) or may_leap(midnight_ns) != "no"

    def forget(self) -> None:
        """The names given hold no longer; the lag stays as learnt."""
        self._names.clear()
        self._first_name_ns = None
        self._contradictions.clear()
        self._pulses.clear()

    def _pulse_before(self, host_ns: int) -> tuple[int, int] | None:
        """The best-chained pulse within the second before; the latest of equals."""
        pulses = self._pulses
        if self.pulses_a_second > 1:  # of so many only those that have a name begin a second
            pulses = deque((name.at_ns, 2) for name in self._names)
        near = [pulse for pulse in pulses if 0 < host_ns - pulse[0] <= LATEST_LAG_NS]
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
