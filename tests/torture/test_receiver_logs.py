"""Public recordings, damaged on the line: no exception, and no second that is sure and wrong.

Bytes flip, sentences are cut, come twice or out of order, two receivers talk into each other; a
stretch is lost, the line stalls and catches up, or it stays late. The truth is what the same
recording says undamaged; the host's clock knows it too, for as long as it has a network.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.casic import CasicFrames
from agent.adapters.nmea import NmeaParser
from agent.adapters.receiver import ByteReader
from agent.adapters.ubx import UbxFrames
from agent.core.clock.time_signs import HostWord
from agent.core.clock.timebase import ClockSettings, Timebase
from agent.core.units import NS_PER_MS, NS_PER_S
from simulator.trials.receiver import LAG_NS, paced, play
from tests.support.field import FIELD

LOGS = sorted((FIELD / "receivers").glob("*.log"))
DAMAGES = ("flips", "cuts", "repeats", "swaps", "other's words", "lost time", "stalls", "all")
LATE = "late"  # not among "all": it spoils what comes after it, too
DRAWS = 4
Piece = tuple[bytes, int]

pytestmark = [
    pytest.mark.torture,
    pytest.mark.skipif(not LOGS, reason="gpsd's recordings are not there: set EARSHOT_FIELD"),
]


def raw_of(log: Path) -> bytes:
    raw = log.read_bytes()
    while raw.startswith(b"#"):
        raw = raw.partition(b"\n")[2]
    return raw


def damaged(pieces: list[Piece], kind: str, other: bytes, rng: random.Random) -> Iterator[Piece]:
    """What arrives of the pieces, in order of time."""
    late_ns, lost_until_ns, last_ns = 0, 0, 0
    kinds = DAMAGES[:-1] if kind == "all" else (kind,)
    for data, host_ns in pieces:
        if host_ns < lost_until_ns:
            continue
        what = rng.choice(kinds) if rng.random() < 0.1 else ""
        if what == "flips":
            spoilt = bytearray(data)
            for _ in range(rng.choice([1, 2, 8])):
                if spoilt:
                    spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
            data = bytes(spoilt)
        elif what == "cuts":
            data = data[: rng.randrange(len(data) + 1)]
        elif what == "repeats":
            data = data * rng.choice([2, 3])
        elif what == "swaps":
            middle = rng.randrange(len(data) + 1)
            data = data[middle:] + data[:middle]
        elif what == "other's words":
            at = rng.randrange(len(other) + 1)
            data = other[at : at + rng.randrange(200)] + data
        elif what == "lost time":
            data = data[: rng.randrange(len(data) + 1)]
            lost_until_ns = host_ns + round(rng.choice([0.4, 1.0, 3.0, 20.0, 200.0]) * NS_PER_S)
        elif what in ("stalls", LATE):
            is_over = what == "stalls" and late_ns > 0
            late_ns += rng.choice([NS_PER_S // 3, NS_PER_S, 7 * NS_PER_S])
            late_ns = 0 if is_over else late_ns
        last_ns = max(last_ns, host_ns + late_ns)
        yield data, last_ns


def sure_and_wrong(pieces: list[Piece], offset_ns: int, floor_ns: int, silent_ns: int) -> int:
    """How many signs after which the node was sure of a wrong second; `offset_ns` is UTC less host
    time, and the host's clock says so until `silent_ns`."""
    settings = ClockSettings(
        source="nmea", nmea_lag_ns=LAG_NS, nmea_sigma_ns=50 * NS_PER_MS, earliest_utc_ns=floor_ns
    )
    timebase, wrong, said_ns = Timebase(48_000, settings), 0, 0
    reader = ByteReader(9600, NmeaParser().parse, UbxFrames().parse, CasicFrames().parse)
    for data, host_ns in pieces:
        if host_ns - said_ns > NS_PER_S and host_ns < silent_ns:
            said_ns = host_ns
            timebase.on_sign(HostWord(host_ns, host_ns + offset_ns, 30 * NS_PER_MS))
        for sign in reader.feed(data, host_ns):
            timebase.on_time(sign.host_ns)
            timebase.on_sign(sign)
            told = timebase.utc_at_host(sign.host_ns)
            if told.utc_ns is not None and timebase.confirms(told.sigma_ns):
                wrong += abs(told.utc_ns - sign.host_ns - offset_ns) > 9 * NS_PER_S // 10
    return wrong


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_damage_on_the_line_harms_nobody(log: Path, tmp_path: Path) -> None:
    """Each kind of damage, a few draws of each: no exception, nothing sure and wrong, and where the
    tool believes something, it lies near what one of both recordings says."""
    rng = random.Random(log.name)
    raw, sound = raw_of(log), play(log, 9600)
    pieces = list(paced(raw, 9600))
    for kind in (*DAMAGES, LATE):
        for _ in range(DRAWS):
            other = raw_of(rng.choice(LOGS))
            spoilt = list(damaged(pieces, kind, other, rng))
            (tmp_path / "spoilt.log").write_bytes(b"".join(data for data, _ in spoilt))
            play(tmp_path / "spoilt.log", 9600).told()
            if sound.first_utc_ns is None or sound.locked_after_s is None:
                continue
            first_ns = pieces[0][1]
            offset_ns = sound.first_utc_ns - first_ns
            floor_ns = sound.first_utc_ns - 86_400 * NS_PER_S
            silent_ns = first_ns + rng.choice([30, 10_000]) * NS_PER_S
            assert sure_and_wrong(spoilt, offset_ns, floor_ns, silent_ns) == 0, kind
