"""What one onset sounds like, in numbers a person can check against the waveform.

Nothing here says what caused it: one microphone cannot know. Levels are relative to full scale
(dBFS, amplitude of a sine's peak), or dB SPL (peak) where the microphone's calibration is known.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from agent.core.hearing.band_envelopes import Timbre, outline, timbre
from agent.core.hearing.picker import Stretch, Wave
from agent.core.hearing.spectra import hann, squares
from agent.core.records.kinds import Features
from agent.core.units import dbfs

ENVELOPE_PIECES = 10
PIECE_S = 25e-3
WINDOW_S = ENVELOPE_PIECES * PIECE_S
_PEAK_S = 30e-3
_NOISE_S = (-0.10, -0.01)
_SPECTRUM_S = 20e-3
_SMOOTH_S, _SMOOTH_STEPS = 1e-3, 4
_CLIPPED_FROM = 0.5
_FLAT_WITHIN = 2e-3
_CLIPPED_RUN = 3


@dataclass(frozen=True, slots=True)
class Loudness:
    """The noise before an onset, its mean and RMS, and how far the attack goes from that mean."""

    mean: float
    noise_rms: float
    peak: float

    @property
    def snr_db(self) -> float:
        """As a record tells it."""
        return round(dbfs(self.peak) - dbfs(max(self.noise_rms, 1e-7)), 2)


def loudness(stretch: Stretch, onset: int) -> Loudness:
    """Of the onset at whole sample `onset`."""
    counts = _counts(stretch.rate_hz)
    mean, noise_rms = _noise_before(stretch.samples, onset, counts)
    attack = stretch.samples[onset : onset + counts.peak]
    high, low = float(attack[attack.argmax()]), float(attack[attack.argmin()])
    return Loudness(mean, noise_rms, max(high - mean, mean - low, 0.0))


def measure(
    stretch: Stretch,
    onset: int,
    full_scale_db_spl: float | None,
    gap_in_window: bool,
    loud: Loudness | None = None,
    colour: Timbre | None = None,
) -> Features:
    """Features of the onset at whole sample `onset`, from 0.1 s before to WINDOW_S after it.

    A stretch that ends early gives what it holds; missing envelope pieces are left out. The onset's
    loudness and `colour`, where they are known already, are not worked out twice.
    """
    counts = _counts(stretch.rate_hz)
    loud = loud or loudness(stretch, onset)
    heard = stretch.samples[onset : onset + counts.window]
    window = heard - loud.mean
    size = np.abs(window)
    attack = size[: counts.peak]
    peak_at = int(attack.argmax())
    peak = loud.peak
    rms = math.sqrt(float(attack @ attack) / len(attack))
    peak_dbfs = dbfs(peak)
    colour = colour or timbre(outline(stretch, onset))
    return Features(
        peak_dbfs=round(peak_dbfs, 2),
        peak_db_spl=None if full_scale_db_spl is None else round(peak_dbfs + full_scale_db_spl, 2),
        snr_db=loud.snr_db,
        noise_dbfs=round(dbfs(loud.noise_rms), 2),
        rise_us=round(_rise_samples(attack, peak_at) / stretch.rate_hz * 1e6, 1),
        duration_ms=round(_duration_samples(size, peak, counts.step) / stretch.rate_hz * 1e3, 2),
        crest_db=round(peak_dbfs - dbfs(max(rms, 1e-10)), 2),
        centroid_hz=round(_centroid_hz(window[: counts.spectrum], stretch.rate_hz), 1),
        envelope_db=_envelope_db(window, counts.piece),
        spectrum_db=colour.spectrum_db,
        course_db=colour.course_db,
        before_db=colour.before_db,
        shape=colour.shape,
        tonality=colour.tonality,
        clipped=_is_clipped(heard),
        gap_in_window=gap_in_window,
    )


@dataclass(frozen=True, slots=True)
class _Counts:
    """The spans that are looked at, in samples."""

    window: int
    peak: int
    noise: int
    guard: int
    step: int
    spectrum: int
    piece: int


@lru_cache(maxsize=16)
def _counts(rate_hz: int) -> _Counts:
    def count(seconds: float) -> int:
        return max(1, round(seconds * rate_hz))

    return _Counts(
        window=count(WINDOW_S),
        peak=count(_PEAK_S),
        noise=round(-_NOISE_S[0] * rate_hz),
        guard=count(-_NOISE_S[1]),
        step=max(1, count(_SMOOTH_S) // _SMOOTH_STEPS),
        spectrum=count(_SPECTRUM_S),
        piece=count(PIECE_S),
    )


def _noise_before(samples: Wave, onset: int, counts: _Counts) -> tuple[float, float]:
    """Mean and RMS of the noise before an onset; 0 where there is none."""
    begin = max(0, onset - counts.noise)
    noise = samples[begin : max(begin + 1, onset - counts.guard)] if onset > begin else samples[:0]
    if not len(noise):
        return 0.0, 0.0
    mean = float(np.add.reduce(noise)) / len(noise)
    around = noise - mean
    return mean, math.sqrt(float(around @ around) / len(noise))


def _rise_samples(attack: Wave, peak_at: int) -> float:
    """From the last crossing of 10 % to that of 90 % of the peak before it, interpolated."""
    climb = attack[: peak_at + 1] / attack[peak_at] if attack[peak_at] > 0 else attack[:1]

    def crossing(level: float) -> float:
        below = (climb < level).nonzero()[0]
        if not len(below):
            return 0.0
        last = int(below[-1])
        following = climb[min(last + 1, len(climb) - 1)]
        return last + float((level - climb[last]) / max(following - climb[last], 1e-12))

    return max(0.0, crossing(0.9) - crossing(0.1))


def _duration_samples(size: Wave, peak: float, step: int) -> int:
    """Until the mean magnitude of a millisecond is for the last time above a tenth of the peak."""
    short = size[: len(size) // step * step].reshape(-1, step) @ _ones(step)
    wide = min(_SMOOTH_STEPS, len(short))
    count = len(short) - wide + 1
    total = short[:count]
    for late in range(1, wide):
        total = total + short[late : late + count]
    loud = (total > 0.1 * peak * wide * step).nonzero()[0]
    return int(loud[-1]) * step + (wide * step + 1) // 2 if len(loud) else 0


def _centroid_hz(piece: Wave, rate_hz: int) -> float:
    """Mean frequency of the first 20 ms, weighted with power."""
    power = squares(np.fft.rfft(piece * _falling(len(piece)))[1:])
    total = float(np.add.reduce(power))
    mean = float(power @ _ascending(len(power))) / total if total > 0 else 0.0
    return mean * rate_hz / len(piece)


@lru_cache(maxsize=16)
def _ones(count: int) -> Wave:
    """To be read only."""
    return np.ones(count)


@lru_cache(maxsize=16)
def _ascending(count: int) -> Wave:
    """1, 2, 3 and so on, to be read only."""
    return np.arange(1.0, count + 1.0)


@lru_cache(maxsize=16)
def _falling(count: int) -> Wave:
    """The falling half of a Hann window, to be read only."""
    return hann(2 * count)[count:]


def _envelope_db(window: Wave, piece: int) -> tuple[float, ...]:
    """RMS of each 25 ms relative to the loudest, down to -60 dB."""
    pieces = window[: len(window) // piece * piece].reshape(-1, piece)
    levels = np.sqrt(np.einsum("ij,ij->i", pieces, pieces) / piece).tolist()
    top = max(levels, default=0.0)
    if top <= 0.0:
        return ()
    return tuple([round(20.0 * math.log10(max(level / top, 1e-3)), 1) for level in levels])


def _is_clipped(heard: Wave) -> bool:
    """A flat top: several samples in a row at the largest magnitude, which need not be 1.0."""
    top = max(float(heard[heard.argmax()]), -float(heard[heard.argmin()]))
    if top < _CLIPPED_FROM:
        return False
    least = top * (1 - _FLAT_WITHIN)
    flat = (np.abs(heard) >= least).nonzero()[0]
    return bool((flat[_CLIPPED_RUN - 1 :] - flat[: 1 - _CLIPPED_RUN] < _CLIPPED_RUN).any())
