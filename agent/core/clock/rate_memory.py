"""How far a crystal strays while it is alone: what its rate did over hours and days.

Minutes of tracking tell a crystal's short wander and nothing of the day: a box warms and cools, and
a rate that was steady for half an hour moves by parts per million until noon. What it did over each
span is measured (the structure function of its rate, as in IEEE 1139); for spans longer than what
was seen a prior stands, scaled by the wander that was measured.
"""

import math
from collections import deque

_EVERY_S = 600.0
_KEPT = 7 * 144
_PAIRS_TO_BELIEVE = 6
_MARGIN = 1.2
_DAY_PPM = 2.0  # rms change of rate over half a day, of a crystal with a wander of 1 ppm / sqrt h
_DAY_POWER = 0.75
_TAU_S = 3.0 * 3600.0
_BESIDE_HEAT = 0.4


class RateMemory:
    """Feed it the rate now and then while it is tracked; ask how far the offset may stray.

    The prior (`_DAY_PPM`, `_DAY_POWER`, `_TAU_S`) was set from the temperature of a box in the sun
    (10 C by half a day) and the slopes that data sheets give for an XO (0.3 ppm per C) and a TCXO
    (0.02): no clock scenario chose it.
    """

    def __init__(self) -> None:
        self._rates: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._moves: list[float] = []

    def observe(self, at_s: float, rate_ns_per_s: float) -> None:
        """The oscillator's rate at `at_s`; kept once in ten minutes."""
        if self._rates and at_s - self._rates[-1][0] < _EVERY_S:
            return
        self._rates.append((at_s, rate_ns_per_s))
        self._moves = [self._move(1 << doubling) for doubling in range(8)]

    def stray_ns(
        self, ahead_s: float, wander_ppm_per_sqrt_hour: float, *, is_heat_known: bool = False
    ) -> float:
        """1-sigma of the offset (ns) that changes of the rate bring about within `ahead_s`; most of
        them are the temperature's, so where that is known apart a part of them remains."""
        if ahead_s < 1.0:
            return 0.0
        day: float = _DAY_PPM * 1000.0 * wander_ppm_per_sqrt_hour**_DAY_POWER
        strayed = day * (ahead_s - _TAU_S * -math.expm1(-ahead_s / _TAU_S))
        strayed = max(strayed, self._measured_stray_ns(ahead_s))
        return _BESIDE_HEAT * strayed if is_heat_known else strayed

    def _measured_stray_ns(self, ahead_s: float) -> float:
        """The integral of the measured change of rate over spans up to `ahead_s`."""
        total = last_s = last = 0.0
        for doubling, move in enumerate(self._moves):
            span_s = _EVERY_S * (1 << doubling)
            if math.isnan(move):
                break
            upto_s = min(span_s, ahead_s)
            at_upto = last + (move - last) * (upto_s - last_s) / (span_s - last_s)
            total += (last + at_upto) / 2 * (upto_s - last_s)
            last_s, last = span_s, move
            if span_s >= ahead_s:
                return _MARGIN * total
        return _MARGIN * (total + last * max(0.0, ahead_s - last_s))

    def _move(self, steps: int) -> float:
        """Root mean square change of the rate over so many steps; NaN where too little is known."""
        rates = list(self._rates)
        span_s = _EVERY_S * steps
        moves = [
            (later[1] - sooner[1]) ** 2
            for sooner, later in zip(rates, rates[steps:], strict=False)
            if later[0] - sooner[0] < 1.5 * span_s
        ]
        return math.sqrt(sum(moves) / len(moves)) if len(moves) >= _PAIRS_TO_BELIEVE else math.nan
