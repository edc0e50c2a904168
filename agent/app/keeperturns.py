"""The turns of the keeper, on the one thread that waits for the disk. Who starts it is `daemon`."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

from agent.ports import HostClock

POLL_S = 0.5
PAUSE_S = 0.005  # between two commits, in which delivery has its turn at the store
END_S = 10.0


class KeeperSteps(Protocol):
    """What is called here."""

    @property
    def has_work(self) -> bool: ...

    def step(self, host_ns: int) -> bool: ...

    def flush(self) -> None: ...


class KeeperTurns:
    """Turns of `keeper`; without one, what is said must be durable already.

    After each of them `wake` is set, for whoever delivers, and `advance` called.
    """

    def __init__(
        self,
        keeper: KeeperSteps | None,
        clock: HostClock,
        wake: threading.Event,
        advance: Callable[[], None],
    ) -> None:
        self._keeper, self._clock, self._wake, self._advance = keeper, clock, wake, advance
        self._work, self._all_said = threading.Event(), threading.Event()
        self._is_kept, self._is_drained = threading.Event(), threading.Event()

    def look(self) -> None:
        """Something may have been said, or receipted: the keeper looks at once."""
        if self._keeper and self._keeper.has_work:
            self._work.set()

    def finish(self) -> bool:
        """All is said: whether `run` has kept it, or has failed, within END_S."""
        self._all_said.set()
        self._work.set()
        return self._is_kept.wait(END_S)

    def end(self) -> None:
        """All that could be delivered is: `run` returns soon."""
        self._is_drained.set()
        self._work.set()

    def run(self, when_kept: Callable[[], None]) -> str:
        """Turn until `end`; calls `when_kept` once all is durable. Raises StoreError."""
        self._turn_until(self._all_said)
        try:
            if self._keeper:
                self._keeper.flush()
            when_kept()
        finally:
            self._is_kept.set()
        self._turn_until(self._is_drained)
        return "kept"

    def _turn_until(self, end: threading.Event) -> None:
        while not end.is_set():
            while self._keeper and self._keeper.step(self._clock.monotonic_ns()):
                self._advance()
                self._wake.set()
                if end.is_set():
                    return
                time.sleep(PAUSE_S)
            self._advance()
            self._wake.set()
            self._work.wait(POLL_S)
            self._work.clear()
