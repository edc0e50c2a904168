"""What an earlier run of this boot knew for good, carried on by the hardware's counter.

The counter (CLOCK_MONOTONIC_RAW) is steered by nobody and goes on while the agent restarts. Its
crystal is not known yet, so that the bound grows with the worst that crystals of computers do.
"""

from dataclasses import dataclass

from agent.core.clock.counting import DAY_NS
from agent.core.clock.leap_seconds import may_leap
from agent.core.clock.time_signs import OwnWord
from agent.core.units import NS_PER_MS

_WORST_RATE = 200e-6  # 100 ppm is the worst that data sheets allow, over temperature and age
_SIGMAS = 4
_READING_NS = NS_PER_MS
_SLEPT_NS = 5 * NS_PER_MS
_USELESS_NS = 450 * NS_PER_MS


@dataclass(frozen=True, slots=True)
class Counter:
    """One reading: of boot `boot`, the counter at `raw_ns`, the host having slept `slept_ns`."""

    boot: str
    raw_ns: int
    slept_ns: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """At that reading it was `utc_ns`, confirmed, with a 1-sigma of `sigma_ns`."""

    at: Counter
    utc_ns: int
    sigma_ns: int


def own_word(remembered: Remembered, now: Counter, host_ns: int) -> OwnWord | None:
    """UTC at `host_ns`, when the counter stood at `now`; None where that cannot be told.

    It cannot after another boot, a sleep, or a midnight that may have had a leap second.
    """
    then = remembered.at
    age_ns = now.raw_ns - then.raw_ns
    if now.boot != then.boot or age_ns < 0 or abs(now.slept_ns - then.slept_ns) > _SLEPT_NS:
        return None
    utc_ns = remembered.utc_ns + age_ns
    midnights = range(remembered.utc_ns // DAY_NS + 1, utc_ns // DAY_NS + 1)
    if any(may_leap(day * DAY_NS) != "no" for day in midnights):
        return None
    bound_ns = _SIGMAS * remembered.sigma_ns + round(_WORST_RATE * age_ns) + _READING_NS
    return OwnWord(host_ns, utc_ns, bound_ns) if bound_ns < _USELESS_NS else None
