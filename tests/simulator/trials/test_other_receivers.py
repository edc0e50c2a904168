"""Receivers of which no public recording is at hand: odd talkers, odd dates, odd languages."""

import random
import struct
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import xor
from pathlib import Path

import pytest

from agent.adapters import casic, ubx
from agent.core.units import NS_PER_S, ns_of
from simulator.trials.languages import spoken
from simulator.trials.receiver import Heard, play

NOON = datetime(2027, 1, 15, 12, 0, 0, tzinfo=UTC)
PLACE = "4807.0380,N,01131.0000,E"


def line(words: str, begin: str = "$") -> bytes:
    return f"{begin}{words}*{reduce(xor, words.encode()):02X}\r\n".encode()


def rmc(at: datetime, talker: str = "GP", time: str = "", mode: str = ",A") -> bytes:
    return line(f"{talker}RMC,{time or f'{at:%H%M%S}.00'},A,{PLACE},0.0,0.0,{at:%d%m%y},,{mode}")


def played(tmp_path: Path, raw: bytes) -> Heard:
    log = tmp_path / "one.log"
    log.write_bytes(raw)
    return play(log, 9600)


def seconds(begin: datetime = NOON, count: int = 20) -> list[datetime]:
    return [begin + timedelta(seconds=n) for n in range(count)]


@pytest.mark.parametrize("talker", ["GP", "GN", "GL", "GA", "BD", "GB", "GQ", "GI", "IN", "II"])
def test_any_talker_tells_the_time(tmp_path: Path, talker: str) -> None:
    """GLONASS, Galileo, BeiDou under both its names, QZSS, NavIC, a ship's own instruments."""
    heard = played(tmp_path, b"".join(rmc(at, talker) for at in seconds()))
    assert heard.locked_after_s is not None
    assert heard.first_utc_ns == ns_of(NOON)


def test_words_of_makers_beside_it_harm_nobody(tmp_path: Path) -> None:
    """Garmin's, Ashtech's, MediaTek's, NovAtel's logs in ASCII, ships' AIS, RTCM 2 and 3."""
    rng = random.Random(2)
    beside = [
        line("PGRME,15.0,M,45.0,M,25.0,M"), line("PGRMZ,93,f,3"), line("PASHR,POS,0,7,120000.00"),
        line("PMTK001,604,3"), line("PUBX,04,120000.00,150127,475200.00,2453,18D,1,1,21"),
        b"#TIMEA,COM1,0,50.5,FINESTEERING,2453,475200.000,00000000,9924,2208;VALID*deadbeef\r\n",
        b"!AIVDM,1,1,,A,15RTgt0PAso;90TKcjM8h6g208CQ,0*4A\r\n",
        b"\xd3\x00\x13>\xd0\x00\x03\x8aX\xd9I<\x87/4\x10\x9d\x07\xd6\xafH Z\xd7\xf7",
        bytes(rng.randrange(0x40, 0x80) for _ in range(30)),
    ]  # fmt: skip
    raw = b"".join(rng.choice(beside) + rmc(at) for at in seconds(count=60))
    heard = played(tmp_path, raw)
    assert heard.locked_after_s is not None
    assert heard.believed >= 55


def test_weeks_that_roll_over_while_it_runs_go_on(tmp_path: Path) -> None:
    """6 April 2019, midnight of GPS: 1999-08-22 follows, and is the next second all the same."""
    rollover = datetime(2019, 4, 6, 23, 59, 42, tzinfo=UTC)
    ats = seconds(rollover - timedelta(seconds=40), 80)
    raw = b"".join(rmc(at if at < rollover else at - timedelta(weeks=1024)) for at in ats)
    heard = played(tmp_path, raw)
    assert heard.believed == 80
    assert (heard.first_utc_ns, heard.last_utc_ns) == (ns_of(ats[0]), ns_of(ats[-1]))
    assert heard.doubts == ("week rollover set right",)


def test_a_leap_second_passes(tmp_path: Path) -> None:
    """New Year 2017: 23:59:60 is told, and what is believed goes on without a jump."""
    midnight = datetime(2017, 1, 1, tzinfo=UTC)
    before = [rmc(at) for at in seconds(midnight - timedelta(seconds=30), 30)]
    leap = rmc(midnight - timedelta(seconds=1), time="235960.00")
    after = [rmc(at) for at in seconds(midnight, 30)]
    heard = played(tmp_path, b"".join([*before, leap, *after]))
    assert heard.state == "locked"
    assert heard.last_utc_ns == ns_of(midnight) + 29 * NS_PER_S


@pytest.mark.parametrize("year", [1980, 1994, 1999, 2000, 2079])
def test_two_digits_of_a_year_stand_for_a_hundred_years(tmp_path: Path, year: int) -> None:
    """1980 to 2079: what a recording says is taken as it is where nothing else is known."""
    begin = NOON.replace(year=year)
    heard = played(tmp_path, b"".join(rmc(at) for at in seconds(begin)))
    assert heard.first_utc_ns == ns_of(begin)


@pytest.mark.parametrize(
    "absurd",
    [
        b"".join(line(f"GPRMC,{n:06d},A,{PLACE},0,0,320127,,,A") for n in range(20)),
        b"".join(line(f"GPRMC,12{n:02d}00,A,{PLACE},0,0,000000,,,A") for n in range(20)),
        b"".join(line(f"GPRMC,1200{n:02d},A,{PLACE},0,0,-10127,,,A") for n in range(20)),
        b"".join(line(f"GPZDA,1200{n:02d},15,01,0000,00,00") for n in range(20)),
        b"".join(rmc(at).replace(b",A,", b",,") for at in seconds()),
    ],
)
def test_dates_that_cannot_be_make_no_second(tmp_path: Path, absurd: bytes) -> None:
    """Day 32, day 0, a minus, year 0; a sentence that says nothing of its validity."""
    heard = played(tmp_path, absurd)
    assert heard.believed == 0
    assert heard.locked_after_s is None


def test_a_date_that_is_absurd_for_a_while_is_left_behind(tmp_path: Path) -> None:
    """A cold start in 1980, and a minute later the sky's own time: the last second is right."""
    cold = [rmc(at) for at in seconds(datetime(1980, 1, 6, tzinfo=UTC), 30)]
    warm = [rmc(at) for at in seconds(NOON, 200)]
    heard = played(tmp_path, b"".join([*cold, *warm]))
    assert heard.last_utc_ns == ns_of(NOON) + 199 * NS_PER_S


# ---- languages that the agent does not read


def sirf(payload: bytes) -> bytes:
    size, total = len(payload).to_bytes(2, "big"), (sum(payload) & 0x7FFF).to_bytes(2, "big")
    return b"\xa0\xa2" + size + payload + total + b"\xb0\xb3"


def skytraq(payload: bytes) -> bytes:
    parity = bytes((reduce(xor, payload), 13, 10))
    return b"\xa0\xa1" + len(payload).to_bytes(2, "big") + payload + parity


def dle(payload: bytes) -> bytes:
    return b"\x10" + payload.replace(b"\x10", b"\x10\x10") + b"\x10\x03"


def garmin(payload: bytes) -> bytes:
    body = bytes((0x33, len(payload))) + payload
    return dle(body + bytes((-sum(body) & 0xFF,)))


def zodiac(words: list[int]) -> bytes:
    head = [0x81FF, 1000, len(words), 0]
    head.append(-sum(head) & 0xFFFF)
    return struct.pack(f"<{len(head)}H{len(words) + 1}H", *head, *words, -sum(words) & 0xFFFF)


def superstar(payload: bytes) -> bytes:
    body = bytes((1, 20, 20 ^ 0xFF, len(payload))) + payload
    return body + (sum(body) & 0xFFFF).to_bytes(2, "little")


def oncore(payload: bytes) -> bytes:
    body = b"Ha" + payload
    return b"@@" + body + bytes((reduce(xor, body), 13, 10))


def rtcm3(payload: bytes) -> bytes:
    whole, crc = b"\xd3" + len(payload).to_bytes(2, "big") + payload, 0
    for bit in (byte >> at & 1 for byte in whole for at in range(7, -1, -1)):
        crc = crc << 1 ^ (0x864CFB if (crc >> 23 ^ bit) & 1 else 0)
        crc &= 0xFFFFFF
    return whole + crc.to_bytes(3, "big")


MAKERS = {
    "SiRF binary": sirf,
    "SkyTraq binary": skytraq,
    "Garmin binary": garmin,
    "Trimble TSIP": lambda payload: dle(b"\x8f\xab" + payload),
    "EverMore binary": lambda payload: dle(b"\x02" + payload),
    "Zodiac binary": lambda payload: zodiac(list(payload)),
    "SuperStar II binary": superstar,
    "Motorola Oncore binary": oncore,
    "RTCM 3": rtcm3,
    "UBX": lambda payload: ubx.frame((0x01, 0x35), payload),
    "CASIC binary": lambda payload: casic.frame((0x03, 0x10), payload[: len(payload) // 4 * 4]),
}


@pytest.mark.parametrize("language", MAKERS)
def test_a_language_is_named_by_whole_messages(tmp_path: Path, language: str) -> None:
    """Forty messages of random payloads, noise between them: that language and no other."""
    rng = random.Random(language)
    noise = [b"", bytes(rng.randrange(256) for _ in range(7))]
    raw = b"".join(
        rng.choice(noise) + MAKERS[language](bytes(rng.randrange(256) for _ in range(40)))
        for _ in range(40)
    )
    assert spoken(raw) == [language]
    assert language in played(tmp_path, raw).reason


def test_noise_is_no_language() -> None:
    """A long recording of chance bytes holds every two of them, and no message."""
    rng = random.Random(7)
    assert spoken(rng.randbytes(400_000)) == []
