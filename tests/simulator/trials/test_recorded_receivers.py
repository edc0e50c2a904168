"""Recorded receivers through the node's own path: what tells UTC locks, or it is said why.

The recordings made here speak as real ones were seen to; the public ones are gpsd's.
"""

import json
import random
import re
import struct
from datetime import UTC, date, datetime
from functools import reduce
from operator import xor
from pathlib import Path

import pytest

from agent.adapters.ubx import frame
from agent.core.units import ns_of, parse_rfc3339_ns
from simulator.cli.main import main
from simulator.trials.receiver import Heard, play
from tests.support.field import FIELD

LOGS = FIELD / "receivers"
START = datetime(2027, 1, 15, 8, 0, 0, tzinfo=UTC)
needs_logs = pytest.mark.skipif(
    not LOGS.is_dir(), reason=f"gpsd's recordings are not at {LOGS}: set EARSHOT_FIELD"
)


def line(words: str) -> bytes:
    return f"${words}*{reduce(xor, words.encode()):02X}\r\n".encode()


def rmc(second: float, talker: str = "GP", status: str = "A") -> bytes:
    return line(
        f"{talker}RMC,{_time(second)},{status},4807.0380,N,01131.0000,E,0.0,0.0,150127,,,"
        + ("A" if status == "A" else "N")
    )


def zda(second: float) -> bytes:
    return line(f"GPZDA,{_time(second)},15,01,2027,00,00")


def gns(second: float) -> bytes:
    return line(f"GNGNS,{_time(second)},4807.0380,N,01131.0000,E,AAN,12,0.9,545.4,46.9,,")


def pvt(second: int) -> bytes:
    tow_ms = (ns_of(START) // 10**9 + second + 18 - 315_964_800) % 604_800 * 1000
    moment = (2027, 1, 15, 8, second // 60, second % 60)
    head = struct.pack("<IHBBBBBBIiBBBB", tow_ms, *moment, 7, 30, 12, 3, 1, 0, 9)
    return frame((1, 7), head + struct.pack("<ii", 115_166_667, 481_173_000) + bytes(60))


def _time(second: float) -> str:
    return f"08{int(second) // 60:02d}{second % 60:05.2f}"


def played(tmp_path: Path, raw: bytes) -> Heard:
    log = tmp_path / "one.log"
    log.write_bytes(raw)
    return play(log, 9600)


RECORDINGS = {
    "once a second": b"".join(rmc(s) for s in range(20)),
    "two RMC an epoch": b"".join(rmc(s) + rmc(s, "GN") for s in range(20)),
    "a void RMC beside a good one": b"".join(rmc(s) + rmc(s, "GL", "V") for s in range(20)),
    "RMC every three seconds": b"".join(rmc(s) for s in range(0, 90, 3)),
    "GNS and ZDA": b"".join(zda(s) + gns(s) for s in range(20)),
    "between two seconds": b"".join(rmc(s + 0.48) for s in range(20)),
    "five a second": b"".join(rmc(s / 5) for s in range(100)),
    "frames alone": b"".join(pvt(s) for s in range(20)),
    "frames and sentences": b"".join(pvt(s) + rmc(s) for s in range(20)),
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_receivers_that_are_good_lock(tmp_path: Path, name: str) -> None:
    """Seen refused: each of these tells UTC well, and locks as soon as ten epochs are there."""
    heard = played(tmp_path, RECORDINGS[name])
    assert heard.locked_after_s is not None, heard.reason
    assert heard.state == "locked"
    assert heard.refused == {}
    assert heard.first_utc_ns is not None
    assert heard.first_utc_ns // 10**9 - ns_of(START) // 10**9 in (0, 1)  # ZDA before its GNS


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"".join(rmc(s, status="V") for s in range(20)), "it has no fix in any of its reports"),
        (b"".join(gns(s) for s in range(20)), "a place and the time of day, and no date"),
        (b"".join(rmc(s) for s in range(6)), "6 reports with a fix and a date, 6 of them believed"),
        (b"\xa0\xa2\0\1\2\3\xb0\xb3" * 200, "no NMEA sentence and no UBX frame that tells UTC: S"),
        (b"".join(rmc(s).replace(b"*", b" ") for s in range(20)), "20 sentences without a check"),
        (b"", "no NMEA sentence"),
    ],
)
def test_what_does_not_lock_says_why(tmp_path: Path, raw: bytes, reason: str) -> None:
    """Nothing to tell from, no fix, no date, too little of it: each in its own words."""
    heard = played(tmp_path, raw)
    assert heard.locked_after_s is None
    assert reason in heard.reason


def test_a_date_that_rolled_over_is_set_right_where_it_is_known_not_to_be_so_old(
    tmp_path: Path,
) -> None:
    """2007 in a recording of 2027: `--not-before` tells, and it is said."""
    log = tmp_path / "one.log"
    raw = b"".join(line(f"GPRMC,{_time(s)},A,4807.0380,N,01131.0000,E,0,0,010607,,,A")
                   for s in range(20))  # fmt: skip
    log.write_bytes(raw)
    assert (play(log, 9600).told()["first"] or "").startswith("2007-06-01")
    heard = play(log, 9600, date(2027, 1, 1))
    assert (heard.told()["first"] or "").startswith("2027-01-15")
    assert heard.doubts == ("week rollover set right",)


def test_the_command_tells_what_was_believed_refused_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two recordings, one command; a file that is not there is one line and exit code 2."""
    good, bad = tmp_path / "good.log", tmp_path / "bad.log"
    good.write_bytes(b"# of gpsd\n" + RECORDINGS["two RMC an epoch"])
    bad.write_bytes(b"nonsense\n" * 40)
    out = tmp_path / "out.json"
    assert main(["receiver", str(good), str(bad), "--json", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "good.log: locked after 8.9 s" in shown
    assert "believed: 20 seconds, 2027-01-15T08:00:00" in shown
    assert "bad.log: not locked: no NMEA sentence" in shown
    assert [one["log"] for one in json.loads(out.read_text())["logs"]] == ["good.log", "bad.log"]
    assert main(["receiver", str(tmp_path / "none.log")]) == 2
    assert "cannot be read" in capsys.readouterr().err


@needs_logs
def test_no_public_recording_makes_a_false_second() -> None:
    """93 receivers: what is believed lies within what gpsd made of it, and each reason is true."""
    locked = 0
    for log in sorted(LOGS.glob("*.log")):
        heard = play(log, 9600)
        locked += heard.locked_after_s is not None
        if heard.dated >= 30 and "void" not in heard.reason:
            assert heard.locked_after_s is not None, (log.name, heard.reason)
        chk = log.with_name(log.name + ".chk").read_text("utf-8", errors="replace")
        times = [parse_rfc3339_ns(one) for one in re.findall(r'"TPV".*?"time":"([^"]+)"', chk)]
        if heard.first_utc_ns is None or heard.last_utc_ns is None or not times:
            continue
        if log.stem in ODD_IN_GPSD:
            continue
        slack_ns = 3 * 10**9 // 2
        assert heard.first_utc_ns >= min(times) - slack_ns, log.name
        assert heard.last_utc_ns <= max(times) + slack_ns, log.name
    assert locked >= 29


ODD_IN_GPSD = {
    "tcp-torture": "gpsd moves its 2007 by 1024 weeks",
    "blumax-gps009": "gpsd drops its first report, two minutes before the others",
}


@pytest.mark.parametrize(
    "spoilt",
    [
        frame((1, 7), bytes(4)) * 3,
        frame((1, 7), b"")[:5],
        b"".join(frame((1, 7), pvt(s)[6:10] + b"\x60\xea" + pvt(s)[12:-2]) for s in range(20)),
        b"".join(frame((1, 0x20), struct.pack("<IihbBI", s * 1000, 0, w, 18, 7, 1))
                 for s, w in enumerate([-1, 32_767] * 10)),
        line("GPRMC,996199.99,A,0000.0,N,00000.0,E,0,0,010180,,,A") * 20,
        line("GPZDA,080000.00,31,02,2027,00,00") * 20,
    ],
)  # fmt: skip
def test_impossible_words_harm_nobody(tmp_path: Path, spoilt: bytes) -> None:
    """Frames cut short, the year 60000, week -1, minute 61: refused, and what is good counts."""
    assert played(tmp_path, spoilt).believed == 0
    assert played(tmp_path, spoilt + RECORDINGS["once a second"]).locked_after_s is not None


def test_whatever_happens_to_bytes_harms_nobody(tmp_path: Path) -> None:
    """Recordings with bytes changed, cut and mixed: no exception, and no second out of its day."""
    rng = random.Random(5)
    for _ in range(60):
        raw = bytearray(b"".join(rng.choices([*RECORDINGS.values()], k=2)))
        for _ in range(rng.choice([1, 5, 50, 500])):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        heard = played(tmp_path, bytes(raw[rng.randrange(len(raw)) :]))
        heard.told()
        if heard.locked_after_s is not None and heard.last_utc_ns is not None:
            assert abs(heard.last_utc_ns - ns_of(START)) < 86_400 * 10**9
