"""CASIC frames: a receiver that another daemon left in its binary language still tells the time."""

import random
import struct

import pytest

from agent.adapters.casic import CasicFrames, checksum, frame, speak_sentences
from agent.adapters.nmea import NmeaParser
from agent.adapters.receiver import ByteReader
from agent.core.clock.time_signs import Fix, ReceiverReport, Refusal
from agent.core.units import NS_PER_S
from tests.support.field import FIELD

UTC_S = 1_800_000_000  # 2027-01-15 08:00:00
RECORDED = bytes.fromhex(  # a Quectel L76K's NAV-TIMEUTC of 2026-08-06 07:18:04, as it came
    "bace18000110085c0311caeacc40003509b60000ea070806071204070003f688cb34"
)


def place(valid: int = 7, latitude: float = 48.1173, satellites: int = 9) -> bytes:
    head = struct.pack("<IBBBBBBBBf", 1, valid, valid, 1, satellites, 9, 0, 0, 0, 1.3)
    return frame((0x01, 0x03), head + struct.pack("<2d10f", 11.5, latitude, 545.4, 46.9, *[0] * 8)
                 + bytes(8))  # fmt: skip


def time_of(second: int, valid: int = 7, dated: int = 3, month: int = 1, ms: int = 0) -> bytes:
    moment = (2027, month, 15, 8, second // 60, second % 60)
    return frame((0x01, 0x10), struct.pack("<IffHHBBBBBBBB", 1, 0.1, 0.0, ms, *moment, valid, 0,
                                           dated))  # fmt: skip


def signs_of(*frames: bytes) -> list[object]:
    parser = CasicFrames()
    return [sign for one in frames for sign in parser.parse(one, 5)]


def test_a_recorded_frame_is_the_time_that_the_recording_says() -> None:
    """Bytes of a real receiver, checksum and all; its place was told a frame before."""
    told = signs_of(place(), RECORDED)[1:]
    assert told == [
        Fix(5, 1_786_000_684 * NS_PER_S, is_valid=True),
        ReceiverReport(5, leap_from="satellites"),
    ]


@pytest.mark.parametrize(
    ("frames", "valid", "leap_from"),
    [
        ((place(), time_of(0)), True, "satellites"),
        ((place(), time_of(0, valid=3)), True, "firmware"),
        ((place(valid=3), time_of(0)), False, "satellites"),
        ((time_of(0),), False, "satellites"),
    ],
)
def test_only_a_fix_makes_its_time_valid(
    frames: tuple[bytes, ...], valid: bool, leap_from: str
) -> None:
    """A time that its own clock kept is void; leap seconds not known are its firmware's."""
    fix, report = signs_of(*frames)[-2:]
    assert fix == Fix(5, UTC_S * NS_PER_S, is_valid=valid)
    assert report == ReceiverReport(5, leap_from=leap_from)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"valid": 1}, {"valid": 2}, {"dated": 0}, {"dated": 1}])
def test_a_time_that_is_not_the_satellites_is_none(given: dict[str, int]) -> None:
    """No week yet, no time of week, a date that somebody typed in: void, and no second is named."""
    assert signs_of(place(), time_of(0, **given))[1:] == [Fix(5, None, is_valid=False)]


def test_the_place_is_told_with_its_height_above_the_sea() -> None:
    """NAV-PV: degrees, ellipsoidal height less the undulation, satellites used."""
    (fix,) = signs_of(place())
    assert isinstance(fix, Fix)
    assert fix.place is not None
    assert (fix.place.latitude_deg, fix.satellites) == (48.1173, 9)
    assert fix.place.height_m == pytest.approx(498.5, abs=0.01)


@pytest.mark.parametrize(
    "bad", [time_of(0, month=13), time_of(0, ms=1000), place(latitude=float("nan")),
            place(latitude=91.0), frame((0x01, 0x10), bytes(20)), frame((0x01, 0x03), b"")]
)  # fmt: skip
def test_impossible_values_are_refused(bad: bytes) -> None:
    """A month 13, a place off the earth, a payload too short: a reason, and no exception."""
    (refusal,) = signs_of(bad)
    assert isinstance(refusal, Refusal)


def test_every_bit_flip_of_a_frame_is_refused_or_tells_nothing() -> None:
    """A damaged frame is never believed."""
    for bit in range(8 * len(RECORDED)):
        damaged = bytearray(RECORDED)
        damaged[bit // 8] ^= 1 << bit % 8
        if damaged[:2] == RECORDED[:2]:
            assert all(isinstance(sign, Refusal) for sign in signs_of(bytes(damaged))), bit


def test_frames_are_cut_from_a_stream_however_the_bytes_fall() -> None:
    """Among sentences, noise and frames of UBX: each second comes out once, with its own time."""
    rng = random.Random(3)
    for _ in range(20):
        stream, told = b"", []
        for second in range(10):
            stream += rng.choice([b"", b"$GPTXT,01,01,01,ANTENNA OK*35\r\n", b"\xba\xba", b"\xb5"])
            stream += place() + time_of(second)
        reader = ByteReader(9600, NmeaParser().parse, None, CasicFrames().parse)
        at = 0
        while at < len(stream):
            size = rng.randrange(1, 60)
            told += reader.feed(
                stream[at : at + size], min(at + size, len(stream)) * NS_PER_S // 960
            )
            at += size
        named = [one.utc_ns for one in told if isinstance(one, Fix) and one.utc_ns is not None]
        assert named == [(UTC_S + second) * NS_PER_S for second in range(10)]


def test_it_is_asked_for_sentences_in_its_own_language() -> None:
    """CFG-PRT of this port at its speed, all languages; each word whole by its own checksum."""
    port, *asked = speak_sentences(9600)
    assert port[:6] == b"\xba\xce\x08\x00\x06\x00"
    assert struct.unpack("<BBHI", port[6:14]) == (0xFF, 0x33, 0x08C0, 9600)
    assert [one[6:8] for one in asked] == [b"\x4e\x00", b"\x4e\x04", b"\x4e\x08"]
    assert all(checksum(one[2:-4]) == one[-4:] for one in (port, *asked))


@pytest.mark.skipif(not (FIELD / "receivers").is_dir(), reason="recordings are not there")
def test_all_frames_of_a_recording_are_whole() -> None:
    """130 epochs of seven frames: the checksum is the receiver's own."""
    raw = (FIELD / "receivers" / "quectel-l76k-binary.log").read_bytes()
    reader = ByteReader(115_200, NmeaParser().parse, None, CasicFrames().parse)
    signs = reader.feed(raw, 0)
    assert reader.frames >= 130 * 6
    assert sum(isinstance(sign, Fix) and sign.utc_ns is not None for sign in signs) == 130
