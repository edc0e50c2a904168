"""Languages of receivers: one epoch as the bytes that a receiver of that kind sends.

Frames of UBX are made by pyubx2, sentences and CASIC frames by hand from their specifications; of
the agent's own parsers nothing is used.
"""

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from functools import reduce
from operator import xor
from typing import Any

from pyubx2 import GET, UBXMessage

from agent.core.units import NS_PER_MS, NS_PER_S
from simulator.trials.clocks.words import GPS_AHEAD_S, Epoch, Words

_GPS_EPOCH_S, _WEEK_MS = 315_964_800, 604_800_000
_PLACE = "4807.0380,N,01131.0000,E"
_NO_DOUBT = bytes((1, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0))  # SEC-SIG: looked for, none found
Moment = tuple[int, int, int, int, int, int, int]


def moment_of(epoch: Epoch) -> Moment:
    """Year to second, and milliseconds, as the receiver reads them."""
    utc_ns = epoch.utc_ns - (NS_PER_S if epoch.is_leap else 0)
    at = datetime.fromtimestamp(utc_ns // NS_PER_S, UTC)
    second = 60 if epoch.is_leap else at.second
    ms = utc_ns % NS_PER_S // NS_PER_MS
    return at.year, at.month, at.day, at.hour, at.minute, second, ms


# ---- NMEA 0183


def sentence(words: str) -> bytes:
    """With its checksum and line end."""
    return f"${words}*{reduce(xor, words.encode()):02X}\r\n".encode()


def _hms(epoch: Epoch) -> str:
    *_, hour, minute, second, ms = moment_of(epoch)
    return f"{hour:02d}{minute:02d}{second:02d}.{ms:03d}"


def _rmc(epoch: Epoch, talker: str, *, is_void: bool = False) -> bytes:
    year, month, day, *_ = moment_of(epoch)
    status, mode = ("A", "A") if epoch.is_valid and not is_void else ("V", "N")
    date = f"{day:02d}{month:02d}{year % 100:02d}"
    return sentence(f"{talker}RMC,{_hms(epoch)},{status},{_PLACE},0.0,0.0,{date},,,{mode}")


def _gga(epoch: Epoch) -> bytes:
    fix = 1 if epoch.is_valid else 0
    return sentence(f"GPGGA,{_hms(epoch)},{_PLACE},{fix},08,0.9,545.4,M,46.9,M,,")


def rmc(epoch: Epoch, words: Words) -> bytes:
    """As most do: GGA, GSA, RMC."""
    return _gga(epoch) + sentence("GPGSA,A,3,04,05,09,12,24,,,,,,,,2.5,1.3,2.1") + _rmc(epoch, "GP")


def two_rmc(epoch: Epoch, words: Words) -> bytes:
    """One of both at the burst's end, of another system, which may be void."""
    return rmc(epoch, words) + _rmc(epoch, "GL", is_void=words.every_other)


def gns_zda(epoch: Epoch, words: Words) -> bytes:
    """No RMC at all."""
    year, month, day, *_ = moment_of(epoch)
    zda = sentence(f"GNZDA,{_hms(epoch)},{day:02d},{month:02d},{year:04d},00,00")
    mode = "AA" if epoch.is_valid else "NN"
    gns = sentence(f"GNGNS,{_hms(epoch)},{_PLACE},{mode},12,0.9,545.4,46.9,,")
    return zda + gns if words.every_other else gns + zda


# ---- UBX


def _ubx(group: str, name: str, **fields: Any) -> bytes:
    return bytes(UBXMessage(group, name, GET, **fields).serialize())


def _week_ms(count_ns: int) -> tuple[int, int]:
    gps_ms = count_ns // NS_PER_MS + (GPS_AHEAD_S - _GPS_EPOCH_S) * 1000
    return divmod(gps_ms, _WEEK_MS)


def _around(epoch: Epoch, words: Words) -> bytes:
    """What beside the time itself is told, in an order that hides the worse behind the better."""
    tow_ms = _week_ms(epoch.count_ns)[1]
    told = b""
    if words.tells_spoofing:
        state = 3 if epoch.is_spoofed else 1
        told += _ubx("NAV", "NAV-STATUS", iTOW=tow_ms, gpsFix=3, spoofDetState=state)
        told += bytes(UBXMessage(0x27, 0x09, GET, payload=_NO_DOUBT).serialize())
    if words.tells_leap:
        told += _ubx("NAV", "NAV-TIMELS", iTOW=tow_ms, srcOfCurrLs=0 if epoch.is_default else 2,
                     currLs=epoch.leap_s, lsChange=int(epoch.leaps_soon), timeToLsEvent=3600,
                     validCurrLs=1, validTimeToLsEvent=1)  # fmt: skip
    if words.tells_next:
        utc_ms = epoch.next_ns // NS_PER_MS - _GPS_EPOCH_S * 1000
        week, ms = divmod(utc_ms, _WEEK_MS)
        told += _ubx("TIM", "TIM-TP", towMS=ms, week=week, timeBase=1, utc=1)
    return told


def ubx_pvt(epoch: Epoch, words: Words) -> bytes:
    """A u-blox of 7 to 10, which another daemon left without sentences."""
    year, month, day, hour, minute, second, ms = moment_of(epoch)
    is_known = int(epoch.is_valid)
    pvt = _ubx("NAV", "NAV-PVT", iTOW=_week_ms(epoch.count_ns)[1], year=year, month=month, day=day,
               hour=hour, min=minute, second=second, nano=ms * NS_PER_MS, validDate=1, validTime=1,
               fullyResolved=1, fixType=3 * is_known, gnssFixOk=is_known, numSV=9, lon=11.5,
               lat=48.1173, hMSL=545_400, pDOP=1.3)  # fmt: skip
    return pvt + _around(epoch, words)


def ubx_timeutc(epoch: Epoch, words: Words) -> bytes:
    """A u-blox of 4 to 6."""
    year, month, day, hour, minute, second, ms = moment_of(epoch)
    week, tow_ms = _week_ms(epoch.count_ns)
    is_known = int(epoch.is_valid)
    sol = _ubx("NAV", "NAV-SOL", iTOW=tow_ms, week=week, gpsFix=3 * is_known, gpsfixOK=is_known)
    utc = _ubx("NAV", "NAV-TIMEUTC", iTOW=tow_ms, year=year, month=month, day=day, hour=hour,
               min=minute, sec=second, nano=ms * NS_PER_MS, validTOW=1, validWKN=1,
               validUTC=int(not epoch.is_default))  # fmt: skip
    return sol + utc + _around(epoch, words)


# ---- CASIC


def _casic(kind: tuple[int, int], payload: bytes) -> bytes:
    """The sum starts with id, class and length as one word; the payload's words are added."""
    total = (kind[1] << 24) + (kind[0] << 16) + len(payload)
    for at in range(0, len(payload), 4):
        total += int.from_bytes(payload[at : at + 4], "little")
    head = b"\xba\xce" + len(payload).to_bytes(2, "little") + bytes(kind)
    return head + payload + (total & 0xFFFFFFFF).to_bytes(4, "little")


def casic(epoch: Epoch, words: Words) -> bytes:
    """An AT6558 without sentences: NAV-PV, NAV-TIMEUTC."""
    year, month, day, hour, minute, second, ms = moment_of(epoch)
    run_ms = epoch.number * 1000 + 4711
    fix = 7 if epoch.is_valid else 3
    place = struct.pack("<IBBBBBBBBf", run_ms, fix, fix, 1, 9, 9, 0, 0, 0, 1.3)
    place += struct.pack("<2d12f", 11.5, 48.1173, 545.4, 46.9, *[0.5] * 10)
    valid = 3 if epoch.is_default else 7
    time = struct.pack("<IffHHBBBBBBBB", run_ms, 6.4, 0.0, ms, year, month, day, hour, minute,
                       second, valid, 0, 3)  # fmt: skip
    return _casic((0x01, 0x03), place) + _casic((0x01, 0x10), time)


def answer() -> bytes:
    """What a u-blox says to a poll of CFG-RATE."""
    return _ubx("CFG", "CFG-RATE", measRate=1000, navRate=1, timeRef=1)


Speak = Callable[[Epoch, Words], bytes]
LANGUAGES: dict[str, Speak] = {
    "rmc": rmc,
    "two_rmc": two_rmc,
    "gns_zda": gns_zda,
    "ubx_pvt": ubx_pvt,
    "ubx_timeutc": ubx_timeutc,
    "casic": casic,
}
