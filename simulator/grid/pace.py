"""The time that the link and the locator live in while nodes hear in slices of virtual time."""

import time
from typing import Protocol

from agent.core.units import NS_PER_MS, NS_PER_S
from simulator.centre.locator.service import SETTLE_NS

_REST_S = 0.01


class Pace(Protocol):
    """What time it is after a slice was heard, and after a while of waiting; monotonic ns.

    `settle_ns` is how long the locator waits for late arrivals before it locates.
    """

    slice_ns: int
    settle_ns: int

    def after_slice(self) -> int:
        """A slice of `slice_ns` was heard."""

    def after_rest(self) -> int:
        """There was nothing to do but to wait."""


class VirtualPace:
    """Time passes by what is heard and by waiting, and stands still otherwise.

    Nobody waits for an answer here, so the locator lets the nodes' first heartbeats come, which
    tell how warm it is, rather than locate everything twice. The end of a run settles all.
    """

    slice_ns = 500 * NS_PER_MS
    settle_ns = 65 * NS_PER_S

    def __init__(self) -> None:
        self._now_ns = 0

    def after_slice(self) -> int:
        """A slice later."""
        self._now_ns += self.slice_ns
        return self._now_ns

    def after_rest(self) -> int:
        """As long as a slice."""
        return self.after_slice()


class FastPace:
    """Sound is heard as fast as can be; link and locator live in real time."""

    slice_ns = 500 * NS_PER_MS
    settle_ns = SETTLE_NS

    def after_slice(self) -> int:
        """Whatever time it is now."""
        return time.monotonic_ns()

    def after_rest(self) -> int:
        """A moment later."""
        time.sleep(_REST_S)
        return time.monotonic_ns()


class LivePace(FastPace):
    """Sound is heard as it would be: no slice is over before its time."""

    slice_ns = 100 * NS_PER_MS

    def __init__(self) -> None:
        self._slice_ends_ns = time.monotonic_ns()

    def after_slice(self) -> int:
        """When the slice is over; a late one is not caught up by cutting the next."""
        self._slice_ends_ns = max(self._slice_ends_ns + self.slice_ns, time.monotonic_ns())
        time.sleep(max(0, self._slice_ends_ns - time.monotonic_ns()) / NS_PER_S)
        return time.monotonic_ns()
