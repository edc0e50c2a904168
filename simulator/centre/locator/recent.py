"""The arrivals of one cell by time: the latest in memory, older ones brought back from the past.

What they mean, and which of them may go, is `windows`' matter.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, takewhile
from typing import Protocol

from agent.core.records.correction import Correction
from agent.core.units import NS_PER_S
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.listed import ListPast

GAP_NS = 3 * NS_PER_S
MAX_WINDOW_NS = 60 * NS_PER_S
MAX_REACH_NS = 600 * NS_PER_S

Key = tuple[int, str, str]  # UTC of arrival in ns, source, id of the record


class Past(ListPast, Protocol):
    """All that a cell ever heard and felt, what is in memory too."""

    def earlier(self, utc_ns: int) -> Iterator[Key]:
        """What was heard up to `utc_ns`, the latest first."""

    def later(self, utc_ns: int) -> Iterator[Key]:
        """What was heard after `utc_ns`, the earliest first."""

    def arrival(self, key: Key) -> Arrival | None:
        """The arrival of that key, if it can still be believed."""

    def heard_by(self, source: str, after_ns: int, last_ns: int, limit: int) -> list[int]:
        """When a node heard something after the one and up to the other time, the earliest few."""

    def corrected(self, first_ns: int, last_ns: int) -> list[tuple[str, str, int]]:
        """What nodes corrected of that time: source, chain and seq, a node's later word last."""

    def correction(self, source: str, chain: str, seq: int) -> Correction | None:
        """The correction of that name, if it can still be believed."""

    def felt(self, first_ns: int, last_ns: int) -> list[float]:
        """All temperatures of that time, in C."""


class Recent:
    """Arrivals in the order of their times. Without a `past` none must be forgotten."""

    def __init__(self, past: Past | None) -> None:
        self._past = past
        self._keys: list[Key] = []
        self._arrivals: dict[Key, Arrival] = {}
        self._fresh: set[Key] = set()
        self._back: set[Key] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, key: Key) -> Arrival:
        return self._arrivals[key]

    @property
    def arrivals(self) -> list[Arrival]:
        """Those in memory, oldest first."""
        return [self._arrivals[key] for key in self._keys]

    def between(self, first_ns: int, last_ns: int) -> list[Arrival]:
        """Those in memory of that time."""
        begin = bisect_left(self._keys, (first_ns, "", ""))
        end = bisect_left(self._keys, (last_ns, "", ""))
        return [self._arrivals[key] for key in self._keys[begin:end]]

    def keys_between(self, first_ns: int, last_ns: int) -> list[Key]:
        """All that was heard in that time, what was forgotten too."""
        if self._past is None:
            return [_key(one) for one in self.between(first_ns, last_ns)]
        return list(takewhile(lambda key: key[0] < last_ns, self._past.later(first_ns)))

    def add(self, arrival: Arrival) -> bool:
        """Take one that has just come; False if it is there already."""
        key = _key(arrival)
        if key in self._arrivals:
            return False
        self._put(key, arrival)
        self._fresh.add(key)
        return True

    def run_around(self, toa_utc_ns: int) -> list[Key]:
        """The run at that time, MAX_REACH_NS to both sides at most; what was forgotten is back."""
        self._bring_back(toa_utc_ns)
        first = last = bisect_left(self._keys, (toa_utc_ns, "", ""))
        if first == len(self._keys) or self._keys[first][0] != toa_utc_ns:
            return []  # it can no longer be read
        while first > 0 and _belongs(self._keys[first - 1], self._keys[first], toa_utc_ns):
            first -= 1
        while last + 1 < len(self._keys) and _belongs(
            self._keys[last + 1], self._keys[last], toa_utc_ns
        ):
            last += 1
        return self._keys[first : last + 1]

    def runs(self) -> list[list[Key]]:
        """Everything in memory, and what belongs to what has just come."""
        for key in sorted(self._fresh):
            self._bring_back(key[0])
        return list(runs_in(self._keys))

    def before(self, run: Sequence[Key]) -> list[Key] | None:
        """What of `run` was known before the latest came; None unless some had been forgotten."""
        if self._back.isdisjoint(run):
            return None
        return [key for key in run if key not in self._fresh]

    def settle(self, run: Iterable[Key]) -> None:
        """All of `run` is known from now on."""
        self._fresh.difference_update(run)
        self._back.difference_update(run)

    def let_go(self, run: Iterable[Key]) -> None:
        """What of `run` was brought back, and is not wanted yet."""
        back = self._back.intersection(run) - self._fresh
        self._back -= back
        if back:
            self.forget(back)

    def forget(self, keys: Iterable[Key]) -> None:
        """Let these go, until something falls near them."""
        for key in keys:
            self._arrivals.pop(key, None)
        self._keys = [key for key in self._keys if key in self._arrivals]

    def _put(self, key: Key, arrival: Arrival) -> None:
        self._arrivals[key] = arrival
        insort(self._keys, key)

    def _bring_back(self, toa_utc_ns: int) -> None:
        if self._past is None:
            return
        for way in (self._past.earlier(toa_utc_ns), self._past.later(toa_utc_ns)):
            nearer = (toa_utc_ns, "", "")
            for key in way:
                if not _belongs(key, nearer, toa_utc_ns):
                    break
                nearer = key
                if key not in self._arrivals and (arrival := self._past.arrival(key)):
                    self._put(key, arrival)
                    self._back.add(key)


def _key(arrival: Arrival) -> Key:
    return arrival.toa_utc_ns, arrival.source, arrival.record_id


def _belongs(key: Key, nearer: Key, toa_utc_ns: int) -> bool:
    return abs(key[0] - nearer[0]) < GAP_NS and abs(key[0] - toa_utc_ns) <= MAX_REACH_NS


def runs_in(keys: Sequence[Key]) -> Iterator[list[Key]]:
    """Sorted `keys`, parted where they are GAP_NS or more apart."""
    start = 0
    for end in range(1, len(keys) + 1):
        if end == len(keys) or keys[end][0] - keys[end - 1][0] >= GAP_NS:
            yield list(keys[start:end])
            start = end


def cut(run: Sequence[Key]) -> list[Sequence[Key]]:
    """`run`, cut at the largest gaps until no part is longer than MAX_WINDOW_NS."""
    whole, parts = [run], []
    while whole:
        part = whole.pop()
        if part[-1][0] - part[0][0] <= MAX_WINDOW_NS:
            parts.append(part)
            continue
        gaps_ns = [later[0] - earlier[0] for earlier, later in pairwise(part)]
        at = 1 + gaps_ns.index(max(gaps_ns))
        whole += [part[at:], part[:at]]
    return parts
