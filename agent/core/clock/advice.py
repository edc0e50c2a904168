"""A clock's state in words for the technician at the pole: what it means and what to do.

Only words: the values come from `report`, and showing them is the command's matter.
"""

from collections.abc import Iterator

from agent.core.clock.integrity import KEPT_BY_RECEIVER, KEPT_BY_UNKNOWN
from agent.core.clock.report import ClockReport

_DOUBTS = {
    "pulses stepped against the oscillator": "The pulses jumped against this node's own crystal: "
    "spoofing, or a fault of the receiver. They are not followed.",
    "reports contradict the count of seconds": "The receiver's sentences name other seconds than "
    "were counted: a leap second it did not know, or a fault.",
    "week rollover set right": "The receiver is 1024 weeks off; this node sets it right. Plan a "
    "firmware update.",
    "host's clock names another second": "The host's clock and the receiver name different "
    "seconds: compare `chronyc tracking` and the sentences with another clock. Sentences more than "
    "a second late (raise time.baud) or leap seconds that the receiver does not know do this.",
    "this node's own clock names another second": "What this node knew for good before the agent "
    "restarted was another second than the receiver names now: one of both is wrong.",
    "host's clock has the second elsewhere": "The host's clock has the second where no pulse is: "
    "the pulse's trailing edge may be taken for it. Check the polarity (assert_falling_edge of the "
    "pps-gpio overlay), or the host's servers.",
    "leap seconds are the firmware's default": "The receiver does not know the leap seconds yet: "
    "wait up to 13 minutes with a free view of the sky.",
    "leap seconds are not those of the list": "The receiver's leap seconds are not those that IERS "
    "announced: update its firmware, or replace it.",
    "pulses are seen at their trailing edge": "The end of the pulse is taken for the second: set "
    "assert_falling_edge of the pps-gpio overlay the other way.",
    "pulses come several times a second": "The receiver gives several pulses a second: set it to "
    "one, or let chrony keep the host's clock, which then says which of them begins a second.",
    "reports near the next second": "Sentences come so late that they may name the wrong second: "
    "raise time.baud, or switch off sentences that are not needed.",
    "sample rate is not what the device claims": "The sound device does not convert at the rate it "
    "claims: set audio.rate_hz to one it really has, or replace it.",
    "position jumped": "The receiver places itself more than 50 m from the surveyed place: "
    "spoofing, or the node was moved. If it was, remove survey.json from store.directory and "
    "restart the agent.",
}
_REFUSALS = {
    "serial line cannot be read": "The serial line cannot be read: check time.receiver, the cable "
    "and that no other program (gpsd, a console) holds the line.",
    "serial line is held by gpsd": "gpsd has the receiver's line open and takes its bytes: stop "
    "and disable gpsd and gpsd.socket, or give it another receiver.",
    "serial line is held by a console": "A console uses the receiver's line: take console=serial0 "
    "out of cmdline.txt and disable serial-getty on it.",
    "serial line is held by another program": "Another program has the receiver's line open: "
    "`sudo fuser -v` on time.receiver names it.",
    "line speed is hunted for": "Nothing sensible comes at time.baud: other speeds are tried, and "
    "the log names them. Set time.baud to the one that works.",
    "UBX frame malformed": "Frames arrive damaged: check time.baud and the cable.",
    "sentence with a wrong checksum": "Sentences arrive damaged: check time.baud and the cable.",
    "sentence malformed": "Sentences arrive damaged: check time.baud and the cable.",
    "pulse device lost": "The pulse device has vanished: check the wire and the pps-gpio overlay.",
    "off rate": "Pulses come at other times than once a second: keep the pulse line away from "
    "power lines, shield it, and check its ground.",
    "receiver has no fix": "The receiver has no fix: give its antenna a free view of the sky and "
    "check the antenna's plug.",
    "report is void": "The receiver has no fix: give its antenna a free view of the sky and check "
    "the antenna's plug.",
    "no pulse before the report": "Sentences come but no pulse: check the PPS wire, its pin and "
    "the line dtoverlay=pps-gpio in config.txt.",
    "date before this software": "The host's clock is before this software was made: check chrony "
    "with `chronyc tracking`, and the network.",
    "date far in the future": "The host's clock is decades ahead: check chrony with "
    "`chronyc tracking`.",
    "report out of its usual time": "Sentences come at irregular times: raise time.baud, or switch "
    "off sentences that are not needed.",
    "bytes that are no sentence": "Bytes come that are no sentence: time.baud is wrong, or the "
    "receiver speaks a binary language only: switch on its NMEA sentences.",
    "system clock is not synchronised": "The host's clock is not synchronised: check chrony with "
    "`chronyc tracking`, and the network.",
    "receiver reports spoofing": "The receiver itself reports spoofing: its pulses are not used.",
}
_NO_WITNESS = {
    KEPT_BY_RECEIVER: "The host's clock is kept by a receiver, perhaps this one, so that it does "
    "not vouch for the second: give chrony a time server beside it.",
    KEPT_BY_UNKNOWN: "Nobody says who keeps the host's clock, so that it does not vouch for the "
    "second: `chronyc sources` must answer on this host.",
}
_NO_SIGN = {
    "pps": "No sign of the receiver at all: check its power, time.receiver and the PPS wire.",
    "pps-adc": "No pulse in the sound: check the wire to the second channel, audio.pps_channel "
    "and the channel's gain.",
    "nmea": "No sentence arrives: check the receiver's power, time.receiver and time.baud.",
    "system": "The host's clock gives no time: check chrony with `chronyc tracking`.",
    "sim": "Nothing to do: the simulation has only begun.",
}


_PULSE_ALONE = (
    "Pulses come, but no sentence says which second each is: check time.receiver, time.baud and "
    "the serial wire."
)


def headline(report: ClockReport) -> str:
    """The state in one sentence."""
    return {
        "locked": "Time is good: locked.",
        "acquiring": f"Nearly there: {report.good_marks} of {report.marks_to_lock} good marks, "
        f"about {max(1, report.marks_to_lock - report.good_marks)} s to lock.",
        "holdover": "Running on the crystal alone: no good mark now.",
        "expired": "Time has run out: too long without a good mark.",
        "unsynchronised": "No time yet.",
    }[report.state]


def advice(report: ClockReport, configured_source: str) -> list[str]:
    """What speaks against the time, and what to do; empty when all is well."""
    told = list(dict.fromkeys(_advice(report, configured_source)))
    if report.state not in ("locked", "acquiring") and not told:
        told.append(_NO_SIGN[configured_source])
    return told


def _advice(report: ClockReport, configured_source: str) -> Iterator[str]:
    yield from (_DOUBTS[doubt] for doubt in report.doubts if doubt in _DOUBTS)
    if report.spoof in ("suspect", "affirmed"):
        yield "Spoofing is suspected: do not rely on this node's time until it is explained."
    if report.jam in ("suspect", "affirmed"):
        yield "The receiver reports jamming: look for transmitters near the antenna."
    if report.state != "locked":
        worst_first = sorted(report.refused.items(), key=lambda item: -item[1])
        yield from (_REFUSALS[reason] for reason, _ in worst_first if reason in _REFUSALS)
        if configured_source in ("pps", "nmea") and report.has_fix is None and not report.refused:
            yield _PULSE_ALONE if report.has_pulse else _NO_SIGN[configured_source]
    if not report.confirmed:
        yield from (_NO_WITNESS[reason] for reason in report.refused if reason in _NO_WITNESS)
    if report.latency == "bounded" and report.measured_latency_us is not None:
        yield "The capture latency was measured: `earshot time calibrate` tells how to use it."
