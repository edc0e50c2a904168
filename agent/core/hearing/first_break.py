"""Where a sound first stands out of what was before it, whatever it looks like.

The plain first break of seismology: no model of the wave, no better than a good part of its
rise. For sounds that `arrival` finds nothing to compare with.
"""

import math
from dataclasses import dataclass

import numpy as np

from agent.core.hearing.picker import Stretch, Wave, moving_sums

BACK_S = 3e-3
_BASE_S = 3e-3
_QUIET_S = 25e-3
_NEAR_S = 0.25e-3
_PEAK_S = 2e-3
_SHARE = 0.25
_OVER_NOISE = 4.0
_CLIPPED_S = 60e-6
_CLIPPED_RUN = 4
_CLIPPED_FROM = 1e-3


@dataclass(frozen=True, slots=True)
class Break:
    """`index` is where the sound passes the threshold, `rise` how long it then goes on rising.

    `sigma` is what noise does to `index`. All in samples; fractions count.
    """

    index: float
    rise: float
    sigma: float


def first_break(stretch: Stretch, onset: float) -> Break | None:
    """The first excursion from BACK_S before `onset` on, None if none stands out.

    It must reach a quarter of the peak that follows the onset and four times the noise. Levels are
    taken from the mean of the last 3 ms, which follows wind.
    """
    at, base, back = round(onset), stretch.count(_BASE_S), stretch.count(BACK_S)
    start = at - back - stretch.count(_QUIET_S)
    stop = at + stretch.count(_PEAK_S)
    if start < base or stop > len(stretch.samples):
        return None
    level = _over_base(stretch.samples[start - base : stop], base)
    quiet, size = level[: at - back - start], np.abs(level[at - back - start :])
    noise = math.sqrt(float(quiet @ quiet) / len(quiet))
    near = size[back - stretch.count(_NEAR_S) :]
    peak = float(near[near.argmax()])
    threshold = max(_SHARE * peak, _OVER_NOISE * noise)
    above = (size > threshold).nonzero()[0]
    if not len(above) or above[0] == 0:
        return None
    first = int(above[0])
    falls = size[first + 1 :] < size[first:-1]
    top = first + (int(falls.argmax()) if falls.any() else len(falls))
    slope = float(size[first] - size[first - 1])
    crossing = first - float(size[first] - threshold) / slope
    return Break(at - back + crossing, top - crossing, noise / slope)


def is_clipped(stretch: Stretch, start: int, stop: int) -> bool:
    """True if the largest of the samples from `start` to before `stop` are the same for 60 us."""
    size = np.abs(stretch.samples[max(0, start) : max(0, stop)])
    run = max(_CLIPPED_RUN, stretch.count(_CLIPPED_S) + 1)
    if len(size) < run or size.max() < _CLIPPED_FROM:
        return False
    at_top = np.concatenate(([0], np.cumsum(size == size.max())))
    return bool((at_top[run:] - at_top[:-run] == run).any())


def _over_base(samples: Wave, base: int) -> Wave:
    """Each sample but the first `base`, less the mean of the `base` before it."""
    return np.asarray(samples[base:] - moving_sums(samples[:-1], base) / base)
