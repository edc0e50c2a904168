"""How a crystal's rate follows the temperature of its host, learnt while the crystal is tracked.

Rate and temperature are compared over half an hour, so that neither aging nor the crystal's offset
counts; the slope is what explains the changes best (least squares with a prior), and its error is
what they leave unexplained. While marks are away, the slope times the degree-seconds since the last
one is what temperature did to the offset.
"""

import math
from collections import deque

CrystalSlope = tuple[float, float]  # ns per s per C, and its 1-sigma

_EVERY_S = 600.0
_OVER = 3  # of those
_USUAL_SLOPE = 700.0  # ns per s per C, 1 sigma: an XO by its data sheet, or a cold tuning fork
_KEPT_SLOPE_WIDER = 2.0  # a slope of an earlier run: another season, another stretch of the curve
_KNOWN_SLOPE = 25.0  # ns per s per C
_LEAST_NOISE = 10.0  # ns per s
_MEMORY = 0.995
_SMOOTH_S = 300.0
_STALE_S = 300.0


class Thermal:
    """Feed it temperatures (C), and rates (ns per s) of the offset while it is tracked."""

    def __init__(self, slope: CrystalSlope | None = None) -> None:
        """`slope` is what an earlier run of this host learnt."""
        known, sigma = slope or (0.0, _USUAL_SLOPE)
        self._weight = (_KEPT_SLOPE_WIDER * sigma if slope else sigma) ** -2
        self._weighted = known * self._weight
        self._noise_2 = (3 * _LEAST_NOISE) ** 2
        self._history: deque[tuple[float, float, float]] = deque(maxlen=_OVER + 1)
        self._now: tuple[float, float] | None = None
        self._at_mark_c: float | None = None
        self._heat_c_s = 0.0

    @property
    def slope(self) -> CrystalSlope:
        """ns per s per C, and its 1-sigma."""
        return self._weighted / self._weight, self._weight**-0.5

    def on_temperature(self, at_s: float, celsius: float) -> None:
        """A sensor of the host shows `celsius`; smoothed: it sits elsewhere."""
        if self._now is None or at_s - self._now[0] > _STALE_S:
            self._now = (at_s, celsius)
            return
        last_s, last_c = self._now
        share = -math.expm1(-(at_s - last_s) / _SMOOTH_S)
        smooth_c = last_c + share * (celsius - last_c)
        if self._at_mark_c is not None:
            self._heat_c_s += ((last_c + smooth_c) / 2 - self._at_mark_c) * (at_s - last_s)
        self._now = (at_s, smooth_c)

    def on_mark(self) -> None:
        """A mark was believed: what temperature does counts from here."""
        self._heat_c_s = 0.0
        self._at_mark_c = None if self._now is None else self._now[1]

    def on_tracked(self, at_s: float, rate_ns_per_s: float) -> None:
        """While marks are believed the offset changes at this rate."""
        if self._at_mark_c is None:
            return
        if self._history and at_s - self._history[-1][0] < _EVERY_S:
            return
        self._history.append((at_s, rate_ns_per_s, self._at_mark_c))
        self._learn()

    def heated_ns(self, at_s: float) -> float:
        """What temperature did to the offset since the last mark, as far as readings tell."""
        return self.slope[0] * self.degree_seconds(at_s)

    def heated_sigma_ns(self, at_s: float) -> float:
        """1-sigma of that."""
        return self.slope[1] * abs(self.degree_seconds(at_s))

    @property
    def warmer_by_c(self) -> float:
        """How much warmer it is now than at the last mark; 0 where nobody tells."""
        if self._now is None or self._at_mark_c is None:
            return 0.0
        return self._now[1] - self._at_mark_c

    @property
    def is_known(self) -> bool:
        """Whether the slope is known well enough to speak of what else moves the crystal."""
        return self._now is not None and self.slope[1] < _KNOWN_SLOPE

    def degree_seconds(self, at_s: float) -> float:
        """C s since the last mark, as far as readings tell; 0 without any."""
        if self._now is None or self._at_mark_c is None:
            return 0.0
        return self._heat_c_s + self.warmer_by_c * min(max(0.0, at_s - self._now[0]), _STALE_S)

    def _learn(self) -> None:
        sooner, later = self._history[0], self._history[-1]
        if len(self._history) <= _OVER or later[0] - sooner[0] > 1.5 * _OVER * _EVERY_S:
            return
        moved, warmed = later[1] - sooner[1], later[2] - sooner[2]
        left_2 = (moved - self.slope[0] * warmed) ** 2
        self._noise_2 += 0.05 * (max(left_2, _LEAST_NOISE**2) - self._noise_2)
        weight = warmed * warmed / self._noise_2 / _OVER  # overlapping spans tell a third each
        self._weighted = _MEMORY * self._weighted + weight * (moved / warmed if warmed else 0.0)
        self._weight = _MEMORY * self._weight + weight
