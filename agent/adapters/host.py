"""The computer itself: its clocks, its vitals, and its clock as a source of UTC.

Clocks are only read, never set. How well the host's clock is disciplined is not measured here:
the sigma is what the settings promise for it.
"""

import time

from agent.core.timesigns import TimeMark, TimeSign
from agent.core.units import NS_PER_S
from agent.ports import HostClock, Vitals

_BRACKETS = 5


class SystemClock:
    """CLOCK_MONOTONIC and CLOCK_REALTIME; a HostClock."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def realtime_ns(self) -> int:
        """CLOCK_REALTIME."""
        return time.time_ns()


class SystemVitals:
    """A host without sensors of its box; a HostVitals."""

    def read(self) -> Vitals:
        """Nothing is measured, so every value is None."""
        return Vitals()


class SystemTimeReference:
    """The host's own clock as a TimeReference: at most one mark per second.

    CLOCK_REALTIME is read between two readings of CLOCK_MONOTONIC; of a few such brackets the
    tightest is taken, and half its width is added to `sigma_ns`.
    """

    def __init__(self, clock: HostClock, sigma_ns: int, source: str = "system") -> None:
        self._clock, self._sigma_ns, self._source = clock, sigma_ns, source
        self._due_ns = clock.monotonic_ns()

    def poll(self) -> list[TimeSign]:
        """The mark of this second, once."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._due_ns:
            return []
        self._due_ns = now_ns + NS_PER_S
        width_ns, before_ns, utc_ns = min(self._bracket() for _ in range(_BRACKETS))
        half_ns = width_ns // 2
        return [TimeMark(before_ns + half_ns, utc_ns, self._sigma_ns + half_ns, self._source)]

    def close(self) -> None:
        """Nothing is held."""

    def _bracket(self) -> tuple[int, int, int]:
        before_ns = self._clock.monotonic_ns()
        utc_ns = self._clock.realtime_ns()
        return self._clock.monotonic_ns() - before_ns, before_ns, utc_ns
