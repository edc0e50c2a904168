"""Marks to a line: UTC along one axis (host time, or the converter's own samples).

Decides which marks fit the oscillator under it, follows those with `clock_filter`, and says how
well UTC is known there. Which second a pulse was is `second_labels`'; states and records are
`timebase`'s. UTC here is counted without leap seconds, so that it never jumps.
"""

from collections import deque
from math import hypot
from typing import Literal

from agent.core.clock.clock_filter import Covariance, Drift
from agent.core.clock.frames import Frames
from agent.core.clock.holdover import ALONE_S, Holdover
from agent.core.clock.scatter import scatter_of
from agent.core.clock.thermal import CrystalSlope
from agent.core.units import NS_PER_MS, NS_PER_S

MAX_RATE_ERROR = 500e-6
Verdict = Literal["good", "off rate", "phase step"]

_GATE_SIGMAS = 5.0
_CRYSTAL_MOST = 20e-6  # how far the rate of any crystal may move while it is alone, day and night
_ALONE_NS = round(ALONE_S) * NS_PER_S
_VOTES_AFTER_SILENCE = 10
_VOTES = 300
_SAME_NS = 20_000.0
_STEADY_NS = 3_000.0
_BUS_PPM = 50.0
_GATE_SLACK_NS = 500.0
_LEAST_SCATTER_NS = 30.0
_FIRST_SCATTER_NS = 3000.0
_LATE_IN_SCATTERS = 2.0  # mean over deviation of one-sided delays: 1 exponential, 1.7 uniform
_SCATTER_MARKS = 60
_SPREAD = 1.2  # what the filters' own error lacks, seen over the clock scenarios
_UNDECIDED_MARKS = 3
_SURE_AFTER = 3
_DISPUTE = 0.7
_DISPUTED_SIGMAS = 3.0
_DISPUTE_FADES = 0.997


class Discipline:
    """Feed it marks in order of the axis; ask it for UTC anywhere near the last one.

    While the first few marks off the line are undecided (false pulses, or did the line move?),
    how far they are off is part of sigma. Where marks off the line are believed in the end, the
    dispute stays part of it and fades over minutes. No crystal is believed for ever against marks
    that agree with each other: after a silence in which it may have strayed so far, a few such
    marks outvote it, and after minutes of contradiction they do in any case.

    Marks that jump to and fro by the same step waited for the frames of a bus, see `frames`.
    """

    def __init__(self, slope: CrystalSlope | None = None) -> None:
        """`slope` is how this crystal follows temperature, as an earlier run learnt."""
        self._kept: deque[tuple[int, int]] = deque(maxlen=_SCATTER_MARKS)
        self.refused_in_a_row = 0
        self._least_scatter_ns = _LEAST_SCATTER_NS
        self.holdover = Holdover(slope)
        self._begin()

    def _begin(self) -> None:
        self._drift = Drift(prior_ppm=3.0)
        self._base: tuple[int, int] | None = None
        self._kept.clear()
        self._scatter_ns: float | None = None
        self._unexplained_ns = self._disputed_ns = 0.0
        self._frames = Frames()
        self._shared_sigma_ns = 0
        self._may_be_late = False
        self._votes: deque[tuple[int, int]] = deque(maxlen=_VOTES)
        self.good_in_a_row = 0
        self.last_axis_ns: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether UTC can be told: at least two marks agreed on the rate."""
        return len(self._kept) > 1

    @property
    def marks(self) -> list[tuple[int, int]]:
        """The good marks kept, as (axis_ns, utc_ns), oldest first."""
        return list(self._kept)

    @property
    def usual_spacing_s(self) -> float:
        """How far apart good marks were of late, on average; 1 before it can be told."""
        if len(self._kept) < _SCATTER_MARKS // 3:
            return 1.0
        return (self._kept[-1][0] - self._kept[0][0]) / NS_PER_S / (len(self._kept) - 1)

    @property
    def ppm(self) -> float:
        """How fast the axis runs against UTC, parts per million."""
        rate = self._drift.at(self._seconds(self.last_axis_ns or 0)).rate_ns_per_s
        return -rate / 1000.0

    @property
    def wander_ppm_per_sqrt_hour(self) -> float:
        """The oscillator's measured wander."""
        return self._drift.wander_ppm_per_sqrt_hour

    @property
    def covariance(self) -> Covariance:
        """Of offset and rate as they were at the last mark."""
        return self._drift.covariance()

    @property
    def scatter_ns(self) -> float | None:
        """Measured 1-sigma of one mark about its neighbours; None before it can be told."""
        return self._scatter_ns

    def offer(
        self,
        axis_ns: int,
        utc_ns: int,
        shared_sigma_ns: int,
        least_scatter_ns: float = 0.0,
        *,
        may_outvote: bool = False,
        frame_ns: int = 0,
        is_bus: bool = False,
    ) -> Verdict:
        """Take a mark if it fits. `shared_sigma_ns` is what all its kind have in common; they
        are thought to scatter by no less than `least_scatter_ns`. With `may_outvote` it has a
        second witness, and enough of its kind are believed against the oscillator. What may wait
        for frames of `frame_ns` (`is_bus`: does) is late by up to that until it shows otherwise."""
        self._may_be_late = frame_ns > 0
        self._frames.expect(frame_ns, is_steady=self._is_steady(), is_known=is_bus)
        self._least_scatter_ns = max(least_scatter_ns, _LEAST_SCATTER_NS)
        surprise_ns = self._surprise_ns(axis_ns, utc_ns)
        verdict = self._judge(axis_ns, utc_ns, surprise_ns)
        if verdict == "phase step" and may_outvote and self._is_outvoted(axis_ns, utc_ns):
            return self._begin_again(axis_ns, utc_ns, shared_sigma_ns, abs(surprise_ns))
        if verdict == "good":
            far_ns = _DISPUTED_SIGMAS * self._drift.at(self._seconds(axis_ns)).sigma_ns
            if self.refused_in_a_row >= _UNDECIDED_MARKS and abs(surprise_ns) > far_ns:
                self._disputed_ns = _DISPUTE * abs(surprise_ns)
            self._take(axis_ns, utc_ns, shared_sigma_ns)
            return verdict
        self.refused_in_a_row += 1
        if len(self._kept) < _SURE_AFTER:  # nothing worth defending yet
            self.restart()
            self._take(axis_ns, utc_ns, shared_sigma_ns)
        return verdict

    def at(self, axis_ns: int) -> tuple[int, float]:
        """UTC and its 1-sigma in ns. ValueError while nothing is known."""
        if self._base is None:
            raise ValueError("no mark was offered yet")
        estimate = self._drift.at(self._seconds(axis_ns))
        heated_ns = self.holdover.heated_ns(axis_ns / NS_PER_S)
        utc_ns = axis_ns + self._base[1] + round(estimate.offset_ns + heated_ns)
        own_ns = hypot(_SPREAD * estimate.sigma_ns, self.stray_ns(axis_ns))
        shared_ns = self._shared_ns()
        late_ns = self._frames.late_sigma_ns
        parts = (own_ns, shared_ns, late_ns, self._unexplained_ns, self._disputed_ns)
        return utc_ns, hypot(*parts)

    def _shared_ns(self) -> float:
        """1-sigma of what all marks have in common. What an interrupt takes at least shows in no
        scatter, but a host on which it takes long is one on which it varies."""
        in_scatters = _LATE_IN_SCATTERS if self._may_be_late else 1.0
        return max(self._shared_sigma_ns, in_scatters * (self._scatter_ns or 0.0))

    def stray_ns(self, axis_ns: int) -> float:
        """1-sigma of what the oscillator may have done alone since the last mark."""
        alone_s = (axis_ns - (self.last_axis_ns or axis_ns)) / NS_PER_S
        wander = self._drift.wander_ppm_per_sqrt_hour
        return self.holdover.stray_ns(axis_ns / NS_PER_S, alone_s, wander)

    def restart(self) -> None:
        """Forget all: what was known of UTC holds no longer."""
        self._begin()

    def interrupt(self) -> None:
        """Marks stopped: count the good ones afresh, keep what is known."""
        self.good_in_a_row = 0

    def loosen(self, ns: float) -> None:
        """The axis changed its pace: offset and rate may be off by `ns` and `ns` per second."""
        self._drift.loosen(ns, ns)
        self.refused_in_a_row = 0
        self._unexplained_ns = 0.0

    def forget_offset(self) -> None:
        """The axis may have jumped by anything; the rate still holds."""
        self._drift.forget_offset()
        self._kept.clear()
        self.good_in_a_row = 0

    def _seconds(self, axis_ns: int) -> float:
        return (axis_ns - self._base[0]) / NS_PER_S if self._base else 0.0

    def _surprise_ns(self, axis_ns: int, utc_ns: int) -> float:
        if self._base is None or not self._kept:
            return 0.0
        expected = self._drift.at(self._seconds(axis_ns))
        heated_ns = self.holdover.heated_ns(axis_ns / NS_PER_S)
        return utc_ns - axis_ns - self._base[1] - expected.offset_ns - heated_ns

    def _judge(self, axis_ns: int, utc_ns: int, surprise_ns: float) -> Verdict:
        if not self._kept:
            return "good"
        last_axis_ns, last_utc_ns = self._kept[-1]
        step_ns, utc_step_ns = axis_ns - last_axis_ns, utc_ns - last_utc_ns
        scatter_ns = self._scatter()
        slack_ns = MAX_RATE_ERROR * abs(step_ns) + 4 * scatter_ns + 2 * self._shared_sigma_ns
        slack_ns += self._frames.rate_slack_ns
        if step_ns <= 0 or utc_step_ns <= 0 or abs(utc_step_ns - step_ns) > slack_ns:
            return "off rate"
        sigma_ns = self._drift.at(self._seconds(axis_ns)).sigma_ns
        usual_ns = _GATE_SIGMAS * hypot(sigma_ns, scatter_ns) + _GATE_SLACK_NS
        if abs(surprise_ns) <= usual_ns:
            return "good"
        if self._frames.explain(surprise_ns, usual_ns, _GATE_SIGMAS * self._shared_sigma_ns):
            if self._frames.on_jump(abs(surprise_ns)):
                self._drift.loosen(abs(surprise_ns), _BUS_PPM * 1000.0)
            return "good"
        undecided = self.refused_in_a_row < _UNDECIDED_MARKS and abs(surprise_ns) < NS_PER_MS
        self._unexplained_ns = abs(surprise_ns) if undecided else 0.0
        return "phase step"

    def _is_outvoted(self, axis_ns: int, utc_ns: int) -> bool:
        """Whether marks off the line agree with each other long enough to be believed."""
        self._votes.append((axis_ns, utc_ns))
        alone_ns = self._votes[0][0] - (self.last_axis_ns or 0)
        if alone_ns > _ALONE_NS and len(self._votes) >= _VOTES_AFTER_SILENCE:
            votes = list(self._votes)[-_VOTES_AFTER_SILENCE:]
            recent = [self._surprise_ns(*vote) for vote in votes]
            may_stray_ns = _CRYSTAL_MOST * alone_ns
            slack_ns = _SAME_NS + _CRYSTAL_MOST * NS_PER_S * len(recent) + 4 * self._shared_sigma_ns
            is_one_line = max(recent) - min(recent) <= slack_ns
            return is_one_line and max(map(abs, recent)) <= may_stray_ns
        return len(self._votes) == _VOTES

    def _begin_again(
        self, axis_ns: int, utc_ns: int, shared_sigma_ns: int, step_ns: float
    ) -> Verdict:
        """Follow the marks that outvoted the oscillator: its rate is kept, its offset is not."""
        votes = list(self._votes)
        is_after_silence = len(votes) < _VOTES
        surprises = [self._surprise_ns(*vote) for vote in votes[-_VOTES // 2 :]]
        alone_s = (axis_ns - (self.last_axis_ns or 0)) / NS_PER_S
        drift, base = self._drift, self._base
        self._begin()
        self._drift, self._base = drift, base
        drift.forget_offset()
        drift.loosen(0.0, step_ns / max(1.0, alone_s))
        self.refused_in_a_row = 0
        if is_after_silence:
            for vote in votes[-_VOTES_AFTER_SILENCE:-1]:
                self._take(*vote, shared_sigma_ns)
        else:
            self._disputed_ns = _DISPUTE * step_ns
            self._frames.on_jump(max(surprises) - min(surprises))
        self._take(axis_ns, utc_ns, shared_sigma_ns)
        return "good"

    def _is_steady(self) -> bool:
        """Whether marks are steadier than any bus could be."""
        scatter_ns = self._scatter_ns
        is_small = scatter_ns is not None and scatter_ns < _STEADY_NS
        return is_small and len(self._kept) == _SCATTER_MARKS

    def _take(self, axis_ns: int, utc_ns: int, shared_sigma_ns: int) -> None:
        if self._base is None:
            self._base = (axis_ns, utc_ns - axis_ns)
        self._shared_sigma_ns = shared_sigma_ns
        self._kept.append((axis_ns, utc_ns))
        measured_ns = scatter_of(list(self._kept))
        self._scatter_ns = self._scatter_ns if measured_ns is None else measured_ns
        if self.last_axis_ns is not None and axis_ns - self.last_axis_ns > _ALONE_NS:
            self.holdover.hand_back(self._drift, axis_ns / NS_PER_S)
        self._drift.observe(
            self._seconds(axis_ns),
            float(utc_ns - axis_ns - self._base[1]),
            max(self._scatter(), self._frames.scatter_ns),
        )
        self._unexplained_ns = 0.0
        self._frames.on_taken()
        self.holdover.on_mark()
        self._votes.clear()
        self._disputed_ns *= _DISPUTE_FADES
        self.refused_in_a_row = 0
        if len(self._kept) == _SCATTER_MARKS:
            rate_ns = self._drift.at(self._seconds(axis_ns)).rate_ns_per_s
            self.holdover.on_tracked(axis_ns / NS_PER_S, rate_ns)
        self.good_in_a_row += 1
        self.last_axis_ns = axis_ns

    def _scatter(self) -> float:
        if self._scatter_ns is None:
            return max(_FIRST_SCATTER_NS, self._shared_sigma_ns / 4)
        return max(self._scatter_ns, self._least_scatter_ns)
