"""How warm the air of a cell was, from its nodes' heartbeats."""

from bisect import bisect_left, bisect_right, insort
from statistics import median
from typing import Protocol

import msgspec

from agent.core.records import Body
from agent.core.records.kinds import Heartbeat
from agent.core.units import NS_PER_S, parse_rfc3339_ns
from simulator.centre.locator.arrival import LAST_UTC_NS

STANDARD_C = 15.0
NEAR_NS = 3600 * NS_PER_S
_COLDEST_C, _HOTTEST_C = -90.0, 70.0


class Air:
    """The temperature of one cell over time; heartbeats may come late and in any order."""

    def __init__(self) -> None:
        self._felt: list[tuple[int, float]] = []

    def feel(self, utc_ns: int, temperature_c: float) -> None:
        """One heartbeat's measurement."""
        insort(self._felt, (utc_ns, temperature_c))

    def felt(self, first_ns: int, last_ns: int) -> list[float]:
        """All measurements of that time."""
        first = bisect_left(self._felt, (first_ns, -float("inf")))
        last = bisect_right(self._felt, (last_ns, float("inf")))
        return [temperature_c for _, temperature_c in self._felt[first:last]]

    def temperature_c(self, utc_ns: int) -> float | None:
        """The median of the hour before and after `utc_ns`; None where nobody measured."""
        return around(self, utc_ns)


class Felt(Protocol):
    """Whoever knows what was measured."""

    def felt(self, first_ns: int, last_ns: int) -> list[float]: ...


def around(known: Felt, utc_ns: int) -> float | None:
    """The median of what is `known` of the hour before and after `utc_ns`, if anything is."""
    near = known.felt(utc_ns - NEAR_NS, utc_ns + NEAR_NS)
    return median(near) if near else None


def is_warmth(body: Body) -> bool:
    """True if a record tells a temperature and its time, whatever they are."""
    if not isinstance(body.data, Heartbeat) or body.time is msgspec.UNSET:
        return False
    return body.data.air_temperature_c is not None


def warmth_of(body: Body) -> tuple[int, float] | None:
    """UTC in ns and temperature in C that a record tells; None if it tells none that can be."""
    if not isinstance(body.data, Heartbeat) or body.time is msgspec.UNSET:
        return None
    celsius, utc_ns = body.data.air_temperature_c, parse_rfc3339_ns(body.time)
    if celsius is None or not (_COLDEST_C <= celsius <= _HOTTEST_C and 0 <= utc_ns < LAST_UTC_NS):
        return None
    return utc_ns, celsius
