"""UBX frames: a receiver's own warnings, taken only when they are whole."""

import random
import struct

import pytest

from agent.adapters.ubx import UbxParser, checksum, frame, switch_on
from agent.core.clock.time_signs import ReceiverReport, Refusal


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
    assert parser.parse(leap(2, 0, 0, 3), 3) == ReceiverReport(3, "none", "suspect", "none")


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
    assert len(switch_on()) == 4
