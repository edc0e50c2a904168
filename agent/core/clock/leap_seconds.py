"""The leap seconds that were, and until when it is known that there will be no other.

From IERS Bulletin C as the list `leap-seconds.list` gives it. A receiver's own count can be held
against it; after it expires it says nothing, rather than something old.
"""

from bisect import bisect_right
from datetime import UTC, datetime
from typing import Literal

from agent.core.units import NS_PER_S, moment_of, ns_of

EXPIRES_UTC_NS = ns_of(datetime(2027, 6, 28, tzinfo=UTC))
_GPS_AHEAD = (  # from that day on GPS time was so many seconds ahead of UTC
    ((1981, 7), 1), ((1982, 7), 2), ((1983, 7), 3), ((1985, 7), 4), ((1988, 1), 5), ((1990, 1), 6),
    ((1991, 1), 7), ((1992, 7), 8), ((1993, 7), 9), ((1994, 7), 10), ((1996, 1), 11),
    ((1997, 7), 12), ((1999, 1), 13), ((2006, 1), 14), ((2009, 1), 15), ((2012, 7), 16),
    ((2015, 7), 17), ((2017, 1), 18),
)  # fmt: skip
_SINCE_NS = [ns_of(datetime(year, month, 1, tzinfo=UTC)) for (year, month), _ in _GPS_AHEAD]
_NEAR_NS = 5 * NS_PER_S


def leap_seconds_at(utc_ns: int) -> int | None:
    """By how many seconds GPS time is ahead of UTC; None where this list does not know."""
    at = bisect_right(_SINCE_NS, utc_ns)
    if not at or utc_ns >= EXPIRES_UTC_NS:
        return None
    return _GPS_AHEAD[at - 1][1]


def may_leap(utc_ns: int) -> Literal["yes", "no", "unknown"]:
    """Whether a leap second ends the month at `utc_ns`, which is within 5 s of it."""
    midnight = moment_of(utc_ns + _NEAR_NS)
    if midnight.day != 1 or (midnight.hour, midnight.minute) != (0, 0):
        return "no"  # ITU-R TF.460: only at the end of a month
    midnight_ns = ns_of(midnight.replace(second=0))
    if midnight_ns >= EXPIRES_UTC_NS:
        return "unknown"
    return "yes" if midnight_ns in _SINCE_NS else "no"
