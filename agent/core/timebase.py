"""UTC for a sample, with a sigma that is meant to be true, and the state of the clock.

Two mappings in a row: sample index to host time (`sampleclock`) and host time to UTC, a robust
line through the recent time marks. The agent only ever reads clocks; nothing is set here.
Doubts about the satellites themselves (spoofing, leap seconds) are reported as unknown.
"""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from agent.core.audio import AudioBlock, AudioGap
from agent.core.records import TimePair, TimeQuality, TimeState
from agent.core.sampleclock import SampleClock
from agent.core.timesigns import TimeMark, TimeSign
from agent.core.units import NS_PER_MS, NS_PER_S

GOOD_MARKS_TO_LOCK = 10
HOLDOVER_AFTER_NS = 3 * NS_PER_S
EXPIRED_SIGMA_NS = 100 * NS_PER_MS
MAX_RATE_ERROR = 500e-6
WINDOW_MARKS = 60
PAIRS_KEPT = 16
_WANDER_FLOOR = 5e-8
_MIN_SPAN_S = 2.0


@dataclass(frozen=True, slots=True)
class Stamp:
    """UTC of one instant and the 1-sigma of that, both None while UTC is unknown."""

    utc_ns: int | None
    sigma_ns: int | None


@dataclass(frozen=True, slots=True)
class StateChange:
    """The timebase went from one state to another."""

    before: TimeState
    after: TimeState
    reason: str


class Timebase:
    """Feed it blocks, gaps and marks in host order; ask it for UTC.

    `latency_bound_ns` bounds the constant capture delay that no data can show; half of it is
    taken as uniform error around nothing known, so bound / sqrt(3) enters sigma.
    """

    def __init__(self, rate_hz: int, latency_bound_ns: int) -> None:
        self._rate_hz = rate_hz
        self._latency_sigma_ns = latency_bound_ns / 3**0.5
        self._samples = SampleClock(rate_hz)
        self._marks: deque[TimeMark] = deque(maxlen=WINDOW_MARKS)
        self._good_in_a_row = 0
        self._rejected = 0
        self._line: _Line | None = None
        self.state: TimeState = "unsynchronised"
        self.source = "none"

    def on_block(self, block: AudioBlock) -> None:
        """Learn from one delivery."""
        self._samples.observe(block.end_sample, block.host_ns)

    def on_gap(self, gap: AudioGap) -> None:
        """After lost samples the old fit may be off by what was miscounted: start afresh."""
        self._samples = SampleClock(self._rate_hz)

    def on_sign(self, sign: TimeSign) -> StateChange | None:
        """Learn from one sign."""
        return self.on_mark(sign) if isinstance(sign, TimeMark) else None

    def on_mark(self, mark: TimeMark) -> StateChange | None:
        """Learn from one mark; marks that contradict the ones before are refused.

        After GOOD_MARKS_TO_LOCK refusals in a row the world is believed to have changed, and
        acquisition starts again.
        """
        if self._marks and not _rate_agrees(self._marks[-1], mark):
            self._rejected += 1
            if self._rejected < GOOD_MARKS_TO_LOCK:
                return None
            self._marks.clear()
            self._good_in_a_row = 0
        self._rejected = 0
        self._marks.append(mark)
        self._good_in_a_row += 1
        self.source = mark.source
        self._line = None
        locked = self._good_in_a_row >= GOOD_MARKS_TO_LOCK
        return self._enter("locked" if locked else "acquiring", f"{self._good_in_a_row} good marks")

    def on_time(self, host_ns: int) -> StateChange | None:
        """Notice that marks have stopped coming."""
        if self.state not in ("locked", "acquiring", "holdover") or not self._marks:
            return None
        silent_ns = host_ns - self._marks[-1].host_ns
        if silent_ns <= HOLDOVER_AFTER_NS:
            return None
        self._good_in_a_row = 0
        if self.state == "acquiring":
            self._marks.clear()
            return self._enter("unsynchronised", "marks stopped before lock")
        if (self._utc_at(host_ns).sigma_ns or 0) > EXPIRED_SIGMA_NS:
            return self._enter("expired", "sigma over 100 ms without marks")
        return self._enter("holdover", f"no good mark for {silent_ns / NS_PER_S:.1f} s")

    def stamp_sample(self, sample: float) -> Stamp:
        """UTC at which a (fractional) sample was converted to a number."""
        if self._samples.span_s < _MIN_SPAN_S:
            return Stamp(None, None)
        return self._utc_at(self._samples.host_ns_at(sample), self._samples.sigma_ns)

    def host_ns_at(self, sample: float) -> int:
        """Host time of a sample."""
        return self._samples.host_ns_at(sample)

    def utc_at_host(self, host_ns: int) -> Stamp:
        """UTC at an instant of host time."""
        return self._utc_at(host_ns)

    def quality(self, host_ns: int) -> TimeQuality:
        """What to say about the clock in a record made at `host_ns`."""
        age_ns = host_ns - self._marks[-1].host_ns if self._marks else None
        enough = self._samples.span_s >= _MIN_SPAN_S
        sigma_ns = self._utc_at(host_ns, self._samples.sigma_ns).sigma_ns if enough else None
        return TimeQuality(
            state=self.state,
            source=self.source,
            sigma_ns=sigma_ns,
            mark_age_ms=None if age_ns is None else max(0, age_ns // NS_PER_MS),
            oscillator_ppm=round(self._ppm(), 3) if enough and len(self._marks) > 1 else None,
        )

    def pairs(self) -> tuple[TimePair, ...]:
        """The last marks as (sample index, UTC): the first absolute, then differences."""
        if self._samples.span_s < _MIN_SPAN_S or not self._marks:
            return ()
        last = list(self._marks)[-PAIRS_KEPT:]
        known = [(round(self._samples.sample_at(m.host_ns)), m.utc_ns) for m in last]
        known = [pair for pair in known if pair[0] >= 0]
        if not known:
            return ()
        steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(known)]
        return tuple(TimePair(samples=s, utc_ns=str(u)) for s, u in [known[0], *steps])

    def _ppm(self) -> float:
        """Sample rate error against UTC: samples against host, host against UTC."""
        return self._samples.ppm - self._utc_line().rate * 1e6

    def _utc_at(self, host_ns: int, sample_sigma_ns: float = 0.0) -> Stamp:
        if len(self._marks) < 2:
            return Stamp(None, None)
        line = self._utc_line()
        utc_ns, fit_sigma_ns = line.at(host_ns)
        total = (fit_sigma_ns**2 + sample_sigma_ns**2 + self._latency_sigma_ns**2) ** 0.5
        return Stamp(utc_ns, round(total))

    def _utc_line(self) -> "_Line":
        if self._line is None:
            self._line = _Line.through(list(self._marks))
        return self._line

    def _enter(self, after: TimeState, reason: str) -> StateChange | None:
        before = self.state
        if after == before:
            return None
        self.state = after
        return StateChange(before, after, reason)


def _rate_agrees(before: TimeMark, mark: TimeMark) -> bool:
    """Host time and UTC advanced alike, within 500 ppm and what the marks themselves allow."""
    host_step, utc_step = mark.host_ns - before.host_ns, mark.utc_ns - before.utc_ns
    slack = MAX_RATE_ERROR * abs(host_step) + 4 * (before.sigma_ns + mark.sigma_ns)
    return host_step > 0 and utc_step > 0 and abs(utc_step - host_step) <= slack


@dataclass(frozen=True, slots=True)
class _Line:
    """utc - host as a straight line over host time, with the usual least-squares error bars."""

    host_base_ns: int
    offset_base_ns: int
    mean_x_s: float
    mean_ns: float
    rate: float
    sigma_mean_ns: float
    sigma_rate: float
    last_host_ns: int

    @classmethod
    def through(cls, marks: list[TimeMark]) -> "_Line":
        """Least squares over the marks, those over 4 median deviations away left out."""
        base, offset_base = marks[0].host_ns, marks[0].utc_ns - marks[0].host_ns
        x = np.array([(m.host_ns - base) / NS_PER_S for m in marks])
        y = np.array([float(m.utc_ns - m.host_ns - offset_base) for m in marks])
        stated = float(np.median([m.sigma_ns for m in marks]))
        keep = np.ones(len(marks), bool)
        if len(marks) > 4:
            slope, level = np.polyfit(x, y, 1)
            residual = y - slope * x - level
            spread = 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
            keep = np.abs(residual) <= 4 * max(spread, stated)
        x, y = x[keep], y[keep]
        mean_x, mean_y = float(x.mean()), float(y.mean())
        sxx = float(((x - mean_x) ** 2).sum())
        rate = float(((x - mean_x) * (y - mean_y)).sum() / sxx) if sxx > 0 else 0.0
        residual = y - mean_y - rate * (x - mean_x)
        measured = float((residual**2).sum() / max(1, len(x) - 2)) ** 0.5 if len(x) > 4 else 0.0
        sigma = max(measured, stated)
        return cls(
            host_base_ns=base,
            offset_base_ns=offset_base,
            mean_x_s=mean_x,
            mean_ns=mean_y,
            rate=rate / NS_PER_S,
            sigma_mean_ns=sigma / len(x) ** 0.5,
            sigma_rate=sigma / sxx**0.5 if sxx > 0 else MAX_RATE_ERROR * NS_PER_S,
            last_host_ns=marks[-1].host_ns,
        )

    def at(self, host_ns: int) -> tuple[int, float]:
        """UTC and sigma; beyond the last mark the oscillator's wander is added."""
        x_s = (host_ns - self.host_base_ns) / NS_PER_S - self.mean_x_s
        utc_ns = host_ns + self.offset_base_ns + round(self.mean_ns + self.rate * NS_PER_S * x_s)
        beyond_s = max(0.0, (host_ns - self.last_host_ns) / NS_PER_S - 1.0)
        wander_ns = _WANDER_FLOOR * NS_PER_S * beyond_s * max(1.0, beyond_s / 60.0) ** 0.5
        parts = (self.sigma_mean_ns, self.sigma_rate * x_s, wander_ns)
        return utc_ns, sum(part**2 for part in parts) ** 0.5
