"""One node's health: what each part knows of itself, gathered into findings.

The same findings go into the heartbeat, the state file and the LEDs. What other parts of the
program know (the store, the link, an enclosure contact) they report through a `Reporter`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from agent.app.hosthealth import about_host
from agent.core.audio import AudioBlock, AudioFormat, Floats, MicrophoneState, Samples, to_float
from agent.core.clock.report import ClockReport
from agent.core.hearing import Hearing, Onset
from agent.core.hearing.hearing_range import hearing_range_m
from agent.core.hearing.learned_range import LearnedRange
from agent.core.hearing.level_history import LevelHistory
from agent.core.hearing.liveness import Liveness
from agent.core.hearing.selftest import BED_S, Ears, about_hearing, self_test
from agent.core.records.faults import Check
from agent.core.records.findings import (
    CHECKS,
    Finding,
    by_check,
    found,
    healthy,
    unknown,
)
from agent.core.records.sound_faults import FAULT_OF_MICROPHONE
from agent.core.units import NS_PER_S
from agent.ports import HostVitals

SILENT_NS = 30 * NS_PER_S
STARTING_NS = 120 * NS_PER_S
REMEMBERED_MINUTES = 10
TRIES = 3
LOST_SHARE, MUCH_LOST_SHARE = 1e-3, 0.1
WRONG_RATE = "sample rate is not what the device claims"

_EARS: tuple[Check, ...] = ("microphone", "hearing")

Reporter = Callable[[int], Iterable[Finding]]
"""Called on the node's thread with the host's time: what somebody else found out. Never waits."""

NOT_HERE: dict[Check, str] = {"tamper": "no contact at the enclosure"}


class Health:
    """Feed it sound and what the microphone tells; ask for findings at any time."""

    def __init__(
        self,
        fmt: AudioFormat,
        vitals: HostVitals,
        history: LevelHistory | None = None,
        reporters: Iterable[Reporter] = (),
        ears: Ears = Hearing,
    ) -> None:
        self._format, self._vitals, self._ears = fmt, vitals, ears
        self.liveness, self._range = Liveness(fmt, history), LearnedRange(fmt.rate_hz)
        self._reporters = list(reporters)
        self._microphone: MicrophoneState | None = None
        self._began_ns: int | None = None
        self._heard_ns = 0
        self._hearing = unknown("hearing", "not tested yet: no sound")
        self._minutes: deque[tuple[int, int]] = deque(maxlen=REMEMBERED_MINUTES)
        self.request_self_test()

    def start(self, host_ns: int) -> None:
        """The run begins."""
        self._began_ns = self._heard_ns = host_ns

    def on_microphone(self, state: MicrophoneState) -> None:
        """What the adapter knows of the device."""
        self._microphone = state

    def on_block(self, block: AudioBlock, utc_ns: Callable[[], int | None]) -> None:
        """Sound came; `utc_ns` tells its time where that is needed."""
        self._heard_ns = block.host_ns
        if self._bed is not None:
            self._lay(block.samples)
        if self.liveness.is_due(block):
            self.liveness.on_block(block, utc_ns())

    def on_onsets(self, onsets: Iterable[Onset], hopeless: Iterable[int] = ()) -> None:
        """What was heard and judged, and where the `hopeless` lay that were not described."""
        self._range.on_onsets(onsets, hopeless)

    def on_minute(self, heard_samples: int, lost_samples: int) -> None:
        """A heartbeat's minute is over."""
        self._minutes.append((heard_samples, lost_samples))

    def request_self_test(self) -> None:
        """Test the hearing path on the sound that comes next."""
        self._tries_left = TRIES
        self._begin_bed()

    def range_m(self, opens_at_dbfs: float | None, findings: Iterable[Finding]) -> int | None:
        """How far a reference shot is heard; None where level or microphone are not known.

        A node that is deaf by its own `findings` hears nothing, however quiet it thinks it is.
        """
        full_scale_db_spl = self._format.full_scale_db_spl
        ears = [one.status for one in findings if one.check in _EARS]
        if "critical" in ears:
            return 0
        if opens_at_dbfs is None or full_scale_db_spl is None or "unknown" in ears:
            return None
        return hearing_range_m(
            opens_at_dbfs + full_scale_db_spl, self._vitals.read().air_temperature_c
        )

    def findings(
        self, host_ns: int, clock: ClockReport, *, is_surveyed: bool, has_moved: bool
    ) -> tuple[Finding, ...]:
        """Answers to all checks that are made here, in the order of CHECKS."""
        told = [
            *self._about_sound(host_ns),
            *self._range.findings(),
            self._hearing,
            _about_rate(clock),
            self._about_losses(),
            self._about_clock(host_ns, clock),
            _about_place(is_surveyed=is_surveyed, has_moved=has_moved),
            *about_host(self._vitals.read()),
        ]
        for reporter in self._reporters:
            told += reporter(host_ns)
        known = {one.check for one in told}
        told += [unknown(check, why) for check, why in NOT_HERE.items() if check not in known]
        return tuple(by_check(told))

    def _begin_bed(self) -> None:
        self._bed: list[Floats] | None = []
        self._bed_left = round(BED_S * self._format.rate_hz)

    def _lay(self, samples: Samples) -> None:
        """Keep some seconds of sound for the self-test; when they are whole, test."""
        assert self._bed is not None  # noqa: S101
        self._bed.append(to_float(samples[: self._bed_left]))
        self._bed_left -= len(samples)
        if self._bed_left <= 0:
            told = about_hearing(self_test(self._format, np.concatenate(self._bed), self._ears))
            self._tries_left -= 1
            if told.fault and self._tries_left:
                self._begin_bed()  # the street itself may have been in the way
            else:
                self._bed, self._hearing = None, told

    def _about_sound(self, host_ns: int) -> Iterator[Finding]:
        state = self._microphone
        told = self.liveness.findings(host_ns)
        if state is not None and state.condition != "hearing":
            told[0] = found(FAULT_OF_MICROPHONE[state.condition], state.reason)
        elif self._began_ns is not None and host_ns - self._heard_ns > SILENT_NS:
            silent_s = (host_ns - self._heard_ns) // NS_PER_S
            told[0] = found("microphone-hung", f"no sound for {silent_s} s")
        yield from told

    def _about_losses(self) -> Finding:
        heard = sum(one for one, _ in self._minutes)
        lost = sum(one for _, one in self._minutes)
        if not heard + lost:
            return unknown("lost sound", "known after a minute of sound")
        if self._microphone is not None and self._microphone.condition != "hearing":
            return unknown("lost sound", "no sound")  # which is the microphone's fault
        share = lost / (heard + lost)
        told = f"{100 * share:.3g} % of {len(self._minutes)} min"
        if share > LOST_SHARE:
            return found("lost-sound", told, "critical" if share > MUCH_LOST_SHARE else "warning")
        return healthy("lost sound", told)

    def _about_clock(self, host_ns: int, clock: ClockReport) -> Finding:
        told = clock.reason
        if clock.state == "locked":
            doubts = [doubt for doubt in clock.doubts if doubt != WRONG_RATE]
            return found("time-doubted", doubts[0]) if doubts else healthy("clock", told)
        if clock.state == "holdover":
            return found("time-coasting", told)
        is_starting = self._began_ns is None or host_ns - self._began_ns < STARTING_NS
        if is_starting and clock.state != "expired":
            return unknown("clock", f"{clock.state}: {told}")
        return found("no-time", f"{clock.state}: {told}")


def _about_rate(clock: ClockReport) -> Finding:
    if WRONG_RATE in clock.doubts:
        return found("wrong-rate", _ppm(clock))
    if clock.oscillator_ppm is None:
        return unknown("rate", "not measured yet: no time")
    return healthy("rate", _ppm(clock))


def _ppm(clock: ClockReport) -> str:
    return "" if clock.oscillator_ppm is None else f"{clock.oscillator_ppm:+.1f} ppm"


def _about_place(*, is_surveyed: bool, has_moved: bool) -> Finding:
    if has_moved:
        return found("moved")
    if is_surveyed:
        return healthy("position", "surveyed")
    return unknown("position", "not surveyed")


def named(findings: Iterable[Finding]) -> tuple[list[Finding], list[Check]]:
    """The faults among them, and the checks that nobody could make."""
    told = list(findings)
    faults = [one for one in told if one.fault]
    unknowns = [check for check in CHECKS if any(_is_gap(one, check) for one in told)]
    return faults, unknowns


def _is_gap(one: Finding, check: Check) -> bool:
    return one.check == check and one.status == "unknown"
