"""A satellite receiver on a serial line, as a TimeReference.

A thread reads bytes and notes when they came; they are cut into NMEA sentences and UBX frames,
whatever lies between them, and handed to the parsers this is given. A line that is unplugged
is opened again until it works. What the sentences mean is the parsers' matter.
"""

import termios
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol

from agent.core.clock.time_signs import Refusal, TimeSign
from agent.core.units import NS_PER_MS, NS_PER_S
from agent.ports import HostClock

_BITS_PER_BYTE = 10
_SILENCE_NS = 20 * NS_PER_MS
_LONGEST_SENTENCE = 120
_LONGEST_FRAME = 1024
_UBX = b"\xb5b"
_READ_TIMEOUT_S = 0.02
_CLOSE_S = 1.0
_REOPEN_AFTER_S = 2.0

ParseSentence = Callable[[str, int, int], TimeSign | None]
ParseFrame = Callable[[bytes, int], TimeSign | None]


class ByteReader:
    """Cuts a stream of bytes into sentences and frames; knows when each burst of them began.

    `sentence` is given a line, the host time at which its burst began and that of its own first
    byte; `frame` is given a frame and the former. A burst begins after a pause of 20 ms. What
    the bytes read together took on the line is subtracted, but they came after the reading
    before: a receiver on USB sends faster than any baud.
    """

    def __init__(self, baud: int, sentence: ParseSentence, frame: ParseFrame | None = None) -> None:
        self._ns_per_byte = _BITS_PER_BYTE * NS_PER_S // baud
        self._sentence, self._frame = sentence, frame
        self._pending = b""
        self._burst_ns = self._last_ns = self._empty_ns = -(10**18)

    def feed(self, data: bytes, host_ns: int) -> list[TimeSign]:
        """What `data`, all that the line held at `host_ns`, completes."""
        empty_ns, self._empty_ns = self._empty_ns, host_ns
        if not data:
            return []
        signs: list[TimeSign] = []
        first_ns = max(empty_ns, host_ns - (len(data) - 1) * self._ns_per_byte)
        if first_ns - self._last_ns > _SILENCE_NS:
            if self._pending.startswith(_UBX):  # no frame: it would have come whole
                self._pending = self._pending[2:]
                signs += self._cut_all()
            self._burst_ns = first_ns
        self._last_ns = host_ns
        self._pending += data
        return signs + self._cut_all()

    def _cut_all(self) -> list[TimeSign]:
        signs: list[TimeSign] = []
        while (sign := self._cut()) is not None:
            signs += [] if sign is _NOTHING else [sign]
        return signs

    def _cut(self) -> TimeSign | None:
        """Take one sentence or frame off; _NOTHING if it told nothing, None if none is whole."""
        dollar, ubx = self._pending.find(b"$"), self._pending.find(_UBX)
        if dollar < 0 and ubx < 0:
            dropped = len(self._pending.strip(b"\r\n\0"))
            self._pending = self._pending[-1:] if self._pending.endswith(_UBX[:1]) else b""
            is_noise = dropped > len(self._pending)
            return Refusal(self._burst_ns, "bytes that are no sentence") if is_noise else None
        if ubx >= 0 and (dollar < 0 or ubx < dollar):
            return self._cut_frame(ubx)
        return self._cut_sentence(dollar)

    def _cut_sentence(self, start: int) -> TimeSign | None:
        body = self._pending[start : start + _LONGEST_SENTENCE + 2]
        ends = [at for at in (body.find(b"\r"), body.find(b"\n"), body.find(b"$", 1)) if at > 0]
        if not ends:
            if len(body) <= _LONGEST_SENTENCE:
                self._pending = self._pending[start:]
                return None
            self._pending = self._pending[start + 1 :]
            return Refusal(self._burst_ns, "sentence too long")
        line = body[: min(ends)]
        line_ns = self._last_ns - (len(self._pending) - start - 1) * self._ns_per_byte
        self._pending = self._pending[start + len(line) :]
        line_ns = max(line_ns, self._burst_ns)
        return self._sentence(line.decode("latin-1"), self._burst_ns, line_ns) or _NOTHING

    def _cut_frame(self, start: int) -> TimeSign | None:
        self._pending = self._pending[start:]
        if len(self._pending) < 6:
            return None
        size = int.from_bytes(self._pending[4:6], "little") + 8
        if size > _LONGEST_FRAME:
            self._pending = self._pending[2:]
            return _NOTHING
        if len(self._pending) < size:
            return None
        told = self._frame(self._pending[:size], self._burst_ns) if self._frame else None
        is_whole = not isinstance(told, Refusal)  # else noise, and sentences may be in it
        self._pending = self._pending[size if is_whole else 2 :]
        return told or _NOTHING


_NOTHING = Refusal(0, "")


class Line(Protocol):
    """The part of `serial.Serial` that is used here."""

    @property
    def in_waiting(self) -> int: ...

    def read(self, size: int) -> bytes: ...

    def write(self, data: bytes) -> int | None: ...

    def close(self) -> None: ...


class SerialReceiver:
    """Reads `device` for as long as it is not closed; `hello` is written at each opening."""

    def __init__(
        self,
        device: str,
        baud: int,
        clock: HostClock,
        reader: ByteReader,
        hello: Sequence[bytes] = (),
    ) -> None:
        self._device, self._baud, self._clock, self._reader = device, baud, clock, reader
        self._hello = hello
        self._signs: SimpleQueue[TimeSign] = SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)
        self._thread.start()

    def poll(self) -> list[TimeSign]:
        """The signs since the last call."""
        signs: list[TimeSign] = []
        try:
            while True:
                signs.append(self._signs.get_nowait())
        except Empty:
            return signs

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
                    serial.Serial(self._device, self._baud, timeout=_READ_TIMEOUT_S)
                )
            except (OSError, ValueError, TypeError, termios.error):  # all of them: a lost line
                self._signs.put(Refusal(self._clock.monotonic_ns(), "serial line cannot be read"))
                self._closing.wait(_REOPEN_AFTER_S)

    def _read_until_lost(self, line: Line) -> None:
        try:
            for words in self._hello:
                line.write(words)
            while not self._closing.is_set():
                data = line.read(1)
                data += line.read(line.in_waiting) if data else b""
                for sign in self._reader.feed(data, self._clock.monotonic_ns()):
                    self._signs.put(sign)
        finally:
            line.close()
