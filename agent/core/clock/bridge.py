"""The likeliest course of a clock between two times at which it was measured, with its sigma.

The clock's error is offset and rate; the rate wanders at random (integrated Wiener process), and
follows a thermometer by a slope that is known only so well. Given both ends the course between
is a Gaussian conditional, which is what a Kalman smoother (Rauch, Tung and Striebel 1965) gives.
How strongly the rate wandered meanwhile the ends show but poorly: strengths on a grid are weighed
by prior and likelihood, and their disagreement is part of sigma.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.core.clock.clock_filter import Covariance

_DIFFUSE_RATE = 1e5  # ns per s: a rate of which nothing is known
# The strengths tried, in powers of e around the node's own prior, whose 1-sigma is a factor of e^2
# either way. Any wide grid serves: of 30 draws each of three worlds the errors of grids and of
# processes with a memory (300 to 3000 s) differed by less than a tenth.
_POWERS = range(-6, 5)
_PRIOR_POWERS = 2.0
_WANDER_LEAST = 2.0  # times what was measured while tracked: there always


@dataclass(frozen=True, slots=True)
class End:
    """Offset (ns) and rate (ns per s) against what the clock told, and their covariance."""

    offset_ns: float
    rate: float
    spread: Covariance


@dataclass(frozen=True, slots=True)
class Heat:
    """Degree-seconds since the start at some times of the spell, (s, C s), and the 1-sigma of the
    slope (ns per s per C) by which the clock's line holds them already. Without readings: empty."""

    readings: Sequence[tuple[float, float]]
    slope_sigma: float

    def at(self, after_s: float) -> float:
        """Degree-seconds up to then; between readings a line, after the last one by its pace."""
        known = [(0.0, 0.0), *self.readings]
        if len(known) < 2:
            return 0.0
        upper = min(max(1, bisect_left(known, (after_s, -math.inf))), len(known) - 1)
        (low_s, low), (high_s, high) = known[upper - 1], known[upper]
        return low + (high - low) * (after_s - low_s) / max(1e-9, high_s - low_s)


@dataclass(frozen=True, slots=True)
class Spell:
    """`start` is the covariance at its start, where the clock is right as far as it knows; `wander`
    (ns per s per sqrt s) was measured while it was tracked, and in the spell it may have strayed by
    `stray_ns`, 1-sigma, as the node itself reckoned."""

    lasts_s: float
    start: Covariance
    end: End
    wander: float
    stray_ns: float
    heat: Heat


def end_of(marks: Sequence[tuple[float, float]], wander: float, scatter_ns: float) -> End:
    """What marks tell of the first of them: (s since the end, ns off the told line), in order. A
    Kalman filter that runs backward, which knows nothing before."""
    at_s, offset = marks[-1]
    rate, xx, xf, ff = 0.0, scatter_ns**2, 0.0, _DIFFUSE_RATE**2
    for then_s, seen in reversed(marks[:-1]):
        back, density = at_s - then_s, wander**2
        at_s, offset = then_s, offset - rate * back
        xx += -2 * back * xf + back * back * ff + density * back**3 / 3
        xf += -back * ff - density * back * back / 2
        ff += density * back
        surprise, expected = seen - offset, xx + scatter_ns**2
        offset += xx / expected * surprise
        rate += xf / expected * surprise
        xx, xf, ff = xx - xx * xx / expected, xf - xx * xf / expected, ff - xf * xf / expected
    return End(offset, rate, Covariance(xx, xf, ff))


def course(spell: Spell, knots: int) -> Iterator[tuple[float, float, float]]:
    """(share of the spell, ns to add, 1-sigma in ns), `knots` of them evenly from 0 to 1."""
    times = [spell.lasts_s * number / (knots - 1) for number in range(knots)]
    likeliest = 3 * spell.stray_ns**2 / spell.lasts_s**3
    tried = []
    for power in _POWERS:
        density = _WANDER_LEAST * spell.wander**2 + likeliest * math.exp(power)
        log, found = _given(spell, density, times)
        tried.append((log - 0.5 * (power / _PRIOR_POWERS) ** 2, found))
    best = max(log for log, _ in tried)
    weights = [math.exp(log - best) for log, _ in tried]
    total = sum(weights)
    for number, time_s in enumerate(times):
        told = [
            (weight / total, *found[number])
            for weight, (_, found) in zip(weights, tried, strict=True)
        ]
        add_ns = sum(weight * mean for weight, mean, _ in told)
        variance = sum(weight * (own + (mean - add_ns) ** 2) for weight, mean, own in told)
        yield time_s / spell.lasts_s, add_ns, math.sqrt(variance)


def _given(
    spell: Spell, density: float, times: Sequence[float]
) -> tuple[float, list[tuple[float, float]]]:
    """Log likelihood of the end under that strength, and (mean, variance) at each time."""
    span, start, end = spell.lasts_s, spell.start, spell.end
    slope_2 = spell.heat.slope_sigma**2
    heat = spell.heat.at(span)
    pace = (heat - spell.heat.at(0.99 * span)) / (0.01 * span)
    s_xx = start.xx + 2 * span * start.xf + span * span * start.ff + density * span**3 / 3
    s_xf = start.xf + span * start.ff + density * span * span / 2
    s_ff = start.ff + density * span
    s_xx += end.spread.xx + slope_2 * heat * heat
    s_xf += end.spread.xf + slope_2 * heat * pace
    s_ff += end.spread.ff + slope_2 * pace * pace
    det = s_xx * s_ff - s_xf * s_xf
    inverse = (s_ff / det, -s_xf / det, s_xx / det)
    x, f = end.offset_ns, end.rate
    u, v = inverse[0] * x + inverse[1] * f, inverse[1] * x + inverse[2] * f
    found = []
    for t in times:
        own_heat = spell.heat.at(t)
        to_x = start.xx + (t + span) * start.xf + t * span * start.ff
        to_x += density * t * t * (3 * span - t) / 6 + slope_2 * own_heat * heat
        to_f = start.xf + t * start.ff + density * t * t / 2 + slope_2 * own_heat * pace
        alone = start.xx + 2 * t * start.xf + t * t * start.ff
        alone += density * t**3 / 3 + slope_2 * own_heat * own_heat
        known = inverse[0] * to_x * to_x + 2 * inverse[1] * to_x * to_f + inverse[2] * to_f * to_f
        found.append((to_x * u + to_f * v, max(alone - known, 0.0)))
    return -0.5 * (math.log(det) + x * u + f * v), found
