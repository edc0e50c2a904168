"""When to try again: exponential back-off with full jitter, so that a city does not stampede.

It only draws delays; the caller knows the time and what failed.
"""

import random

from agent.core.units import NS_PER_S

FLOOR_NS = NS_PER_S
FIRST_SPREAD_NS = 10 * NS_PER_S
CAP_NS = 60 * NS_PER_S


class BackOff:
    """Delays in ns, uniform over a span that doubles: 1 to 11 s, 1 to 21 s, ... 1 to 60 s.

    The first span is wide because every node of a broker loses it at the same instant: of 200,
    20 return in a second, and hardly ever more than 40. `cap_ns` is the longest delay.
    """

    def __init__(self, rng: random.Random, cap_ns: int = CAP_NS) -> None:
        self._rng, self._cap_ns = rng, cap_ns
        self._spread_ns = FIRST_SPREAD_NS

    def next_delay_ns(self) -> int:
        """How long to wait before the next attempt; each call means one more failure."""
        delay_ns = FLOOR_NS + self._rng.randrange(self._spread_ns)
        self._spread_ns = min(2 * self._spread_ns, self._cap_ns - FLOOR_NS)
        return delay_ns

    def reset(self) -> None:
        """It worked: start from the first span again."""
        self._spread_ns = FIRST_SPREAD_NS


def doubling(first_ns: int, tries: int, cap_ns: int) -> int:
    """`first_ns` doubled with every try after the first, never above `cap_ns`."""
    return min(first_ns << min(tries - 1, 32), cap_ns)
