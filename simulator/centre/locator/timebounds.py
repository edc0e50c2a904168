"""What time a record can be of, by when it came; and what time it is at the centre.

Nothing is made after it has come. The present is the centre's own clock where the kernel vouches
for it within a bound, or the clock of one trusted node; where neither is there nothing is judged
by it: bare CLOCK_REALTIME dates receipts, which say that nobody vouches for it.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import agent
from agent.adapters.host import Discipline
from agent.core.clock.counting import GPS_WEEKS_NS as WEEKS_NS
from agent.core.records import Body
from agent.core.records.kinds import TimebaseChange
from agent.core.units import NS_PER_MS, NS_PER_S, ns_of, parse_rfc3339_ns
from agent.ports import HostClock
from simulator.centre.locator.arrival import Arrival, moved

FIRST_RELEASE_UTC_NS = ns_of(datetime(2026, 1, 1, tzinfo=UTC))  # no record is older
KERNEL, NOBODY = "kernel", "nobody"
_WORST_BOUND_NS = 2 * NS_PER_S
_SLACK_NS = 100 * NS_PER_MS
_BY_LINK_NS = 3 * NS_PER_S  # how late a trusted node's freshest record may be
_WORST_BY_NODE_NS = 10 * NS_PER_S
_REMEMBERED_NS = 1800 * NS_PER_S
_DRIFT = 100e-6  # of a host's monotonic clock that nobody steers
_SIGMAS = 3
_SUSPECT_NS = 600 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Present:
    """It is `utc_ns`, give or take `bound_ns`, by `whose` word: KERNEL, or a node's source. Without
    a bound nobody vouches for it, and it is good for a date that says so, and for nothing else."""

    utc_ns: int
    bound_ns: int | None
    whose: str

    @property
    def bound_ms(self) -> int | None:
        """The bound, rounded up."""
        return None if self.bound_ns is None else -(-self.bound_ns // NS_PER_MS)


class CentreClock(Protocol):
    """Whoever tells the present."""

    def now(self) -> Present:
        """The present, with its bound if anybody vouches for it."""

    def hear(self, body: Body) -> None:
        """A record has just come."""


class StatedClock:
    """The centre's present. `discipline` is the kernel's word; `node` a source whose records count
    where the kernel is silent, empty for none. Both clocks are only read."""

    def __init__(
        self, clock: HostClock, discipline: Callable[[], Discipline], node: str = ""
    ) -> None:
        self._clock, self._discipline, self._node = clock, discipline, node
        self._heard: deque[tuple[int, int]] = deque()  # when, and UTC ahead of the monotonic clock

    def now(self) -> Present:
        """The kernel's word, else the trusted node's, else a date without a bound."""
        try:
            known = self._discipline()
        except OSError:
            known = Discipline(False, 0, "unknown")
        if known.is_synchronised and known.max_error_ns <= _WORST_BOUND_NS:
            return Present(self._clock.realtime_ns(), known.max_error_ns, KERNEL)
        if self._heard:
            (at_ns, ahead_ns), now_ns = self._heard[0], self._clock.monotonic_ns()
            bound_ns = _BY_LINK_NS + round(_DRIFT * (now_ns - at_ns))
            if bound_ns <= _WORST_BY_NODE_NS:
                return Present(now_ns + ahead_ns, bound_ns, self._node)
        return Present(self._clock.realtime_ns(), None, NOBODY)

    def hear(self, body: Body) -> None:
        """A record that has just come: of the trusted node's last half hour the one that was least
        late counts."""
        is_good = body.clock.state == "locked" and body.clock.confirmed is not False
        if body.source != self._node or not is_good or not isinstance(body.time, str):
            return
        now_ns = self._clock.monotonic_ns()
        ahead_ns = parse_rfc3339_ns(body.time) - now_ns
        while self._heard and self._heard[-1][1] <= ahead_ns:
            self._heard.pop()
        self._heard.append((now_ns, ahead_ns))
        while now_ns - self._heard[0][0] > _REMEMBERED_NS:
            self._heard.popleft()


@dataclass(frozen=True, slots=True)
class Judged:
    """What to locate with in the place of an arrival, None for not at all, and what to tell."""

    arrival: Arrival | None
    told: str = ""


class TimeBounds:
    """Holds the times of records against the present; `ahead` are nodes whose clocks were found
    ahead of it, with what was seen and when. They are not believed for ten minutes, for what comes
    late may hide how far ahead it is, or until they begin anew."""

    def __init__(self, clock: CentreClock | None) -> None:
        """Without a clock no time is doubted."""
        self._clock = clock
        self.ahead: dict[str, tuple[str, int]] = {}

    def now(self) -> Present | None:
        """The present, if anybody vouches for it."""
        present = self._clock.now() if self._clock else None
        return None if present is None or present.bound_ns is None else present

    @property
    def is_unvouched(self) -> bool:
        """True where there is a clock, and nobody vouches for it."""
        return self._clock is not None and self.now() is None

    def hear(self, body: Body) -> None:
        """A record has just come. A clock that begins anew is no longer the one that was ahead."""
        if self._clock:
            self._clock.hear(body)
        if isinstance(body.data, TimebaseChange) and body.data.after == "unsynchronised":
            self.ahead.pop(body.source, None)

    def judge(self, arrival: Arrival) -> Judged:
        """An impossible time is not located, unless it is multiples of 1024 weeks ahead of a
        possible one."""
        name = arrival.source.rpartition(":")[2]
        if self._clock and arrival.toa_utc_ns < FIRST_RELEASE_UTC_NS:
            told = f"{name}'s clock is before the first node ever was made: not located"
            return Judged(None, told)
        present = self.now()
        if present is None:
            return self._by_software(arrival, name)
        latest_ns = present.utc_ns + (present.bound_ns or 0) + _SIGMAS * arrival.sigma_ns
        latest_ns += _SLACK_NS
        ahead_ns = arrival.toa_utc_ns - latest_ns
        weeks = round(ahead_ns / WEEKS_NS)
        if weeks > 0 and arrival.toa_utc_ns - weeks * WEEKS_NS <= latest_ns:
            right_ns = arrival.toa_utc_ns - weeks * WEEKS_NS
            told = f"{name}'s clock is {1024 * weeks} weeks ahead of the present: set right here"
            return Judged(moved(arrival, right_ns), told)
        if ahead_ns > 0:
            seen = f"{name}'s clock is {ahead_ns / NS_PER_S:.1f} s or more ahead of the present"
            self.ahead[arrival.source] = (seen, present.utc_ns)
            return Judged(None, f"{seen}: not located")
        seen, seen_ns = self.ahead.get(arrival.source, ("", 0))
        if seen and present.utc_ns - seen_ns < _SUSPECT_NS:
            return Judged(None, f"{seen}: not located")
        return Judged(arrival)

    def _by_software(self, arrival: Arrival, name: str) -> Judged:
        """Nobody knows the present. A date is the first one not before this software, in steps of
        1024 weeks, as on a node."""
        weeks = (arrival.toa_utc_ns - agent.RELEASED_UTC_S * NS_PER_S) // WEEKS_NS
        if self._clock is None or weeks < 1:
            return Judged(arrival)
        told = f"{name}'s clock is {1024 * weeks} weeks after this software: set right here"
        return Judged(moved(arrival, arrival.toa_utc_ns - weeks * WEEKS_NS), told)
