"""The temperature in a box on a pole, and what crystals make of it; one number a second.

A day is a sinus with its peak at 15 h; the sun adds to it while it stands over the horizon and no
cloud is before it; a busy processor adds a step. The box follows with one time constant. A
crystal strays by a cubic of the temperature: an AT cut (in converters and boards, some ppm over a
day) has a linear and a cubic term, a tuning fork a parabola of -0.034 ppm per degree squared.
"""

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from agent.core.units import NS_PER_S
from simulator.trials.clocks.drawn import draw
from simulator.trials.clocks.nature import CrystalTable, WeatherTable

Floats = npt.NDArray[np.float64]
_DAY_S, _PEAK_HOUR = 86_400.0, 15.0
_CLOUD_S = (60.0, 2400.0)
_LOAD_S = (30.0, 1800.0)


class Weather:
    """One draw: `inside_c` is the temperature at each second of true time, shape (n,)."""

    def __init__(self, table: WeatherTable, seconds: int, rng: np.random.Generator) -> None:
        at_s = np.arange(seconds, dtype=np.float64)
        hour = (draw(table.starts_at_hour, rng) + at_s / 3600.0) % 24.0
        day = np.cos(2 * np.pi * (hour - _PEAK_HOUR) / 24.0)
        sun = np.clip(np.sin(np.pi * (hour - 6.0) / 12.0), 0.0, None)
        clear = 1.0 - _spells(table.clouds_per_hour, _CLOUD_S, seconds, rng)
        busy = _spells(table.loads_per_hour, _LOAD_S, seconds, rng)
        outside_c = draw(table.mean_c, rng) + draw(table.day_swing_c, rng) * day
        driven_c = outside_c + draw(table.sun_c, rng) * sun * clear + draw(table.load_c, rng) * busy
        self.inside_c = _followed(driven_c, draw(table.lag_s, rng))
        self._shown_c = _followed(self.inside_c, draw(table.sensor_lag_s, rng))
        self._noise_c = draw(table.sensor_noise_c, rng)

    def temperature_c_at(self, true_s: float) -> float:
        """Of the crystals, so many seconds after the start."""
        return float(self.inside_c[min(int(true_s), len(self.inside_c) - 1)])

    def sensor_c_at(self, true_s: float, rng: np.random.Generator) -> float:
        """What a sensor of the host shows: late, noisy, and in steps of half a degree."""
        shown_c = self._shown_c[min(int(true_s), len(self._shown_c) - 1)]
        return float(np.round(2 * (shown_c + rng.normal(0.0, self._noise_c))) / 2)


def strays_ns(table: CrystalTable, inside_c: Floats, rng: np.random.Generator) -> Floats:
    """How far a crystal's count is off at each second, ns, shape (n,), 0 at first."""
    warm_c = inside_c - draw(table.turnover_c, rng)
    steps = rng.standard_normal(len(inside_c)) * (draw(table.wander_ppm_per_sqrt_hour, rng) / 60.0)
    ppm = draw(table.ppm, rng) + np.cumsum(steps)
    ppm += draw(table.aging_ppm_per_day, rng) * np.arange(len(inside_c)) / _DAY_S
    for power, term in enumerate((table.ppm_per_c, table.ppm_per_c2, table.ppm_per_c3), start=1):
        ppm += draw(term, rng) * warm_c**power
    return np.concatenate(([0.0], np.cumsum(ppm)[:-1])) * 1e-6 * NS_PER_S


def _followed(driven_c: Floats, lag_s: float) -> Floats:
    if lag_s < 1.0:
        return driven_c
    keep = float(np.exp(-1.0 / lag_s))
    followed, _ = lfilter([1.0 - keep], [1.0, -keep], driven_c, zi=[keep * driven_c[0]])
    return np.asarray(followed, dtype=np.float64)


def _spells(
    per_hour: float, lasts_s: tuple[float, float], seconds: int, rng: np.random.Generator
) -> Floats:
    """1 inside spells that come at random and last as long as they like, else 0."""
    on = np.zeros(seconds)
    for _ in range(rng.poisson(per_hour * seconds / 3600.0)):
        start = int(rng.uniform(0, seconds))
        on[start : start + int(np.exp(rng.uniform(*np.log(lasts_s))))] = 1.0
    return on
