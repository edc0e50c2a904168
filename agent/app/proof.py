"""What a run must show before its settings are kept: it heard, it stamped, it was receipted.

That a run lasts proves nothing: a silent device, a wrong rate, a dead broker or a score that
nothing reaches all last. Whether to keep is `adapters.trialsettings`' matter, when `commanddesk`'s.
"""

from dataclasses import dataclass

from agent.core.clock.report import ClockReport
from agent.core.records.findings import ESSENTIAL, Finding

HEARD_S = 5
_OF_HEARING = ("microphone", "hearing", "rate")
_LATENCY_SLACK_US = 100.0


@dataclass(frozen=True, slots=True)
class Proof:
    """Each is empty, or why it is not shown (yet)."""

    heard: str
    stamped: str
    receipted: str
    is_locked: bool

    def doubt(self, *, was_locked: bool) -> str:
        """Why settings that came from afar cannot be kept; empty when nothing is missing."""
        unlocked = (
            "" if self.is_locked or not was_locked else "not stamped: the clock is not locked"
        )
        return self.heard or self.stamped or unlocked or self.receipted


def heard(heard_s: float, silent_s: float, findings: tuple[Finding, ...]) -> str:
    """Why a run has not heard: so much sound came in all, the last of it so long ago."""
    if heard_s < HEARD_S or silent_s > HEARD_S:
        return f"not heard: {heard_s:.0f} s of sound came, the last {silent_s:.0f} s ago"
    of_hearing = [one for one in findings if one.check in _OF_HEARING]
    for one in of_hearing:
        if one.status == "critical":
            meaning = one.about.meaning if one.about else one.fault
            return f"not heard: {meaning} {one.value}".rstrip()
    unproved = [one for one in of_hearing if one.status == "unknown" and one.check in ESSENTIAL]
    return f"not heard: {unproved[0].check} {unproved[0].value}" if unproved else ""


def stamped(utc_ns: int | None, clock: ClockReport, latency_us: float | None) -> str:
    """Why a run cannot stamp, or must not: `latency_us` is what its settings call calibrated."""
    if utc_ns is None:
        return f"not stamped: {clock.reason}"
    measured_us = clock.measured_latency_us
    if latency_us is None or measured_us is None:
        return ""
    if abs(measured_us - latency_us) > _LATENCY_SLACK_US:
        return (
            f"not stamped: the capture latency was measured as {measured_us:.0f} us, "
            f"audio.latency_us says {latency_us:.0f}"
        )
    return ""


def receipted(delivered: int, trouble: str) -> str:
    """Why a run is not receipted: so many records that it sent were receipted."""
    return "" if delivered else f"not receipted: {trouble or 'no receipt came'}"
