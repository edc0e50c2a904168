"""Bytes of a satellite receiver, cut into NMEA sentences and UBX frames, each with its time.

Whatever lies between them is passed by. What they mean is the parsers' matter, the line `line`'s.
"""

from collections.abc import Callable, Sequence

from agent.core.clock.epochs import Epochs
from agent.core.clock.time_signs import NextPulse, Refusal, TimeSign
from agent.core.units import NS_PER_MS, NS_PER_S

_BITS_PER_BYTE = 10
_SILENCE_NS = 20 * NS_PER_MS
_LONGEST_SENTENCE, _LEAST_SENTENCE = 120, 12
_LONGEST_FRAME = 1024
_UBX = b"\xb5b"

ParseSentence = Callable[[str, int, int], TimeSign | None]
ParseFrame = Callable[[bytes, int], Sequence[TimeSign]]


class ByteReader:
    """Cuts a stream of bytes into sentences and frames; knows when each burst of them began.

    `sentence` is given a line, the host time at which its burst began and that of its own first
    byte; `frame` is given a frame and the former. A burst begins after a pause of 20 ms. What
    the bytes read together took on the line is subtracted, but they came after the reading
    before: a receiver on USB sends faster than any baud. `sentences` and `frames` count what came
    whole.
    """

    def __init__(self, baud: int, sentence: ParseSentence, frame: ParseFrame | None = None) -> None:
        self.sentences = self.frames = 0
        self.set_baud(baud)
        self._sentence, self._frame = sentence, frame
        self._pending = b""
        self._epochs = Epochs()
        self._burst_ns = self._last_ns = self._empty_ns = -(10**18)

    def set_baud(self, baud: int) -> None:
        """The line runs at another speed from now on."""
        self._ns_per_byte = _BITS_PER_BYTE * NS_PER_S // baud

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
        while (told := self._cut()) is not None:
            for sign in told:
                kept = self._epochs.take(sign)
                signs += [] if kept is None or self._is_queued(kept) else [kept]
        return signs

    def _is_queued(self, sign: TimeSign) -> bool:
        """Whether a word about the next pulse may have waited: a line without pauses is behind."""
        return isinstance(sign, NextPulse) and self._last_ns - self._burst_ns > NS_PER_S

    def _cut(self) -> Sequence[TimeSign] | None:
        """Take one sentence or frame off, and what it told; None if none is whole."""
        dollar, ubx = self._pending.find(b"$"), self._pending.find(_UBX)
        if dollar < 0 and ubx < 0:
            dropped = len(self._pending.strip(b"\r\n\0"))
            self._pending = self._pending[-1:] if self._pending.endswith(_UBX[:1]) else b""
            is_noise = dropped > len(self._pending)
            return [Refusal(self._burst_ns, "bytes that are no sentence")] if is_noise else None
        if ubx >= 0 and (dollar < 0 or ubx < dollar):
            return self._cut_frame(ubx)
        return self._cut_sentence(dollar)

    def _cut_sentence(self, start: int) -> Sequence[TimeSign] | None:
        body = self._pending[start : start + _LONGEST_SENTENCE + 2]
        ends = [at for at in (body.find(b"\r"), body.find(b"\n"), body.find(b"$", 1)) if at > 0]
        if not ends:
            if len(body) <= _LONGEST_SENTENCE:
                self._pending = self._pending[start:]
                return None
            self._pending = self._pending[start + 1 :]
            return [Refusal(self._burst_ns, "sentence too long")]
        line = body[: min(ends)]
        line_ns = self._last_ns - (len(self._pending) - start - 1) * self._ns_per_byte
        self._pending = self._pending[start + len(line) :]
        line_ns = max(line_ns, self._burst_ns)
        told = self._sentence(line.decode("latin-1"), self._burst_ns, line_ns)
        self.sentences += not isinstance(told, Refusal) and len(line) >= _LEAST_SENTENCE
        return [told] if told else []

    def _cut_frame(self, start: int) -> Sequence[TimeSign] | None:
        self._pending = self._pending[start:]
        if len(self._pending) < 6:
            return None
        size = int.from_bytes(self._pending[4:6], "little") + 8
        if size > _LONGEST_FRAME:
            self._pending = self._pending[2:]
            return []
        if len(self._pending) < size:
            return None
        told = self._frame(self._pending[:size], self._burst_ns) if self._frame else ()
        is_noise = any(isinstance(sign, Refusal) for sign in told)  # sentences may be in it
        self.frames += self._frame is not None and not is_noise
        self._pending = self._pending[2 if is_noise else size :]
        return told
