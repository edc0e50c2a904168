"""What a fifth of a second of sound shows of the microphone that made it, in a dozen numbers.

A look judges nothing: what follows from many of them is `liveness`'. All levels are RMS in dB
re full scale of a sine's peak (1.0), so that -3 dBFS is the loudest sine.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from agent.core.audio import FULL_SCALE, Floats, Samples, frame_samples, full_scale
from agent.core.hearing.detector import coarse_fold
from agent.core.hearing.spectra import hann, squares

BAND_EDGES_HZ = (20.0, 60.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 5200.0)
LOOK_SLOTS = 10
SILENCE_DB = -200.0
_MAINS_HZ = (50.0, 60.0)
_COMB_TO_HZ = 2000.0
_COMB_BINS = 2
_REST_FROM_HZ = 25.0
_BANDS = len(BAND_EDGES_HZ) - 1
_NEAR_RAIL = 0.25
_FLAT_S = 1e-4


@dataclass(frozen=True, slots=True)
class Look:
    """One stretch of sound.

    `offset` is its mean, full scale 1.0; with `is_constant` it has no other value, and the rest
    means nothing. `steps` is its RMS in the smallest steps seen, without the mean. `bands_db`
    are levels between BAND_EDGES_HZ, `hum_db` by how much the power on the harmonics of the
    mains exceeds all the rest. `is_clipped` where it stays at an end of its range for 0.1 ms.
    """

    is_constant: bool
    offset: float
    level_db: float = SILENCE_DB
    steps: float = 0.0
    bands_db: tuple[float, ...] = ()
    hum_db: float = SILENCE_DB
    is_clipped: bool = False


class Looker:
    """Looks at stretches of `count` samples of one rate, the same for any block size."""

    def __init__(self, rate_hz: int) -> None:
        self._fold = coarse_fold(rate_hz)
        self.count = LOOK_SLOTS * frame_samples(rate_hz)
        coarse = self.count // self._fold
        bin_hz = rate_hz / self._fold / coarse
        edges = [min(round(edge / bin_hz), coarse // 2) for edge in BAND_EDGES_HZ]
        heard = slice(round(_REST_FROM_HZ / bin_hz), edges[-1])
        # Rows: the bands, what is heard at all, and that part of it which is on either comb.
        self._rows: Floats = np.zeros((len(edges) + len(_MAINS_HZ), coarse // 2 + 1), np.float32)
        for row, (first, last) in enumerate(pairwise(edges)):
            self._rows[row, first:last] = 1.0
        self._rows[_BANDS, heard] = 1.0
        for row, mains_hz in enumerate(_MAINS_HZ, _BANDS + 1):
            self._rows[row, heard] = _comb(coarse // 2 + 1, bin_hz, mains_hz)[heard]
        self._window = hann(coarse).astype(np.float32)
        # One-sided power of a windowed transform, so that the bands add up to the mean square.
        self._scale = 2.0 / (coarse * float(np.sum(self._window**2)))
        self._wave: Floats = np.empty(self.count, np.float32)
        self._groups = self._wave.reshape(coarse, self._fold)
        self._averages = {
            kind: np.full(self._fold, 1.0 / (self._fold * full), np.float32)
            for kind, full in FULL_SCALE.items()
        }
        self._flat = max(3, round(_FLAT_S * rate_hz))

    def look(self, samples: Samples) -> Look:
        """`samples` raw, shape (count,)."""
        full = full_scale(samples)
        low, high = int(samples.min()), int(samples.max())
        if low == high:
            return Look(is_constant=True, offset=low / full)
        np.copyto(self._wave, samples, casting="same_kind")
        mean = float(self._wave.mean(dtype=np.float64))
        self._wave -= np.float32(mean)
        coarse = self._groups.dot(self._averages[samples.dtype])
        power = float(self._wave.dot(self._wave)) / self.count
        spectrum = np.fft.rfft(coarse * self._window)
        sums = (self._rows @ squares(spectrum)).tolist()
        return Look(
            is_constant=False,
            offset=mean / full,
            level_db=_db(power / full**2),
            steps=math.sqrt(power) / _step(samples),
            bands_db=tuple(_db(self._scale * one) for one in sums[:_BANDS]),
            hum_db=_over_rest_db(max(sums[_BANDS + 1 :]), sums[_BANDS]),
            is_clipped=self._is_clipped(samples, low, high, full),
        )

    def _is_clipped(self, samples: Samples, low: int, high: int, full: float) -> bool:
        ends = [end for end in (low, high) if abs(end) > _NEAR_RAIL * full]
        return any(_longest_run(samples == end) >= self._flat for end in ends)


def _comb(bins: int, bin_hz: float, mains_hz: float) -> Floats:
    """1 near each harmonic of the mains, 0 between them."""
    comb = np.zeros(bins, np.float32)
    for harmonic in range(1, int(_COMB_TO_HZ / mains_hz) + 1):
        at = round(harmonic * mains_hz / bin_hz)
        comb[max(0, at - _COMB_BINS) : at + _COMB_BINS + 1] = 1.0
    return comb


def _over_rest_db(part: float, whole: float) -> float:
    return _db(part) - _db(max(whole - part, 1e-9 * whole))


def _step(samples: Samples) -> int:
    """The smallest step of a converter that left the bits below it zero."""
    used = int(np.bitwise_or.reduce(samples))
    return used & -used


def _longest_run(is_there: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    """Length of the longest run of True."""
    places = np.flatnonzero(np.diff(np.concatenate(([False], is_there, [False]))))
    return int((places[1::2] - places[::2]).max(initial=0))


def _db(power: float) -> float:
    return 10.0 * math.log10(power) if power > 1e-20 else SILENCE_DB
