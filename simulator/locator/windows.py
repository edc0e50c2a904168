"""What the locator believes of one cell: arrivals in, incidents out, without a wire or a clock.

Arrivals less than GAP_NS apart belong together. Such a run is located when it has been left
alone for a while, and again whenever something late falls into it. The result depends on what
was heard, not on the order in which it came.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from agent.core.units import NS_PER_S
from simulator.locator.air import NEAR_NS, STANDARD_C, Air
from simulator.locator.arrival import Arrival
from simulator.locator.associate import locate
from simulator.locator.incident import Incident
from simulator.locator.registry import Station

GAP_NS = 3 * NS_PER_S
MAX_WINDOW_NS = 60 * NS_PER_S
MAX_SETTLE_PERIODS = 6

_Key = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Revision:
    """How the belief changed: incidents that are new or different, and those given up."""

    changed: list[Incident] = field(default_factory=list)
    withdrawn: list[Incident] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Located:
    """One window and what was made of it; `is_guess` where the air's temperature was not known."""

    record_ids: tuple[str, ...]
    first_ns: int
    used_c: float
    is_guess: bool
    incidents: list[Incident]


@dataclass(slots=True)
class _Touch:
    """Something came at `toa_utc_ns`; first and last time that it did, by the locator's clock."""

    toa_utc_ns: int
    first_ns: int
    last_ns: int


class CellBelief:
    """Arrivals, air and incidents of one cell. `now_ns` is any monotonic time.

    A run of arrivals is located `settle_ns` after the last of them came, and no later than
    MAX_SETTLE_PERIODS times that after the first, so that an endless one is located too.
    """

    def __init__(self, stations: Mapping[str, Station], settle_ns: int) -> None:
        self._stations = stations
        self._settle_ns = settle_ns
        self._air = Air()
        self._keys: list[_Key] = []
        self._arrivals: dict[_Key, Arrival] = {}
        self._located: list[_Located] = []
        self._touches: list[_Touch] = []
        self._look_at_ns = 0

    @property
    def incidents(self) -> list[Incident]:
        """The present belief, oldest first."""
        found = [one for window in self._located for one in window.incidents]
        return sorted(found, key=lambda one: (one.utc_ns, one.id))

    @property
    def arrivals(self) -> list[Arrival]:
        """All that was heard, oldest first."""
        return [self._arrivals[key] for key in self._keys]

    def hear(self, arrival: Arrival, now_ns: int) -> None:
        """Take an arrival, however late it is."""
        key = (arrival.toa_utc_ns, arrival.source, arrival.record_id)
        if key not in self._arrivals:
            self._arrivals[key] = arrival
            insort(self._keys, key)
            self._touch(arrival.toa_utc_ns, now_ns)

    def feel(self, utc_ns: int, temperature_c: float, now_ns: int) -> None:
        """Take a temperature; what was located without knowing any is located again."""
        self._air.feel(utc_ns, temperature_c)
        for window in self._located[self._located_slice(utc_ns - NEAR_NS, utc_ns + NEAR_NS)]:
            if window.is_guess:
                self._touch(window.first_ns, now_ns)

    def settle(self, now_ns: int) -> Revision:
        """Locate what has been left alone for long enough."""
        if not self._touches or now_ns < self._look_at_ns:
            return Revision()
        runs = self._touched_runs()
        due = [run for run, touch in runs if self._due_ns(touch) <= now_ns]
        self._touches = [touch for _, touch in runs if self._due_ns(touch) > now_ns]
        self._look_at_ns = min(map(self._due_ns, self._touches), default=0)
        return self._relocate(due)

    def settle_all(self) -> Revision:
        """Locate everything that is not yet located as what is now known demands."""
        self._touches = []
        return self._relocate(list(_runs(self._keys)))

    def _touch(self, toa_utc_ns: int, now_ns: int) -> None:
        self._touches.append(_Touch(toa_utc_ns, now_ns, now_ns))
        due_ns = now_ns + self._settle_ns
        self._look_at_ns = min(self._look_at_ns, due_ns) if len(self._touches) > 1 else due_ns

    def _due_ns(self, touch: _Touch) -> int:
        patience_ns = MAX_SETTLE_PERIODS * self._settle_ns
        return min(touch.last_ns + self._settle_ns, touch.first_ns + patience_ns)

    def _touched_runs(self) -> list[tuple[list[_Key], _Touch]]:
        """Every run that was touched, with its touches made one."""
        runs: list[tuple[list[_Key], _Touch]] = []
        for touch in sorted(self._touches, key=lambda one: one.toa_utc_ns):
            if runs and touch.toa_utc_ns <= runs[-1][0][-1][0]:
                whole = runs[-1][1]
                whole.first_ns = min(whole.first_ns, touch.first_ns)
                whole.last_ns = max(whole.last_ns, touch.last_ns)
            else:
                runs.append((self._run_around(touch.toa_utc_ns), touch))
        return runs

    def _run_around(self, toa_utc_ns: int) -> list[_Key]:
        first = last = bisect_left(self._keys, (toa_utc_ns, "", ""))
        while first > 0 and self._keys[first][0] - self._keys[first - 1][0] < GAP_NS:
            first -= 1
        while last + 1 < len(self._keys) and self._keys[last + 1][0] - self._keys[last][0] < GAP_NS:
            last += 1
        return self._keys[first : last + 1]

    def _relocate(self, runs: list[list[_Key]]) -> Revision:
        revision = Revision()
        for run in runs:
            span = self._located_slice(run[0][0], run[-1][0])
            held = self._located[span]
            self._located[span] = fresh = [self._locate(one, held) for one in _cut(run)]
            before = {one.id: one for window in held for one in window.incidents}
            after = {one.id: one for window in fresh for one in window.incidents}
            revision.changed.extend(one for one in after.values() if before.get(one.id) != one)
            revision.withdrawn.extend(one for one in before.values() if one.id not in after)
        return revision

    def _locate(self, window: Sequence[_Key], held: Sequence[_Located]) -> _Located:
        """What to make of a window; what is held of just this one if nothing in it is new."""
        arrivals = [self._arrivals[key] for key in window]
        first_ns = arrivals[0].toa_utc_ns
        record_ids = tuple(arrival.record_id for arrival in arrivals)
        temperature_c = self._air.temperature_c(first_ns)
        is_guess = temperature_c is None
        used_c = STANDARD_C if temperature_c is None else temperature_c
        for one in held:
            if (one.record_ids, one.used_c, one.is_guess) == (record_ids, used_c, is_guess):
                return one
        incidents = locate(arrivals, self._stations, used_c)
        return _Located(record_ids, first_ns, used_c, is_guess, incidents)

    def _located_slice(self, first_ns: int, last_ns: int) -> slice:
        """Where the windows are that begin from `first_ns` to `last_ns`."""
        begin = bisect_left(self._located, first_ns, key=lambda one: one.first_ns)
        return slice(begin, bisect_right(self._located, last_ns, key=lambda one: one.first_ns))


def _runs(keys: Sequence[_Key]) -> Iterator[list[_Key]]:
    """Sorted `keys`, parted where they are GAP_NS or more apart."""
    start = 0
    for end in range(1, len(keys) + 1):
        if end == len(keys) or keys[end][0] - keys[end - 1][0] >= GAP_NS:
            yield list(keys[start:end])
            start = end


def _cut(run: Sequence[_Key]) -> list[Sequence[_Key]]:
    """`run`, cut at the largest gaps until no part is longer than MAX_WINDOW_NS."""
    whole, parts = [run], []
    while whole:
        part = whole.pop()
        if part[-1][0] - part[0][0] <= MAX_WINDOW_NS:
            parts.append(part)
            continue
        gaps_ns = [later[0] - earlier[0] for earlier, later in pairwise(part)]
        cut = 1 + gaps_ns.index(max(gaps_ns))
        whole += [part[cut:], part[:cut]]
    return parts
