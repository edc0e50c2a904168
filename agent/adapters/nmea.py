"""NMEA 0183 sentences to fixes: a strict wrapper around pynmea2.

Of each sentence only checked fields are taken: pynmea2 accepts impossible latitudes, and turns
what it cannot convert into strings or exceptions. RMC and ZDA tell the second, GGA or GNS the
place, and GLL too whether there is a fix.
Dates are not judged here (recorded logs must parse); bytes and lines are `receiver`'s.
"""

import re
from calendar import timegm
from datetime import date

import pynmea2

from agent.core.clock.time_signs import Fix, Place, Refusal
from agent.core.units import NS_PER_S

LONGEST = 120
CASIC_SENTENCES = b"$PCAS03,1,0,0,0,1,0,1,0,0,0,,,0,0*03\r\n"
"""Asks a CASIC receiver, which other daemons leave in its binary language, for GGA, RMC, ZDA."""
_TIME = re.compile(r"(\d\d)(\d\d)(\d\d)(?:\.(\d{0,9})\d*)?")
_DATE = re.compile(r"(\d\d)(\d\d)(\d\d)")
_SENTENCE = re.compile(r"\$[A-Z]{2}(RMC|ZDA|GGA|GNS|GLL),[ -~]*\*[0-9A-Fa-f]{2}")
_ANY = re.compile(r"\$[A-Z0-9]+,[ -~]*")
_VALID_MODES = frozenset("ADFRP")
_CENTURY_TURNS = 80
_GGA_FIX = frozenset("12345")
_RULES_NS = 12 * NS_PER_S  # a sentence that comes rules those that say less, or less surely

_NEVER_NS = -(10**18)
_PARSES = {"RMC": "_rmc", "ZDA": "_zda", "GGA": "_gga", "GNS": "_gns", "GLL": "_gll"}

Parsed = Fix | Refusal | None


class NmeaParser:
    """One receiver's sentences, in order. Any talker; others than the five pass by."""

    def __init__(self) -> None:
        self._rmc_ns = self._fix_ns = self._epoch_ns = self._burst_ns = _NEVER_NS
        self._gga_ns = _NEVER_NS
        self._time = ""

    def parse(self, line: str, host_ns: int, line_ns: int | None = None) -> Parsed:
        """The fix told by `line` (from "$" to the checksum), whose burst began at `host_ns`.

        None for a sentence that is of no interest; Refusal for one that is broken. `line_ns` is
        when the line itself began: it counts where bursts run into each other without a pause.
        """
        if len(line) > LONGEST:
            return Refusal(host_ns, "sentence too long")
        kind = _SENTENCE.fullmatch(line)
        if kind is None:
            told = _ANY.fullmatch(line) and not re.match(r"\$[A-Z]{2}(RMC|ZDA|GGA|GNS|GLL),", line)
            return None if told else Refusal(host_ns, "sentence malformed")
        try:
            fields = [str(field) for field in pynmea2.parse(line, check=True).data]
        except pynmea2.ChecksumError:
            return Refusal(host_ns, "sentence with a wrong checksum")
        except Exception:  # pynmea2 lets TypeErrors and others of its innards escape
            return Refusal(host_ns, "sentence malformed")
        time = fields[4] if kind[1] == "GLL" and len(fields) > 4 else fields[0]
        began_ns = self._began_ns(time, host_ns, host_ns if line_ns is None else line_ns)
        try:
            fix: Parsed = getattr(self, _PARSES[kind[1]])(fields, began_ns)
        except (ValueError, IndexError, OverflowError):
            return Refusal(host_ns, "sentence with impossible values")
        return fix

    def _began_ns(self, time: str, burst_ns: int, line_ns: int) -> int:
        """Host time of the first byte about the instant `time`, which its sentences share."""
        time = time.rstrip("0.") if "." in time else time.rstrip("0")
        is_same = time == self._time and 0 <= line_ns - self._epoch_ns < NS_PER_S
        if not (time and is_same):
            self._epoch_ns = line_ns if burst_ns == self._burst_ns else burst_ns
        self._time, self._burst_ns = time, burst_ns
        return self._epoch_ns

    def _rmc(self, fields: list[str], host_ns: int) -> Fix:
        """One with a fix and no date leaves that to ZDA."""
        mode = fields[11] if len(fields) > 11 else "A"
        is_valid = fields[1] == "A" and (mode in _VALID_MODES or not mode)
        if is_valid and not fields[8]:
            self._fix_ns = host_ns
            return Fix(host_ns, None, is_valid=True)
        self._rmc_ns = host_ns
        if not (fields[0] and fields[8]):
            return Fix(host_ns, None, is_valid=False)
        day, month, year = _whole(_DATE, fields[8])
        year += 1900 if year >= _CENTURY_TURNS else 2000
        utc_ns, is_leap = _utc_ns(year, month, day, fields[0])
        if is_valid:
            _latitude(fields[2], fields[3]), _longitude(fields[4], fields[5])
        return Fix(host_ns, utc_ns, is_valid, is_leap)

    def _zda(self, fields: list[str], host_ns: int) -> Parsed:
        """ZDA tells no validity, so it counts beside a sentence with a fix, where no RMC comes."""
        if host_ns - self._rmc_ns < _RULES_NS or not (fields[0] and fields[3]):
            return None
        if not re.fullmatch(r"(19[89]|20\d)\d", fields[3]):
            raise ValueError("year")
        utc_ns, is_leap = _utc_ns(int(fields[3]), int(fields[2]), int(fields[1]), fields[0])
        return Fix(host_ns, utc_ns, host_ns - self._fix_ns < _RULES_NS, is_leap)

    def _gga(self, fields: list[str], host_ns: int) -> Fix:
        satellites = int(fields[6]) if fields[6] else None
        if satellites is not None and not 0 <= satellites <= 99:
            raise ValueError("satellites")
        self._gga_ns = host_ns
        if fields[5] not in _GGA_FIX:
            self._fix_ns = _NEVER_NS
            return Fix(host_ns, None, is_valid=False, satellites=satellites)
        place = Place(
            _latitude(fields[1], fields[2]),
            _longitude(fields[3], fields[4]),
            _number(fields[8], -500.0, 9000.0),
            _number(fields[7], 0.0, 100.0),
        )
        self._fix_ns = host_ns
        return Fix(host_ns, None, is_valid=True, satellites=satellites, place=place)

    def _gns(self, fields: list[str], host_ns: int) -> Fix | None:
        """One letter of its mode for each constellation; the place where no GGA tells it."""
        satellites = int(fields[6]) if fields[6] else None
        if not any(letter in _VALID_MODES for letter in fields[5]):
            self._fix_ns = _NEVER_NS
            return Fix(host_ns, None, is_valid=False, satellites=satellites)
        self._fix_ns = host_ns
        if host_ns - self._gga_ns < _RULES_NS:
            return None
        place = Place(
            _latitude(fields[1], fields[2]),
            _longitude(fields[3], fields[4]),
            _number(fields[8], -500.0, 9000.0),
            _number(fields[7], 0.0, 100.0),
        )
        return Fix(host_ns, None, is_valid=True, satellites=satellites, place=place)

    def _gll(self, fields: list[str], host_ns: int) -> None:
        """Old receivers have no field of validity; of those nothing is learnt."""
        if len(fields) > 5 and fields[5] == "A" and self._gga_ns == _NEVER_NS:
            self._fix_ns = host_ns


def _whole(pattern: re.Pattern[str], text: str) -> tuple[int, ...]:
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is malformed")
    return tuple(int(part) for part in match.groups() if part is not None)


def _utc_ns(year: int, month: int, day: int, time: str) -> tuple[int, bool]:
    """UTC and whether it is 23:59:60, which reads like the midnight after it."""
    match = _TIME.fullmatch(time)
    if match is None:
        raise ValueError(f"{time!r} is no time")
    hour, minute, second = (int(part) for part in match.groups()[:3])
    fraction_ns = int((match[4] or "").ljust(9, "0"))
    is_leap = (hour, minute, second) == (23, 59, 60)
    if hour > 23 or minute > 59 or (second > 59 and not is_leap):
        raise ValueError(f"{time!r} is no time")
    date(year, month, day)  # raises ValueError for what is no date
    seconds = timegm((year, month, day, hour, minute, second, 0, 0, 0))
    return seconds * NS_PER_S + fraction_ns, is_leap


def _latitude(text: str, side: str) -> float:
    return _angle(text, side, "NS", 90.0, 2)


def _longitude(text: str, side: str) -> float:
    return _angle(text, side, "EW", 180.0, 3)


def _angle(text: str, side: str, sides: str, most_deg: float, degree_digits: int) -> float:
    match = re.fullmatch(rf"(\d{{{degree_digits}}})(\d\d(?:\.\d{{1,12}})?)", text)
    if match is None or side not in sides or len(side) != 1:
        raise ValueError(f"{text!r} {side!r} is no angle")
    minutes = float(match[2])
    degrees = int(match[1]) + minutes / 60.0
    if minutes >= 60.0 or degrees > most_deg:
        raise ValueError(f"{text!r} is no angle")
    return degrees if side == sides[0] else -degrees


def _number(text: str, least: float, most: float) -> float | None:
    if not text:
        return None
    if not re.fullmatch(r"-?\d{1,6}(\.\d{1,12})?", text) or not least <= float(text) <= most:
        raise ValueError(f"{text!r} is no such number")
    return float(text)
