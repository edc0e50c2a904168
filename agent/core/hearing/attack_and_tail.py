"""The shape of an onset's attack, and of the tail after it: peaks, crests, lines and periods."""

import math
from functools import lru_cache

import numpy as np

from agent.core.hearing.picker import Wave
from agent.core.hearing.spectra import Numbers, hann, smooth_size, squares

_SHAPE_S = (-0.001, 0.03)
_PERIODS_S = (1.25e-3, 14.2e-3)
_LINES_HZ = (100, 5000)
_TINY = 1e-12


def shape(wave: Wave, tail: Wave, zero: int, rate_hz: float) -> tuple[float, ...]:
    """Eight numbers (see `band_envelopes.Timbre`); the onset is at `zero`."""
    attack = wave[zero + round(_SHAPE_S[0] * rate_hz) : zero + round(_SHAPE_S[1] * rate_hz)]
    top, bottom = int(attack.argmax()), int(attack.argmin())
    up, down = float(attack[top]), -float(attack[bottom])
    at = top if up > down else bottom if up < down else min(top, bottom)
    peak = max(up, down, _TINY)
    tail_peak = max(float(tail[tail.argmax()]), -float(tail[tail.argmin()]), _TINY)
    return (
        round(20.0 * math.log10(peak / max(_rms(attack), _TINY)), 2),
        round(20.0 * math.log10(tail_peak / max(_rms(tail), _TINY)), 2),
        round(max(-80.0, 20.0 * math.log10(tail_peak / peak)), 2),
        round(at / rate_hz * 1e3, 2),
        round(up / peak, 2),
        round(down / peak, 2),
        round(10.0 * _crossings(attack), 2),
        round(10.0 * _crossings(tail), 2),
    )


def lines(tail: Wave, rate_hz: float) -> tuple[float, float]:
    """Flatness of the tail's spectrum, and its strongest line, in dB."""
    per_hz = len(tail) / rate_hz
    first, last = (round(one * per_hz) for one in _LINES_HZ)
    lines = squares(np.fft.rfft(tail * hann(len(tail)))[first:last])
    lines += _TINY
    mean = float(np.add.reduce(lines)) / len(lines)
    flatness = 10.0 * (float(np.add.reduce(np.log10(lines))) / len(lines) - math.log10(mean))
    return round(flatness, 2), round(10.0 * math.log10(float(lines[lines.argmax()]) / mean), 2)


def tonality(tail: Wave, rate_hz: float) -> float:
    """Largest normalised autocorrelation of the tail at lags of 70 to 800 Hz."""
    first, last = (round(one * rate_hz) for one in _PERIODS_S)
    size = smooth_size(len(tail) + last)
    together = np.fft.irfft(squares(np.fft.rfft(tail, size)), size)
    if together[0] <= _TINY:
        return 0.0
    alike = together[first:last] / _overlap(len(tail), first, last)
    return min(1.0, max(0.0, float(alike[alike.argmax()]) / float(together[0])))


@lru_cache(maxsize=16)
def _overlap(count: int, first: int, last: int) -> Numbers:
    """Share of `count` samples that a copy overlaps which is late by `first` to before `last`."""
    return np.asarray(1.0 - np.arange(first, last) / count)


def _rms(samples: Wave) -> float:
    return math.sqrt(float(np.dot(samples, samples)) / len(samples))


def _crossings(samples: Wave) -> float:
    """Share of samples that lie on another side of zero than the one before."""
    up = samples > 0.0
    return float(np.count_nonzero(up[1:] ^ up[:-1])) / len(samples)
