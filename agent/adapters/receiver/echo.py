"""How late words on a line can be: a question is asked now and then, and its answer timed.

All that a receiver says may be on its way for a second (a network or radio bridge). Nothing in the
words shows that: a pulse foretold too late reads like the next one. An answer does.
"""

from collections.abc import Callable

from agent.core.units import NS_PER_MS, NS_PER_S

_ASK_EVERY_NS = 20 * NS_PER_S
_HOLDS_NS = 90 * NS_PER_S
_SLOWEST_NS = 700 * NS_PER_MS


class Echo:
    """`question` is what is written; `is_answer` knows a frame that answers it."""

    def __init__(self, question: bytes, is_answer: Callable[[bytes], bool]) -> None:
        self._question, self._is_answer = question, is_answer
        self._asked_ns: int | None = None
        self._waits = False
        self._bound: tuple[int, int] | None = None  # when it was measured, and what: ns
        self._is_wanted = False

    def want(self) -> None:
        """Somebody needs to know."""
        self._is_wanted = True

    def question_due(self, now_ns: int) -> bytes:
        """What to write now; empty while nothing is to be asked."""
        is_fresh = self._asked_ns is not None and now_ns - self._asked_ns < _ASK_EVERY_NS
        if not self._is_wanted or is_fresh:
            return b""
        self._asked_ns, self._waits, self._is_wanted = now_ns, True, False
        return self._question

    def hear(self, frame: bytes, now_ns: int) -> None:
        """A whole frame, read at `now_ns`."""
        if not self._waits or self._asked_ns is None or not self._is_answer(frame):
            return
        self._waits = False
        took_ns = now_ns - self._asked_ns
        self._bound = (now_ns, took_ns) if took_ns < _SLOWEST_NS else None

    def bound_ns(self, now_ns: int) -> int | None:
        """No word is later than that, by a measurement that is fresh; None: nobody knows."""
        if self._bound is None or now_ns - self._bound[0] > _HOLDS_NS:
            return None
        if self._waits and self._asked_ns is not None and now_ns - self._asked_ns > _SLOWEST_NS:
            return None  # no answer this time: it may have become late
        return self._bound[1]
