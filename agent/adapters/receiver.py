"""A satellite receiver on a serial line, as a TimeReference.

A thread reads bytes and notes when they came; they are cut into NMEA sentences and UBX frames,
whatever lies between them, and handed to the parsers this is given. A line that is unplugged
is opened again until it works. What the sentences mean is the parsers' matter.
"""

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol

from agent.core.timesigns import Refusal, TimeSign
from agent.core.units import NS_PER_MS, NS_PER_S
from agent.ports import HostClock

_BITS_PER_BYTE = 10
_SILENCE_NS = 40 * NS_PER_MS
_LONGEST_BURST_NS = 950 * NS_PER_MS
_LONGEST_SENTENCE = 120
_LONGEST_FRAME = 1024
_UBX = b"\xb5b"
_READ_TIMEOUT_S = 0.2
_REOPEN_AFTER_S = 2.0

ParseSentence = Callable[[str, int], TimeSign | None]
ParseFrame = Callable[[bytes, int], TimeSign | None]


class ByteReader:
    """Cuts a stream of bytes into sentences and frames; knows when each burst of them began."""

    def __init__(self, baud: int, sentence: ParseSentence, frame: ParseFrame | None = None) -> None:
        self._ns_per_byte = _BITS_PER_BYTE * NS_PER_S // baud
        self._sentence, self._frame = sentence, frame
        self._pending = b""
        self._burst_ns = self._last_ns = -(10**18)

    def feed(self, data: bytes, host_ns: int) -> list[TimeSign]:
        """What `data`, the last byte of which came at `host_ns`, completes."""
        if not data:
            return []
        first_ns = host_ns - (len(data) - 1) * self._ns_per_byte
        is_late = first_ns - self._burst_ns > _LONGEST_BURST_NS
        if first_ns - self._last_ns > _SILENCE_NS or is_late:
            self._burst_ns = max(first_ns, self._last_ns)
        self._last_ns = host_ns
        self._pending += data
        signs: list[TimeSign] = []
        while (sign := self._cut()) is not None:
            signs += [] if sign is _NOTHING else [sign]
        return signs

    def _cut(self) -> TimeSign | None:
        """Take one sentence or frame off; _NOTHING if it told nothing, None if none is whole."""
        dollar, ubx = self._pending.find(b"$"), self._pending.find(_UBX)
        if dollar < 0 and ubx < 0:
            self._pending = self._pending[-1:] if self._pending.endswith(_UBX[:1]) else b""
            return None
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
        self._pending = self._pending[start + len(line) :]
        return self._sentence(line.decode("latin-1"), self._burst_ns) or _NOTHING

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
        frame, self._pending = self._pending[:size], self._pending[size:]
        told = self._frame(frame, self._burst_ns) if self._frame else None
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
        self._thread.join(5 * _READ_TIMEOUT_S)

    def _run(self) -> None:
        import serial  # only by nodes that have a receiver

        while not self._closing.is_set():
            try:
                self._read_until_lost(
                    serial.Serial(self._device, self._baud, timeout=_READ_TIMEOUT_S)
                )
            except (OSError, ValueError, TypeError):  # pyserial raises all three for a lost line
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
