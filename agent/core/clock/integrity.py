"""What speaks against the time that is told: the receiver's own warnings and contradictions.

Collects signs and phrases; which of them stop marks from being believed is said by `is_barred`.
Nothing is ever called free of spoofing or jamming unless a receiver says so.
"""

from collections import Counter, deque
from typing import Literal

from agent.core.clock.time_signs import Fix, Keeper, ReceiverReport
from agent.core.records.fields import Doubt, Leap
from agent.core.units import NS_PER_S

FRESH_FIX_NS = 5 * NS_PER_S // 2
_MOST_FRESH_NS = 12 * NS_PER_S
_FRESH_REPORT_NS = 90 * NS_PER_S
_WORST_COUNTS_NS = 10 * NS_PER_S
_WORSE: tuple[Doubt, ...] = ("unknown", "none", "suspect", "affirmed")
_STEPS_TO_SUSPECT = 5
_RECENT_NS = 60 * NS_PER_S
_REFUSALS_KEPT = 1000

Contradiction = Literal[
    "pulses stepped against the oscillator",
    "reports contradict the count of seconds",
    "week rollover set right",
    "position jumped",
    "reports near the next second",
    "sample rate is not what the device claims",
    "this node's own clock names another second",
    "host's clock names another second",
    "host's clock has the second elsewhere",
    "leap seconds are the firmware's default",
    "leap seconds are not those of the list",
    "pulses are seen at their trailing edge",
    "pulses come several times a second",
]


KEPT_BY_RECEIVER = "host's clock is kept by a receiver"
KEPT_BY_UNKNOWN = "nobody says who keeps the host's clock"


class Doubts:
    """The latest word on everything that may be wrong with the satellites or their receiver."""

    def __init__(self) -> None:
        self._refusals: deque[tuple[int, str]] = deque(maxlen=_REFUSALS_KEPT)
        self.satellites: int | None = None
        self.has_fix: bool | None = None
        self.announced_leap: Leap = "unknown"
        self._reports: deque[ReceiverReport] = deque(maxlen=_REFUSALS_KEPT)
        self._valid_fix_ns: int | None = None
        self._fix_spacings_ns: deque[int] = deque(maxlen=5)
        self._standing: dict[Contradiction, None] = {}

    @property
    def phrases(self) -> tuple[str, ...]:
        """All contradictions that stand, oldest first."""
        return tuple(self._standing)

    def stand(self, contradiction: Contradiction, *, stands: bool) -> None:
        """A contradiction stands, or is over."""
        if stands:
            self._standing.setdefault(contradiction)
        else:
            self._standing.pop(contradiction, None)

    def refuse(self, host_ns: int, reason: str) -> None:
        """A sign was of no use."""
        self._refusals.append((host_ns, reason))

    def note_keeper(self, host_ns: int, keeper: Keeper) -> None:
        """A clock that no time server keeps proves nothing about the second."""
        if keeper != "servers":
            self.refuse(host_ns, KEPT_BY_RECEIVER if keeper == "receiver" else KEPT_BY_UNKNOWN)

    def refused(self, host_ns: int | None) -> dict[str, int]:
        """How often each reason came up during the last minute, up to _REFUSALS_KEPT in all."""
        if host_ns is None:
            return {}
        recent = (why for when_ns, why in self._refusals if host_ns - when_ns < _RECENT_NS)
        return dict(Counter(recent))

    def on_fix(self, fix: Fix) -> None:
        """Note whether the receiver has a fix, and on how many satellites."""
        if fix.satellites is not None:
            self.satellites = fix.satellites
        if fix.utc_ns is None and fix.is_valid:
            return  # a report without a date says nothing of the time
        self.has_fix = fix.is_valid
        if fix.is_valid:
            if self._valid_fix_ns is not None:
                self._fix_spacings_ns.append(fix.host_ns - self._valid_fix_ns)
            self._valid_fix_ns = fix.host_ns
        else:
            self.refuse(fix.host_ns, "report is void")

    def on_report(self, report: ReceiverReport) -> None:
        """Keep the receiver's own word. Its messages do not all know the same: of those of the
        last ten seconds the worst counts."""
        self._reports.append(report)
        while self._reports[0].host_ns < report.host_ns - _WORST_COUNTS_NS:
            self._reports.popleft()
        if report.leap != "unknown":
            self.announced_leap = report.leap

    def on_phase_steps(self, in_a_row: int) -> None:
        """So many pulses in a row stood off where the oscillator expects them."""
        self.stand("pulses stepped against the oscillator", stands=in_a_row >= _STEPS_TO_SUSPECT)

    def barred_by(self, host_ns: int) -> str:
        """Why pulses must not be believed now; empty if they may."""
        if self._word(host_ns).spoof in ("suspect", "affirmed"):
            return "receiver reports spoofing"
        if "position jumped" in self._standing:
            return "position jumped"
        if self.has_fix is None:
            return ""
        if self._valid_fix_ns is None or host_ns - self._valid_fix_ns > self._fresh_ns:
            return "receiver has no fix"
        return ""

    def spoof(self, host_ns: int | None) -> Doubt:
        """The receiver's word, or `suspect` if its pulses or its place contradict what we know."""
        told = self._word(host_ns).spoof
        own = {"pulses stepped against the oscillator", "position jumped"} & set(self._standing)
        return "suspect" if own and told != "affirmed" else told

    def jam(self, host_ns: int | None) -> Doubt:
        """The receiver's word."""
        return self._word(host_ns).jam

    @property
    def _fresh_ns(self) -> float:
        """How long a fix counts: longer where the receiver reports more rarely than each second."""
        spacings = sorted(self._fix_spacings_ns)
        usual_ns = spacings[len(spacings) // 2] if spacings else NS_PER_S
        return min(FRESH_FIX_NS * max(1.0, usual_ns / NS_PER_S), _MOST_FRESH_NS)

    def _word(self, host_ns: int | None) -> ReceiverReport:
        if host_ns is None:
            return ReceiverReport(0)
        fresh = [one for one in self._reports if host_ns - one.host_ns <= _FRESH_REPORT_NS]
        spoof = _worst([one.spoof for one in fresh])
        return ReceiverReport(host_ns, spoof, _worst([one.jam for one in fresh]))


def _worst(words: list[Doubt]) -> Doubt:
    return max(words, key=_WORSE.index, default="unknown")
