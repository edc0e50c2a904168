"""A receiver's bytes on a serial line, read by the agent's own reader: signs as nodes get them."""

import math
from collections.abc import Callable, Generator, Iterable, Iterator

import numpy as np

from agent.adapters import ubx
from agent.adapters.casic import CasicFrames
from agent.adapters.nmea import NmeaParser
from agent.adapters.receiver import ByteReader, Echo
from agent.core.clock.time_signs import TimeSign
from simulator.trials.clocks.tongue import Speak, answer
from simulator.trials.clocks.words import Epoch, Words

_FIFO_BYTES = 16
_BITS = 10
_IDLE_S = 0.02
_ANSWERS_IN_S = (0.01, 0.09)
_SPEEDS = (9600, 38_400, 115_200)


class Wire:
    """One draw of a line: its speed, and what a bridge on the way (`transport_s`) adds."""

    def __init__(self, transport_s: float, rng: np.random.Generator) -> None:
        self._rng, self._transport_s = rng, transport_s
        self._baud = int(rng.choice(_SPEEDS))
        self._echo = Echo(ubx.question(), ubx.is_answer)
        self._reader = ByteReader(
            self._baud,
            NmeaParser().parse,
            ubx.UbxFrames().parse,
            CasicFrames().parse,
            self._echo,
        )

    def heard(
        self, epochs: Iterable[Epoch], words: Words, speak: Speak, read_ns: Callable[[float], int]
    ) -> Iterator[TimeSign]:
        """What the agent makes of each epoch, at the host times at which bytes are in hand."""
        free_s, answer_s = 0.0, math.inf
        for epoch in epochs:
            begins_s = epoch.at_s + self._transport_s
            if answer_s < begins_s:
                free_s = yield from self._passed(answer(), max(answer_s, free_s), read_ns)
                answer_s = math.inf
            begins_s = max(begins_s, free_s)
            free_s = yield from self._passed(speak(epoch, words), begins_s, read_ns)
            if self._echo.question_due(read_ns(free_s + _IDLE_S)):
                answer_s = free_s + _IDLE_S + self._round_trip_s()

    def _round_trip_s(self) -> float:
        return 2.0 * self._transport_s + float(self._rng.uniform(*_ANSWERS_IN_S))

    def _passed(
        self, data: bytes, begins_s: float, read_ns: Callable[[float], int]
    ) -> Generator[TimeSign, None, float]:
        """`data` in pieces, as a UART hands them over; returns when the line is free again."""
        yield from self._reader.feed(b"", read_ns(begins_s))
        at_s = begins_s
        for start in range(0, len(data), _FIFO_BYTES):
            piece = data[start : start + _FIFO_BYTES]
            at_s += len(piece) * _BITS / self._baud
            yield from self._reader.feed(piece, read_ns(at_s))
        yield from self._reader.feed(b"", read_ns(at_s + _IDLE_S))
        return at_s
