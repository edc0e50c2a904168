"""What is to be located: where something came into a cell, and how urgent that is."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.units import NS_PER_S

LIVE_NS = 600 * NS_PER_S


@dataclass(slots=True)
class Touch:
    """Something came at `toa_utc_ns`; first and last time that it did, by the locator's clock."""

    toa_utc_ns: int
    first_ns: int
    last_ns: int


def made_one(touches: Sequence[Touch]) -> Touch:
    """One touch in the place of several of the same run."""
    first, last = min(one.first_ns for one in touches), max(one.last_ns for one in touches)
    return Touch(touches[0].toa_utc_ns, first, last)


def urgency_of(toa_utc_ns: int, utc_ns: int | None) -> tuple[bool, int]:
    """What is of these minutes, if they are known, goes first; then the newer before the older."""
    return utc_ns is not None and abs(toa_utc_ns - utc_ns) < LIVE_NS, toa_utc_ns
