"""A cell in which some nodes lost their satellites for hours, and what they say when they are back.

The error is this world's: a rate that wanders and follows a day's temperature, no cubic. The
correction is the node's own smoother, given the marks before and after as a node has them.
"""

import numpy as np

from agent.core.clock.bridge import Heat, Spell, course, end_of
from agent.core.clock.clock_filter import Covariance
from agent.core.records.correction import Correction, Knot
from agent.core.units import NS_PER_S
from tests.support.located import START_NS

LASTS_S = 7_200
_WANDER = 2_000.0 / 60.0  # ns per s per sqrt s: an ordinary crystal
_WARMTH = 400.0  # ns per s: 0.4 ppm between cool and warm
_JITTER_NS = 2_000.0


class HeldOver:
    """One node's clock in one draw, from START_NS on."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        seconds = np.arange(LASTS_S + 61)
        day = np.sin(2 * np.pi * (seconds / 21_600.0 + rng.uniform()))
        rate = _WANDER * np.cumsum(rng.standard_normal(len(seconds))) + _WARMTH * (day - day[0])
        self._error_ns = np.cumsum(rate) + rng.normal(0.0, 60.0) * seconds
        self._rng = rng

    def error_ns(self, second: float) -> int:
        """What it tells minus what is true."""
        return round(float(np.interp(second, np.arange(len(self._error_ns)), self._error_ns)))

    def sigma_ns(self, second: float) -> int:
        """What it says of it, honestly."""
        return round(float(np.hypot(60.0 * second, _WANDER * second**1.5 / 3**0.5)) + 2_000)

    def correction(self) -> Correction:
        """By the marks of the minute after, off the line that the clock told at the end."""
        end_ns = self.error_ns(LASTS_S)
        jitter = self._rng.normal(0.0, _JITTER_NS, 60)
        marks = [
            (float(n), -float(self._error_ns[LASTS_S + n]) + float(jitter[n])) for n in range(60)
        ]
        end = end_of(marks, _WANDER, _JITTER_NS)
        spell = Spell(
            LASTS_S,
            Covariance(1_000.0**2, 0.0, 60.0**2),
            end,
            _WANDER,
            float(self.sigma_ns(LASTS_S)),
            Heat((), 0.0),
        )
        told_ns = START_NS + LASTS_S * NS_PER_S + end_ns
        mark_ns = told_ns + round(end.offset_ns)
        knots = [
            Knot(after_ns=round(u * (told_ns - START_NS)), add_ns=round(add), sigma_ns=round(sigma))
            for u, add, sigma in course(spell, 17)
        ]
        return Correction(
            first_utc_ns=str(START_NS),
            last_utc_ns=str(min(told_ns, mark_ns)),
            knots=tuple(knots),
            told_utc_ns=str(told_ns),
            mark_utc_ns=str(mark_ns),
            mark_sample=None,
            rate_hz=48_000,
            time_pairs=(),
        )
