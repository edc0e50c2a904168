"""Decides, cheaply and for ever, where in the sound it is worth taking a closer look.

Works on frames that depend on the sample rate alone and never sees how the driver cut its
blocks. What an opening turns out to be is `onset`'s and `verdict`'s matter.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.audio import Floats, Samples, full_scale

SLOTS_PER_FRAME = 4
_SLOT_S = 1024 / 48_000
_COARSE_HZ = 12_000
_TAPS = 32
_TAPS_BEFORE = 8
_OPENS_AT = 4.5
_OVER_USUAL = 1.2
_SURE_AT = 5.8
_SURE_OVER_USUAL = 1.6
_FLOOR_S = 8.0
_RECENT_S = 1.0
_RECENT_QUANTILE = 0.4
_SETTLE_S = 1.0
_REFRESH_FRAMES = 12
_POWER_FRAMES = 4
_EARLY_S = 3e-3
_LATE_S = 1e-3
_LEAST_STEPS = 0.1

_BLAST_S = 1e-3
_ABSORBED_HZ = 5_500.0
_WHITE_FROM_HZ = 375_000.0
_WIND_BELOW_HZ, _WIND_SLOPE = 160.0, 8 / 3
_SPECTRUM = 4096


def frame_samples(rate_hz: int) -> int:
    """Samples per slot, the power of two nearest to 21 ms; SLOTS_PER_FRAME make a frame."""
    return int(2 ** round(np.log2(rate_hz * _SLOT_S)))


@dataclass(frozen=True, slots=True)
class Opening:
    """A slot to look into, counted from the first of its frame.

    `strength` is the filter's largest answer in it, in sigmas of the street's noise, 0 where it
    opens for a neighbour's sake. Where noise reaches that about once an hour, `sure` is the place
    of that answer, in samples from the slot's start.
    """

    slot: int
    strength: float
    sure: int | None


class Gate:
    """A matched filter for muzzle blasts, and a threshold that follows the street.

    The threshold is the larger of two medians over the last _FLOOR_S, each with its margin: of
    the filter's mean power per frame (hum, wind, rain, traffic, a siren next door), and of its
    largest power per frame (jackhammers, hail: what is common is no event). A burst of shots
    moves neither. Silent until it has heard _SETTLE_S.

    A frame that holds nothing costs a dozen numpy calls on 1024 numbers: averaged down to about
    12 kHz by one matrix product, filtered by two more.
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
        self._tops: deque[float] = deque(maxlen=kept)
        self._recent: deque[float] = deque(maxlen=int(_RECENT_S * rate_hz / self._slot))
        self._powers: deque[float] = deque(maxlen=max(1, kept // _POWER_FRAMES))
        self._frames = 0
        self._threshold = self._usual = 0.0
        self._power: float | None = None
        self._is_begun = False
        taps, self._gain = matched_filter(rate_hz / self._fold)
        self._build(taps)

    def _build(self, taps: Floats) -> None:
        """Working memory, with every view of it that a frame needs, and the filter's matrices."""
        count = self._frame // self._fold
        band = np.zeros((2 * _TAPS, _TAPS), np.float32)
        for column in range(_TAPS):
            band[column : column + _TAPS, column] = taps
        self._of_before, self._of_row = band[:_TAPS].copy(), band[_TAPS:].copy()
        self._wave: Floats = np.empty(self._frame, np.float32)
        self._pieces = self._wave.reshape(count, self._fold)
        self._average = np.full(self._fold, 1.0 / self._fold, np.float32)
        self._coarse: Floats = np.zeros(_TAPS + count, np.float32)
        self._fresh = self._coarse[_TAPS:]
        rows = self._coarse.reshape(-1, _TAPS)
        self._before, self._rows = rows[:-1], rows[1:]
        self._filtered: Floats = np.empty((count // _TAPS, _TAPS), np.float32)
        self._more: Floats = np.empty_like(self._filtered)
        self._flat = self._filtered.reshape(-1)
        self._by_slot = self._flat.reshape(SLOTS_PER_FRAME, -1)
        self._mean = np.full(count // SLOTS_PER_FRAME, SLOTS_PER_FRAME / count, np.float32)

    @property
    def noise_power(self) -> float | None:
        """Median mean square of the frames (full scale 1.0), None before the gate has settled."""
        return self._power

    @property
    def opens_at(self) -> float | None:
        """Peak (full scale 1.0) of the faintest muzzle blast that opens the gate in this street.

        None before the gate has settled. A siren or a generator next door raises it.
        """
        return self._threshold**0.5 / self._gain if self._threshold else None

    def begin(self) -> None:
        """A new uninterrupted stretch of sound; what was learned of the street is kept."""
        self._is_begun = False

    def openings(self, frame: Samples) -> Sequence[Opening]:
        """Slots in which an impulsive sound may begin, ascending.

        `frame` holds SLOTS_PER_FRAME slots, raw. Slot -1 is the last one of the frame before: the
        filter needs 2 ms after an onset. It may have been opened before.
        """
        scale = 1.0 / full_scale(frame)
        square = scale * scale
        top, energies = self._filter(frame)
        top *= square
        self._recent += (energy * square for energy in energies)
        threshold = self._threshold
        found: Sequence[Opening] = ()
        if 0.0 < threshold < top:
            threshold = max(threshold, _OPENS_AT**2 * self._recent_floor())
            sure = (_SURE_OVER_USUAL * self._usual) ** 2
            found = tuple(self._opened(threshold / square, sure / square))
        if not self._frames % _POWER_FRAMES:
            power = float(self._wave.dot(self._wave)) / self._frame
            self._powers.append(power * square)
        self._means.append(sum(energies) * square / SLOTS_PER_FRAME)
        self._tops.append(top)
        self._frames += 1
        if not self._frames % _REFRESH_FRAMES or self._frames == self._least_frames:
            self._refresh(scale)
        return found

    def _filter(self, frame: Samples) -> tuple[float, list[float]]:
        """Largest square of the filtered frame, and mean per slot, in the frame's own units."""
        coarse = self._coarse
        np.copyto(self._wave, frame, casting="same_kind")
        coarse[:_TAPS] = coarse[-_TAPS:]
        np.dot(self._pieces, self._average, out=self._fresh)
        if not self._is_begun:
            coarse[:_TAPS] = coarse[_TAPS]
            self._is_begun = True
        filtered, flat = self._filtered, self._flat
        np.dot(self._before, self._of_before, out=filtered)
        np.dot(self._rows, self._of_row, out=self._more)
        np.add(filtered, self._more, out=filtered)
        np.multiply(flat, flat, out=flat)
        means: list[float] = np.dot(self._by_slot, self._mean).tolist()
        return float(np.maximum.reduce(flat)), means

    def _opened(self, threshold: float, sure: float) -> Iterator[Opening]:
        """Slots around all places where the squared filter output exceeds the threshold."""
        above = np.flatnonzero(self._flat > threshold)
        places = (above + (_TAPS_BEFORE - _TAPS)) * self._fold
        first, last = (places - self._early) // self._slot, (places + self._late) // self._slot
        for slot in sorted({*first.tolist(), *last.tolist()}):
            start = slot * self._slot
            inside = slice(*np.searchsorted(places, (start, start + self._slot)))
            powers = self._flat[above[inside]]
            if not len(powers):
                yield Opening(slot, 0.0, None)
                continue
            best = int(np.argmax(powers))
            strength = _OPENS_AT * float(powers[best] / threshold) ** 0.5
            is_sure = strength > _SURE_AT and float(powers[best]) > sure
            place = int(places[inside][best]) - start
            yield Opening(slot, round(strength, 3), place if is_sure else None)

    def _recent_floor(self) -> float:
        """Power of the quieter slots of the last second: what goes on between the shots."""
        ordered = sorted(self._recent)
        return ordered[int(_RECENT_QUANTILE * len(ordered))]

    def _refresh(self, scale: float) -> None:
        if self._frames >= self._least_frames:
            floor = max(_median(self._means) ** 0.5, _LEAST_STEPS * scale)
            self._usual = _median(self._tops) ** 0.5
            self._threshold = max(_OPENS_AT * floor, _OVER_USUAL * self._usual) ** 2
            self._power = _median(self._powers)


def coarse_fold(rate_hz: int) -> int:
    """How many samples the gate averages into one: the power of two that comes near 12 kHz."""
    return int(2 ** max(0, round(np.log2(rate_hz / _COARSE_HZ))))


def matched_filter(rate_hz: float) -> tuple[Floats, float]:
    """Taps of the filter for a muzzle blast in street noise, unit norm, shape (_TAPS,), and gain.

    The blast is a Friedlander wave of 1 ms after some 200 m of air; gain is what a peak of 1 in
    it becomes. The noise is pink, with the microphone's own white noise below it and wind above,
    so the filter weighs every octave for what it is worth. Straight lines are taken out of the
    taps, or gusts would leak in.
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


def _median(values: Iterable[float]) -> float:
    """The upper one of an even number; a tenth of the cost of numpy's on so few."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
