"""The bound is the bound: two ways to it agree, and it moves as it must."""

import numpy as np
import pytest
from scipy.linalg import solve_toeplitz

from simulator.trials.timing import pulses
from simulator.trials.timing.bound import least_sigma_s, noise_psd

RATE_HZ = pulses.RATE_HZ


def in_time(positive_s: float, distance_m: float, snr_db: float) -> float:
    """The same bound from samples: Fisher information D^T C^-1 D with the noise's covariance C.

    On differences of samples, whose covariance a computer can invert.
    """
    frequency_hz = np.linspace(0.0, RATE_HZ / 2, (1 << 15) + 1)

    def wave(duration: float, distance: float, late_s: float = 0.0) -> np.ndarray:
        spectrum = pulses.blast(frequency_hz, duration, distance, RATE_HZ)
        return pulses.wave(spectrum, 2048 + late_s * RATE_HZ, RATE_HZ)

    plain = wave(positive_s, distance_m)
    step = 1e-3
    slopes = np.array(
        [
            (wave(positive_s, distance_m, 1e-7) - wave(positive_s, distance_m, -1e-7)) / 2e-7,
            plain,
            (wave(positive_s * (1 + step), distance_m) - wave(positive_s, distance_m)) / step,
            (wave(positive_s, distance_m * (1 + step)) - wave(positive_s, distance_m)) / step,
        ]
    )
    slopes = np.diff(slopes * (10 ** (snr_db / 20) / np.abs(plain).max()))[:, 1600:2700]
    psd = noise_psd(frequency_hz) * np.abs(1 - np.exp(-2j * np.pi * frequency_hz / RATE_HZ)) ** 2
    covariance = np.fft.irfft(psd * RATE_HZ / 2)[: slopes.shape[1]]
    information = slopes @ solve_toeplitz(covariance, slopes.T)
    scale = 1 / np.sqrt(np.diag(information))
    return float(np.sqrt(np.linalg.inv(information * np.outer(scale, scale))[0, 0]) * scale[0])


@pytest.mark.parametrize(("positive_s", "distance_m"), [(0.5e-3, 50.0), (2e-3, 800.0)])
def test_two_ways_to_the_bound_agree(positive_s: float, distance_m: float) -> None:
    """By spectra and by samples, within 3 %."""
    by_spectra = least_sigma_s(positive_s, distance_m, 20.0, RATE_HZ)
    assert by_spectra == pytest.approx(in_time(positive_s, distance_m, 20.0), rel=0.03)


def test_the_bound_goes_with_noise_and_distance() -> None:
    """Ten times the amplitude is a tenth of the error; farther is duller and less exact."""
    near = least_sigma_s(1e-3, 50.0, 20.0, RATE_HZ)
    assert least_sigma_s(1e-3, 50.0, 40.0, RATE_HZ) == pytest.approx(near / 10.0, rel=1e-6)
    assert (
        near < least_sigma_s(1e-3, 200.0, 20.0, RATE_HZ) < least_sigma_s(1e-3, 800.0, 20.0, RATE_HZ)
    )


def test_the_noise_is_as_the_bound_assumes() -> None:
    """Octaves of minutes of noise hold the power that the density says, within a decibel.

    Below 100 Hz gusts leave only some dozens of independent values, so that octave may be 2 dB off.
    """
    sound = pulses.noise(60, np.random.default_rng(1))
    power = np.abs(np.fft.rfft(sound)) ** 2 * (2.0 / (len(sound) * RATE_HZ))
    frequency_hz = np.fft.rfftfreq(len(sound), 1.0 / RATE_HZ)
    for low_hz in (40.0, 200.0, 1_000.0, 4_000.0, 10_000.0):
        octave = (frequency_hz >= low_hz) & (frequency_hz < 2.0 * low_hz)
        off_db = 10.0 * np.log10(power[octave].mean() / noise_psd(frequency_hz[octave]).mean())
        assert abs(off_db) < (2.0 if low_hz < 100.0 else 1.0)
