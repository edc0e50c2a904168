"""The serial line with a receiver behind it, on a real pseudo-terminal and the real pyserial."""

import fcntl
import os
import select
import termios
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from agent.adapters.host import SystemClock
from agent.adapters.nmea import NmeaParser
from agent.adapters.receiver import ByteReader, SerialReceiver, holders, hunt
from agent.adapters.ubx import UbxFrames, frame, speak_sentences, switch_on
from agent.core.clock.time_signs import Fix, ReceiverReport, Refusal, TimeSign
from tests.agent.adapters.test_nmea import UTC_S, gga, rmc

CLOCK = SystemClock()
TIOCGEXCL = 0x80045440  # Linux' asm-generic/ioctls.h
SWITCH_RMC_ON = frame((0x06, 0x01), bytes((0xF0, 0x04, 1)))


class Modem:
    """A receiver on a pseudo-terminal that has a speed: at another one its words are garbage.

    It tells GGA and RMC of now ten times a second, or `binary` until it is asked for sentences.
    """

    def __init__(self, terminal: "Terminal", baud: int, binary: bytes = b"") -> None:
        self.terminal, self.baud, self.binary, self.told = terminal, baud, binary, b""

    def speak(self) -> None:
        ready, _, _ = select.select([self.terminal.ours], [], [], 0.0)
        is_right = termios.tcgetattr(self.terminal.theirs)[4] == getattr(termios, f"B{self.baud}")
        if ready:
            heard = os.read(self.terminal.ours, 4096)
            self.told += heard if is_right else b""
        if self.binary and SWITCH_RMC_ON in self.told:
            self.binary = b""
        words = self.binary or rmc().encode() + b"\r\n"
        self.terminal.write(words if is_right else bytes(byte ^ 0xA5 | 0x80 for byte in words))


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
    reader = ByteReader(9600, NmeaParser().parse, UbxFrames().parse)
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


def spoken(modem: Modem, receiver: SerialReceiver, seconds: float) -> list[TimeSign]:
    """What is told until the first fix, while the modem speaks ten times a second."""
    signs: list[TimeSign] = []
    for _ in range(round(10 * seconds)):
        modem.speak()
        signs += wait_for(receiver, Fix, 0.1)
        if any(isinstance(sign, Fix) for sign in signs):
            break
    return signs


@pytest.mark.parametrize("baud", [38_400, 115_200])
def test_a_line_at_another_speed_is_found(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, baud: int
) -> None:
    """Seen: other daemons leave a receiver at 38 400 or 115 200 baud, and it never locked."""
    monkeypatch.setattr(hunt, "_PATIENCE_NS", 3 * 10**8)
    receiver = receiver_on(terminal)
    try:
        signs = spoken(Modem(terminal, baud), receiver, 20.0)
        assert any(isinstance(sign, Fix) for sign in signs)
        assert "line speed is hunted for" in [s.reason for s in signs if isinstance(s, Refusal)]
    finally:
        receiver.close()


def test_a_u_blox_that_speaks_frames_only_is_asked_for_sentences(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What gpsd leaves behind: after a while of frames without a sentence the words go out."""
    monkeypatch.setattr(hunt, "_PATIENCE_NS", 3 * 10**8)
    reader = ByteReader(9600, NmeaParser().parse, UbxFrames().parse)
    receiver = SerialReceiver(str(terminal.name), 9600, CLOCK, reader, [], speak_sentences)
    modem = Modem(terminal, 9600, frame((0x01, 0x61), bytes(18)))
    try:
        assert any(isinstance(sign, Fix) for sign in spoken(modem, receiver, 20.0))
    finally:
        receiver.close()


def test_the_line_is_ours_alone(terminal: Terminal) -> None:
    """No gpsd or console may take a part of the bytes: a second opening is refused (TIOCEXCL)."""
    receiver = receiver_on(terminal)
    try:
        time.sleep(0.3)  # opening the line discards what had come before
        terminal.write(rmc().encode() + b"\r\n")
        wait_for(receiver, Fix, 5.0)
        with pytest.raises(serial.SerialException):
            serial.Serial(str(terminal.name), 9600, exclusive=True)
        told = fcntl.ioctl(terminal.theirs, TIOCGEXCL, bytes(4))
        assert told == (1).to_bytes(4, "little")
    finally:
        receiver.close()


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("gpsd", "serial line is held by gpsd"),
        ("agetty", "serial line is held by a console"),
        ("minicom", "serial line is held by another program"),
    ],
)
def test_who_holds_the_line_is_named(tmp_path: Path, program: str, told: str) -> None:
    """By the open files of other processes, as /proc shows them."""
    device = tmp_path / "ttyAMA0"
    device.touch()
    process = tmp_path / "proc" / "1"
    (process / "fd").mkdir(parents=True)
    (process / "fd" / "5").symlink_to(device)
    (process / "comm").write_text(program + "\n")
    assert holders.held_by(str(device), tmp_path / "proc") == told
    (process / "fd" / "5").unlink()
    assert holders.held_by(str(device), tmp_path / "proc") == ""


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
