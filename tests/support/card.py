"""Host time and counted samples for tests of microphones."""

import numpy as np

from agent.core.units import NS_PER_S

RATE_HZ = 48_000


class Stopwatch:
    """Host time that passes only when someone sleeps, and a little on every wake-up."""

    def __init__(self, oversleep_ns: int = 0) -> None:
        self.now_ns = 5 * NS_PER_S
        self.oversleep_ns = oversleep_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    def realtime_ns(self) -> int:
        return self.now_ns

    def sleep_s(self, seconds: float) -> None:
        self.now_ns += round(seconds * NS_PER_S) + self.oversleep_ns


def ramp(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int16)


def two_channels(count: int) -> np.ndarray:
    """Left counts up, right counts down, shape (count, 2)."""
    return np.stack((ramp(count), -ramp(count)), axis=1)
