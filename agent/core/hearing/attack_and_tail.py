"""The shape of an onset's attack, and of the tail after it: peaks, crests, lines and periods."""

import math

import numpy as np

from agent.core.hearing.picker import Wave
from agent.core.hearing.spectra import hann, smooth_size, squares

_SHAPE_S = (-0.001, 0.03)
_PERIODS_S = (1.25e-3, 14.2e-3)
_TINY = 1e-12


def shape(wave: Wave, tail: Wave, zero: int, rate_hz: float) -> tuple[float, ...]:
    attack = wave[zero + round(_SHAPE_S[0] * rate_hz) : zero + round(_SHAPE_S[1] * rate_hz)]
    size = np.abs(attack)
    peak = max(float(size.max()), _TINY)
    at = int(np.argmax(size))
    tail_peak = max(float(np.abs(tail).max()), _TINY)
    numbers = (
        20.0 * math.log10(peak / max(_rms(attack), _TINY)),
        20.0 * math.log10(tail_peak / max(_rms(tail), _TINY)),
        max(-80.0, 20.0 * math.log10(tail_peak / peak)),
        at / rate_hz * 1e3,
        float(attack.max()) / peak,
        -float(attack.min()) / peak,
        10.0 * _crossings(attack),
        10.0 * _crossings(tail),
    )
    return tuple(round(one, 2) for one in numbers)


def lines(tail: Wave, rate_hz: float) -> tuple[float, float]:
    """Flatness of the tail's spectrum, and its strongest line, in dB."""
    per_hz = len(tail) / rate_hz
    lines = squares(np.fft.rfft(tail * hann(len(tail))))
    lines = lines[round(100 * per_hz) : round(5000 * per_hz)] + _TINY
    mean = float(lines.mean())
    flatness = 10.0 * (float(np.log10(lines).mean()) - math.log10(mean))
    return round(flatness, 2), round(10.0 * math.log10(float(lines.max()) / mean), 2)


def tonality(tail: Wave, rate_hz: float) -> float:
    """Largest normalised autocorrelation of the tail at lags of 70 to 800 Hz."""
    lags = np.arange(round(_PERIODS_S[0] * rate_hz), round(_PERIODS_S[1] * rate_hz))
    size = smooth_size(len(tail) + len(lags) + int(lags[0]))
    together = np.fft.irfft(squares(np.fft.rfft(tail, size)), size)
    if together[0] <= _TINY:
        return 0.0
    return min(
        1.0, max(0.0, float((together[lags] / (1.0 - lags / len(tail))).max() / together[0]))
    )


def _rms(samples: Wave) -> float:
    return math.sqrt(float(np.dot(samples, samples)) / len(samples))


def _crossings(samples: Wave) -> float:
    """Share of samples that lie on another side of zero than the one before."""
    up = samples > 0.0
    return float(np.count_nonzero(up[1:] != up[:-1])) / len(samples)
