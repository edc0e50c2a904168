"""Pulses per second in sound: where a receiver's pulse begins on a second channel.

Places leading edges to a small fraction of a sample, with the sigma that the noise before each
allows. Which second an edge began is for `second_labels`, whether it came when a second was due for
`discipline`.
"""

import math
from collections import deque
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from agent.core.audio import AudioBlock, AudioGap, Floats, frame_samples, to_float
from agent.core.clock.time_signs import Edge

_QUIET_S = 0.5
_SQUARE_WAVE_SLACK = 0.1
_LAG = 8
_MARGIN = 3 * _LAG
_OVER_FLOOR = 2.0
_FLOOR_FRAMES = 64
_OF_USUAL_HEIGHT = 0.5
_HEIGHT_GAIN = 0.2
_HEIGHT_HALVES_S = 20.0
_LEVEL_S = 0.33e-3
_SMOOTH = 1.2
_SETTLED = 6
_NEWTON_STEPS = 6
_SHAPE_SIGMA = 2e-3
_CLIPPED_SIGMA = 0.5
_CLIPPED_AT = 0.999

_Wave = npt.NDArray[np.float64]


class EdgePicker:
    """Feed it the blocks, with their `pps` channel, and the gaps, in order.

    A leading edge is the first one after half a second of quiet: a pulse lasts from 1 ms to
    half a second and may be high or low; of a nearly square wave the rising edge leads. Its
    sample is where the step, as the converter's band leaves it, passes the middle of the levels
    before and after. The delay of the converter's filter is in it as it is in every sample of
    the microphone beside it, and cancels.

    Only steps count that are sharp, stand out of the noise and have half the usual height, so
    crosstalk from the microphone does not. What is found does not depend on how the driver cuts
    blocks. An edge is told within two frames (`audio.frame_samples`); little more is remembered.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._frame = frame_samples(rate_hz)
        self._ruler = _Ruler(round(_LEVEL_S * rate_hz), quiet=self._frame)
        self._ahead = self._ruler.reach + _MARGIN
        self._back = self._frame + self._ahead
        self._floors: deque[float] = deque(maxlen=_FLOOR_FRAMES)
        self._height = 0.0
        self._height_kept = 0.5 ** (self._frame / (_HEIGHT_HALVES_S * rate_hz))
        self._heard: Floats = np.empty(0, np.float32)
        self._begin(0)

    def on_block(self, block: AudioBlock) -> list[Edge]:
        """Leading edges that this block completes, in order; their `host_ns` is the block's."""
        if block.pps is None:
            return []
        if block.first_sample != self._first + len(self._heard):
            self._begin(block.first_sample)
        self._heard = np.concatenate((self._heard, to_float(block.pps)))
        edges = []
        while len(self._heard) >= self._back + self._frame + self._ahead:
            for at, sigma in self._look():
                edges.append(Edge(self._first + at, sigma, block.host_ns))
            self._first += self._frame
            self._heard = self._heard[self._frame :]
        return edges

    def on_gap(self, gap: AudioGap) -> None:
        """Samples are missing: what was half heard is dropped, and quiet is waited for afresh."""
        self._begin(gap.first_sample + gap.lost)

    def _begin(self, first_sample: int) -> None:
        self._first = self._quiet_since = first_sample
        self._heard = self._heard[:0]

    def _look(self) -> Iterator[tuple[float, float]]:
        """Leading edges (index, sigma) in the frame that begins `_back` into what was heard."""
        start = self._back - _MARGIN
        window = self._heard[start : self._back + self._frame + _MARGIN]
        change = window[_LAG:] - window[:-_LAG]
        loudest = max(float(change.max()), -float(change.min()))
        self._floors.append(loudest)
        floor = sorted(self._floors)[len(self._floors) // 2]
        threshold = max(_OVER_FLOOR * floor, _OF_USUAL_HEIGHT * self._height)
        self._height *= self._height_kept
        if loudest <= threshold:
            return
        for at, height in _steps(change, max(threshold, _OF_USUAL_HEIGHT * loudest)):
            if _MARGIN <= at < _MARGIN + self._frame:
                self._learn_height(abs(height))
                if self._leads(start + at, is_rising=height > 0) and (
                    edge := self._ruler.place(self._heard, start + at)
                ):
                    yield edge

    def _learn_height(self, height: float) -> None:
        gain = _HEIGHT_GAIN if self._height else 1.0
        self._height += gain * (height - self._height)

    def _leads(self, at: float, *, is_rising: bool) -> bool:
        """Whether it was quiet for half a second before the step at index `at`."""
        step = self._first + int(at)
        quiet, self._quiet_since = step - self._quiet_since, step
        slack = -_SQUARE_WAVE_SLACK if is_rising else _SQUARE_WAVE_SLACK
        return quiet >= (1 + slack) * _QUIET_S * self._rate_hz


def _steps(change: Floats, threshold: float) -> Iterator[tuple[float, float]]:
    """Sharp steps (rough index, signed height) in the differences of samples `_LAG` apart.

    A step makes them a box as long as the lag. A spike makes two short ones, a slope a long one.
    """
    side = np.where(np.abs(change) > threshold, np.sign(change), 0)
    turns = np.flatnonzero(np.diff(side, prepend=0, append=0))
    for begin, end in pairwise(turns):
        if side[begin] and _LAG // 2 <= end - begin <= 2 * _LAG:
            box = change[begin:end]
            centre = float(np.average(np.arange(begin, end), weights=np.abs(box)))
            yield centre + _LAG / 2, float(side[begin] * np.abs(box).max())


class _Ruler:
    """Places a step at the zero of one linear functional of the samples around it.

    The functional at t is the value at t less the mean of two levels, each the straight line
    through `level` samples on one side, extended to t: a slow slope or the decay behind a
    coupling capacitor costs nothing. All values are smoothed by a Gaussian of `_SMOOTH` samples,
    wide enough that sampling it between samples is exact to 1e-3 of what is left at the Nyquist
    frequency. Noise enters through the same functional, so it is measured by it: its RMS over
    `quiet` samples before the step, over its slope, is sigma, whatever the noise's colour.
    """

    def __init__(self, level: int, quiet: int) -> None:
        self.reach = 2 * _SETTLED + level
        self._quiet = quiet
        after = np.arange(_SETTLED, _SETTLED + level, dtype=np.float64)
        spread = after - after.mean()
        line = 1.0 / level - after.mean() * spread / np.dot(spread, spread)
        self._offsets: _Wave = np.concatenate((-after, after, [0.0]))
        self._weights: _Wave = np.concatenate((-line / 2, -line / 2, [1.0]))

    def place(self, heard: Floats, near: float) -> tuple[float, float] | None:
        """The step within a sample or two of index `near` as (index, sigma), if there is one.

        Needs `reach` samples after it, and `quiet` more than that before it.
        """
        start = int(near) - self.reach
        around = heard[start : start + 2 * self.reach + 2].astype(np.float64)
        at = near - start
        for _ in range(_NEWTON_STEPS):
            value, slope = self._kernels(at, len(around))
            steepness = float(slope @ around)
            if not steepness:
                return None
            at -= float(np.clip((value @ around) / steepness, -_SMOOTH / 2, _SMOOTH / 2))
        if abs(start + at - near) > 2 * _SMOOTH:
            return None
        before = heard[start - self._quiet : start].astype(np.float64)
        noise = float(np.sqrt(np.mean(np.convolve(before, value[::-1], "valid") ** 2)))
        clipped = _CLIPPED_SIGMA if np.abs(around).max() > _CLIPPED_AT else 0.0
        return start + at, math.hypot(noise / steepness, _SHAPE_SIGMA, clipped)

    def _kernels(self, at: float, count: int) -> tuple[_Wave, _Wave]:
        """Weights of `count` samples in the functional at index `at`, and in its slope there."""
        apart = (at + self._offsets)[:, None] - np.arange(count)
        bell = np.exp(-0.5 * (apart / _SMOOTH) ** 2) / (_SMOOTH * np.sqrt(2 * np.pi))
        return self._weights @ bell, self._weights @ (-apart / _SMOOTH**2 * bell)
