"""What time a record can be of, by when it came: nothing is made after it has come.

Where nobody vouches for the present nothing is judged by it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import agent
from agent.core.clock.counting import GPS_WEEKS_NS as WEEKS_NS
from agent.core.records import Body
from agent.core.records.kinds import TimebaseChange
from agent.core.units import NS_PER_MS, NS_PER_S, ns_of
from simulator.centre.locator.arrival import Arrival, moved
from simulator.centre.stated_clock import CentreClock, Present

FIRST_RELEASE_UTC_NS = ns_of(datetime(2026, 1, 1, tzinfo=UTC))  # no record is older
_SLACK_NS = 100 * NS_PER_MS
_SIGMAS = 3
_SUSPECT_NS = 600 * NS_PER_S


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

    def is_unvouched(self, present: Present | None) -> bool:
        """True where there is a clock, and nobody vouched for the `present` it told."""
        return self._clock is not None and present is None

    def hear(self, body: Body) -> None:
        """A record has just come. A clock that begins anew is no longer the one that was ahead."""
        if self._clock:
            self._clock.hear(body)
        if isinstance(body.data, TimebaseChange) and body.data.after == "unsynchronised":
            self.ahead.pop(body.source, None)

    def judge(self, arrival: Arrival, present: Present | None) -> Judged:
        """An impossible time is not located, unless it is multiples of 1024 weeks ahead of a
        possible one. `present` is when it came."""
        name = arrival.source.rpartition(":")[2]
        if self._clock and arrival.toa_utc_ns < FIRST_RELEASE_UTC_NS:
            told = f"{name}'s clock is before the first node ever was made: not located"
            return Judged(None, told)
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
