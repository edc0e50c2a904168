"""Were samples lost? What a device captured against the host's time, whatever its driver says.

When a buffer overflows, the samples captured fall behind the host's clock at once, by all that was
lost. A wrong rate falls behind evenly. A late reader does not fall behind at all: what waits
for it in the buffer is captured too. Drivers tell of a loss late (PortAudio on ALSA one read after
the one that spans it), twice, or never.
"""

from collections import deque
from statistics import median
from typing import NamedTuple

from agent.core.units import NS_PER_MS, NS_PER_S

_JITTER_NS = 5 * NS_PER_MS
"""What deliveries may stray by themselves. ALSA's exact positions stray 0.1 ms, a sound server's a
period; but the positions of those are stale only until the next read that has to wait."""
_STEADIEST_LOSS = 0.3
"""A lag that grows by less than this share of the time is a rate (44.1 kHz told, 32 given: 0.27),
and host clocks are slewed too, by up to 0.08. An overflow loses all the time that it lasts."""
_SHARP_NS = 1 * NS_PER_MS
_DOUBT_NS = 500 * NS_PER_MS
_FLAG_EXPLAINED_NS = 1 * NS_PER_S
_RECENT = 16
_SLOPES_KEPT, _SLOPES_TO_TRUST = 16, 3
_OVERFLOW = "input overflow"
_MISSING = "fewer samples than the time that passed"


class Delivery(NamedTuple):
    """One read: host times when it was asked for, when it returned, when `waiting` was counted."""

    asked_ns: int
    read_ns: int
    counted_ns: int
    samples: int
    waiting: int
    is_flagged: bool


class Finding(NamedTuple):
    """What is known now of the oldest `settled` deliveries that were open.

    The first `torn` of them may hold sound from both sides of a loss; `lost` samples are missing
    besides. With `torn` 0 a loss lies before them all.
    """

    settled: int
    torn: int
    lost: int
    reason: str


class _Reading(NamedTuple):
    read_ns: int
    counted_ns: int
    captured: int


class Shortfall:
    """Judges every delivery of one stream; those that lag stay open until it is clear why.

    A lag is a loss once it has outlasted a read that had to wait, for then nothing more is on its
    way, and the driver or the reader's absence accounts for it; failing that, once it has not
    shrunk for `_DOUBT_NS`. How much was lost is the least lag since, above the line that recent
    deliveries and the rate of the seconds before foretell.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._captured = self._lost = 0
        self._read_until_ns = 0
        self._recent: deque[tuple[int, int]] = deque(maxlen=_RECENT)  # (host_ns, lag in ns)
        self._slope_from: tuple[int, float] | None = None
        self._slopes: deque[float] = deque(maxlen=_SLOPES_KEPT)
        self._growth = 0.0
        self._open: list[_Reading] = []
        self._limit_ns = 0.0
        self._stuck_at = (0, 0)  # (host_ns, lag in ns) since when the lag has not shrunk
        self._was_away = self._is_flagged = False
        self._flags_explained_until_ns = 0

    def judge(self, delivery: Delivery) -> Finding | None:
        """What the delivery settles; None while it, and those before it, stay open."""
        self._captured += delivery.samples
        self._is_flagged |= delivery.is_flagged
        captured = self._captured + delivery.waiting
        reading = _Reading(delivery.read_ns, delivery.counted_ns, captured)
        if not self._recent:  # what overflowed before the first read has no place in the stream
            self._flags_explained_until_ns = reading.counted_ns + _FLAG_EXPLAINED_NS
            return self._accept(reading)
        if not self._open:
            self._limit_ns = self._most_allowed_ns(reading.read_ns)
        least_ns = self._lag_ns(reading.read_ns, captured)
        if least_ns <= self._limit_ns:
            return self._accept(reading)
        if self._open and least_ns <= self._least_of_most_ns() + _JITTER_NS:
            self._open.append(reading)
            return self._count_the_loss() if self._is_sure(delivery, least_ns) else None
        before = self._count_the_loss() if self._open else None
        self._begin_to_doubt(delivery, reading)
        return before

    def _lag_ns(self, host_ns: int, captured: int) -> int:
        """Host time less that of the samples, from any origin. The count was taken between
        `read_ns` and `counted_ns`, so that these give the least and the most that it can be."""
        return host_ns - (captured + self._lost) * NS_PER_S // self._rate_hz

    def _most_allowed_ns(self, host_ns: int) -> float:
        """The lag that no rate and no jitter would make of the recent ones."""
        slack = ((lag_ns, _STEADIEST_LOSS * (host_ns - at_ns)) for at_ns, lag_ns in self._recent)
        return _JITTER_NS + min(map(sum, slack))

    def _least_of_most_ns(self) -> int:
        return min(self._lag_ns(reading.counted_ns, reading.captured) for reading in self._open)

    def _begin_to_doubt(self, delivery: Delivery, reading: _Reading) -> None:
        least_ns = self._lag_ns(reading.read_ns, reading.captured)
        self._limit_ns = self._most_allowed_ns(reading.read_ns)
        away_ns = delivery.asked_ns - self._read_until_ns
        grown_ns = least_ns - min(lag_ns for _, lag_ns in self._recent)
        self._was_away = away_ns >= grown_ns - _JITTER_NS
        self._open, self._stuck_at = [reading], (reading.counted_ns, least_ns)

    def _is_sure(self, delivery: Delivery, least_ns: int) -> bool:
        needs_ns = delivery.samples * NS_PER_S // self._rate_hz
        has_waited = delivery.read_ns - delivery.asked_ns >= needs_ns // 2
        is_sharp = delivery.counted_ns - delivery.read_ns <= _SHARP_NS
        if has_waited and is_sharp and (self._is_flagged or self._was_away):
            return True
        if least_ns < self._stuck_at[1] - _JITTER_NS:
            self._stuck_at = (delivery.counted_ns, least_ns)
        return delivery.counted_ns - self._stuck_at[0] >= _DOUBT_NS

    def _accept(self, reading: _Reading) -> Finding:
        """All that was open follows without a loss, unless the driver knows of one too small to
        be seen."""
        settled, lost = len(self._open) + 1, 0
        if self._is_flagged and reading.counted_ns >= self._flags_explained_until_ns:
            lost = self._samples_missing(reading)
            self._start_afresh(reading, lost)
        self._open, self._is_flagged = [], False
        self._learn(reading)
        return Finding(settled, 0, lost, _OVERFLOW if lost else "")

    def _count_the_loss(self) -> Finding:
        missing = [self._samples_missing(reading) for reading in self._open]
        lost, jitter = min(missing), _JITTER_NS * self._rate_hz // NS_PER_S
        torn = 1 + next(index for index, lag in enumerate(missing) if lag <= lost + jitter)
        reason = _OVERFLOW if self._is_flagged else _MISSING
        readings, self._open, self._is_flagged = self._open, [], False
        self._start_afresh(readings[-1], lost)
        for reading in readings[torn:] or readings[-1:]:
            self._learn(reading)
        return Finding(len(readings), torn, lost, reason)

    def _samples_missing(self, reading: _Reading) -> int:
        lag_ns = self._lag_ns(reading.counted_ns, reading.captured)
        excess_ns = lag_ns - self._foretold_ns(reading.counted_ns)
        return max(1, round(excess_ns * self._rate_hz / NS_PER_S))

    def _start_afresh(self, reading: _Reading, lost: int) -> None:
        self._lost += lost
        self._recent.clear()
        self._slope_from = None
        self._flags_explained_until_ns = reading.counted_ns + _FLAG_EXPLAINED_NS

    def _foretold_ns(self, host_ns: int) -> float:
        """The lag to be expected: no later than the least of the recent ones."""
        return min(lag_ns + self._growth * (host_ns - at_ns) for at_ns, lag_ns in self._recent)

    def _learn(self, reading: _Reading) -> None:
        self._read_until_ns, now_ns = reading.read_ns, reading.counted_ns
        self._recent.append((now_ns, self._lag_ns(now_ns, reading.captured)))
        if len(self._recent) < _RECENT:
            return
        if self._slope_from is None:
            self._slope_from = (now_ns, self._foretold_ns(now_ns))
        elif (elapsed_ns := now_ns - self._slope_from[0]) >= NS_PER_S:
            lag_ns = self._foretold_ns(now_ns)
            self._slopes.append((lag_ns - self._slope_from[1]) / elapsed_ns)
            self._slope_from = (now_ns, lag_ns)
            if len(self._slopes) >= _SLOPES_TO_TRUST:
                self._growth = median(self._slopes)
