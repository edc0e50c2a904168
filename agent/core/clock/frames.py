"""Marks that may have waited for the frame of a bus, such as a pulse on a USB serial adapter.

A frame makes each mark late by anything up to its length, always by about the same, until it slides
past and the next mark jumps. Nothing shows that before the first jump. So marks whose way nobody
measured are thought to have waited until they show otherwise: by being steadier than any bus, or by
minutes without a jump. A jump that was seen stays a bound on what each mark may be late. One that
is shorter than any frame was an interrupt that came late: while the host is so busy others do too.
"""

from math import hypot

_MARKS_WITHOUT_JUMP = 240
_LATE_SIGMAS = 0.65  # of a delay anywhere up to a frame: covers two thirds of them
_SLACK = 1.2
_SHORTEST_NS = 100_000  # no frame of any bus in use is shorter
_LEAST_SHARED_NS = 20_000  # marks that were declared to be better explain no jump
_FADES = 0.9998
_BUSY_FADES = 0.985  # work on a host lasts for a minute, not for hours


class Frames:
    """How far marks may be late by waiting; all lengths in ns, 0 where they do not wait."""

    def __init__(self) -> None:
        self.quantum_ns = 0.0
        self._suspected_ns = self._possible_ns = self._taken = 0
        self._busy_ns = 0.0

    @property
    def late_sigma_ns(self) -> float:
        """1-sigma of what waiting does to UTC."""
        return _LATE_SIGMAS * max(self.quantum_ns, self._suspected_ns, self._busy_ns)

    @property
    def scatter_ns(self) -> float:
        """1-sigma of what it does to one mark among others."""
        return self.quantum_ns / 12**0.5

    @property
    def rate_slack_ns(self) -> float:
        """By how much two marks in a row may be too near or too far apart."""
        return max(self._possible_ns, self.quantum_ns)

    def expect(self, frame_ns: int, *, is_steady: bool, is_known: bool = False) -> None:
        """The next mark is of a kind that may wait for frames of `frame_ns`; `is_known`: it does,
        and steadiness shows only how smoothly they slide."""
        is_steady = is_steady and not is_known
        self._possible_ns = 0 if is_steady else frame_ns
        is_over = is_steady or (self._taken >= _MARKS_WITHOUT_JUMP and not is_known)
        self._suspected_ns = 0 if is_over else frame_ns

    def explain(self, surprise_ns: float, usual_ns: float, shared_ns: float) -> bool:
        """Whether waiting explains a mark that is off by more than `usual_ns`.

        `shared_ns` is what marks of this kind may be off by together, as they were declared: a
        busy host may stamp all of them later.
        """
        shared_ns = shared_ns if shared_ns > _LEAST_SHARED_NS else 0.0
        may_wait_ns = max(shared_ns, _SLACK * self._possible_ns, _SLACK * self.quantum_ns)
        return abs(surprise_ns) <= hypot(usual_ns, may_wait_ns)

    def on_jump(self, jump_ns: float) -> bool:
        """A mark jumped. If a frame slid past: whether what was taken for the oscillator's rate was
        the bus's."""
        if jump_ns < _SHORTEST_NS:
            self._busy_ns = max(self._busy_ns, jump_ns)
            return False
        is_news = jump_ns > 2 * self.quantum_ns
        self.quantum_ns = max(self.quantum_ns, jump_ns)
        return is_news

    def on_taken(self) -> None:
        """A mark was believed."""
        self._taken += 1
        self.quantum_ns *= _FADES
        self._busy_ns *= _BUSY_FADES
