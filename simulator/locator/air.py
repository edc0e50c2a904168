"""How warm the air of a cell was, from its nodes' heartbeats."""

from bisect import bisect_left, bisect_right, insort
from statistics import median

from agent.core.units import NS_PER_S

STANDARD_C = 15.0
NEAR_NS = 3600 * NS_PER_S


class Air:
    """The temperature of one cell over time; heartbeats may come late and in any order."""

    def __init__(self) -> None:
        self._felt: list[tuple[int, float]] = []

    def feel(self, utc_ns: int, temperature_c: float) -> None:
        """One heartbeat's measurement."""
        insort(self._felt, (utc_ns, temperature_c))

    def temperature_c(self, utc_ns: int) -> float | None:
        """The median of the hour before and after `utc_ns`; None where nobody measured."""
        first = bisect_left(self._felt, (utc_ns - NEAR_NS, -float("inf")))
        last = bisect_right(self._felt, (utc_ns + NEAR_NS, float("inf")))
        near = [temperature_c for _, temperature_c in self._felt[first:last]]
        return median(near) if near else None
