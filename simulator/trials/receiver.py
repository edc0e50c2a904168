"""A recorded receiver's bytes through the node's own path: what is believed of it, and why not.

A recording has no times of arrival. Its bytes are played at the pace that its own epochs tell: each
burst begins `LAG_NS` after the instant it reports, and runs at the line's speed. Everything else is
the agent's: `ByteReader`, the parsers, the timebase with sentences as its source.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

from agent.adapters import casic
from agent.adapters.nmea import NmeaParser
from agent.adapters.receiver import ByteReader
from agent.adapters.ubx import UbxFrames, frame
from agent.core.clock import Timebase
from agent.core.clock.lock import GOOD_MARKS_TO_LOCK
from agent.core.clock.time_signs import Fix, Refusal, TimeSign
from agent.core.clock.timebase import ClockSettings
from agent.core.units import NS_PER_MS, NS_PER_S, ns_of, rfc3339
from agent.errors import EarshotError
from simulator.trials.languages import spoken

LAG_NS = 300 * NS_PER_MS
_SIGMA_NS = 50 * NS_PER_MS
_UPTIME_NS = 100 * NS_PER_S
_DAY_S = 86_400.0
_LONGEST_STEP_S = 600.0
_FULL_SHARE = 0.85
_BEGINS = re.compile(rb"\$|\xb5b|\xba\xce|\n")
_CASIC_TIME = b"\xba\xce\x18\0\x01\x10"
_TIMED = re.compile(
    rb"\$[A-Z]{2}(?:(RMC|GGA|GNS|ZDA),|GLL,[^,]*,[^,]*,[^,]*,[^,]*,)(\d{6}(?:\.\d+)?)"
)
_TIME_OF_WEEK_BYTES = 4
_TIMED_FRAMES = (0x01, 0x03, 0x04, 0x06, 0x07, 0x20, 0x21)
_NO_DATE = "it tells a place and the time of day, and no date"
_DATED, _OF_DAY = {"RMC", "ZDA"}, {"GGA", "GNS", "GLL"}
_REFUSED = (
    ("sentence malformed", "sentences without a checksum, or malformed"),
    ("sentence with a wrong checksum", "sentences with a wrong checksum"),
    ("sentence with impossible values", "sentences with impossible values"),
)
_NAMED = re.compile(rb"\$(P[A-Z]{3,4}|[A-Z]{5}),")


class ReceiverLogError(EarshotError):
    """The recording cannot be read."""


@dataclass(slots=True)
class Heard:
    """What a recording made the node believe. `reason` is empty where it locked."""

    name: str
    words: Counter[str] = field(default_factory=Counter)
    epochs: int = 0
    fixes: int = 0
    void: int = 0
    dated: int = 0
    believed: int = 0
    in_a_row: int = 0
    first_utc_ns: int | None = None
    last_utc_ns: int | None = None
    locked_after_s: float | None = None
    state: str = "unsynchronised"
    confirmed: bool = False
    alternatives: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    refused: Counter[str] = field(default_factory=Counter)
    reason: str = ""
    last_word: str = ""

    def told(self) -> dict[str, object]:
        """As JSON values."""
        ends = [
            None if one is None else rfc3339(one) for one in (self.first_utc_ns, self.last_utc_ns)
        ]
        return {
            "log": self.name, "words": dict(self.words), "epochs": self.epochs, "fixes": self.fixes,
            "void": self.void, "believed": self.believed, "first": ends[0], "last": ends[1],
            "locked_after_s": self.locked_after_s, "state": self.state,
            "confirmed": self.confirmed, "alternatives": list(self.alternatives),
            "doubts": list(self.doubts), "refused": dict(self.refused), "reason": self.reason,
        }  # fmt: skip


def play(path: Path, baud: int, not_before: date | None = None) -> Heard:
    """A recording through the node. Dates before `not_before` are taken for a week rollover;
    without it they are taken as they are. Raises ReceiverLogError."""
    try:
        raw = _without_heading(path.read_bytes())
    except OSError as error:
        raise ReceiverLogError(f"{path}: cannot be read: {error.strerror}") from None
    heard = Heard(path.name)
    earliest_ns = 0 if not_before is None else ns_of(_midnight(not_before))
    settings = ClockSettings(
        source="nmea", nmea_lag_ns=LAG_NS, nmea_sigma_ns=_SIGMA_NS, earliest_utc_ns=earliest_ns
    )
    timebase = Timebase(48_000, settings)
    reader = ByteReader(baud, NmeaParser().parse, UbxFrames().parse, casic.CasicFrames().parse)
    begun_ns: int | None = None
    for data, host_ns in paced(raw, baud):
        begun_ns = host_ns if begun_ns is None else begun_ns
        heard.words.update(_words(data))
        for sign in reader.feed(data, host_ns):
            _take(heard, timebase, sign)
            if timebase.state == "locked" and heard.locked_after_s is None:
                heard.locked_after_s = round((sign.host_ns - begun_ns) / NS_PER_S, 1)
    heard.epochs = len({epoch for _, epoch in _epochs(raw)})
    lock = timebase.lock
    heard.last_word = lock.reason
    heard.state, heard.confirmed = timebase.state, lock.confirmed
    heard.alternatives, heard.doubts = lock.testimony.witnesses.alternatives, lock.doubts.phrases
    heard.reason = "" if heard.locked_after_s is not None else _reason(heard, raw)
    return heard


def paced(raw: bytes, baud: int) -> Iterator[tuple[bytes, int]]:
    """Pieces of a recording, about a message each, and the host time at which they were read."""
    epochs = _epochs(raw)
    starts = [0, *(offset for offset, _ in epochs[1:]), len(raw)] if epochs else [0, len(raw)]
    steps_s = [_step_s(sooner, later) for (_, sooner), (_, later) in pairwise(epochs)]
    steps_s.append(steps_s[-1] if steps_s else 1.0)
    at_ns = _UPTIME_NS + LAG_NS
    for (first, last), step_s in zip(pairwise(starts), steps_s, strict=True):
        step_ns = round(step_s * NS_PER_S)
        byte_ns = 10 * NS_PER_S / baud
        if epochs:
            byte_ns = min(byte_ns, _FULL_SHARE * step_ns / max(1, last - first))
        cuts = sorted(
            {first, last, *(first + m.start() for m in _BEGINS.finditer(raw[first:last]))}
        )
        for begin, end in pairwise(cuts):
            yield raw[begin:end], at_ns + round((end - first) * byte_ns)
        at_ns += step_ns if epochs else round((last - first) * byte_ns)


def _epochs(raw: bytes) -> list[tuple[int, float]]:
    """Where each epoch begins, and its time of day in s.

    The instants are those of the sentence (or else frame) that comes most; an epoch begins with the
    first of any kind that tells the same instant.
    """
    stamps = [(m.start(), m[1] or b"GLL", _of_day_s(m[2].decode())) for m in _TIMED.finditer(raw)]
    framed = sorted([*_frame_stamps(raw), *_casic_stamps(raw)])
    stamps = sorted([*stamps, *_in_utc(raw, framed)]) if stamps else framed
    counts = Counter(kind for _, kind, _ in stamps)
    pace = max(counts, key=lambda kind: (counts[kind], kind == b"RMC"), default=b"")
    epochs: list[tuple[int, float]] = []
    waiting: list[tuple[int, float]] = []
    for offset, kind, of_day_s in stamps:
        waiting.append((offset, of_day_s))
        if kind == pace:
            if not epochs or epochs[-1][1] != of_day_s:
                epochs.append(next(one for one in waiting if one[1] == of_day_s))
            waiting = []
    return epochs


def _frame_stamps(raw: bytes) -> Iterator[tuple[int, bytes, float]]:
    """Whole frames of UBX-NAV that begin with the time of week, taken as one of a day."""
    at = raw.find(b"\xb5b\x01")
    while at >= 0:
        kind, size = raw[at + 3 : at + 4], int.from_bytes(raw[at + 4 : at + 6], "little")
        body = raw[at + 6 : at + 6 + size]
        is_timed = kind and kind[0] in _TIMED_FRAMES and size >= _TIME_OF_WEEK_BYTES
        if is_timed and frame((1, kind[0]), body) == raw[at : at + size + 8]:
            yield at, kind, int.from_bytes(body[:4], "little") / 1000.0 % _DAY_S
        at = raw.find(b"\xb5b\x01", at + 2)


def _casic_stamps(raw: bytes) -> Iterator[tuple[int, bytes, float]]:
    """Whole frames of CASIC's NAV-TIMEUTC."""
    for at in (m.start() for m in re.finditer(re.escape(_CASIC_TIME), raw)):
        body = raw[at + 6 : at + 30]
        if raw[at : at + 34] == casic.frame((0x01, 0x10), body):
            ms, (hour, minute, second) = int.from_bytes(body[12:14], "little"), body[18:21]
            yield at, b"casic", hour * 3600.0 + minute * 60.0 + second + ms / 1000.0


def _in_utc(
    raw: bytes, framed: list[tuple[int, bytes, float]]
) -> Iterator[tuple[int, bytes, float]]:
    """Those of NAV-PVT, which tells UTC beside the time of week: to compare with sentences."""
    for at, kind, of_day_s in framed:
        if kind == b"\x07" and len(raw) > at + 16:
            hour, minute, second = raw[at + 14], raw[at + 15], raw[at + 16]
            yield at, b"", hour * 3600.0 + minute * 60.0 + second + of_day_s % 1.0


def _step_s(sooner_s: float, later_s: float) -> float:
    """From one epoch to the next; a second where the recording was cut or the clock set."""
    step_s = (later_s - sooner_s) % _DAY_S
    return step_s if 0.0 < step_s < _LONGEST_STEP_S else 1.0


def _take(heard: Heard, timebase: Timebase, sign: TimeSign) -> None:
    before = timebase.lock.believed
    if isinstance(sign, Fix):
        heard.fixes += sign.is_valid
        heard.void += not sign.is_valid
        heard.dated += sign.is_valid and sign.utc_ns is not None
    if isinstance(sign, Refusal):
        heard.refused[sign.reason] += 1
    timebase.on_time(sign.host_ns)
    timebase.on_sign(sign)
    refused = timebase.lock.doubts.refused(sign.host_ns)
    for verdict in ("off rate", "phase step"):
        heard.refused[verdict] = max(heard.refused[verdict], refused.get(verdict, 0))
    heard.refused = +heard.refused
    heard.in_a_row = max(heard.in_a_row, timebase.lock.discipline.good_in_a_row)
    mark = timebase.taken_mark
    if mark is not None and timebase.lock.believed is not before:
        heard.believed += 1
        heard.first_utc_ns = mark[1] if heard.first_utc_ns is None else heard.first_utc_ns
        heard.last_utc_ns = mark[1]


def _reason(heard: Heard, raw: bytes) -> str:
    """Why a recording did not lock: only what was seen."""
    if heard.dated:
        if heard.believed < GOOD_MARKS_TO_LOCK:
            return (
                f"{heard.dated} reports with a fix and a date, {heard.believed} of them believed: "
                f"{GOOD_MARKS_TO_LOCK} in a row are needed"
            )
        if heard.in_a_row >= GOOD_MARKS_TO_LOCK:
            return (
                f"{heard.believed} seconds believed, {heard.in_a_row} in a row: {heard.last_word}"
            )
        return (
            f"{heard.believed} seconds believed, but never {GOOD_MARKS_TO_LOCK} good ones in a row"
        )
    sentences = [word for word in heard.words if not word.startswith(("UBX-", "CASIC-"))]
    kinds = {word[2:] for word in sentences}
    if heard.fixes:
        return _NO_DATE
    if heard.void and kinds & _DATED == {"ZDA"} and not kinds & _OF_DAY:
        return "it tells date and time, and nothing of whether it has a fix"
    if heard.void:
        return "it has no fix in any of its reports"
    for refused, told in _REFUSED:
        if heard.refused[refused] and sentences:
            return f"{heard.refused[refused]} {told}"
    if kinds & _OF_DAY:
        return _NO_DATE
    others = spoken(raw)
    if sentences:
        told = "no word of it that is read here tells UTC"
        return told + (f"; {others[0]} beside them" if others else "")
    return "no NMEA sentence and no UBX frame that tells UTC" + (
        f": {' and '.join(others)}" if others else ""
    )


def _words(data: bytes) -> Iterator[str]:
    yield from (m[1].decode() for m in _NAMED.finditer(data))
    if data.startswith(b"\xb5b") and len(data) > 4:
        yield f"UBX-{data[2]:02X}-{data[3]:02X}"
    if data.startswith(b"\xba\xce") and len(data) > 6:
        yield f"CASIC-{data[4]:02X}-{data[5]:02X}"


def _without_heading(raw: bytes) -> bytes:
    """Recordings of gpsd begin with lines of comment."""
    while raw.startswith(b"#"):
        raw = raw.partition(b"\n")[2]
    return raw


def _of_day_s(text: str) -> float:
    return int(text[:2]) * 3600.0 + int(text[2:4]) * 60.0 + float(text[4:])


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
