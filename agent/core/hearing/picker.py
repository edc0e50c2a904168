"""Where, to a fraction of a sample, impulsive sounds begin within a stretch of waveform.

Looks at one stretch as a whole and keeps nothing between calls, so a clip of a second on either
side is enough to repeat what was found. When to look is the gate's matter, what the sound is
like `features`'.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from agent.core.audio import Floats

Wave = npt.NDArray[np.float64]

STEP_S = 0.5e-3
AFTER_S = 1.5e-3
BEFORE_S = 15e-3
GUARD_S = 0.7e-3
APART_S = 12e-3
LEAST_RISE = 6.0
LEAST_OVER_FLOOR = 12.0
_QUIET_BEFORE = 6.0
_ECHO_S = 7e-3
_FINE_STEP_S = 0.17e-3
_SEARCH_S = (-1.5e-3, 2.0e-3)
_TOLD_SEARCH_S = (-0.3e-3, 0.3e-3)
_FIRST_PEAK = 0.4
_FLOOR_PIECE_S = 20e-3
_FLOOR_QUANTILE = 0.4
_NEARLY = 1.0 - 1e-9  # the same sum, added up in another order


@dataclass(frozen=True, slots=True)
class Pick:
    """One onset: `index` counts (fractional) samples from the start of the stretch.

    `rough` is where the energy rises most, `index` the first strong step near it. `sigma_noise`
    is the 1-sigma scatter that noise alone gives, in samples. `rise_ratio` compares the energy
    just after with that just before, `over_floor` with the noise floor.
    """

    rough: int
    index: float
    sigma_noise: float
    rise_ratio: float
    over_floor: float

    def later(self, samples: int) -> "Pick":
        """The same onset, counted from `samples` before the start of the stretch."""
        rough, index = self.rough + samples, self.index + samples
        return Pick(rough, index, self.sigma_noise, self.rise_ratio, self.over_floor)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples around the sounds in question, `rate_hz`, shape (n,); full scale is 1.0."""

    samples: Wave
    rate_hz: int

    def count(self, seconds: float) -> int:
        """Seconds in samples, at least 1."""
        return max(1, round(seconds * self.rate_hz))


def step_response(samples: Wave, reach: int) -> Wave:
    """Mean of the next `reach` samples minus mean of the `reach` before, for every sample.

    A Haar wavelet: it answers a step with a triangle that peaks at the step, is blind to hum and
    wind, and costs a few additions. Zero where it would reach over an end.
    """
    response = np.zeros(len(samples))
    if len(samples) > 2 * reach:
        sums = moving_sums(samples, reach)
        inner = response[reach : len(samples) - reach + 1]
        np.subtract(sums[reach:], sums[:-reach], out=inner)
        inner *= 1.0 / reach
    return response


def moving_sums(samples: Wave, count: int) -> Wave:
    """Sum of every `count` (1 to n) neighbours, shape (n - count + 1,).

    By doubling: a few vectorised additions, which cost less than a cumulative sum and cancel
    nothing.
    """
    last, doubled, wide, done = len(samples) - count + 1, samples, 1, 0
    total: Wave | None = None
    while True:
        if count & wide:
            part = doubled[done : done + last]
            total = part if total is None else total + part
            done += wide
        if done == count:
            return np.asarray(total)
        doubled = doubled[:-wide] + doubled[wide:]
        wide *= 2


def find_onsets(
    stretch: Stretch,
    first: int,
    last: int,
    floor: float | None = None,
    told: Iterable[int] = (),
) -> list[Pick]:
    """All onsets at `first` <= index < `last` (whole samples), in order.

    An onset is where the energy of the step response over the next AFTER_S exceeds that of the
    BEFORE_S before it LEAST_RISE times (a short-term over long-term average with a guard, after
    Allen 1978, Bull. Seismol. Soc. Am. 68, 1521), and by more than anywhere else within APART_S.
    The stretch should reach APART_S + BEFORE_S + GUARD_S before and APART_S + AFTER_S after.
    `floor` is what `noise_floor` says of a longer stretch; without it this one is asked. Where
    the gate has `told` of onsets at an index, and it was quiet before (or _ECHO_S earlier, which
    then is the onset), they count however weak.
    """
    energy = step_response(stretch.samples, stretch.count(STEP_S))
    energy *= energy
    if floor is None:
        floor = _floor(energy, stretch.count(_FLOOR_PIECE_S))
    apart, after = stretch.count(APART_S), stretch.count(AFTER_S)
    before, guard = stretch.count(BEFORE_S), stretch.count(GUARD_S)
    start = max(first - apart, before + guard)
    stop = min(last + apart, len(energy) - after + 1)
    if stop <= start or floor <= 0.0:
        return []
    told = [index for index in told if start <= index < stop]
    low, high = _loud(energy[start : stop + after - 1], LEAST_OVER_FLOOR * floor, after)
    ends = [start + low, start + high] if high else []
    ends += [edge for index in told for edge in (index - stretch.count(_ECHO_S), index + 1)]
    if not ends:
        return []
    start, stop = max(start, min(ends)), min(stop, max(ends))
    needed = start - guard - before
    seen = energy[needed : stop + after]
    total = np.zeros(len(seen) + 1)
    np.cumsum(seen, out=total[1:])
    count, here = stop - start, start - needed
    ahead = total[here + after :][:count] - total[here:][:count]
    ahead /= after
    behind = total[before:][:count] - total[:count]
    behind /= before
    rise = behind + floor
    np.divide(ahead, rise, out=rise)
    coarse = _peaks_apart(rise * (ahead >= LEAST_OVER_FLOOR * floor), apart)
    found = [(peak, _SEARCH_S) for peak in coarse]
    for weak in (index - start for index in told):
        if behind[weak] >= _QUIET_BEFORE * floor:  # told of an echo, perhaps
            begin = max(0, weak - stretch.count(_ECHO_S))
            weak = begin + int(np.argmax(rise[begin : weak + 1]))
        if behind[weak] < _QUIET_BEFORE * floor and all(abs(p - weak) >= apart for p in coarse):
            found = sorted([*found, (weak, _TOLD_SEARCH_S)])
    return [
        _refine(stretch, start + at, float(rise[at]), float(ahead[at] / floor), search_s)
        for at, search_s in found
        if first <= start + at < last
    ]


def _loud(energy: Wave, least: float, after: int) -> tuple[int, int]:
    """From where to before where the mean of the next `after` may reach `least`; 0, 0 for nowhere.

    What begins in one block of `after` samples ends in the next.
    """
    whole = len(energy) // after
    blocks = np.empty(whole + 1)
    np.dot(energy[: whole * after].reshape(whole, after), np.ones(after), out=blocks[:whole])
    blocks[whole] = np.add.reduce(energy[whole * after :])
    blocks[:-1] += blocks[1:]
    loud = (blocks >= _NEARLY * least * after).nonzero()[0]
    return (int(loud[0]) * after, (int(loud[-1]) + 1) * after) if len(loud) else (0, 0)


def place(stretch: Stretch, rough: int) -> Pick:
    """The first strong step near sample `rough`, for an onset that somebody else has found."""
    return _refine(stretch, rough, 0.0, 0.0, _SEARCH_S)


def _peaks_apart(values: Wave, apart: int) -> list[int]:
    """Indices that are the (first) largest of all within `apart` on either side."""
    is_up = values[1:] > values[:-1]
    inner = (is_up[:-1] > is_up[1:]).nonzero()[0] + 1
    places = [0, *inner[values[inner] > LEAST_RISE].tolist(), len(values) - 1]
    peaks, higher = [], list[int]()
    for index in _falling(values, places if len(values) > 1 else places[:1]):
        if all(abs(index - other) > apart for other in higher):
            left = values[max(0, index - apart) : index]
            right = values[index + 1 : index + 1 + apart]
            value = values[index]
            if value > left.max(initial=0.0) and value >= right.max(initial=0.0):
                peaks.append(index)
        higher.append(index)
    return sorted(peaks)


def _falling(values: Wave, places: list[int]) -> list[int]:
    """Those of `places` over LEAST_RISE, the highest first; of two alike the earlier one."""
    heights = zip(values[places].tolist(), places, strict=True)
    ordered = sorted((-height, place) for height, place in heights if height > LEAST_RISE)
    return [place for _, place in ordered]


def _refine(
    stretch: Stretch,
    coarse: int,
    rise_ratio: float,
    over_floor: float,
    search_s: tuple[float, float],
) -> Pick:
    """Move a coarse onset to the first strong step near it, by a parabola through its peak.

    sigma: the peak of r(t) + n(t) is displaced by n'/|r''| to first order, so it is the standard
    deviation of the slope of the noise just before, over the curvature of the peak.
    """
    reach = max(2, stretch.count(_FINE_STEP_S))
    low = max(reach, coarse + round(search_s[0] * stretch.rate_hz))
    high = min(len(stretch.samples) - reach, coarse + round(search_s[1] * stretch.rate_hz))
    quiet = max(0, low - stretch.count(BEFORE_S))
    fine = step_response(stretch.samples[max(0, quiet - reach) : high + reach + 1], reach)
    fine = fine[min(quiet, reach) :]
    size = np.abs(fine)
    peak = low - quiet + _first_strong_peak(size[low - quiet : high - quiet])
    left, top, right = (float(value) for value in size[peak - 1 : peak + 2])
    curvature = left - 2.0 * top + right
    shift = 0.5 * (left - right) / curvature if curvature < 0.0 else 0.0
    before = fine[: max(3, low - quiet)]
    slope_noise = _scatter(before[1:] - before[:-1])
    sigma = slope_noise / -curvature if curvature < 0.0 else float(reach)
    index = quiet + peak + min(0.5, max(-0.5, shift))
    return Pick(coarse, index, min(sigma, float(reach)), rise_ratio, over_floor)


def _scatter(values: Wave) -> float:
    """Standard deviation; numpy's own takes several times as long on so few."""
    around = values - np.add.reduce(values) / len(values)
    return math.sqrt(float(around @ around) / len(values))


def _first_strong_peak(size: Wave) -> int:
    """Index of the first local maximum that reaches _FIRST_PEAK of the largest, never an end."""
    inner = size[1:-1]
    is_peak = (
        (inner >= size[:-2]) & (inner > size[2:]) & (inner >= _FIRST_PEAK * size[size.argmax()])
    )
    found = is_peak.nonzero()[0]
    return 1 + int(found[0] if len(found) else np.argmax(inner))


def noise_floor(samples: Floats, rate_hz: int, full_scale: float = 1.0) -> float:
    """Mean energy of the step response in the quieter pieces of a long stretch, shape (n,).

    The same as `find_onsets` takes from a stretch itself, from every third of STEP_S only: a tenth
    of the cost. 0 where the stretch is shorter than a piece.
    """
    reach = max(1, round(STEP_S * rate_hz))
    hop = max(1, reach // 3)
    wide = reach // hop
    short = samples[: len(samples) // hop * hop].reshape(-1, hop) @ _weights(hop, full_scale)
    total = short
    for shift in range(1, wide):
        total = total[:-1] + short[shift:]
    step = total[wide:] - total[:-wide]
    piece = max(1, round(_FLOOR_PIECE_S * rate_hz / hop))
    count = len(step) // piece
    if count < 1:
        return 0.0
    squares = (step * step)[: count * piece].reshape(count, piece)
    means = np.sort(squares @ _weights(piece, float(piece)))
    return float(means[round(_FLOOR_QUANTILE * (count - 1))]) / (wide * hop) ** 2


@lru_cache(maxsize=32)
def _weights(count: int, whole: float) -> Floats:
    """`count` times one over `whole`, to be read only."""
    return np.full(count, 1.0 / whole, np.float32)


def _floor(energy: Wave, piece: int) -> float:
    """Mean energy of the quieter pieces: what is left when bursts and their tails are not."""
    whole = energy[: len(energy) // piece * piece]
    if not len(whole):
        return float(energy.mean()) if len(energy) else 0.0
    return float(np.quantile(whole.reshape(-1, piece).mean(axis=1), _FLOOR_QUANTILE))
