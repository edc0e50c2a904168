"""Bytes of a satellite receiver, cut into NMEA sentences and frames, each with its time.

Frames are those of UBX (u-blox) and CASIC.

Whatever lies between them is passed by. What they mean is the parsers' matter, the line `line`'s.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.adapters.receiver.echo import Echo
from agent.core.clock.epochs import Epochs
from agent.core.clock.time_signs import Fix, NextPulse, Refusal, TimeSign
from agent.core.units import NS_PER_MS, NS_PER_S

_BITS_PER_BYTE = 10
_SILENCE_NS = 20 * NS_PER_MS
_LONGEST_SENTENCE, _LEAST_SENTENCE = 120, 12
_LONGEST_FRAME = 1024
_UBX, _CASIC = b"\xb5b", b"\xba\xce"
_LENGTH_AT = {_UBX: (4, 8), _CASIC: (2, 10)}  # where the payload's size is, and what is around it

ParseSentence = Callable[[str, int, int], TimeSign | None]
ParseFrame = Callable[[bytes, int], Sequence[TimeSign]]


class ByteReader:
    """Cuts a stream of bytes into sentences and frames; knows when each burst of them began.

    `sentence` is given a line, the host time at which its burst began and that of its own first
    byte; `frame` is given a frame and the former. A burst begins after a pause of 20 ms. What
    the bytes read together took on the line is subtracted, but they came after the reading
    before: a receiver on USB sends faster than any baud. `sentences` and `frames` count what came
    whole, `dated` what could tell a date. `casic` is given frames of that language. With `echo`, a
    word about the next pulse counts only once it was measured how late words can be.
    """

    def __init__(
        self,
        baud: int,
        sentence: ParseSentence,
        frame: ParseFrame | None = None,
        casic: ParseFrame | None = None,
        echo: Echo | None = None,
    ) -> None:
        self.sentences = self.frames = self.dated = 0
        self.set_baud(baud)
        self._sentence, self._frames = sentence, {_UBX: frame, _CASIC: casic}
        self.echo = echo
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
            if self._pending.startswith((_UBX, _CASIC)):  # no frame: it would have come whole
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
                self.dated += isinstance(sign, Fix) and not (sign.is_valid and sign.utc_ns is None)
                kept = self._epochs.take(sign)
                if isinstance(kept, NextPulse):
                    kept = self._in_time(kept)
                signs += [] if kept is None else [kept]
        return signs

    def _in_time(self, word: NextPulse) -> NextPulse | None:
        """A word about the next pulse, unless it may have waited: a line without pauses is behind,
        and of one whose answers are slow, or never came, nobody knows."""
        if self._last_ns - self._burst_ns > NS_PER_S:
            return None
        if self.echo is None:
            return word
        self.echo.want()
        bound_ns = self.echo.bound_ns(self._last_ns)
        return None if bound_ns is None else replace(word, delay_ns=bound_ns)

    def _cut(self) -> Sequence[TimeSign] | None:
        """Take one sentence or frame off, and what it told; None if none is whole."""
        begins = (b"$", _UBX, _CASIC)
        found = [(at, one) for one in begins if (at := self._pending.find(one)) >= 0]
        if not found:
            dropped = len(self._pending.strip(b"\r\n\0"))
            may_begin = self._pending.endswith((_UBX[:1], _CASIC[:1]))
            self._pending = self._pending[-1:] if may_begin else b""
            is_noise = dropped > len(self._pending)
            return [Refusal(self._burst_ns, "bytes that are no sentence")] if is_noise else None
        at, begin = min(found)
        return self._cut_sentence(at) if begin == b"$" else self._cut_frame(at, begin)

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

    def _cut_frame(self, start: int, begin: bytes) -> Sequence[TimeSign] | None:
        self._pending = self._pending[start:]
        if len(self._pending) < 6:
            return None
        at, around = _LENGTH_AT[begin]
        size = int.from_bytes(self._pending[at : at + 2], "little") + around
        if size > _LONGEST_FRAME:
            self._pending = self._pending[2:]
            return []
        if len(self._pending) < size:
            return None
        frame, parse = self._pending[:size], self._frames[begin]
        told = parse(frame, self._burst_ns) if parse else ()
        is_noise = any(isinstance(sign, Refusal) for sign in told)  # sentences may be in it
        self.frames += parse is not None and not is_noise
        if self.echo is not None and not is_noise:
            self.echo.hear(frame, self._last_ns)
        self._pending = self._pending[2 if is_noise else size :]
        return told
