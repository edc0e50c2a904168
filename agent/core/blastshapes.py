"""The family of wave fronts that a muzzle blast may have where it is heard, as small tables.

A Friedlander wave of any duration, dulled by any length of air; nothing of echoes. All are combinations of a few basis waves, so that a whole family is compared
with a sound for the price of those. Tables depend on the sample rate alone.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.float64]
Spectrum = npt.NDArray[np.complex128]

BEFORE_S = 0.6e-3
_LEAST_BEFORE = 16
_PHASES_PER_S = 192_000
_POSITIVE_S = np.geomspace(0.2e-3, 5e-3, 11)
_DISTANCE_M = np.geomspace(8.0, 1600.0, 12)
_RANK_TOLERANCE = 1e-3
_SPAN_S = 0.04
_SMEAR_HZ = 2_000.0


@dataclass(frozen=True, slots=True)
class Shapes:
    """Waves as differences between neighbouring samples, from `before` samples before the onset.

    `basis`: (phases, length, rank), the basis waves at onsets `phase / phases` of a sample late;
    `columns` are the same as (length, phases x rank).
    `mixes`: (durations, distances, rank), how each wave of the family is made of them.
    `spectra`: those of the basis waves, zero-padded to twice their length, (rank, bins).
    `smears`: (distances,), how far that much air spreads a jump, in samples (1 sigma).
    """

    rate_hz: int
    before: int
    basis: Table
    columns: Table
    mixes: Table
    spectra: Spectrum
    smears: Table

    @property
    def phases(self) -> int:
        """Onsets per sample that are tabulated."""
        return self.basis.shape[0]

    @property
    def length(self) -> int:
        """Of each wave, in samples."""
        return self.basis.shape[1]

    @property
    def rank(self) -> int:
        """Number of basis waves."""
        return self.basis.shape[2]


@lru_cache(maxsize=8)
def shapes(rate_hz: int, after_s: float) -> Shapes:
    """The tables for a sample rate; made once, in some tens of milliseconds."""
    before = max(_LEAST_BEFORE, round(BEFORE_S * rate_hz))
    length = before + max(4, round(after_s * rate_hz))
    phases = max(1, round(_PHASES_PER_S / rate_hz))
    family = _spectra(rate_hz)
    flat = family.reshape(-1, family.shape[-1])
    waves = _waves(flat, before, length, 0.0)
    size = np.linalg.norm(waves, axis=1, keepdims=True)
    left, strength, _ = np.linalg.svd(waves / size, full_matrices=False)
    lost = np.sqrt(np.cumsum((left * strength)[:, ::-1] ** 2, axis=1)[:, ::-1].max(axis=0))
    rank = int(np.argmax(lost < _RANK_TOLERANCE)) or len(strength)
    to_basis = (left[:, :rank] / strength[:rank]).T / size.T
    mixes = (left[:, :rank] * strength[:rank]).reshape(*family.shape[:2], rank)
    pure = to_basis @ flat
    basis = np.array([_waves(pure, before, length, phase / phases).T for phase in range(phases)])
    padded = 1 << (2 * length - 1).bit_length()
    columns = np.ascontiguousarray(basis.transpose(1, 0, 2).reshape(length, -1))
    spectra = np.fft.rfft(basis[0].T, padded)
    return Shapes(rate_hz, before, basis, columns, mixes, spectra, _smears(rate_hz))


def _spectra(rate_hz: int) -> Spectrum:
    """Of all waves of the family, (durations, distances, bins)."""
    count = 1 << round(_SPAN_S * rate_hz).bit_length()
    frequency_hz = np.fft.rfftfreq(count, 1.0 / rate_hz)
    omega = 2j * np.pi * frequency_hz
    loss = np.exp(-np.outer(_DISTANCE_M, absorption_np_per_m(frequency_hz)))
    jump = np.array([omega * t**2 / (1.0 + omega * t) ** 2 for t in _POSITIVE_S])
    converter = band_limit(frequency_hz, rate_hz) * (1.0 - np.exp(-omega / rate_hz))
    return jump[:, None] * (loss * converter)


def _smears(rate_hz: int) -> Table:
    """Where absorption is a f^2 per metre, a jump becomes the integral of a Gaussian."""
    a = absorption_np_per_m(np.array([_SMEAR_HZ])) / _SMEAR_HZ**2
    return np.asarray(np.sqrt(2.0 * a * _DISTANCE_M) / (2.0 * np.pi) * rate_hz)


def _waves(
    spectra: Spectrum, before: int, length: int, late: float
) -> Table:
    count = 2 * (spectra.shape[-1] - 1)
    turn = np.exp(-2j * np.pi * np.arange(spectra.shape[-1]) * (before + late) / count)
    return np.fft.irfft(spectra * turn, count)[:, :length]


def absorption_np_per_m(frequency_hz: Table) -> Table:
    """Pure-tone absorption of ISO 9613-1:1993, neper/m, in air of 15 C, 70 % and 101.325 kPa."""
    warm = 288.15 / 293.15
    vapour = 70.0 * 10.0 ** (4.6151 - 6.8346 * (273.16 / 288.15) ** 1.261)
    oxygen_hz = 24.0 + 4.04e4 * vapour * (0.02 + vapour) / (0.391 + vapour)
    nitrogen_hz = warm**-0.5 * (9.0 + 280.0 * vapour * np.exp(-4.170 * (warm ** (-1 / 3) - 1.0)))
    square = frequency_hz**2
    oxygen = 0.01275 * np.exp(-2239.1 / 288.15) / (oxygen_hz + square / oxygen_hz)
    nitrogen = 0.1068 * np.exp(-3352.0 / 288.15) / (nitrogen_hz + square / nitrogen_hz)
    return square * (1.84e-11 * warm**0.5 + warm**-2.5 * (oxygen + nitrogen))


def band_limit(frequency_hz: Table, rate_hz: float) -> Table:
    """A converter's anti-alias filter: flat to 0.43 of the rate, nothing above 0.49."""
    fall = np.clip((frequency_hz / rate_hz - 0.43) / 0.06, 0.0, 1.0)
    return np.cos(0.5 * np.pi * fall) ** 2
