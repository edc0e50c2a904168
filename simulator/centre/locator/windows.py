"""What the locator believes of one cell: arrivals in, incidents out, without a wire or a clock.

Arrivals less than GAP_NS apart belong together. Such a run is located when it has been left
alone for a while, and again whenever something late falls into it. The result depends on what
was heard, not on the order in which it came. With a past to find it again, only the latest stays
in memory.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from agent.core.records.correction import Correction
from simulator.centre.locator.air import NEAR_NS, STANDARD_C, Air, around
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.clockdoubts import ClockDoubts
from simulator.centre.locator.conclude import LEAST_NODES
from simulator.centre.locator.corrections import Corrections, Sweeps, noted, shifts
from simulator.centre.locator.incident import Incident
from simulator.centre.locator.listed import Listed, Listing
from simulator.centre.locator.quota import Effort
from simulator.centre.locator.recent import Key, Past, Recent, cut, runs_in
from simulator.centre.locator.registry import Station
from simulator.centre.locator.splits import REACH_NS
from simulator.centre.locator.touches import Touch, made_one, urgency_of
from simulator.centre.locator.whole_seconds import locate_all_the_same

MAX_SETTLE_PERIODS = 6
MEMORY = 4096
_LOOKED_AT = 1 / 64  # of what it costs to search a window
MANY_TOUCHES = 512  # corrections wait while so much is to be located already


@dataclass(frozen=True, slots=True)
class Revision:
    """How the belief changed: incidents that are new or different, and those given up.

    `failures` tell, in a line each, of windows that could not be located as they are.
    """

    changed: list[Incident] = field(default_factory=list)
    withdrawn: list[Incident] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Located:
    """One window and what was made of it; `is_guess` where the air's temperature was not known,
    `corrected` what corrections changed of its arrivals, `listed` the lists that were at hand."""

    keys: tuple[Key, ...]
    used_c: float
    is_guess: bool
    corrected: tuple[tuple[int, int, int], ...]
    listed: frozenset[str]
    incidents: list[Incident]

    @property
    def first_ns(self) -> int:
        return self.keys[0][0]


class CellBelief:
    """Arrivals, air and incidents of one cell. `now_ns` is any monotonic time.

    A run of arrivals is located `settle_ns` after the last of them came, and no later than
    MAX_SETTLE_PERIODS times that after the first, so that an endless one is located too. Of what
    is located, about `memory` arrivals are remembered; the rest is in the `past`, which holds an
    arrival or a temperature before this is told of it. Without one nothing is forgotten.
    """

    def __init__(
        self,
        stations: Mapping[str, Station],
        settle_ns: int,
        past: Past | None = None,
        memory: int = MEMORY,
    ) -> None:
        self._stations = stations
        self._settle_ns = settle_ns
        self._past, self._memory = past, memory
        self._air, self._corrections = Air(), Corrections(past)
        self._sweeps = Sweeps(past) if past else None
        self._recent, self._listed = Recent(past), Listed(past)
        self._located: list[_Located] = []
        self._forgotten_guesses: list[int] = []
        self._touches: list[Touch] = []
        self._failures: list[str] = []
        self._doubts = ClockDoubts(stations, self._near, self._recent.between)
        self._look_at_ns = 0

    @property
    def is_waiting(self) -> bool:
        """True while something is still to be located."""
        return bool(self._touches) or bool(self._sweeps and self._sweeps.is_waiting)

    @property
    def incidents(self) -> list[Incident]:
        """The present belief as far as it is remembered, oldest first."""
        found = [one for window in self._located for one in window.incidents]
        return sorted(self._doubts.told(found), key=lambda one: (one.utc_ns, one.id))

    @property
    def arrivals(self) -> list[Arrival]:
        """What was heard and is remembered, oldest first."""
        return self._recent.arrivals

    def hear(self, arrival: Arrival, now_ns: int) -> None:
        """Take an arrival, however late it is."""
        if self._recent.add(arrival):
            self._touch(arrival.toa_utc_ns, now_ns)

    def feel(self, utc_ns: int, temperature_c: float, now_ns: int) -> None:
        """Take a temperature; what was located without knowing any is located again."""
        if self._past is None:
            self._air.feel(utc_ns, temperature_c)
        near = (utc_ns - NEAR_NS, utc_ns + NEAR_NS)
        guesses = [
            one.first_ns for one in self._located[self._located_slice(*near)] if one.is_guess
        ]
        forgotten = self._forgotten_guesses
        part = slice(bisect_left(forgotten, near[0]), bisect_right(forgotten, near[1]))
        for first_ns in (*guesses, *forgotten[part]):
            self._touch(first_ns, now_ns)
        del forgotten[part]

    def correct(self, source: str, correction: Correction, now_ns: int) -> str:
        """A node measured the error of its holdover: what it touches is located again. Why it
        cannot be used; empty if it is."""
        if told := self._corrections.add(source, correction):
            return told
        if self._sweeps:
            self._sweeps.add(source, correction)
            return ""
        first_ns, last_ns = int(correction.first_utc_ns), int(correction.last_utc_ns)
        for one in self._recent.between(first_ns, last_ns + 1):
            if one.source == source:
                self._touch(one.toa_utc_ns, now_ns)
        return ""

    def enlist(self, listing: Listing, now_ns: int) -> None:
        """Take what a busy street only listed: what was told around it is located again, once the
        other nodes' lists of that minute may have come too."""
        self._listed.add(listing, now_ns)

    def urgency(self, now_ns: int, utc_ns: int | None) -> tuple[bool, int]:
        """How much `settle` is needed: whether for something live, and how late that was."""
        due = [one.toa_utc_ns for one in self._touches if self._due_ns(one) <= now_ns]
        return max((urgency_of(toa_ns, utc_ns) for toa_ns in due), default=(False, 0))

    def settle(self, now_ns: int, effort: Effort | None = None, utc_ns: int | None = 0) -> Revision:
        """Locate what has been left alone for long enough, live before old, while `effort` lasts.

        `utc_ns` is the present: what is of these minutes is live.
        """
        if self._sweeps and len(self._touches) < MANY_TOUCHES:
            for toa_ns in self._sweeps.page():
                self._touch(toa_ns, now_ns)
        for first_ns, last_ns in self._listed.due(now_ns):
            for run in runs_in(self._recent.keys_between(first_ns, last_ns)):
                self._touch(run[0][0], now_ns)
        is_idle = not self._touches or now_ns < self._look_at_ns
        if is_idle or (effort and effort.is_spent):
            return Revision()
        revision = self._relocate(self._due_runs(now_ns, effort or Effort(inf), utc_ns))
        self._forget()
        return revision

    def settle_all(self) -> Revision:
        """Locate everything that is not yet located as what is now known demands."""
        self._touches = []
        return self._relocate(self._recent.runs())

    def _touch(self, toa_utc_ns: int, now_ns: int) -> None:
        self._touches.append(Touch(toa_utc_ns, now_ns, now_ns))
        due_ns = now_ns + self._settle_ns
        self._look_at_ns = min(self._look_at_ns, due_ns) if len(self._touches) > 1 else due_ns

    def _due_ns(self, touch: Touch) -> int:
        patience_ns = MAX_SETTLE_PERIODS * self._settle_ns
        return min(touch.last_ns + self._settle_ns, touch.first_ns + patience_ns)

    def _due_runs(self, now_ns: int, effort: Effort, utc_ns: int | None) -> list[list[Key]]:
        """Runs that were touched and are due; the others' touches stay, those of a run made one."""
        touches = sorted(self._touches, key=lambda one: one.toa_utc_ns)
        times = [one.toa_utc_ns for one in touches]
        due = [at for at, one in enumerate(touches) if self._due_ns(one) <= now_ns]
        due.sort(key=lambda at: urgency_of(times[at], utc_ns), reverse=True)
        seen, runs, later = bytearray(len(touches)), [], []
        for at in due:
            if effort.is_spent:
                break
            if seen[at]:
                continue
            run, seen[at] = self._recent.run_around(times[at]), 1
            if not run:
                continue
            span = slice(bisect_left(times, run[0][0]), bisect_right(times, run[-1][0]))
            own = [
                one for one, is_seen in zip(touches[span], seen[span], strict=True) if not is_seen
            ]
            whole = made_one([touches[at], *own])
            seen[span] = bytes([1]) * (span.stop - span.start)
            if self._due_ns(whole) <= now_ns:
                runs.append(self._whole(run))
                effort.spend(_cost(run))
            else:
                later.append(whole)
                self._recent.let_go(run)
                effort.spend(_LOOKED_AT)
        self._touches = later + [one for at, one in enumerate(touches) if not seen[at]]
        self._look_at_ns = min(map(self._due_ns, self._touches), default=0)
        return sorted(runs)

    def _whole(self, run: list[Key]) -> list[Key]:
        """`run` with the rest of the windows that it cuts, where it is too long to be followed."""
        span = self._located_slice(run[0][0], run[-1][0])
        windows = self._located[max(0, span.start - 1) : span.stop]
        touched = [one.keys for one in windows if one.keys[-1] >= run[0]]
        return sorted({*run, *(key for keys in touched for key in keys)})

    def _relocate(self, runs: list[list[Key]]) -> Revision:
        revision = Revision()
        for run in runs:
            span = self._located_slice(run[0][0], run[-1][0])
            held = self._located[span]
            if (known := self._recent.before(run)) is not None:
                held = self._locate_run(known, held, before=True)
            self._located[span] = fresh = self._locate_run(run, held)
            self._recent.settle(run)
            before = {one.id: one for window in held for one in window.incidents}
            after = {one.id: one for window in fresh for one in window.incidents}
            revision.changed.extend(one for one in after.values() if before.get(one.id) != one)
            revision.withdrawn.extend(one for one in before.values() if one.id not in after)
        told = self._doubts.look(revision.changed, revision.withdrawn)
        revision.failures.extend(told)
        revision.failures.extend(self._failures)
        self._failures.clear()
        return revision

    def _near(self, utc_ns: int) -> list[Incident]:
        span = self._located_slice(utc_ns - REACH_NS, utc_ns + REACH_NS)
        return [one for window in self._located[span] for one in window.incidents]

    def _locate_run(
        self, keys: Sequence[Key], held: Sequence[_Located], *, before: bool = False
    ) -> list[_Located]:
        return [self._locate(one, held, before) for run in runs_in(keys) for one in cut(run)]

    def _locate(self, window: Sequence[Key], held: Sequence[_Located], before: bool) -> _Located:
        """What to make of a window; what is held of just this one if nothing in it is new. What
        was forgotten is made again as it was `before` the corrections of this run."""
        keys = tuple(window)
        temperature_c = around(self._past or self._air, keys[0][0])
        is_guess = temperature_c is None
        used_c = STANDARD_C if temperature_c is None else temperature_c
        given = [self._recent[key] for key in keys]
        used = self._corrections.applied(given, before=before)
        corrected = shifts(given, used)
        listed = self._listed.around(keys, before=before)
        listed = self._corrections.applied(listed, before=before)
        beside = frozenset(one.record_id for one in listed)
        for one in held:
            told = (one.keys, one.used_c, one.is_guess, one.corrected, one.listed)
            if told == (keys, used_c, is_guess, corrected, beside):
                return one
        found, failure = locate_all_the_same(used, self._stations, used_c, listed)
        self._failures.extend([failure] if failure else [])
        incidents = [noted(one, given, used) for one in found]
        return _Located(keys, used_c, is_guess, corrected, beside, incidents)

    def _forget(self) -> None:
        """Let the oldest windows go, a quarter of the memory at a time."""
        if self._past is None or len(self._recent) <= self._memory:
            return
        gone, left = 0, len(self._recent)
        while gone < len(self._located) and left > 3 * self._memory // 4:
            left -= len(self._located[gone].keys)
            gone += 1
        forgotten, self._located = self._located[:gone], self._located[gone:]
        self._recent.forget(key for one in forgotten for key in one.keys)
        for one in forgotten:
            if one.is_guess:
                insort(self._forgotten_guesses, one.first_ns)
        del self._forgotten_guesses[: -self._memory]

    def _located_slice(self, first_ns: int, last_ns: int) -> slice:
        """Where the windows are that begin from `first_ns` to `last_ns`."""
        begin = bisect_left(self._located, first_ns, key=lambda one: one.first_ns)
        return slice(begin, bisect_right(self._located, last_ns, key=lambda one: one.first_ns))


def _cost(run: Sequence[Key]) -> float:
    """Of locating it, in windows that are searched; one that too few heard is only looked at."""
    return 1.0 if len({source for _, source, _ in run}) >= LEAST_NODES else _LOOKED_AT
