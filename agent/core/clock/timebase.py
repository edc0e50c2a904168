"""UTC for a sample, with a sigma that is meant to be true.

Two mappings in a row: sample index to host time (`sample_clock`) and host time to UTC (`lock`);
with pulses on a second channel of the converter, one straight from sample to UTC. The agent only
ever reads clocks; nothing is set here.
"""

from dataclasses import dataclass, replace
from math import hypot

from msgspec import UNSET

from agent.core.audio import AudioBlock, AudioGap
from agent.core.clock.clock_settings import ClockSettings
from agent.core.clock.corrector import Corrector, correction_of
from agent.core.clock.discipline import Discipline
from agent.core.clock.integrity import Contradiction, Doubts
from agent.core.clock.latency import Latency
from agent.core.clock.lock import Lock, StateChange
from agent.core.clock.pps_edge import EdgePicker
from agent.core.clock.report import ClockReport, report_of
from agent.core.clock.sample_clock import SampleClock
from agent.core.clock.time_signs import Discontinuity, Edge, Pulse, TimeSign
from agent.core.records.correction import Correction
from agent.core.records.fields import TimePair, time_pairs
from agent.core.records.kinds import TimeQuality, TimeState
from agent.core.units import NS_PER_MS, NS_PER_S, nominal_ns

PAIRS_KEPT = 16
LEAST_UNSURE_NS = NS_PER_S // 6  # of sigma: from there on three of them may be half a second
_FALLBACK_TRIES = 3
_WORST_EDGE_SAMPLES = 0.5
_WRONG_RATE: Contradiction = "sample rate is not what the device claims"

__all__ = ["ClockSettings", "Stamp", "StateChange", "Timebase"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """UTC of one instant and the 1-sigma of that, both None while UTC is unknown."""

    utc_ns: int | None
    sigma_ns: int | None


_UNKNOWN = Stamp(None, None)


class Timebase:
    """Feed it blocks, gaps and signs in host order; ask it for UTC.

    The lock's axis is host time, or with pulses on a second channel the converter's own time
    (samples at their nominal rate), which needs no deliveries. Then `_fallback`, on host time,
    serves in the seconds after lost samples. The constant delay of capture is subtracted where
    it was calibrated; where only its bound is known, bound / sqrt(3) enters sigma.
    """

    def __init__(self, rate_hz: int, settings: ClockSettings, buffer_ms: int | None = None) -> None:
        """`buffer_ms` is what the sound device holds, if it told; it is only passed on."""
        self._rate_hz, self._settings, self._buffer_ms = rate_hz, settings, buffer_ms
        self._by_samples = settings.source == "pps-adc"
        self._samples = SampleClock(rate_hz)
        self._picker = EdgePicker(rate_hz)
        self._fallback = Discipline()
        self._latency = Latency()
        self._corrector = Corrector()
        self._look_next_ns = 0
        self.lock = Lock(settings)

    @property
    def state(self) -> TimeState:
        """How well UTC is known."""
        return self.lock.state

    def confirms(self, sigma_ns: int | None) -> bool:
        """Whether it is known for good which second a stamp of that sigma is, see `witnesses`."""
        return self.lock.confirmed and sigma_ns is not None and sigma_ns < LEAST_UNSURE_NS

    @property
    def doubts(self) -> Doubts:
        """What speaks against the time."""
        return self.lock.doubts

    @property
    def taken_mark(self) -> tuple[int, int] | None:
        """Host time and UTC (ns) of the mark that the last sign made believed, if any."""
        believed = self.lock.believed
        if believed is None or self._by_samples:
            return None
        return believed.at_ns, self.lock.calendar.utc_of(believed.count_ns)

    def on_block(self, block: AudioBlock) -> StateChange | None:
        """Learn from one delivery, and from pulses on its second channel."""
        self._samples.observe(block.end_sample, block.host_ns)
        if moved_ns := self._samples.take_pace_change():
            (self._fallback if self._by_samples else self.lock.discipline).loosen(moved_ns)
        if self._samples.take_uncounted_loss() and self._by_samples:
            self.lock.discipline.forget_offset()
        change = None
        if block.pps is not None:
            for edge in self._picker.on_block(block):
                change = self.on_edge(edge) or change
        return change

    def on_gap(self, gap: AudioGap) -> StateChange | None:
        """Lost samples may be miscounted: what ties samples to other clocks is learnt afresh; of a
        device opened anew, which may be another, its rate as well."""
        self._picker.on_gap(gap)
        if gap.is_reopened:
            self._samples = SampleClock(self._rate_hz)
            return self.lock.on_sign(Discontinuity(0, gap.reason)) if self._by_samples else None
        self._samples.on_gap()
        if self._by_samples:
            self.lock.discipline.forget_offset()
        return None

    def on_edge(self, edge: Edge) -> StateChange | None:
        """A pulse on the second channel of the converter."""
        if not self._samples.is_ready or edge.sigma_samples > _WORST_EDGE_SAMPLES:
            return None
        host_ns = self._samples.host_ns_at(edge.sample)
        self._latency.on_edge(host_ns)
        if not self._by_samples:
            return None
        self.lock.testimony.on_both_edges()
        axis_ns = self._sample_ns(edge.sample)
        told = self._corrector.before(self.lock.discipline, axis_ns)
        change = self.lock.on_pulse(axis_ns, self._settings.edge_sigma_ns)
        self._corrector.after(self.lock.believed, told)
        self._tie_host_to_utc()
        return change

    def on_sign(self, sign: TimeSign) -> StateChange | None:
        """Learn from one sign; StateChange if it changed the state."""
        if isinstance(sign, Pulse):
            self._latency.on_pulse(sign.host_ns)
        if isinstance(sign, Discontinuity):
            self._samples.on_jump()
            self._fallback.restart()
            self._corrector.forget()
            return self.lock.on_sign(sign)
        if not self._by_samples:
            told = self._corrector.before(self.lock.discipline, sign.host_ns)
            change = self.lock.on_sign(sign)
            self._corrector.after(self.lock.believed, told)
            return change
        axis_ns = self._axis_ns(sign.host_ns)
        if axis_ns is None:
            return None
        change = self.lock.on_sign(replace(sign, host_ns=axis_ns))
        self._tie_host_to_utc()
        return change

    def on_time(self, host_ns: int) -> StateChange | None:
        """Notice that marks have stopped coming; looks ten times a second at most."""
        if host_ns < self._look_next_ns:
            return None
        self._look_next_ns = host_ns + NS_PER_S // 10
        self.lock.hold_back(_WRONG_RATE, stands=self._samples.has_wrong_rate)
        axis_ns = self._axis_ns(host_ns)
        return None if axis_ns is None else self.lock.on_time(axis_ns)

    def stamp_sample(self, sample: float) -> Stamp:
        """UTC at which a (fractional) sample was converted to a number."""
        line = self.lock.discipline
        if self._samples.has_wrong_rate:
            return _UNKNOWN
        if self._by_samples and line.is_known:
            count_ns, sigma_ns = line.at(self._sample_ns(sample))
            return self._stamp(count_ns, hypot(sigma_ns, self._samples.lag_ns_at(sample)))
        if self._by_samples:
            line = self._fallback
        if not (self._samples.is_ready and line.is_known):
            return _UNKNOWN
        latency_ns, bound_ns = self._latency_and_bound_ns()
        count_ns, sigma_ns = line.at(self._samples.host_ns_at(sample) - latency_ns)
        parts = (sigma_ns, self._samples.sigma_ns_at(sample), bound_ns / 3**0.5)
        return self._stamp(count_ns, hypot(*parts))

    def utc_at_host(self, host_ns: int) -> Stamp:
        """UTC at an instant of host time."""
        line, axis_ns = self.lock.discipline, self._axis_ns(host_ns)
        if axis_ns is None or not line.is_known:
            return _UNKNOWN
        return self._stamp(*line.at(axis_ns))

    def quality(self, host_ns: int) -> TimeQuality:
        """What to say about the clock in a record made at `host_ns`."""
        lock, line, axis_ns = self.lock, self.lock.discipline, self._axis_ns(host_ns)
        sample = self._samples.sample_at(host_ns) if self._samples.is_ready else None
        told = self.utc_at_host(host_ns) if sample is None else self.stamp_sample(sample)
        last_ns, law = line.last_axis_ns, self._samples.deliveries.law
        is_bounded = self._latency_and_bound_ns()[1] > 0
        return TimeQuality(
            state=lock.state,
            source=lock.source,
            sigma_ns=None if sample is None else told.sigma_ns,
            mark_age_ms=None
            if last_ns is None or axis_ns is None
            else max(0, (axis_ns - last_ns) // NS_PER_MS),
            oscillator_ppm=self._converter_ppm(),
            latency="bounded" if is_bounded else "calibrated",
            leap=lock.calendar.leap_at(
                line.at(axis_ns)[0] if line.is_known and axis_ns is not None else 0
            ),
            spoof=lock.doubts.spoof(axis_ns),
            jam=lock.doubts.jam(axis_ns),
            doubts=lock.doubts.phrases,
            deliveries=law if law in ("quantised", "thin start") else UNSET,
            assumed=self._settings.assumed[is_bounded:] or UNSET,  # `latency` tells of the first
            confirmed=UNSET if self.confirms(told.sigma_ns) or told.utc_ns is None else False,
            alternatives=UNSET
            if not line.is_known
            else lock.testimony.witnesses.alternatives or UNSET,
        )

    def pairs(self) -> tuple[TimePair, ...]:
        """The last marks as (sample index, UTC): the first absolute, then differences."""
        marks = self.lock.discipline.marks[-PAIRS_KEPT:]
        if not (self._by_samples or self._samples.is_ready):
            return ()
        known = [(self._sample_at_axis(axis_ns), count) for axis_ns, count in marks]
        return time_pairs([(s, self.lock.calendar.utc_of(count)) for s, count in known if s >= 0])

    def take_correction(self, host_ns: int) -> Correction | None:
        """By how much the stamps of a holdover were wrong, once, when it has become known."""
        course = self._corrector.take()
        if course is None:
            return None
        sigma_ns = hypot(
            self.utc_at_host(host_ns).sigma_ns or 0, self._latency_and_bound_ns()[1] / 3**0.5
        )
        sample = self._sample_at_axis(course.until_ns) if self._samples.is_ready else None
        utc_of, pairs = self.lock.calendar.utc_of, self.pairs()
        return correction_of(course, utc_of, sigma_ns, sample, self._rate_hz, pairs)

    def _sample_at_axis(self, axis_ns: int) -> int:
        if self._by_samples:
            return round(axis_ns * self._rate_hz / NS_PER_S)
        return max(0, round(self._samples.sample_at(axis_ns)))

    def report(self, host_ns: int) -> ClockReport:
        """Everything about the clock, for a person."""
        return report_of(
            self.quality(host_ns),
            self.lock,
            self._samples,
            self._settings,
            measured_latency_us=self._latency.measured_us,
            buffer_ms=self._buffer_ms,
            axis_ns=self._axis_ns(host_ns),
        )

    def _stamp(self, count_ns: int, sigma_ns: float) -> Stamp:
        return Stamp(self.lock.calendar.utc_of(count_ns), round(sigma_ns))

    def _sample_ns(self, sample: float) -> int:
        return nominal_ns(sample, self._rate_hz)

    def _axis_ns(self, host_ns: int) -> int | None:
        """Host time on the lock's axis; None while that cannot be told."""
        if not self._by_samples:
            return host_ns
        if not self._samples.is_ready:
            return None
        return self._sample_ns(self._samples.sample_at(host_ns))

    def _tie_host_to_utc(self) -> None:
        """The edge just believed also says what the host's clock read, to a few us."""
        believed = self.lock.believed
        if believed is None:
            return
        sample = believed.at_ns * self._rate_hz / NS_PER_S
        if self._fallback.refused_in_a_row >= _FALLBACK_TRIES:
            self._fallback.restart()
        self._fallback.offer(
            self._samples.host_ns_at(sample) - self._latency_and_bound_ns()[0],
            believed.count_ns,
            self._settings.edge_sigma_ns,
            least_scatter_ns=2 * self._samples.sigma_ns_at(sample),
        )

    def _latency_and_bound_ns(self) -> tuple[int, int]:
        """The constant delay to subtract, and the bound on what is not known of it.

        Edges come to host time with the same delay, so that it cancels.
        """
        if self._by_samples:
            return 0, 0
        known_ns = self._settings.latency_ns
        return (0, self._settings.latency_bound_ns) if known_ns is None else (known_ns, 0)

    def _converter_ppm(self) -> float | None:
        """Excess rate of the samples against UTC."""
        if not self.lock.discipline.is_known:
            return None
        if self._by_samples:
            return round(self.lock.discipline.ppm, 3)
        ready = self._samples.is_ready
        return round(self._samples.ppm + self.lock.discipline.ppm, 3) if ready else None
