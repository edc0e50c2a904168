"""Decides, cheaply and for ever, where in the sound it is worth taking a closer look.

Works on frames that depend on the sample rate alone and never sees how the driver cut its
blocks. What an opening turns out to be is `picker`'s and `classification`'s matter.
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from agent.core.audio import FULL_SCALE, Floats, Samples, frame_samples, full_scale

SLOTS_PER_FRAME = 10
_COARSE_HZ = 12_000
_TAPS = 32
_TAPS_BEFORE = 8
_OPENS_AT = 4.5
_OVER_USUAL = 1.2
_USUAL_QUANTILE = 0.2
_SURE_AT = 5.4
_RARE_FRAMES = 4
_SURE_OVER_USUAL = 1.6
_FLOOR_S = 8.0
_RECENT_S = 1.0
_RECENT_QUANTILE = 0.4
_SETTLE_S = 1.0
_REFRESH_FRAMES = 8
_POWER_FRAMES = 4
_EARLY_S = 3e-3
_LATE_S = 1e-3
_LEAST_STEPS = 0.1

_BLAST_S = 1e-3
_ABSORBED_HZ = 5_500.0
_WHITE_FROM_HZ = 375_000.0
_WIND_BELOW_HZ, _WIND_SLOPE = 160.0, 8 / 3
_SPECTRUM = 4096


@dataclass(frozen=True, slots=True)
class Opening:
    """A slot to look into, counted from the first of its frame.

    `strength` is the filter's largest answer in it or within some ms of it, in sigmas of the
    street's noise. Where noise reaches that about once an hour, and nothing else has of late,
    `sure` is the place of that answer, in samples from the slot's start.
    """

    slot: int
    strength: float
    sure: int | None


class Gate:
    """A matched filter for muzzle blasts, and a threshold that follows the street.

    The threshold is the larger of two, each with its margin, over the last _FLOOR_S: the median of
    the filter's mean power per frame (hum, wind, rain, traffic, a siren next door), and what its
    largest answer reaches in all but a few half frames (jackhammers, hail: what is common is no
    event). Seconds of automatic fire move neither. Silent until it has heard _SETTLE_S.

    A frame that holds nothing costs a dozen numpy calls on some 2000 numbers: averaged down to
    12 kHz by one matrix product, filtered by another.
    """

    def __init__(self, rate_hz: int) -> None:
        self._slot = frame_samples(rate_hz)
        self._frame = SLOTS_PER_FRAME * self._slot
        self._fold = coarse_fold(rate_hz)
        self._early, self._late = round(_EARLY_S * rate_hz), round(_LATE_S * rate_hz)
        frames_per_s = rate_hz / self._frame
        self._least_frames = int(_SETTLE_S * frames_per_s) + 1
        kept = int(_FLOOR_S * frames_per_s)
        self._means: deque[float] = deque(maxlen=kept)
        self._tops: deque[float] = deque(maxlen=2 * kept)
        self._powers: deque[float] = deque(maxlen=max(1, kept // _POWER_FRAMES))
        self._frames = 0
        self._kept = kept
        self._loud = deque([-kept - 1] * (_RARE_FRAMES + 1), maxlen=_RARE_FRAMES + 1)
        self._threshold = self._usual = 0.0
        self._power: float | None = None
        self._is_begun = False
        taps, self._gain = matched_filter(rate_hz / self._fold)
        self._build(taps, recent_frames=max(1, round(_RECENT_S * frames_per_s)))

    def _build(self, taps: Floats, recent_frames: int) -> None:
        """Working memory, with every view of it that a frame needs, and the filter's matrix.

        Row i of `_rows` holds coarse samples from 32 i on, so that its product with `_band` is 32
        outputs of the filter.
        """
        count = self._frame // self._fold
        self._wave: Floats = np.empty(self._frame, np.float32)
        self._groups = self._wave.reshape(count, self._fold)
        self._averages = {
            kind: np.full(self._fold, 1.0 / (self._fold * full), np.float32)
            for kind, full in FULL_SCALE.items()
        }
        coarse: Floats = np.zeros(_TAPS + count, np.float32)
        self._old, self._last, self._fresh = coarse[:_TAPS], coarse[-_TAPS:], coarse[_TAPS:]
        self._overlapping = np.lib.stride_tricks.as_strided(
            coarse, (count // _TAPS, 2 * _TAPS), (_TAPS * coarse.itemsize, coarse.itemsize)
        )
        self._rows: Floats = np.empty((count // _TAPS, 2 * _TAPS), np.float32)
        self._band: Floats = np.zeros((2 * _TAPS, _TAPS), np.float32)
        for column in range(_TAPS):
            self._band[column : column + _TAPS, column] = taps
        self._past: Floats = np.zeros((recent_frames, count // _TAPS, _TAPS), np.float32)
        self._answers: list[tuple[Floats, Floats]] = [(one, one.reshape(-1)) for one in self._past]
        self._size: Floats = np.empty(count, np.float32)
        self._halves = self._size[: count // 2], self._size[count // 2 :]

    @property
    def noise_power(self) -> float | None:
        """Median mean square of the frames (full scale 1.0), None before the gate has settled."""
        return self._power

    @property
    def opens_at(self) -> float | None:
        """Peak (full scale 1.0) of the faintest muzzle blast that opens the gate in this street.

        None before the gate has settled. A siren or a generator next door raises it.
        """
        return self._threshold / self._gain if self._threshold else None

    def begin(self) -> None:
        """A new uninterrupted stretch of sound; what was learned of the street is kept."""
        self._is_begun = False

    def openings(self, frame: Samples, *, is_whole: bool = True) -> Sequence[Opening]:
        """Slots in which an impulsive sound may begin, ascending.

        `frame` holds SLOTS_PER_FRAME slots, raw. Slot -1 is the last one of the frame before: the
        filter needs 2 ms after an onset. It may have been opened before. Nothing is learned of the
        street from a frame that is not whole.
        """
        size = np.abs(self._filter(frame), out=self._size)
        early, late = self._halves
        tops = float(early[early.argmax()]), float(late[late.argmax()])
        found: Sequence[Opening] = ()
        if 0.0 < self._threshold < max(tops):
            found = tuple(self._opened(size * size))
        if is_whole:
            self._tops += tops
            self._learn(frame, float(size.dot(size)))
        return found

    def _learn(self, frame: Samples, mean: float) -> None:
        self._means.append(mean)
        if not self._frames % _POWER_FRAMES:
            power = float(self._wave.dot(self._wave)) / self._frame
            self._powers.append(power / full_scale(frame) ** 2)
        self._frames += 1
        if not self._frames % _REFRESH_FRAMES or self._frames == self._least_frames:
            self._refresh(1.0 / full_scale(frame))

    def _filter(self, frame: Samples) -> Floats:
        """The filter's answers to a frame, flat; full scale is 1.0."""
        product, answer = self._answers[self._frames % len(self._answers)]
        np.copyto(self._wave, frame, casting="same_kind")
        self._old[:] = self._last
        np.dot(self._groups, self._averages[frame.dtype], out=self._fresh)
        if not self._is_begun:
            self._old[:] = self._fresh[0]
            self._is_begun = True
        np.copyto(self._rows, self._overlapping)
        np.dot(self._rows, self._band, out=product)
        return answer

    def _opened(self, powers: Floats) -> Iterator[Opening]:
        """Slots around all places whose power exceeds the threshold."""
        threshold = max(self._threshold, _OPENS_AT * self._recent_floor()) ** 2
        sure = max(threshold * (_SURE_AT / _OPENS_AT) ** 2, (_SURE_OVER_USUAL * self._usual) ** 2)
        above = np.flatnonzero(powers > threshold)
        if not len(above):
            return
        strong = powers[above].tolist()
        is_rare = max(strong) > sure and self._is_rare()
        places = [(at + (_TAPS_BEFORE - _TAPS)) * self._fold for at in above.tolist()]
        first, last = (
            (places[0] - self._early) // self._slot,
            (places[-1] + self._late) // self._slot,
        )
        for slot in range(first, last + 1):
            start = slot * self._slot
            near = bisect_left(places, start - self._late)
            far = bisect_left(places, start + self._slot + self._early)
            if near == far:
                continue
            power = max(strong[near:far])
            place = places[strong.index(power, near)] - start
            is_sure = is_rare and power > sure and 0 <= place < self._slot
            strength = round(_OPENS_AT * (power / threshold) ** 0.5, 3)
            yield Opening(slot, strength, place if is_sure else None)

    def _is_rare(self) -> bool:
        """Whether fewer than _RARE_FRAMES in the last _FLOOR_S were as loud as this one."""
        self._loud.append(self._frames)
        return self._frames - self._loud[0] > self._kept

    def _recent_floor(self) -> float:
        """RMS of the quieter slots of the last second: what goes on between the shots."""
        slots = self._past.reshape(len(self._past) * SLOTS_PER_FRAME, -1)
        sums = np.sort(np.einsum("ij,ij->i", slots, slots))
        return math.sqrt(sums[int(_RECENT_QUANTILE * len(sums))] / slots.shape[1])

    def _refresh(self, step: float) -> None:
        """Follow the street; `step` is what the smallest change of a sample is worth."""
        if self._frames >= self._least_frames:
            mean = _quantile(self._means, 0.5) / self._size.size
            self._usual = _quantile(self._tops, _USUAL_QUANTILE)
            self._threshold = max(
                _OPENS_AT * max(mean**0.5, _LEAST_STEPS * step), _OVER_USUAL * self._usual
            )
            self._power = _quantile(self._powers, 0.5)


def coarse_fold(rate_hz: int) -> int:
    """How many samples the gate averages into one: the power of two that comes near 12 kHz."""
    return int(2 ** max(0, round(np.log2(rate_hz / _COARSE_HZ))))


@lru_cache(maxsize=16)
def matched_filter(rate_hz: float) -> tuple[Floats, float]:
    """Taps of the filter for a muzzle blast in street noise, unit norm, shape (_TAPS,), and gain.

    The blast is a Friedlander wave of 1 ms after some 200 m of air; gain is what a peak of 1 in
    it becomes. The noise is pink, with the microphone's own white noise below it and wind above,
    so the filter weighs every octave for what it is worth. Straight lines are taken out of the
    taps, or gusts would leak in. Made once, and to be read only.
    """
    frequency_hz = np.maximum(np.fft.rfftfreq(_SPECTRUM, 1.0 / rate_hz), 10.0)
    turn = 2j * np.pi * frequency_hz * _BLAST_S
    blast = turn / (1.0 + turn) ** 2 * np.exp(-((frequency_hz / _ABSORBED_HZ) ** 2))
    wind = (_WIND_BELOW_HZ / frequency_hz) ** _WIND_SLOPE
    noise = (1.0 + wind) / frequency_hz + 1.0 / _WHITE_FROM_HZ
    wave, weighed = (
        np.roll(np.fft.irfft(one, _SPECTRUM), _TAPS_BEFORE)[:_TAPS]
        for one in (blast, blast / noise)
    )
    at = np.arange(_TAPS)
    taps = weighed - np.polyval(np.polyfit(at, weighed, 1), at)
    taps /= np.linalg.norm(taps)
    return taps.astype(np.float32), float(taps @ wave / wave.max())


def _quantile(values: Iterable[float], share: float) -> float:
    """One of `values` that is above this share of them; a tenth of numpy's cost on so few."""
    ordered = sorted(values)
    return ordered[int(share * len(ordered))]
