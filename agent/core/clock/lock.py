"""From signs to states: which marks are believed, and how far UTC on the host's clock is known.

Names pulses, offers them to the discipline of the host's clock, and moves between the states
`unsynchronised`, `acquiring`, `locked`, `holdover` and `expired`. Knows no samples: what time a
sound had is `timebase`'s. A pulse that contradicts the oscillator is believed only once the
oscillator itself could be that wrong, since nobody else can tell which of both moved.
"""

from dataclasses import dataclass
from typing import Literal

from agent.core.clock.discipline import Discipline
from agent.core.clock.integrity import Contradiction, Doubts
from agent.core.clock.second_labels import Calendar, Named, Namer
from agent.core.clock.thermal import CrystalSlope
from agent.core.clock.time_signs import (
    Discontinuity,
    Fix,
    Pulse,
    RealtimeStep,
    ReceiverReport,
    Refusal,
    Temperature,
    TimeMark,
    TimeSign,
)
from agent.core.records.fields import Assumption
from agent.core.records.kinds import TimeState
from agent.core.units import NS_PER_MS, NS_PER_S, NS_PER_US

GOOD_MARKS_TO_LOCK = 10
HOLDOVER_AFTER_NS = 5 * NS_PER_S // 2
_LONGEST_PATIENCE_NS = 10 * NS_PER_S
_MORE_PATIENCE = 6.0
EXPIRED_SIGMA_NS = 100 * NS_PER_MS
_NAMES_A_SECOND_NS = 100 * NS_PER_MS
_LATEST_SURE_LAG_NS = 900 * NS_PER_MS
_COARSE_IS_FRESH_NS = 10 * NS_PER_S
_FRAME_NS = NS_PER_MS  # of USB
_WITNESS_IS_FRESH_NS = 5 * NS_PER_S

Source = Literal["system", "sim", "nmea", "pps", "pps-adc"]


@dataclass(frozen=True, slots=True)
class ClockSettings:
    """What a clock must be told.

    `latency_ns` is the calibrated constant delay of capture; while it is None only its bound is
    known. `nmea_lag_ns` is how long after its second a report arrives where no pulse tells, and
    `nmea_sigma_ns` how sure that is. `is_pulse_known` says that someone measured how pulses come:
    until the marks show otherwise they may else have waited for the frame of a bus.
    `is_lag_known` says so of the sentences' lag. `edge_sigma_ns` is what
    pulses on the second channel share.
    """

    source: Source = "sim"
    latency_ns: int | None = None
    latency_bound_ns: int = 3000 * NS_PER_US
    nmea_lag_ns: int = 475 * NS_PER_MS
    nmea_sigma_ns: int = 250 * NS_PER_MS
    edge_sigma_ns: int = 100
    is_pulse_known: bool = False
    is_lag_known: bool = False
    earliest_utc_ns: int = 0
    last_known_utc_ns: int | None = None
    crystal_slope: CrystalSlope | None = None

    @property
    def assumed(self) -> tuple[Assumption, ...]:
        """The constants that nobody measured."""
        unknown: dict[Assumption, bool] = {
            "capture latency": self.source != "pps-adc" and self.latency_ns is None,
            "pulse delay": self.source == "pps" and not self.is_pulse_known,
            "sentence lag": self.source == "nmea" and not self.is_lag_known,
            "network path": self.source == "system",
        }
        return tuple(name for name, is_unknown in unknown.items() if is_unknown)


@dataclass(frozen=True, slots=True)
class StateChange:
    """The clock went from one state to another."""

    before: TimeState
    after: TimeState
    reason: str


class Lock:
    """Feed it signs in host order. `believed` is the mark that the last call took, if any."""

    def __init__(self, settings: ClockSettings) -> None:
        self._settings = settings
        self._coarse: TimeMark | None = None
        self._was_locked = False
        self._held_back: Contradiction | None = None
        self._shared_sigma_ns = settings.edge_sigma_ns
        self.discipline = Discipline(settings.crystal_slope)
        self.calendar = Calendar(settings.earliest_utc_ns, settings.last_known_utc_ns)
        self.namer = Namer(self.calendar)
        self.doubts = Doubts()
        self.state: TimeState = "unsynchronised"
        self.reason = "no mark yet"
        self.source = "none"
        self.believed: Named | None = None
        self.has_pulse = self.has_sentence = False

    def on_sign(self, sign: TimeSign) -> StateChange | None:
        """Learn from one sign; StateChange if it changed the state."""
        self.believed = None
        match sign:
            case TimeMark():
                return self._on_mark(sign)
            case Pulse() if self._settings.source == "pps":
                return self.on_pulse(sign.host_ns, sign.sigma_ns)
            case Fix():
                return self._on_fix(sign)
            case ReceiverReport():
                self.doubts.on_report(sign)
                self.calendar.announced = self.doubts.announced_leap
            case Temperature():
                self.discipline.holdover.on_temperature(sign.host_ns / NS_PER_S, sign.celsius)
            case RealtimeStep() if self._settings.source in ("sim", "system"):
                return self._start_over(sign.reason)
            case Discontinuity():
                return self._start_over(sign.reason)
            case Refusal():
                self.doubts.refuse(sign.host_ns, sign.reason)
        return None

    def on_pulse(self, host_ns: int, shared_sigma_ns: int) -> StateChange | None:
        """A second began at `host_ns`."""
        self.believed, self.has_pulse = None, True
        self._shared_sigma_ns = shared_sigma_ns
        named = self.namer.on_pulse(host_ns, self._expected_count_ns(host_ns))
        return self._offer_pulse(named) if named else None

    def hold_back(self, contradiction: Contradiction, *, stands: bool) -> None:
        """While it stands nothing is locked, however good the marks are."""
        self.doubts.stand(contradiction, stands=stands)
        self._held_back = contradiction if stands else None

    def on_time(self, host_ns: int) -> StateChange | None:
        """Notice that good marks have stopped coming."""
        last_ns = self.discipline.last_axis_ns
        if self.state in ("unsynchronised", "expired") or last_ns is None:
            return None
        silent_ns = host_ns - last_ns
        if silent_ns <= (self._patience_ns() if self._was_locked else _LONGEST_PATIENCE_NS):
            return None
        self.discipline.interrupt()
        if not self._was_locked:
            return self._start_over("marks stopped before lock")
        if self.discipline.at(host_ns)[1] > EXPIRED_SIGMA_NS:
            return self._enter("expired", "sigma over 100 ms without good marks")
        return self._enter("holdover", f"no good mark for {silent_ns / NS_PER_S:.1f} s")

    def _patience_ns(self) -> float:
        """How long a silence is no holdover yet: longer where marks have been rare of late."""
        spacing_s = self.discipline.usual_spacing_s
        more = _MORE_PATIENCE * max(0.0, spacing_s - 1.0)
        return min(HOLDOVER_AFTER_NS * (1.0 + more), _LONGEST_PATIENCE_NS)

    def _on_mark(self, mark: TimeMark) -> StateChange | None:
        if self._settings.source not in ("sim", "system"):
            self._coarse = mark
            return None
        utc_ns, fault = self.calendar.check(mark.utc_ns)
        if fault:
            self.doubts.refuse(mark.host_ns, fault)
            return None
        named = Named(mark.host_ns, self.calendar.count_of(utc_ns))
        return self._offer(named, mark.sigma_ns, mark.source)

    def _on_fix(self, fix: Fix) -> StateChange | None:
        self.has_sentence = True
        self.doubts.on_fix(fix)
        if self._settings.source == "nmea":
            return self._on_report_as_mark(fix)
        named, wrong_ns = self.namer.on_fix(fix)
        self._note_dates(fix.host_ns, self.namer.fault)
        lag_ns = self.namer.lag_ns or 0
        self.doubts.stand("reports near the next second", stands=lag_ns > _LATEST_SURE_LAG_NS)
        if wrong_ns:
            return self._start_over(f"reports insist on {-wrong_ns / NS_PER_S:+.0f} s")
        if self.namer.fault == "report contradicts the count" and self.state == "locked":
            self.discipline.interrupt()
            return self._enter("holdover", "a report contradicts the count of seconds")
        return self._offer_pulse(named) if named else None

    def _on_report_as_mark(self, fix: Fix) -> StateChange | None:
        if fix.utc_ns is None or not fix.is_valid or fix.is_leap_second:
            return None
        utc_ns, fault = self.calendar.check(fix.utc_ns)
        self._note_dates(fix.host_ns, fault)
        if fault:
            return None
        named = Named(fix.host_ns - self._settings.nmea_lag_ns, self.calendar.count_of(utc_ns))
        return self._offer(named, self._settings.nmea_sigma_ns, "nmea")

    def _note_dates(self, host_ns: int, fault: str) -> None:
        doubts = self.doubts
        if fault:
            doubts.refuse(host_ns, fault)
        for phrase in ("date before this software", "date far in the future"):
            doubts.stand(phrase, stands=fault == phrase)
        doubts.stand("week rollover set right", stands=self.calendar.has_rolled_over)
        doubts.stand(
            "reports contradict the count of seconds",
            stands=fault == "report contradicts the count",
        )

    def _expected_count_ns(self, host_ns: int) -> int | None:
        """What second it is about, by the oscillator, else by another clock that is fresh."""
        if self.discipline.is_known:
            count_ns, sigma_ns = self.discipline.at(host_ns)
            if sigma_ns < _NAMES_A_SECOND_NS:
                return count_ns
        coarse = self._coarse
        if coarse is None or self.doubts.has_fix is not None:
            return None
        if host_ns - coarse.host_ns > _COARSE_IS_FRESH_NS or coarse.sigma_ns > _NAMES_A_SECOND_NS:
            return None
        return self.calendar.count_of(coarse.utc_ns + host_ns - coarse.host_ns)

    def _offer_pulse(self, named: Named) -> StateChange | None:
        if reason := self.doubts.barred_by(named.at_ns):
            self.doubts.refuse(named.at_ns, reason)
            return None
        return self._offer(named, self._shared_sigma_ns, self._settings.source)

    def _offer(self, named: Named, sigma_ns: int, source: str) -> StateChange | None:
        if self.state == "expired":
            self._was_locked = False
            self.discipline.restart()
        agreed = self.namer.confirmed_ns
        has_witness = agreed is not None and named.at_ns - agreed < _WITNESS_IS_FRESH_NS
        may_wait = source == "pps" and not self._settings.is_pulse_known
        verdict = self.discipline.offer(
            named.at_ns,
            named.count_ns,
            sigma_ns,
            may_outvote=has_witness,
            frame_ns=_FRAME_NS if may_wait else 0,
        )
        if verdict != "good":
            self.doubts.refuse(named.at_ns, verdict)
            steps = self.discipline.refused_in_a_row if verdict == "phase step" else 0
            self.doubts.on_phase_steps(steps)
            return None
        self.doubts.on_phase_steps(0)
        self.believed = named
        self.source = source
        good = self.discipline.good_in_a_row
        if good >= GOOD_MARKS_TO_LOCK:
            if self.discipline.at(named.at_ns)[1] > EXPIRED_SIGMA_NS:
                return self._enter("acquiring", "good marks, but sigma over 100 ms")
            self._was_locked = True
            return self._enter("locked", f"{good} good marks")
        return self._enter("acquiring", f"{good} good marks")

    def _start_over(self, reason: str) -> StateChange | None:
        self._was_locked = False
        self.discipline.restart()
        self.namer.forget()
        return self._enter("unsynchronised", reason)

    def _enter(self, after: TimeState, reason: str) -> StateChange | None:
        if after == "locked" and self._held_back:
            after, reason = "acquiring", self._held_back
        change = StateChange(self.state, after, reason)
        self.reason = reason
        if after == self.state:
            return None
        self.state = after
        return change
