"""The serial line to a receiver: opened for this process alone, read by a thread of its own.

A line that is unplugged is opened again until it works; one whose bytes make no sense is tried at
other speeds. Whoever else holds the line is named.
"""

import fcntl
import logging
import termios
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Protocol

from agent.adapters.receiver.holders import held_by
from agent.adapters.receiver.hunt import Hunt
from agent.adapters.receiver.reader import ByteReader
from agent.core.clock.time_signs import Refusal, TimeSign
from agent.ports import HostClock

_READ_TIMEOUT_S = 0.02
_CLOSE_S = 1.0
_REOPEN_AFTER_S = 2.0

log = logging.getLogger("earshot")


class Line(Protocol):
    """The part of `serial.Serial` that is used here."""

    baudrate: int

    @property
    def in_waiting(self) -> int: ...

    def read(self, size: int) -> bytes: ...

    def write(self, data: bytes) -> int | None: ...

    def fileno(self) -> int: ...

    def close(self) -> None: ...


class SerialReceiver:
    """Reads `device` for as long as it is not closed; `hello` is written at each opening.

    `ask` gives the words that are written where the receiver speaks no sentences, for the line's
    speed: they ask for some.
    """

    def __init__(
        self,
        device: str,
        baud: int,
        clock: HostClock,
        reader: ByteReader,
        hello: Sequence[bytes] = (),
        ask: Callable[[int], Sequence[bytes]] = lambda baud: (),
        held: Callable[[str], str] = held_by,
    ) -> None:
        self._device, self._clock, self._reader = device, clock, reader
        self._hello, self._ask, self._held = hello, ask, held
        self._hunt = Hunt(baud)
        self._signs: SimpleQueue[TimeSign] = SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)
        self._thread.start()

    def poll(self) -> list[TimeSign]:
        """The signs since the last call."""
        return [self._signs.get_nowait() for _ in range(self._signs.qsize())]

    def close(self) -> None:
        """Stop reading and free the line."""
        self._closing.set()
        self._thread.join(_CLOSE_S)
        self.poll()

    def _run(self) -> None:
        import serial  # only by nodes that have a receiver

        while not self._closing.is_set():
            try:
                self._read_until_lost(
                    serial.Serial(
                        self._device, self._hunt.baud, timeout=_READ_TIMEOUT_S, exclusive=True
                    )
                )
            except (OSError, ValueError, TypeError, termios.error):  # all of them: a lost line
                self._refuse(self._held(self._device) or "serial line cannot be read")
                self._closing.wait(_REOPEN_AFTER_S)

    def _read_until_lost(self, line: Line) -> None:
        try:
            with suppress(OSError):  # where the device knows no such thing, the lock must do
                fcntl.ioctl(line.fileno(), termios.TIOCEXCL)
            if other := self._held(self._device):
                self._refuse(other)  # it was there first, and takes a part of the bytes
            self._write(line, self._hello)
            while not self._closing.is_set():
                data = line.read(1)
                data += line.read(line.in_waiting) if data else b""
                now_ns = self._clock.monotonic_ns()
                for sign in self._reader.feed(data, now_ns):
                    self._signs.put(sign)
                if data:
                    self._look_at(line, len(data), now_ns)
                elif echo := self._reader.echo:  # in a pause, so that the answer need not wait
                    self._write(line, [echo.question_due(now_ns)])
        finally:
            line.close()

    def _look_at(self, line: Line, read: int, now_ns: int) -> None:
        """Another speed, or a word to the receiver, where nothing that came can be used."""
        reader = self._reader
        speed = self._hunt.next_speed(read, reader.sentences + reader.frames, now_ns)
        if speed is not None:
            log.warning("%s: nothing sensible comes: trying %d baud", self._device, speed)
            self._refuse("line speed is hunted for")
            line.baudrate = speed
            reader.set_baud(speed)
            self._write(line, (*self._hello, *self._ask(speed)))
        elif self._hunt.is_to_ask(reader.dated, reader.frames, now_ns):
            self._write(line, self._ask(self._hunt.baud))

    def _write(self, line: Line, words: Sequence[bytes]) -> None:
        for one in filter(None, words):
            line.write(one)

    def _refuse(self, reason: str) -> None:
        self._signs.put(Refusal(self._clock.monotonic_ns(), reason))
