"""The serial line with a receiver behind it, on a real pseudo-terminal and the real pyserial."""

import os
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.host import SystemClock
from agent.adapters.nmea import NmeaParser
from agent.adapters.receiver import ByteReader, SerialReceiver
from agent.adapters.ubx import UbxParser, frame, switch_on
from agent.core.clock.time_signs import Fix, ReceiverReport, Refusal, TimeSign
from tests.agent.adapters.test_nmea import UTC_S, gga, rmc

CLOCK = SystemClock()


class Terminal:
    """A pseudo-terminal under a name that stays, as a USB receiver's link does."""

    def __init__(self, directory: Path) -> None:
        self.name = directory / "ttyGPS"
        self.ours, self.theirs = os.openpty()
        tty.setraw(self.theirs)
        self.name.symlink_to(os.ttyname(self.theirs))

    def write(self, data: bytes) -> None:
        os.write(self.ours, data)

    def unplug(self) -> None:
        self.name.unlink(missing_ok=True)
        for descriptor in (self.theirs, self.ours):
            os.close(descriptor)


def wait_for(
    receiver: SerialReceiver, kind: type, seconds: float = 10.0, count: int = 1
) -> list[TimeSign]:
    signs: list[TimeSign] = []
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        signs += receiver.poll()
        if sum(isinstance(sign, kind) for sign in signs) >= count:
            break
        time.sleep(0.02)
    return signs


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """One that is unplugged at the end."""
    one = Terminal(tmp_path)
    yield one
    one.unplug()


def receiver_on(terminal: Terminal, hello: list[bytes] | None = None) -> SerialReceiver:
    reader = ByteReader(9600, NmeaParser().parse, UbxParser().parse)
    return SerialReceiver(str(terminal.name), 9600, CLOCK, reader, hello or [])


def test_sentences_and_frames_arrive_dated(terminal: Terminal) -> None:
    """NMEA and UBX mixed on one line, each dated within the time the test took."""
    receiver = receiver_on(terminal)
    try:
        before_ns = CLOCK.monotonic_ns()
        status = frame((0x01, 0x03), bytes([0, 0, 0, 0, 3, 0xDD, 0, 2 << 3, *[0] * 8]))
        time.sleep(0.3)  # opening the line discards what had come before
        terminal.write(b"junk" + rmc("GN").encode() + b"\r\n" + status + gga().encode() + b"\r\n")
        signs = wait_for(receiver, Fix, count=2)
        fixes = [sign for sign in signs if isinstance(sign, Fix)]
        assert fixes[0].utc_ns == UTC_S * 10**9
        assert [sign.spoof for sign in signs if isinstance(sign, ReceiverReport)] == ["suspect"]
        burst_ns = 200 * 10**9 // 960
        assert all(before_ns - burst_ns < s.host_ns <= CLOCK.monotonic_ns() for s in signs)
    finally:
        receiver.close()
    assert receiver.poll() == []


def test_a_u_blox_is_asked_for_its_warnings(terminal: Terminal) -> None:
    """What switches the UBX messages on is written once the line is open."""
    receiver = receiver_on(terminal, switch_on())
    try:
        asked = b""
        while len(asked) < len(b"".join(switch_on())):
            asked += os.read(terminal.ours, 1024)
        assert asked == b"".join(switch_on())
    finally:
        receiver.close()


def test_a_line_that_is_not_there_is_told_and_tried_again(tmp_path: Path) -> None:
    """A missing device is a reason, not an end; once plugged in, its fixes come."""
    reader = ByteReader(9600, NmeaParser().parse)
    receiver = SerialReceiver(str(tmp_path / "ttyGPS"), 9600, CLOCK, reader)
    try:
        signs = wait_for(receiver, Refusal)
        assert [s.reason for s in signs if isinstance(s, Refusal)] == ["serial line cannot be read"]
        terminal = Terminal(tmp_path)
        for _ in range(20):
            terminal.write(rmc().encode() + b"\r\n")
            if any(isinstance(s, Fix) for s in wait_for(receiver, Fix, 0.5)):
                break
        else:
            pytest.fail("no fix after the receiver was plugged in")
        terminal.unplug()
        lost = wait_for(receiver, Refusal)
        assert any(isinstance(s, Refusal) for s in lost)
    finally:
        receiver.close()
