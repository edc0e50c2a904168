"""How late blocks are handed over, second by second, and which seconds were busy ones.

Work on the host makes all deliveries of a second late alike, the earliest too, and spreads them: by
how much wider they are spread than in quiet seconds tells how much later the earliest may be.
"""

from collections import deque
from collections.abc import Sequence

from agent.core.units import NS_PER_S

_LOWEST = 4
_SECONDS_KEPT, _SPREADS_KEPT = 60, 300
_LEAST_BLOCKS, _SPREADS_TO_TELL = 4, 8
_BUSY = 2.0  # wider than chance makes the spread of half a dozen blocks, or of heavy tails
_LEAST_DELAY_NS = 200.0
_UNKNOWN_NS = NS_PER_S / 1000.0


class Lateness:
    """Feed it the delays of each second (ns above the line, ascending)."""

    def __init__(self) -> None:
        self._spacings: deque[float] = deque(maxlen=_SECONDS_KEPT)
        self._spreads: deque[float] = deque(maxlen=_SPREADS_KEPT)
        self._mean_ns = 0.0
        self.busy = 1.0

    @property
    def mean_ns(self) -> float:
        """How late a block is on average above the earliest, over seconds."""
        return self._mean_ns

    @property
    def is_known(self) -> bool:
        """Whether there was a second with several blocks."""
        return bool(self._spacings)

    @property
    def usual_ns(self) -> float:
        """Mean delay of one block if all deliveries were as dense as they are at the earliest, in
        a quiet second."""
        if not self._spacings:
            return _UNKNOWN_NS
        return max(sorted(self._spacings)[len(self._spacings) // 2], _LEAST_DELAY_NS)

    def on_second(self, delays: Sequence[float]) -> float:
        """Its mean above the earliest, ns. Then `busy` says how many times as late as usual its
        blocks were; 1: as usual."""
        count, earliest = len(delays), delays[0]
        mean_ns = sum(delays) / count - earliest
        self._mean_ns += 0.1 * (mean_ns - self._mean_ns)
        self.busy = self._busy(delays[count // 2] - earliest) if count >= _LEAST_BLOCKS else 1.0
        lowest = delays[:_LOWEST]
        if len(lowest) > 1 and self.busy == 1.0:
            spaces = sum(1 / (count - rank) for rank in range(1, len(lowest)))
            self._spacings.append((lowest[-1] - earliest) / spaces)
        return mean_ns

    def _busy(self, spread_ns: float) -> float:
        """Against the quietest quarter of minutes: what stays so is usual in the end."""
        self._spreads.append(spread_ns)
        if len(self._spreads) < _SPREADS_TO_TELL:
            return 1.0
        quiet_ns = max(sorted(self._spreads)[len(self._spreads) // 4], _LEAST_DELAY_NS)
        return spread_ns / quiet_ns if spread_ns > _BUSY * quiet_ns else 1.0
