"""What this node knew for good a minute ago, kept for a restart of the agent within one boot."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent import durable
from agent.core.clock.own_clock import Counter, Remembered, own_word
from agent.core.clock.time_signs import OwnWord, TimeSign
from agent.core.units import NS_PER_S
from agent.ports import HostClock

_RENEW_NS = 60 * NS_PER_S
_SPEAK_EVERY_NS = 5 * NS_PER_S
_ANYTHING_NS = 10 * NS_PER_S
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def counter_of_host() -> Counter:
    """The counter now; of no boot where the kernel does not name it."""
    try:
        boot = _BOOT.read_text("ascii").strip()
    except (OSError, ValueError):
        boot = ""
    slept_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    return Counter(boot, time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW), slept_ns)


class OwnClock:
    """Reads what an earlier run left at `path`, tells it as a TimeReference, and renews it."""

    def __init__(
        self, path: Path, clock: HostClock, counter: Callable[[], Counter] = counter_of_host
    ) -> None:
        self._path, self._clock, self._counter = path, clock, counter
        self._remembered = _read(path)
        self._due_ns = -sys.maxsize if self._remembered else sys.maxsize
        self._kept_ns: int | None = None

    def poll(self) -> list[TimeSign]:
        """A word every five seconds while it is of use, and a last one that takes it back."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._due_ns or self._remembered is None:
            return []
        self._due_ns = now_ns + _SPEAK_EVERY_NS
        counter = self._counter()
        word = own_word(self._remembered, counter, now_ns) if counter.boot else None
        if word is None:
            self._due_ns = sys.maxsize
            return [OwnWord(now_ns, self._remembered.utc_ns, sys.maxsize)]
        return [word]

    def close(self) -> None:
        """Tell no more."""
        self._due_ns = sys.maxsize

    def keep(self, host_ns: int, utc_ns: int, sigma_ns: int) -> None:
        """At `host_ns` it is `utc_ns` for good; a file that cannot be written costs only this.

        Waits for the disk once a minute.
        """
        if self._kept_ns is not None and host_ns - self._kept_ns < _RENEW_NS:
            return
        self._kept_ns = host_ns
        counter = self._counter()
        raw_ns = counter.raw_ns - (self._clock.monotonic_ns() - host_ns)
        told = [counter.boot, raw_ns, counter.slept_ns, utc_ns, sigma_ns]
        with suppress(OSError):
            durable.replace(self._path, json.dumps(told).encode("ascii"), 0o644)


def _read(path: Path) -> Remembered | None:
    with suppress(OSError, ValueError):
        told = json.loads(path.read_text("ascii"))
        if isinstance(told, list) and len(told) == 5:
            boot, *numbers = told
            if isinstance(boot, str) and boot and all(type(one) is int for one in numbers):
                raw_ns, slept_ns, utc_ns, sigma_ns = numbers
                return Remembered(Counter(boot, raw_ns, slept_ns), utc_ns, abs(sigma_ns))
    return None
