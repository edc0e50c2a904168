"""What time a record can be of, by when it came; and what time it is at the centre.

Nothing is made after it has come. The present is the centre's own clock where the kernel vouches
for it within a bound, or the clock of one trusted node; where neither is there nothing is bounded,
and that is said. Bare CLOCK_REALTIME dates receipts then, and is believed for nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from agent.adapters.host import Discipline
from agent.core.records import Body
from agent.core.records.kinds import TimebaseChange
from agent.core.units import NS_PER_MS, NS_PER_S, ns_of, parse_rfc3339_ns
from agent.ports import HostClock
from simulator.centre.locator.arrival import Arrival

FIRST_RELEASE_UTC_NS = ns_of(datetime(2026, 1, 1, tzinfo=UTC))  # no record is older
WEEKS_NS = 1024 * 7 * 86_400 * NS_PER_S
_WORST_BOUND_NS = 2 * NS_PER_S
_SLACK_NS = 100 * NS_PER_MS
_BY_LINK_NS = 3 * NS_PER_S  # how late a trusted node's freshest record may be
_SIGMAS = 3
_SUSPECT_NS = 600 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Present:
    """It is `utc_ns`, give or take `bound_ns`, by `whose` word."""

    utc_ns: int
    bound_ns: int
    whose: str


class StatedClock:
    """The centre's present. `discipline` is the kernel's word; `node` a source whose records count
    where the kernel is silent, empty for none. Both clocks are only read."""

    def __init__(
        self, clock: HostClock, discipline: Callable[[], Discipline], node: str = ""
    ) -> None:
        self._clock, self._discipline, self._node = clock, discipline, node
        self._ahead_ns: int | None = None  # of the trusted node's UTC over the monotonic clock

    def now(self) -> Present | None:
        """None where nobody vouches for any clock."""
        try:
            known = self._discipline()
        except OSError:
            known = Discipline(False, 0, "unknown")
        if known.is_synchronised and known.max_error_ns <= _WORST_BOUND_NS:
            return Present(self._clock.realtime_ns(), known.max_error_ns, "the kernel")
        if self._ahead_ns is None:
            return None
        utc_ns = self._clock.monotonic_ns() + self._ahead_ns
        return Present(utc_ns, _BY_LINK_NS, self._node)

    def best_utc_ns(self) -> int:
        """The present as well as it is known, for what must be dated in any case: receipts."""
        present = self.now()
        return self._clock.realtime_ns() if present is None else present.utc_ns

    def hear(self, body: Body) -> None:
        """A record that has just come: of the trusted node the one that was least late counts."""
        is_good = body.clock.state == "locked" and body.clock.confirmed is not False
        if body.source != self._node or not is_good or not isinstance(body.time, str):
            return
        ahead_ns = parse_rfc3339_ns(body.time) - self._clock.monotonic_ns()
        self._ahead_ns = max(ahead_ns, self._ahead_ns or ahead_ns)


class TimeBounds:
    """Holds the times of records against the present; `ahead` are nodes whose clocks were found
    ahead of it, with what was seen and when. They are not believed for ten minutes, for what comes
    late may hide how far ahead it is, or until they begin anew."""

    def __init__(self, clock: StatedClock | None) -> None:
        """Without a clock no time is doubted."""
        self._clock = clock
        self.ahead: dict[str, tuple[str, int]] = {}

    def hear(self, body: Body) -> None:
        """A record has just come."""
        if self._clock:
            self._clock.hear(body)

    def bound(self, arrival: Arrival) -> tuple[Arrival | None, str]:
        """What to locate with, and what to tell: an impossible time is not located, unless it is
        multiples of 1024 weeks ahead of a possible one."""
        name = arrival.source.rpartition(":")[2]
        present = self._clock.now() if self._clock else None
        if present is None:
            return arrival, ""
        latest_ns = present.utc_ns + present.bound_ns + _SIGMAS * arrival.sigma_ns + _SLACK_NS
        ahead_ns = arrival.toa_utc_ns - latest_ns
        weeks = round(ahead_ns / WEEKS_NS)
        if weeks > 0 and arrival.toa_utc_ns - weeks * WEEKS_NS <= latest_ns:
            right_ns = arrival.toa_utc_ns - weeks * WEEKS_NS
            told = f"{name}'s clock is {1024 * weeks} weeks ahead of the present: set right here"
            return replace(arrival, toa_utc_ns=right_ns, confirmed=False), told
        if ahead_ns > 0:
            seen = f"{name}'s clock is {ahead_ns / NS_PER_S:.1f} s or more ahead of the present"
            self.ahead[arrival.source] = (seen, present.utc_ns)
            return None, f"{seen}: not located"
        seen, seen_ns = self.ahead.get(arrival.source, ("", 0))
        if seen and present.utc_ns - seen_ns < _SUSPECT_NS:
            return None, f"{seen}: not located"
        if arrival.toa_utc_ns < FIRST_RELEASE_UTC_NS:
            return None, f"{name}'s clock is before the first node ever was made: not located"
        return arrival, ""

    def follow(self, body: Body) -> None:
        """A clock that begins anew is no longer the one that was ahead."""
        if isinstance(body.data, TimebaseChange) and body.data.after == "unsynchronised":
            self.ahead.pop(body.source, None)
