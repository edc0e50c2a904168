"""What a CASIC receiver (AT6558, L76K, ATGM336H) says of the time in its binary language.

Other daemons leave it in that alone. Layouts are those of the CASIC protocol specification V4.2.0.3
(NAV-STATUS, NAV-PV, NAV-TIMEUTC with its milliseconds), as recordings show them; the checksum is a
sum of words of four bytes from the length on, with the id above the class.
"""

import math
import struct
from calendar import timegm
from datetime import date

from agent.core.clock.time_signs import Fix, LeapFrom, Place, ReceiverReport, Refusal, TimeSign
from agent.core.units import NS_PER_MS, NS_PER_S

_NAV_STATUS, _NAV_PV, _NAV_TIMEUTC = (0x01, 0x00), (0x01, 0x03), (0x01, 0x10)
_CFG_PRT, _CFG_MSG = (0x06, 0x00), (0x06, 0x01)
_SENTENCES = ((0x4E, 0x00), (0x4E, 0x04), (0x4E, 0x08))  # GGA, RMC, ZDA
_THIS_PORT, _ALL_LANGUAGES, _8N1 = 0xFF, 0x33, 0x08C0
_WITH_SATELLITES = (6, 7, 8)  # 2D, 3D, with dead reckoning
_TIME_AND_WEEK, _LEAP = 3, 4
_FROM_SATELLITES = (2, 3)  # the date is of one satellite, of several
_PV = struct.Struct("<IBBBBBBBBf2d2f")
_TIMEUTC = struct.Struct("<IffHHBBBBBBBB")
_YEARS = range(1980, 2100)


class CasicFrames:
    """Frames of one receiver, in order."""

    def __init__(self) -> None:
        self._has_position = False

    def parse(self, whole: bytes, host_ns: int) -> list[TimeSign]:
        """What a frame (sync to checksum) tells; a Refusal if it is none."""
        payload = whole[6:-4]
        if len(whole) < 10 or len(payload) % 4 or checksum(whole[2:-4]) != whole[-4:]:
            return [Refusal(host_ns, "CASIC frame with a wrong checksum")]
        try:
            return self._learn((whole[4], whole[5]), payload, host_ns)
        except (struct.error, IndexError, ValueError):
            return [Refusal(host_ns, "CASIC frame malformed")]

    def _learn(self, kind: tuple[int, int], payload: bytes, host_ns: int) -> list[TimeSign]:
        if kind == _NAV_STATUS:
            self._has_position = payload[6] in _WITH_SATELLITES
        if kind == _NAV_PV:
            return [self._place(payload, host_ns)]
        return self._time(payload, host_ns) if kind == _NAV_TIMEUTC else []

    def _place(self, payload: bytes, host_ns: int) -> Fix:
        told = _PV.unpack_from(payload)
        satellites, pdop, longitude, latitude, height, undulation = told[4], *told[9:14]
        self._has_position = told[1] in _WITH_SATELLITES
        if not self._has_position:
            return Fix(host_ns, None, is_valid=False, satellites=satellites)
        is_place = abs(latitude) <= 90.0 and abs(longitude) <= 180.0
        if not (is_place and math.isfinite(height - undulation) and math.isfinite(pdop)):
            raise ValueError("no place")
        place = Place(latitude, longitude, height - undulation, pdop)
        return Fix(host_ns, None, is_valid=True, satellites=satellites, place=place)

    def _time(self, payload: bytes, host_ns: int) -> list[TimeSign]:
        _, _, _, ms, *moment, valid, _, dated = _TIMEUTC.unpack_from(payload)
        year, month, day, hour, minute, second = moment
        is_known = valid & _TIME_AND_WEEK == _TIME_AND_WEEK and dated in _FROM_SATELLITES
        if not is_known:
            return [Fix(host_ns, None, is_valid=False)]
        date(year, month, day)  # raises ValueError for what is no date
        if year not in _YEARS or hour > 23 or minute > 59 or second > 60 or ms > 999:
            raise ValueError("no time")
        utc_ns = timegm((year, month, day, hour, minute, second, 0, 0, 0)) * NS_PER_S
        fix = Fix(host_ns, utc_ns + ms * NS_PER_MS, self._has_position, second == 60)
        leap_from: LeapFrom = "satellites" if valid & _LEAP else "firmware"
        return [fix, ReceiverReport(host_ns, leap_from=leap_from)]


def checksum(body: bytes) -> bytes:
    """The sum of little-endian words over length, class, id and payload."""
    words: tuple[int, ...] = struct.unpack(f"<{len(body) // 4}I", body[: len(body) // 4 * 4])
    return (sum(words) & 0xFFFFFFFF).to_bytes(4, "little")


def frame(kind: tuple[int, int], payload: bytes) -> bytes:
    """A whole frame around `payload`, whose size is a multiple of 4."""
    body = len(payload).to_bytes(2, "little") + bytes(kind) + payload
    return b"\xba\xce" + body + checksum(body)


def speak_sentences(baud: int) -> list[bytes]:
    """Words after which a receiver that was left in its binary language speaks NMEA too, at `baud`
    as before: this port takes and gives both (CFG-PRT), then GGA, RMC and ZDA are asked for."""
    port = struct.pack("<BBHI", _THIS_PORT, _ALL_LANGUAGES, _8N1, baud)
    asked = [frame(_CFG_MSG, struct.pack("<BBH", *kind, 1)) for kind in _SENTENCES]
    return [frame(_CFG_PRT, port), *asked]
