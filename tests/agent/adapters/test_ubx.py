"""UBX frames: a receiver's own warnings, taken only when they are whole."""

import random
import struct

import pytest
from pyubx2 import SET, UBXReader

from agent.adapters.ubx import (
    UbxFrames,
    UbxParser,
    checksum,
    frame,
    speak_sentences,
    switch_on,
)
from agent.core.clock.time_signs import Fix, NextPulse, ReceiverReport, Refusal
from agent.core.units import NS_PER_S


def status(spoofing: int) -> bytes:
    return frame((0x01, 0x03), bytes([0, 0, 0, 0, 3, 0xDD, 0, spoofing << 3, *[0] * 8]))


def hardware(jamming: int) -> bytes:
    payload = bytearray(60)
    payload[22] = jamming << 2
    return frame((0x0A, 0x09), bytes(payload))


def leap(source: int, change: int, to_event_s: int, valid: int) -> bytes:
    payload = struct.pack("<IB3xBbBbiHH3xB", 0, 0, source, 18, 2, change, to_event_s, 0, 0, valid)
    return frame((0x01, 0x26), payload)


@pytest.mark.parametrize(
    ("data", "spoof", "jam", "leaps"),
    [
        (status(0), "unknown", "unknown", "unknown"),
        (status(1), "none", "unknown", "unknown"),
        (status(2), "suspect", "unknown", "unknown"),
        (status(3), "affirmed", "unknown", "unknown"),
        (hardware(0), "unknown", "unknown", "unknown"),
        (hardware(1), "unknown", "none", "unknown"),
        (hardware(3), "unknown", "affirmed", "unknown"),
        (frame((0x27, 0x09), bytes([1, 0, 0, 0, 1 | 2 << 1, 0, 0, 0, 1 | 3 << 1, 0, 0, 0])),
         "affirmed", "suspect", "unknown"),
        (frame((0x27, 0x09), bytes(12)), "unknown", "unknown", "unknown"),
        (frame((0x27, 0x09), bytes([2, 1 | 1 << 1 | 1 << 3 | 2 << 4, 0, 1, 7, 42, 24, 1])),
         "suspect", "none", "unknown"),
        (frame((0x27, 0x09), bytes([2, 3 << 1 | 1 << 3 | 1 << 4, 0, 0])),
         "none", "unknown", "unknown"),
        (leap(0, 0, 0, 3), "unknown", "unknown", "unknown"),
        (leap(255, 0, 0, 3), "unknown", "unknown", "unknown"),
        (leap(2, 0, 0, 2), "unknown", "unknown", "unknown"),
        (leap(2, 0, 0, 3), "unknown", "unknown", "none"),
        (leap(2, 1, 3600, 3), "unknown", "unknown", "insert"),
        (leap(2, -1, 3600, 3), "unknown", "unknown", "delete"),
        (leap(2, 1, 90 * 86_400, 3), "unknown", "unknown", "none"),
        (leap(2, 1, -60, 3), "unknown", "unknown", "none"),
    ],
)  # fmt: skip
def test_each_warning_is_said_as_the_receiver_says_it(
    data: bytes, spoof: str, jam: str, leaps: str
) -> None:
    """Spoofing, jamming and leap seconds; `unknown` wherever the receiver does not know."""
    told = UbxParser().parse(data, 9)
    assert (told.spoof, told.jam, told.leap) == (spoof, jam, leaps)


def test_reports_add_up() -> None:
    """What one frame said holds while others come."""
    parser = UbxParser()
    parser.parse(status(1), 1)
    parser.parse(hardware(2), 2)
    assert parser.parse(leap(2, 0, 0, 3), 3) == ReceiverReport(
        3, "none", "suspect", "none", leap_s=18, leap_from="satellites"
    )


def test_other_frames_pass_by() -> None:
    """A position frame tells nothing here."""
    assert UbxParser().parse(frame((0x01, 0x07), bytes(92)), 4) is None


def test_every_bit_flip_is_refused() -> None:
    """A damaged frame is never believed."""
    data = status(1)
    for bit in range(16, 8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert UbxParser().parse(bytes(flipped), 1) != UbxParser().parse(data, 1)


def test_short_and_random_frames_never_raise() -> None:
    """Right checksums around too little, and noise: Refusal or silence."""
    rng = random.Random(3)
    for kind in ((0x01, 0x03), (0x01, 0x26), (0x0A, 0x09), (0x27, 0x09)):
        for size in range(8):
            assert isinstance(UbxParser().parse(frame(kind, bytes(size)), 1), Refusal)
    for _ in range(2000):
        UbxParser().parse(rng.randbytes(rng.randrange(40)), 1)


def test_the_checksum_is_the_documented_one() -> None:
    """The poll of CFG-PRT from u-blox's protocol specification."""
    assert checksum(bytes([0x06, 0x00, 0x00, 0x00])) == bytes([0x06, 0x18])
    assert len(switch_on()) == 12


def test_a_receiver_is_asked_as_the_specification_says() -> None:
    """pyubx2 reads the words: both ports speak UBX and NMEA, RMC and TIM-TP come each second."""
    asked = [str(UBXReader.parse(one, msgmode=SET)) for one in speak_sentences(9600)]
    ports = [one for one in asked if "CFG-PRT" in one]
    assert all("outUBX=1, outNMEA=1" in one for one in ports)
    assert "baudRate=9600" in ports[0]
    for name in ("RMC", "TIM-TP", "NAV-TIMELS"):
        assert any(name in one for one in asked), (name, asked)


def utc(valid: int, second: int = 29) -> bytes:
    payload = struct.pack("<IIiHBBBBBB", 1000, 30, -7, 2027, 1, 15, 8, 0, second, valid)
    return frame((0x01, 0x21), payload)


def test_the_time_in_frames_is_a_fix_as_sentences_tell_it() -> None:
    """NAV-TIMEUTC: the second; a count of leap seconds that is not valid is the firmware's."""
    fix, report = UbxFrames().parse(utc(7), 5)
    assert fix == Fix(5, 1_800_000_029 * NS_PER_S, is_valid=True)
    assert report.leap_from == "satellites"
    assert UbxFrames().parse(utc(3), 5)[1].leap_from == "firmware"
    assert not UbxFrames().parse(utc(1), 5)[0].is_valid


def test_gps_time_becomes_utc_by_the_receivers_own_leap_seconds() -> None:
    """NAV-TIMEGPS of 2027-01-15 08:00:18 GPS, 18 leap seconds: 08:00:00 UTC; default: no fix."""
    week, tow_ms = divmod(1_800_000_018 - 315_964_800, 604_800)
    body = struct.pack("<IihbBI", tow_ms * 1000, 12, week, 18, 7, 30)
    fix, report = UbxFrames().parse(frame((0x01, 0x20), body), 5)
    assert fix.utc_ns == 1_800_000_000 * NS_PER_S
    assert (report.leap_s, report.leap_from) == (18, "satellites")
    told = UbxFrames().parse(frame((0x01, 0x20), body[:11] + bytes([3]) + body[12:]), 5)
    assert [type(one) for one in told] == [ReceiverReport]
    assert told[0].leap_from == "firmware"


def test_the_next_pulse_is_named_with_its_sawtooth() -> None:
    """TIM-TP in UTC: the second to come, and the quantisation error, early by 4.3 ns."""
    week, tow_ms = divmod(1_800_000_030 - 315_964_800, 604_800)
    body = struct.pack("<IIiHBB", tow_ms * 1000, 0, 4331, week, 3, 0)
    (word,) = UbxFrames().parse(frame((0x0D, 0x01), body), 5)
    assert word == NextPulse(5, 1_800_000_030 * NS_PER_S, -4.331)


def test_the_sawtooth_has_the_sign_that_counters_saw() -> None:
    """A counter started by a better clock and stopped by the pulse reads a sawtooth; with qErr
    *added* it is flat (measured on an F9T, anderswallin.net 2019). So must be pulse less word."""
    tick_ns, parser, left = 1000.0 / 48.0, UbxFrames(), []
    week, tow_s = divmod(1_800_000_030 - 315_964_800, 604_800)
    for second in range(200):
        phase_ns = 6.37 * second % tick_ns  # of the receiver's own crystal
        counter_ns = 100.0 + phase_ns - tick_ns / 2
        q_err_ps = round((tick_ns / 2 - phase_ns) * 1000.0)
        body = struct.pack("<IIiHBB", (tow_s + second) * 1000, 0, q_err_ps, week, 3, 0)
        (word,) = parser.parse(frame((0x0D, 0x01), body), 5)
        assert isinstance(word, NextPulse)
        left.append(counter_ns - word.sawtooth_ns)
    assert max(left) - min(left) < 0.01


def test_frames_of_the_time_that_are_too_short_are_refused() -> None:
    """Whatever they hold, no exception comes out."""
    rng = random.Random(3)
    for kind in ((1, 7), (1, 0x20), (1, 0x21), (1, 6), (0x0D, 1)):
        for size in range(60):
            for sign in UbxFrames().parse(frame(kind, rng.randbytes(size)), 1):
                assert sign.host_ns == 1
