"""How far behind its line blocks come: a stall, or sound that was lost and that nobody counted.

A block is never handed over before it is whole. So what was lost before a sample, untold, is no
more than the least lag of the blocks from its own on; how much of it was lost the next blocks say.
"""

from collections import deque

_KEPT = 512


class Lags:
    """Feed it each block's end (samples) and its lag (ns) behind the line as it was known then."""

    def __init__(self) -> None:
        self._lags: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        self._since_gap = 0

    def observe(self, end: int, lag_ns: float) -> None:
        """A block that ends before `end` lags so far."""
        self._lags.append((end, lag_ns))
        self._since_gap += 1

    def on_gap(self) -> None:
        """A loss was told: what came before it says nothing of what comes after."""
        self._since_gap = 0

    def least_of_last(self, blocks: int) -> float:
        """The least of the last so many since the last gap; 0 while there are fewer."""
        if not 0 < blocks <= min(self._since_gap, len(self._lags)):
            return 0.0
        return min(self._lags[-number][1] for number in range(1, blocks + 1))

    def least_from(self, sample: float) -> float:
        """The least of the blocks from the one of `sample` on; of the last one if that is later."""
        least_ns = self._lags[-1][1] if self._lags else 0.0
        for end, lag_ns in reversed(self._lags):
            if end <= sample:
                break
            least_ns = min(least_ns, lag_ns)
        return least_ns
