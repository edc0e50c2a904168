"""From signs to states: which marks are believed, and how far UTC on the host's clock is known.

Names pulses, offers them to the discipline of the host's clock, and moves between the states
`unsynchronised`, `acquiring`, `locked`, `holdover` and `expired`. Knows no samples: what time a
sound had is `timebase`'s. A pulse that contradicts the oscillator is believed only once the
oscillator itself could be that wrong, since nobody else can tell which of both moved.
"""

from dataclasses import dataclass
from typing import get_args

from agent.core.clock.clock_settings import ClockSettings
from agent.core.clock.counting import Calendar
from agent.core.clock.cross_check import CrossCheck
from agent.core.clock.discipline import Discipline
from agent.core.clock.integrity import Contradiction, Doubts
from agent.core.clock.second_labels import Named, Namer
from agent.core.clock.testimony import Testimony, WitnessAgainst
from agent.core.clock.time_signs import (
    Discontinuity,
    Fix,
    HostWord,
    NextPulse,
    OwnWord,
    Pulse,
    RealtimeStep,
    ReceiverReport,
    Refusal,
    Temperature,
    TimeMark,
    TimeSign,
)
from agent.core.clock.witnesses import CAN_BE, Witnesses
from agent.core.records.kinds import TimeState
from agent.core.units import NS_PER_MS, NS_PER_S

__all__ = ["ClockSettings", "Lock", "StateChange"]

GOOD_MARKS_TO_LOCK = 10
HOLDOVER_AFTER_NS = 5 * NS_PER_S // 2
_HOPELESS_MARKS, _YOUNG_MARKS = 10, 30
_LONGEST_PATIENCE_NS = 10 * NS_PER_S
_MORE_PATIENCE = 6.0
EXPIRED_SIGMA_NS = 100 * NS_PER_MS
_NAMES_A_SECOND_NS = 100 * NS_PER_MS
_LATEST_SURE_LAG_NS = 900 * NS_PER_MS
_FRAME_NS = NS_PER_MS  # of USB
_WITNESS_IS_FRESH_NS = 5 * NS_PER_S


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
        self._was_locked = False
        self._frame_ns: int | None = None
        self._held_back: dict[Contradiction, None] = {}
        self._shared_sigma_ns = settings.edge_sigma_ns
        self.discipline = Discipline(settings.crystal_slope)
        self.calendar = Calendar(settings.earliest_utc_ns, settings.last_known_utc_ns)
        self.namer = Namer(self.calendar)
        self.doubts = Doubts()
        is_alone = settings.source == "system" and not settings.is_host_vouched
        self.testimony = Testimony(Witnesses(CAN_BE["nmea" if is_alone else settings.source]))
        self._words = CrossCheck(self.discipline, self.namer, self.calendar, self.testimony)
        self.state: TimeState = "unsynchronised"
        self.reason, self.source = "no mark yet", "none"
        self.believed: Named | None = None
        self.has_pulse = self.has_sentence = False

    def on_sign(self, sign: TimeSign) -> StateChange | None:
        """Learn from one sign; StateChange if it changed the state."""
        self.believed = None
        match sign:
            case TimeMark():
                return self._on_mark(sign)
            case Pulse() if self._settings.source == "pps":
                self._frame_ns = sign.frame_ns
                self.testimony.on_width(sign.width_ns)
                late_ns = self.namer.sawtooth_ns(sign.host_ns)
                change = self._weigh()
                return self.on_pulse(sign.host_ns - late_ns, sign.sigma_ns) or change
            case Fix():
                return self._on_fix(sign)
            case HostWord() | OwnWord():
                if isinstance(sign, HostWord):
                    self.doubts.note_keeper(sign.host_ns, sign.kept.by)
                self._words.on_clock(sign)
                return self._weigh()
            case NextPulse():
                self.namer.on_next_pulse(sign)
            case ReceiverReport():
                self.doubts.on_report(sign)
                self.calendar.announced = self.doubts.announced_leap
                self._words.on_report(sign)
                return self._weigh()
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
        if self.namer.is_named_too_soon:
            return self._start_over("pulses come several times a second")
        return self._offer_pulse(named) if named else None

    def hold_back(self, contradiction: Contradiction, *, stands: bool) -> None:
        """While it stands nothing is locked, however good the marks are."""
        self.doubts.stand(contradiction, stands=stands)
        if stands:
            self._held_back.setdefault(contradiction)
        else:
            self._held_back.pop(contradiction, None)

    @property
    def confirmed(self) -> bool:
        """Whether which second it is was confirmed by witnesses that share no cause of error."""
        return self.discipline.is_known and self.testimony.confirmed

    def _weigh(self) -> StateChange | None:
        """Hold back what witnesses speak against, at once."""
        against = self.testimony.against
        for contradiction in get_args(WitnessAgainst):
            self.hold_back(contradiction, stands=contradiction in against)
        return self._enter("locked", self.reason) if self.state == "locked" and against else None

    def on_time(self, host_ns: int) -> StateChange | None:
        """Notice that good marks have stopped coming, and moments at which a second may leap."""
        self._words.on_time(host_ns)
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
            self._words.coarse.note(mark)
            return None
        if fault := self.calendar.check(mark.utc_ns):
            self.doubts.refuse(mark.host_ns, fault)
            return None
        if self._settings.is_host_vouched:
            self.doubts.note_keeper(mark.host_ns, mark.kept.by)
            self.testimony.on_keeper(mark)
        named = Named(mark.host_ns, self.calendar.count_of(mark.utc_ns))
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
        self._words.on_fix(fix)
        if wrong_ns and (not self.confirmed or self.testimony.is_backed(wrong_ns)):
            return self._start_over(f"reports insist on {-wrong_ns / NS_PER_S:+.0f} s")
        if self.namer.fault == "report contradicts the count" and self.state == "locked":
            self.discipline.interrupt()
            return self._enter("holdover", "a report contradicts the count of seconds")
        return self._offer_pulse(named) if named else None

    def _on_report_as_mark(self, fix: Fix) -> StateChange | None:
        if fix.utc_ns is None or not fix.is_valid:
            return None
        at_ns = fix.host_ns - self._settings.nmea_lag_ns
        expected_ns = self.discipline.at(at_ns)[0] if self.discipline.is_known else None
        utc_ns = self.calendar.of_receiver(fix.utc_ns)
        count_ns, wrong_ns = self.namer.on_lone_fix(fix, utc_ns, expected_ns)
        self._note_dates(fix.host_ns, self.namer.fault)
        if wrong_ns and (not self.confirmed or self.testimony.is_backed(wrong_ns)):
            return self._start_over(f"reports insist on {-wrong_ns / NS_PER_S:+.0f} s")
        self._words.on_lone_fix(utc_ns)
        change = self._offer(Named(at_ns, count_ns), self._settings.nmea_sigma_ns, "nmea")
        self._words.on_label(fix.host_ns, agrees=self.believed is not None)
        return self._weigh() or change

    def _note_dates(self, host_ns: int, fault: str) -> None:
        doubts = self.doubts
        if fault:
            doubts.refuse(host_ns, fault)
        doubts.stand("week rollover set right", stands=self.calendar.has_rolled_over)
        self.hold_back(
            "reports contradict the count of seconds",
            stands=fault == "report contradicts the count",
        )

    def _expected_count_ns(self, host_ns: int) -> int | None:
        """What second it is about, by the oscillator, else by another clock that is fresh."""
        if self.discipline.is_known:
            count_ns, sigma_ns = self.discipline.at(host_ns)
            if sigma_ns < _NAMES_A_SECOND_NS:
                return count_ns
        often = self.namer.pulses_a_second
        self.doubts.stand("pulses come several times a second", stands=often > 1)
        if self.doubts.has_fix is not None and often == 1:
            return None
        utc_ns = self._words.coarse.utc_ns(host_ns, often)
        return None if utc_ns is None else self.calendar.count_of(utc_ns)

    def _offer_pulse(self, named: Named) -> StateChange | None:
        if reason := self.doubts.barred_by(named.at_ns):
            self.doubts.refuse(named.at_ns, reason)
            return None
        return self._offer(named, self._shared_sigma_ns, self._settings.source)

    def _offer(self, named: Named, sigma_ns: int, source: str) -> StateChange | None:
        before = self._words.told(named.at_ns)
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
            frame_ns=_FRAME_NS if may_wait else 0,  # at a pin too: interrupts are late as well
            is_bus=bool(may_wait and self._frame_ns),
        )
        self._words.on_line(named.at_ns, before)
        if verdict != "good":
            self.doubts.refuse(named.at_ns, verdict)
            steps = self.discipline.refused_in_a_row if verdict == "phase step" else 0
            self.doubts.on_phase_steps(steps)
            if self.discipline.refused_in_a_row >= _HOPELESS_MARKS and self._is_young:
                return self._start_over("marks disagree with a young line")
            return None
        self.doubts.on_phase_steps(0)
        self.believed, self.source = named, source
        good = self.discipline.good_in_a_row
        if good >= GOOD_MARKS_TO_LOCK:
            awaits = self.testimony.is_awaited(named.at_ns)
            if awaits or self.discipline.at(named.at_ns)[1] > EXPIRED_SIGMA_NS:
                what = "the host's clock may tell the edge" if awaits else "but sigma over 100 ms"
                return self._enter("acquiring", f"good marks, {what}")
            self._was_locked = True
            return self._enter("locked", f"{good} good marks")
        return self._enter("acquiring", f"{good} good marks")

    @property
    def _is_young(self) -> bool:
        """Whether so few marks were taken that the rate may have been wrong from the start, as when
        pulses came through a bus: nothing worth defending against many that agree."""
        return len(self.discipline.marks) < _YOUNG_MARKS

    def _start_over(self, reason: str) -> StateChange | None:
        self._was_locked = False
        self.discipline.restart()
        self.namer.forget()
        self.testimony.forget()
        self._weigh()
        return self._enter("unsynchronised", reason)

    def _enter(self, after: TimeState, reason: str) -> StateChange | None:
        if after == "locked" and self._held_back:
            after, reason = "acquiring", next(iter(self._held_back))
        change = StateChange(self.state, after, reason)
        self.reason = reason
        if after == self.state:
            return None
        self.state = after
        return change
