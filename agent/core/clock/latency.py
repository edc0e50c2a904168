"""The constant delay of capture, measured: one pulse seen twice, by the kernel and in the sound.

Blocks that always come at least 100 us late look like blocks that come in time. Where the same
pulse is stamped by the kernel and heard on the converter's second channel, the difference is
that delay. Applying it is for the settings; this only measures.
"""

from collections import deque

from agent.core.units import NS_PER_MS, NS_PER_US

_SAME_PULSE_NS = 100 * NS_PER_MS
_KEPT = 300
_ENOUGH = 60


class Latency:
    """Feed it host times of the same pulses from both sides, in any order."""

    def __init__(self) -> None:
        self._edge_ns = self._pulse_ns = -(10**18)
        self._differences_ns: deque[int] = deque(maxlen=_KEPT)

    @property
    def measured_us(self) -> float | None:
        """Median over the last minutes in us; None before a minute of pulses."""
        if len(self._differences_ns) < _ENOUGH:
            return None
        return round(sorted(self._differences_ns)[len(self._differences_ns) // 2] / NS_PER_US, 1)

    def on_edge(self, host_ns: int) -> None:
        """A pulse in the sound, at the host time that deliveries give it (so: late)."""
        self._edge_ns = host_ns
        self._compare()

    def on_pulse(self, host_ns: int) -> None:
        """A pulse as the kernel stamped it."""
        self._pulse_ns = host_ns
        self._compare()

    def _compare(self) -> None:
        difference_ns = self._edge_ns - self._pulse_ns
        if abs(difference_ns) < _SAME_PULSE_NS:
            self._differences_ns.append(difference_ns)
            self._edge_ns = self._pulse_ns = -(10**18)
            self._pulse_ns -= 10**18
