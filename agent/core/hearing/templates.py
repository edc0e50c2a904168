"""The family of fronts that a muzzle blast may have where it is heard, as small tables.

Friedlander waves of any duration, dulled by any length of air; echoes and softened sources are
left out. All are sums of a few basis waves, so that the whole family is compared with a sound for
the price of those. Tables depend on the sample rate and on how long a piece is wanted.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from agent.core.hearing.whitening import order_at

Table = npt.NDArray[np.float64]
Spectrum = npt.NDArray[np.complex128]

BEFORE_S = 0.6e-3
_LEAST_BEFORE = 16
_LEAST_AFTER = 4
_PHASES_PER_S = 192_000
_POSITIVE_S = np.geomspace(0.2e-3, 5e-3, 11)
_DISTANCE_M = np.geomspace(8.0, 1600.0, 12)
_RANK_TOLERANCE = 1e-3
_SPAN_S = 0.04
_SMEAR_HZ = 2_000.0
_AIR_K, _AIR_HUMIDITY_PCT = 288.15, 70.0


@dataclass(frozen=True, slots=True)
class Shapes:
    """Waves as differences between neighbouring samples, from `before` samples before the onset.

    `basis`: (phases, length, rank), the basis waves at onsets `phase / phases` of a sample late;
    `columns` are the same as (length, phases x rank).
    `mixes`: (durations, distances, rank), how each wave of the family is made of them.
    `products`: of the basis waves with each other late by 0 samples and more, either one of the
    two the late one, added up: (lags, rank x rank).
    `smears`: (distances,), how far that much air spreads a jump, in samples (1 sigma).
    """

    rate_hz: int
    before: int
    phases: int
    length: int
    rank: int
    basis: Table
    columns: Table
    mixes: Table
    products: Table
    smears: Table


@lru_cache(maxsize=16)
def shapes(rate_hz: int, after_s: float) -> Shapes:
    """The tables for a sample rate, waves cut `after_s` after the onset; made once."""
    before = max(_LEAST_BEFORE, round(BEFORE_S * rate_hz))
    length = before + max(_LEAST_AFTER, round(after_s * rate_hz))
    phases = max(1, round(_PHASES_PER_S / rate_hz))
    family = _spectra(rate_hz)
    flat = family.reshape(-1, family.shape[-1])
    waves = _waves(flat, before, length)
    size = np.linalg.norm(waves, axis=1, keepdims=True)
    left, strength, _ = np.linalg.svd(waves / size, full_matrices=False)
    lost = np.sqrt(np.cumsum((left * strength)[:, ::-1] ** 2, axis=1)[:, ::-1].max(axis=0))
    rank = int(np.argmax(lost < _RANK_TOLERANCE)) or len(strength)
    pure = ((left[:, :rank] / strength[:rank]).T / size.T) @ flat
    basis = np.array([_waves(pure, before + k / phases, length).T for k in range(phases)])
    return Shapes(
        rate_hz=rate_hz,
        before=before,
        phases=phases,
        length=length,
        rank=rank,
        basis=basis,
        columns=np.ascontiguousarray(basis.transpose(1, 0, 2).reshape(length, -1)),
        mixes=(left[:, :rank] * strength[:rank]).reshape(*family.shape[:2], rank),
        products=_products(basis[0].T, order_at(rate_hz) + 1),
        smears=_smears(rate_hz),
    )


def _spectra(rate_hz: int) -> Spectrum:
    """Of all waves of the family, (durations, distances, bins)."""
    count = 1 << round(_SPAN_S * rate_hz).bit_length()
    frequency_hz = np.linspace(0.0, rate_hz / 2.0, count // 2 + 1)
    omega = 2j * np.pi * frequency_hz
    loss = np.exp(-np.outer(_DISTANCE_M, absorption_np_per_m(frequency_hz)))
    jump = np.array([omega * t**2 / (1.0 + omega * t) ** 2 for t in _POSITIVE_S])
    converter = band_limit(frequency_hz, rate_hz) * (1.0 - np.exp(-omega / rate_hz))
    return np.asarray(jump[:, None] * (loss * converter))


def _waves(spectra: Spectrum, late: float, length: int) -> Table:
    count = 2 * (spectra.shape[-1] - 1)
    turn = np.exp(-2j * np.pi * np.arange(spectra.shape[-1]) * late / count)
    return np.asarray(np.fft.irfft(spectra * turn, count)[:, :length])


def _products(waves: Table, lags: int) -> Table:
    """Of `waves` (rank, length), at lags 0 to before `lags`, as many as a whitener has taps."""
    rank, length = waves.shape
    found = np.zeros((lags, rank, rank))
    for lag in range(min(lags, length)):
        found[lag] = waves[:, : length - lag] @ waves[:, lag:].T
    found[1:] += found[1:].transpose(0, 2, 1)
    return found.reshape(lags, -1)


def _smears(rate_hz: int) -> Table:
    """Where absorption is a f^2 per metre, a jump becomes the integral of a Gaussian."""
    a = absorption_np_per_m(np.array([_SMEAR_HZ])) / _SMEAR_HZ**2
    return np.asarray(np.sqrt(2.0 * a * _DISTANCE_M) / (2.0 * np.pi) * rate_hz)


def absorption_np_per_m(frequency_hz: Table) -> Table:
    """Pure-tone absorption of ISO 9613-1:1993 equations 3 to 5, neper/m, at 15 C, 70 % and 1 atm.

    Other air is like more or less of this. The standard knows no dispersion, and nor do the waves:
    their onset is where the front would be without it, at most 20 mm/s ahead of the lowest sounds.
    """
    warm = _AIR_K / 293.15
    vapour = _AIR_HUMIDITY_PCT * 10.0 ** (4.6151 - 6.8346 * (273.16 / _AIR_K) ** 1.261)
    oxygen_hz = 24.0 + 4.04e4 * vapour * (0.02 + vapour) / (0.391 + vapour)
    cold = np.exp(-4.170 * (warm ** (-1.0 / 3.0) - 1.0))
    nitrogen_hz = warm**-0.5 * (9.0 + 280.0 * vapour * cold)
    square = frequency_hz**2
    oxygen = 0.01275 * np.exp(-2239.1 / _AIR_K) / (oxygen_hz + square / oxygen_hz)
    nitrogen = 0.1068 * np.exp(-3352.0 / _AIR_K) / (nitrogen_hz + square / nitrogen_hz)
    return np.asarray(square * (1.84e-11 * warm**0.5 + warm**-2.5 * (oxygen + nitrogen)))


def band_limit(frequency_hz: Table, rate_hz: float) -> Table:
    """A converter's anti-alias filter: flat to 0.43 of the rate, nothing above 0.49."""
    fall = np.clip((frequency_hz / rate_hz - 0.43) / 0.06, 0.0, 1.0)
    return np.asarray(np.cos(0.5 * np.pi * fall) ** 2)
