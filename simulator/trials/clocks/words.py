"""What a receiver means to say in one draw of a world, epoch by epoch, right or wrong.

What it gets wrong (the second, its weeks, its leap seconds) all its words get wrong together. How
it says it, as signs or as bytes of a language, is for others.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from agent.core.clock.counting import GPS_WEEKS_NS
from agent.core.units import NS_PER_MS, NS_PER_S
from simulator.trials.clocks.drawn import draw
from simulator.trials.clocks.nature import ClockWorld
from simulator.trials.clocks.spells import Spell

GPS_AHEAD_S = 18  # of UTC since 2017, until a world inserts another leap second
_WANDERS_IN_S = 600.0
_LEAST_LAG_S = 0.02


@dataclass(frozen=True, slots=True)
class Epoch:
    """One instant as it is told. `at_s` is the awake moment at which its first byte leaves.

    `utc_ns` is the label; where `is_leap` it reads 23:59:60 and is that of the midnight after.
    `count_ns` is the true one, without leap seconds of the world, its weeks as the receiver has
    them. `leap_s` is what it takes from GPS time, `leap_from` where from it believes to have that.
    `next_ns` is what it calls the first pulse after `at_s`.
    """

    number: int
    at_s: float
    utc_ns: int
    count_ns: int
    is_leap: bool
    is_valid: bool
    leap_s: int
    is_default: bool
    leaps_soon: bool
    is_spoofed: bool
    next_ns: int


class Words:
    """One draw. Moments are awake seconds; `midnight_ns` is when a second may leap."""

    def __init__(self, world: ClockWorld, rng: np.random.Generator, own: np.random.Generator):
        report = world.report
        self._rng, self._own = rng, own
        self.lag_s = draw(report.lag_ms, rng) * 1e-3
        self._lag_jitter_s = draw(report.jitter_ms, rng) * 1e-3
        self._lag_wander_s = draw(report.wander_ms, rng) * 1e-3
        self._lost_share = draw(report.lost_share, rng)
        self._wrong_s = round(draw(report.wrong_s, rng))
        self._wrong_until_s = draw(report.wrong_for_s, rng) or math.inf
        self._weeks_ns = round(draw(report.weeks, rng)) * GPS_WEEKS_NS
        self.tells_leap = report.tells_leap > 0.0 and rng.random() < report.tells_leap
        self._weeks_until_s = draw(report.weeks_for_s, own) or math.inf
        self.every = max(1, round(draw(report.every_s, own)))
        self.fraction_ns = round(draw(report.fraction_ms, own)) * NS_PER_MS
        self.tells_next = own.random() < report.tells_next
        self.tells_spoofing = own.random() < report.tells_spoofing
        self._says_sixty = own.random() < report.says_sixty
        self.every_other = own.random() < 0.5
        self._leaps = world.leaps if report.leaps is None else round(draw(report.leaps, own))
        at_s = world.midnight_at_s
        self._midnight_ns = None if at_s is None else round(world.start_utc_s + at_s) * NS_PER_S

    def epochs(
        self,
        seconds: list[float],
        count_ns: Callable[[float], int],
        is_up: Callable[[float], bool],
        dragged: list[Spell],
    ) -> Iterator[Epoch]:
        """All that is told; `count_ns` is the true second at a moment, leap seconds not taken."""
        keep, wander_s = float(np.exp(-1.0 / _WANDERS_IN_S)), 0.0
        for number, at_s in enumerate(seconds):
            normal, other = self._rng.standard_normal(2)
            wander_s = keep * wander_s + (1 - keep**2) ** 0.5 * self._lag_wander_s * float(normal)
            lag_s = self.lag_s + wander_s + self._lag_jitter_s * float(other)
            if self._rng.random() < self._lost_share or number % self.every:
                continue
            sent_s = at_s + self.fraction_ns / NS_PER_S + max(lag_s, _LEAST_LAG_S)
            true_ns = count_ns(at_s)
            own_ns = true_ns + (self._weeks_ns if at_s < self._weeks_until_s else 0)
            next_ns = true_ns + (math.floor(sent_s - at_s) + 1) * NS_PER_S
            label_ns, is_leap = self.label(true_ns, at_s)
            yield Epoch(
                number=number,
                at_s=sent_s,
                utc_ns=label_ns + self.fraction_ns,
                count_ns=own_ns + self.fraction_ns,
                is_leap=is_leap,
                is_valid=is_up(at_s),
                leap_s=GPS_AHEAD_S + self._leapt(true_ns) - self._wrong_at(at_s),
                is_default=self._wrong_at(at_s) != 0,
                leaps_soon=self._leaps > 0 and not self._leapt(true_ns),
                is_spoofed=any(spell.holds(at_s) for spell in dragged),
                next_ns=self.label(next_ns, at_s)[0],
            )

    def label(self, count_ns: int, at_s: float) -> tuple[int, bool]:
        """What the receiver calls a true second, as it knows things at `at_s`; is it 23:59:60?"""
        off_ns = self._wrong_at(at_s) * NS_PER_S
        off_ns += self._weeks_ns if at_s < self._weeks_until_s else 0
        if self._leaps and count_ns == self._midnight_ns:
            return (count_ns + off_ns, True) if self._says_sixty else (
                count_ns + off_ns - NS_PER_S, False
            )  # fmt: skip
        return count_ns + off_ns - self._leapt(count_ns) * NS_PER_S, False

    def _leapt(self, count_ns: int) -> int:
        is_over = self._midnight_ns is not None and count_ns > self._midnight_ns
        return self._leaps if is_over else 0

    def _wrong_at(self, at_s: float) -> int:
        return self._wrong_s if at_s < self._wrong_until_s else 0
