"""Holds corrections against the marks that other records of the same run name.

A correction says: no mark came from one moment to another, and then one that was so far off. The
marks in the impulses before, within and after must agree: none within, and samples counted from the
last before to the first after that no crystal contradicts. What an export does not reach back to
is said not to have been checked. So are samples that are too few: devices lose some untold; none
ever has too many. A few values per chain are kept.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agent.core.records.correction import Correction, faults_of, marks_of
from agent.core.records.fields import TimePair
from agent.core.records.kinds import Body, Gap, Impulse, Start, TimebaseChange
from agent.core.units import NS_PER_MS, NS_PER_S, straight_line

_KEPT = 256
_BESIDE_NS = NS_PER_S // 2  # marks come a second apart, or more
_RECORDS_NS = 2 * NS_PER_MS  # by how much two records may place a mark apart: two frames of a bus
_CRYSTAL = 20e-6  # as in `clock.discipline`: so far the rate of a crystal may move in hours
_FOLLOWED = 2e-6  # and in minutes
_SIGMAS = 5.0
_AFTER_NS = 600 * NS_PER_S


@dataclass(frozen=True, slots=True)
class _Marks:
    """The line through the marks that one record names: of the last one sample and UTC, ns per
    sample with its 1-sigma, and how far marks scatter about it."""

    seq: int
    first_utc_ns: int
    sample: int
    utc_ns: int
    pace: float
    pace_sigma: float
    scatter_ns: float

    def off_ns(self, sample: int, utc_ns: int) -> float:
        """By how much a mark of that sample and time misses the line."""
        return utc_ns - self.utc_ns - (sample - self.sample) * self.pace

    def slack_ns(self, sample: int, wander: float) -> float:
        """By how much it may, where the rate may have moved by the share `wander`."""
        away_ns = abs(sample - self.sample) * self.pace
        pace_ns = _SIGMAS * abs(sample - self.sample) * self.pace_sigma
        return _RECORDS_NS + _SIGMAS * self.scatter_ns + pace_ns + wander * away_ns


@dataclass(slots=True)
class _Run:
    """What one run of a node named. Samples lost may be miscounted, so that what came before
    `lost_at` tells nothing about samples after. `is_known`: the clock's beginning is here."""

    boot: str = ""
    first_utc_ns: int | None = None
    is_known: bool = False
    lost_at: int = -1
    marks: deque[_Marks] = field(default_factory=lambda: deque(maxlen=_KEPT))
    open: deque[tuple[int, Correction]] = field(default_factory=lambda: deque(maxlen=4))


class ClockAudit:
    """Of one chain: feed it the records in order. What is wrong with a correction it yields, what
    could not be checked it leaves in `unchecked`."""

    def __init__(self) -> None:
        self._run = _Run()
        self.unchecked: list[str] = []

    def hear(self, body: Body) -> Iterator[str]:
        """Sentences about the record, or about a correction that it contradicts."""
        if body.boot != self._run.boot:
            self._run = _Run(body.boot)
        run, data = self._run, body.data
        if isinstance(data, Start):
            run.is_known = True
        elif isinstance(data, Gap):
            run.lost_at = max(run.lost_at, data.first_sample + data.lost_samples)
        elif isinstance(data, TimebaseChange):
            if data.after == "unsynchronised" or data.changes:
                run.marks.clear()  # the host slept, or a clock was set: samples count no time
                run.open.clear()
                run.is_known = True
        elif isinstance(data, Impulse):
            marks = _line(body.seq, data.time_pairs)
            if marks and not (run.marks and run.marks[-1].first_utc_ns == marks.first_utc_ns):
                run.marks.append(marks)
                yield from self._after(marks)
        elif isinstance(data, Correction):
            for told in self._of(body.seq, data):
                yield f"Correction {body.seq} cannot be believed: {told}."

    def _of(self, seq: int, correction: Correction) -> Iterator[str]:
        yield from faults_of(correction)
        run, first_ns = self._run, int(correction.first_utc_ns)
        end_ns = min(int(correction.mark_utc_ns), int(correction.told_utc_ns))
        for one in run.marks:
            if first_ns + _BESIDE_NS < one.utc_ns < end_ns - _BESIDE_NS:
                yield f"record {one.seq} names a mark within the spell that it says had none"
                break
        run.open.append((seq, correction))
        before = [one for one in run.marks if one.utc_ns <= first_ns + _BESIDE_NS]
        if correction.mark_sample is None:
            self._unchecked(seq, "it names no sample")
        elif not before:
            named = "no record names marks before it since the clock began"
            beyond = "the marks before it lie before the export"
            self._unchecked(seq, named if run.is_known else beyond)
        elif before[-1].sample <= run.lost_at <= correction.mark_sample:
            self._unchecked(seq, "sound was lost meanwhile, so that samples do not count time")
        else:
            yield from self._against(before[-1], seq, correction, correction.mark_sample)

    def _against(
        self, before: _Marks, seq: int, correction: Correction, sample: int
    ) -> Iterator[str]:
        off_ns = before.off_ns(sample, int(correction.mark_utc_ns))
        slack_ns = before.slack_ns(sample, _CRYSTAL) + 3 * correction.knots[-1].sigma_ns
        if abs(off_ns) <= slack_ns:
            return
        off_ms, slack_ms = abs(off_ns) / NS_PER_MS, slack_ns / NS_PER_MS
        if off_ns > 0:
            told = f"from the marks of record {before.seq} on, samples count {off_ms:.1f} ms less"
            self._unchecked(seq, f"{told}, so that sound was lost untold, or it is wrong")
        else:
            yield (
                f"from the marks of record {before.seq} to its own, samples count {off_ms:.1f} ms "
                f"more than it says, and no crystal strays by more than {slack_ms:.1f}"
            )

    def _after(self, marks: _Marks) -> Iterator[str]:
        """Marks that come later are on one line with that which ended the spell."""
        for seq, one in list(self._run.open):
            mark_ns, sample = int(one.mark_utc_ns), one.mark_sample
            if marks.utc_ns > mark_ns + _AFTER_NS or sample is None or self._run.lost_at >= sample:
                self._run.open.remove((seq, one))
            elif marks.first_utc_ns > mark_ns:
                off_ns = marks.off_ns(sample, mark_ns)
                slack_ns = marks.slack_ns(sample, _FOLLOWED) + 3 * one.knots[-1].sigma_ns
                if abs(off_ns) <= slack_ns:
                    continue
                self._run.open.remove((seq, one))
                told = f"its mark is {off_ns / NS_PER_MS:.1f} ms off those of record {marks.seq}"
                if off_ns < 0:
                    self._unchecked(seq, f"{told}, so that sound was lost untold, or it is wrong")
                else:
                    yield f"Correction {seq} cannot be believed: {told}."

    def _unchecked(self, seq: int, why: str) -> None:
        self.unchecked.append(f"Correction {seq} was held against its own marks only: {why}.")


def _line(seq: int, pairs: Sequence[TimePair]) -> _Marks | None:
    """Least squares through the marks of one record; None of fewer than three."""
    marks = marks_of(pairs)
    if len(marks) < 3 or marks[-1][0] <= marks[0][0]:
        return None
    sample, utc_ns = marks[-1]
    line = straight_line([(one - sample, ns - utc_ns) for one, ns in marks])
    return _Marks(
        seq,
        marks[0][1],
        sample,
        utc_ns + round(line.level),
        line.pace,
        line.pace_sigma,
        line.scatter,
    )
