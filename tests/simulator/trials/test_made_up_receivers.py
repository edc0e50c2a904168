"""Receivers as they are met: odd sentences, midnight, mixed lines, and recordings that were cut.

The streams are made here, so that what was told is known: whatever happens to the bytes, there is
no exception, what a locked node believes was told, and what does not lock says truly why.
"""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import xor
from pathlib import Path

import pytest

from agent.core.clock import lock
from agent.core.units import ns_of
from simulator.trials.receiver import Heard, play

START = datetime(2027, 1, 15, 8, 0, 0, tzinfo=UTC)
MIDNIGHT = datetime(2027, 1, 15, 23, 59, 50, tzinfo=UTC)
NEW_YEAR = datetime(2027, 12, 31, 23, 59, 50, tzinfo=UTC)
PLACE = "4807.0380,N,01131.0000,E"
NO_FIX, NO_DATE = "it has no fix in any", "a place and the time of day, and no date"

Epoch = Callable[[datetime], bytes]


def line(words: str) -> bytes:
    return f"${words}*{reduce(xor, words.encode()):02X}\r\n".encode()


def rmc(
    at: datetime,
    status: str = "A",
    rest: str = ",,,A",
    talker: str = "GP",
    fraction: str = ".00",
    place: str = PLACE,
) -> bytes:
    time = f"{at:%H%M%S}{fraction}"
    return line(f"{talker}RMC,{time},{status},{place},0.0,0.0,{at:%d%m%y}{rest}")


def gga(at: datetime, quality: int = 1) -> bytes:
    return line(f"GPGGA,{at:%H%M%S}.00,{PLACE},{quality},08,0.9,545.4,M,46.9,M,,")


def gns(at: datetime) -> bytes:
    return line(f"GNGNS,{at:%H%M%S}.00,{PLACE},AAN,12,0.9,545.4,46.9,,")


def gll(at: datetime) -> bytes:
    return line(f"GPGLL,{PLACE},{at:%H%M%S}.00,A,A")


def zda(at: datetime, zone: str = "00,00") -> bytes:
    return line(f"GPZDA,{at:%H%M%S}.00,{at:%d,%m,%Y},{zone}")


def undated(at: datetime) -> bytes:
    return line(f"GPRMC,{at:%H%M%S}.00,A,{PLACE},0.0,0.0,,,,A")


def gsv() -> bytes:
    return line("GPGSV,4,1,13,04,23,58,39,05,10,220,40,07,63,164,44,08,27,95,41,1")


def stream(epoch: Epoch, start: datetime = START, seconds: int = 30) -> bytes:
    return b"".join(epoch(start + timedelta(seconds=one)) for one in range(seconds))


def played(tmp_path: Path, raw: bytes) -> Heard:
    log = tmp_path / "one.log"
    log.write_bytes(raw)
    return play(log, 9600)


AIS = b"!AIVDM,1,1,,A,13aEOK?P00PD2wVMdLDRhgvL289?,0*26\r\n"
RTCM3 = bytes.fromhex("d300133ed000038a58d9493c872f34109d07d6af48205ad7f7")
GOOD: dict[str, Epoch] = {
    "GNS and ZDA": lambda at: gns(at) + zda(at),
    "GLL and ZDA": lambda at: gll(at) + zda(at),
    "ZDA with a zone, before GGA": lambda at: zda(at, "-05,30") + gga(at),
    "RMC without a date, ZDA with one": lambda at: undated(at) + zda(at),
    "no mode": lambda at: rmc(at, rest=",,"),
    "an unknown navigational status": lambda at: rmc(at, rest=",,,A,V"),
    "variation without a value": lambda at: rmc(at, rest=",0.0,E"),
    "whole seconds": lambda at: rmc(at, fraction=""),
    "a point and no fraction": lambda at: rmc(at, fraction="."),
    "ten digits of a fraction": lambda at: rmc(at, fraction=".0000000004"),
    "eleven digits of a minute": lambda at: (
        line(
            f"GPGGA,{at:%H%M%S}.00,4807.03812345678,N,01131.00012345678,E,4,30,0.50,545.41234567,M"
        )
        + rmc(at, place="4807.03812345678,N,01131.00012345678,E")
    ),
    "a flood of satellites": lambda at: gsv() * 30 + rmc(at) + gsv() * 30,
    "five constellations": lambda at: b"".join(
        rmc(at, talker=one) for one in ("BD", "GB", "GI", "GQ", "QZ")
    ),
    "vendors' own": lambda at: (
        line(f"PASHR,{at:%H%M%S}.00,229.8,T,1.3,-1.0,0.1,0.2,0.1,0.3,1,1")
        + line("PGRME,15.0,M,45.0,M,25.0,M")
        + line("PMTK010,001")
        + line(f"PUBX,04,{at:%H%M%S}.00,{at:%d%m%y},113851.00,1196,15D,1930035,-2660.6,43,")
        + rmc(at)
    ),
    "ships between": lambda at: AIS + rmc(at) + AIS,
    "RTCM between": lambda at: RTCM3 + rmc(at),
    "JSON and comments between": lambda at: b'{"class":"TPV","mode":3}\r\n# so\r\n' + rmc(at),
    "a tag block": lambda at: b"\\s:r1,c:1516000000*5A\\" + rmc(at),
    "small letters in the sum": lambda at: rmc(at)[:-4] + rmc(at)[-4:].lower(),
    "no line feed": lambda at: rmc(at).replace(b"\n", b""),
    "no end of line": lambda at: rmc(at)[:-2],
    "a sentence without a sum beside": lambda at: rmc(at)[:-5] + b"\r\n" + rmc(at),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("start", [START, MIDNIGHT, NEW_YEAR], ids=["day", "midnight", "new year"])
def test_what_tells_utc_locks_and_nothing_else_is_believed(
    tmp_path: Path, name: str, start: datetime
) -> None:
    """Each in its own way, over midnight and the end of a year: from the first second to the last,
    none left out (of ZDA before its fix the first)."""
    heard = played(tmp_path, stream(GOOD[name], start))
    assert heard.locked_after_s is not None, heard.reason
    assert (heard.state, heard.doubts) == ("locked", ())
    assert heard.believed >= 29 - (name == "no end of line")
    assert heard.first_utc_ns is not None
    assert heard.last_utc_ns is not None
    assert heard.first_utc_ns - ns_of(start) in (0, 10**9)
    late_s = 28 if name == "no end of line" else 29
    assert abs(heard.last_utc_ns - ns_of(start + timedelta(seconds=late_s))) < 10**9


POOR: dict[str, tuple[Epoch, str]] = {
    "GGA alone": (gga, NO_DATE),
    "GLL alone": (gll, NO_DATE),
    "RMC without a date": (undated, NO_DATE),
    "ZDA alone": (zda, "date and time, and nothing of whether it has a fix"),
    "a void status": (lambda at: rmc(at, "V"), NO_FIX),
    "no fix by its mode": (lambda at: rmc(at, rest=",,,N"), NO_FIX),
    "dead reckoning": (lambda at: gga(at, 6) + rmc(at, rest=",,,E"), NO_FIX),
    "a simulator": (lambda at: rmc(at, rest=",,,S"), NO_FIX),
    "set by hand": (lambda at: rmc(at, rest=",,,M"), NO_FIX),
    "no place": (lambda at: rmc(at, place=",,,"), "30 sentences with impossible values"),
    "cut short": (lambda at: line(f"GPRMC,{at:%H%M%S},A,4807.0,N"), "impossible values"),
    "no sum": (lambda at: rmc(at)[:-5] + b"\r\n", "30 sentences without a checksum"),
    "a wrong sum": (lambda at: rmc(at).replace(b"A*", b"B*"), "30 sentences with a wrong check"),
    "words that are not read": (
        lambda at: line(f"PUBX,04,{at:%H%M%S}.00,{at:%d%m%y},1.0,1196,15D,1,-2.6,43,"),
        "no word of it that is read here tells UTC",
    ),
    "seven bits and a parity": (
        lambda at: bytes(one | 0x80 for one in rmc(at)),
        "no NMEA sentence and no UBX frame",
    ),
    "a time that stands": (lambda at: rmc(START), "1 of them believed"),
}


@pytest.mark.parametrize("name", POOR)
def test_what_does_not_lock_says_truly_why(tmp_path: Path, name: str) -> None:
    """What is missing in it, in the words for that and no other."""
    epoch, reason = POOR[name]
    heard = played(tmp_path, stream(epoch))
    assert heard.locked_after_s is None
    assert reason in heard.reason


def test_many_good_seconds_are_not_called_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen of a chart plotter: 40 in a row, and sigma too large to lock. Here any sigma is."""
    monkeypatch.setattr(lock, "EXPIRED_SIGMA_NS", 0)
    heard = played(tmp_path, stream(rmc))
    told = "30 seconds believed, 30 in a row: good marks, but sigma over 100 ms"
    assert (heard.locked_after_s, heard.reason) == (None, told)


def garbled(raw: bytes, rng: random.Random) -> bytes:
    """What a line does to sentences: bytes lost, doubled, changed, in single places or a burst."""
    spoilt = bytearray(raw)
    for _ in range(rng.choice([1, 10, 100])):
        at = rng.randrange(len(spoilt))
        match rng.randrange(4):
            case 0:
                del spoilt[at : at + rng.choice([1, 3, 90])]
            case 1:
                spoilt[at:at] = spoilt[at : at + rng.choice([1, 3, 90])]
            case 2:
                spoilt[at] ^= 1 << rng.randrange(8)
            case _:
                spoilt[at : at + 4] = rng.randbytes(rng.randrange(8))
    return bytes(spoilt)


def test_spliced_cut_and_garbled_streams_harm_nobody(tmp_path: Path) -> None:
    """Two receivers after each other or by turns, cut in the middle of words: no exception, and a
    node that is locked at the end believes a second of one of them (a wrong one that its checksum
    lets through is off the rate)."""
    rng = random.Random(11)
    epochs = [*GOOD.values(), *(epoch for epoch, _ in POOR.values())]
    for _ in range(80):
        one = stream(rng.choice(epochs), seconds=rng.choice([3, 20, 60]))
        later = rng.choice([START, MIDNIGHT, START - timedelta(hours=1)])
        other = stream(rng.choice(epochs), later, 40)
        at = rng.randrange(len(one))
        raw = garbled(one[:at] + other[rng.randrange(200) :] + one[at:], rng)
        heard = played(tmp_path, raw)
        heard.told()
        if heard.state == "locked" and heard.last_utc_ns is not None:
            ends = [(START, 61), (later, 41)]
            assert any(
                0 <= heard.last_utc_ns - ns_of(begin) <= seconds * 10**9 for begin, seconds in ends
            ), heard.told()
