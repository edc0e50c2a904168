"""The least error that any picker can have: the Cramer-Rao bound of a time of arrival.

For a wave A s(t - t0; T, d) of Friedlander duration T behind d metres of air, in stationary
Gaussian noise of one-sided power spectral density N(f), the Fisher information of t0, ln A, ln T
and ln d is

    I_jk = 4 Re integral_0^(rate/2) D_j(f) D_k*(f) / N(f) df,

D_j being the derivative of A S(f) exp(-2 pi i f t0) by parameter j: Kay 1993, Fundamentals of
Statistical Signal Processing: Estimation Theory, equation 3.52 and section 3.11 (D = -2 pi i f A S
for t0 alone gives his example 3.13, var >= 1 / (8 pi^2 integral f^2 |A S|^2 / (N/2) df)). No
unbiased estimate that knows none of the four has a smaller variance than the first diagonal
element of I^-1. The wind's gusts enter with their mean power; nothing below 5 Hz is heard.
"""

import math

import numpy as np

from simulator.scene.propagation import Floats
from simulator.scene.sources import NOISE_BAND_HZ
from simulator.trials.timing.pulses import WIND_OVER_PINK_DB, blast, peak

_WIND_CORNER_HZ = 20.0
_LEAST_HZ = 5.0
_PART = 1e-3
_BINS = 2049


def noise_psd(frequency_hz: Floats) -> Floats:
    """One-sided power spectral density of `pulses.noise`, 1/Hz, its pink part having RMS 1."""
    low_hz, high_hz = NOISE_BAND_HZ
    audible = np.maximum(frequency_hz, _LEAST_HZ)
    pink = 1.0 / (audible * math.log(high_hz / low_hz)) + 0.01 / (high_hz - low_hz)
    rumble = np.minimum((audible / _WIND_CORNER_HZ) ** (-11.0 / 3.0), 1.0)
    # integral of the rumble from 5 Hz on: 15 Hz of plateau and 20 / (8/3) Hz of slope
    power_hz = (_WIND_CORNER_HZ - _LEAST_HZ) + _WIND_CORNER_HZ * 3.0 / 8.0
    return np.asarray(pink + 10.0 ** (WIND_OVER_PINK_DB / 10.0) * rumble / power_hz)


def least_sigma_s(positive_s: float, distance_m: float, snr_db: float, rate_hz: int) -> float:
    """The bound on the standard deviation of t0, everything unknown, in seconds."""
    frequency_hz = np.linspace(0.0, rate_hz / 2.0, _BINS)
    audible = frequency_hz >= _LEAST_HZ

    def spectrum(longer: float = 1.0, farther: float = 1.0) -> np.ndarray:
        return blast(frequency_hz, positive_s * longer, distance_m * farther, rate_hz)

    plain = spectrum()
    by_duration = (spectrum(longer=1 + _PART) - spectrum(longer=1 - _PART)) / (2 * _PART)
    by_distance = (spectrum(farther=1 + _PART) - spectrum(farther=1 - _PART)) / (2 * _PART)
    slopes = np.array([-2j * np.pi * frequency_hz * plain, plain, by_duration, by_distance])
    slopes = slopes[:, audible] * (10.0 ** (snr_db / 20.0) / peak(plain, rate_hz))
    weighted = slopes / noise_psd(frequency_hz[audible])
    step_hz = float(frequency_hz[1])
    information = 4.0 * step_hz * np.real(weighted @ slopes.conj().T)
    scale = 1.0 / np.sqrt(np.diag(information))
    inverse = np.linalg.inv(information * np.outer(scale, scale))
    return float(np.sqrt(inverse[0, 0]) * scale[0])
