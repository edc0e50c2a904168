"""What makes sound in a street: muzzle blasts, things mistaken for them, and the noise floor.

Impulses are spectra, so that they can be placed between samples; pressures are pascals at 1 m
in free field. Supersonic shock waves, directivity and nonlinear steepening are left out.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simulator.scene.propagation import Floats, Spectrum

REFERENCE_PA = 20e-6
NOISE_BAND_HZ = (100.0, 20_000.0)
_WIND_CORNER_HZ = 20.0


def pascals(level_db_spl: float) -> float:
    """The pressure at a level in dB re 20 uPa."""
    return float(REFERENCE_PA * 10.0 ** (level_db_spl / 20.0))


class Source(Protocol):
    """An impulsive sound that starts at time zero."""

    def spectrum(self, frequency_hz: Floats) -> Spectrum:
        """Fourier transform of the pressure at 1 m, Pa s, shape as given."""


@dataclass(frozen=True, slots=True)
class Blast:
    """A Friedlander wave: `peak_pa` (1 - t/T) exp(-t/T), with T = `positive_s`.

    The jump at the start is softened to a time constant of `rise_s`.
    """

    peak_pa: float
    positive_s: float
    rise_s: float = 0.0

    def spectrum(self, frequency_hz: Floats) -> Spectrum:
        """Closed form of the wave above, behind a one-pole rise."""
        omega = 2j * np.pi * frequency_hz
        sharp = omega * self.positive_s**2 / (1.0 + omega * self.positive_s) ** 2
        return np.asarray(self.peak_pa * sharp / (1.0 + omega * self.rise_s))


@dataclass(frozen=True, slots=True)
class Ring:
    """A struck body: decaying sinusoids of (share, Hz, decay s), shares adding up to `peak_pa`."""

    peak_pa: float
    modes: tuple[tuple[float, float, float], ...]

    def spectrum(self, frequency_hz: Floats) -> Spectrum:
        """Sum over modes of w / ((1/decay + jW)^2 + w^2)."""
        omega = 2j * np.pi * frequency_hz
        scale = self.peak_pa / sum(share for share, _, _ in self.modes)
        total = np.zeros(len(frequency_hz), np.complex128)
        for share, mode_hz, decay_s in self.modes:
            mode = 2.0 * np.pi * mode_hz
            total += scale * share * mode / ((1.0 / decay_s + omega) ** 2 + mode**2)
        return total


_DOOR_MODES = ((1.0, 70.0, 0.05), (0.6, 135.0, 0.03), (0.3, 310.0, 0.015), (0.15, 900.0, 0.004))

SOURCES: Mapping[str, Callable[[float], Source]] = {
    "muzzle_blast": lambda level: Blast(pascals(level), positive_s=1.0e-3),
    "firecracker": lambda level: Blast(pascals(level), positive_s=0.15e-3),
    "backfire": lambda level: Blast(pascals(level), positive_s=4.0e-3, rise_s=0.4e-3),
    "door_slam": lambda level: Ring(pascals(level), _DOOR_MODES),
}
"""What can sound in a scene, each made from its peak level in dB SPL at 1 m."""


def band_limit(frequency_hz: Floats, rate_hz: float) -> Floats:
    """The converter's anti-alias filter: flat to 0.43 of the rate, nothing above 0.49."""
    fall = np.clip((frequency_hz / rate_hz - 0.43) / 0.06, 0.0, 1.0)
    return np.asarray(np.cos(0.5 * np.pi * fall) ** 2)


@dataclass(frozen=True, slots=True)
class StreetNoise:
    """RMS levels in dB SPL of what a microphone on a pole hears when nothing happens.

    `level_db_spl` is traffic and the like, pink, from 100 Hz to 20 kHz, with white self-noise
    20 dB below; wind in the microphone falls 11 dB per octave above 20 Hz and comes in gusts.
    """

    level_db_spl: float = 52.0
    wind_db_spl: float = 65.0
    hum_db_spl: float = 35.0
    hum_hz: float = 100.0


def street_noise(count: int, rate_hz: int, noise: StreetNoise, rng: np.random.Generator) -> Floats:
    """`count` samples of pressure in Pa that join end to start without a seam."""
    frequency_hz = np.fft.rfftfreq(count, 1.0 / rate_hz)
    audible = np.maximum(frequency_hz, 5.0)
    low_hz, high_hz = NOISE_BAND_HZ
    pink = 1.0 / (audible * math.log(high_hz / low_hz)) + 0.01 / (high_hz - low_hz)
    hiss = _coloured(pascals(noise.level_db_spl) ** 2 * pink, count, rate_hz, rng)
    rumble_psd = np.minimum((audible / _WIND_CORNER_HZ) ** (-11.0 / 3.0), 1.0)
    wind = _coloured(rumble_psd, count, rate_hz, rng) * _gusts(count, rate_hz, rng)
    wind *= pascals(noise.wind_db_spl) / math.sqrt(float(np.mean(wind**2)))
    return np.asarray(hiss + wind + _hum(count, rate_hz, noise))


def _coloured(psd: Floats, count: int, rate_hz: int, rng: np.random.Generator) -> Floats:
    """Gaussian noise of a one-sided power spectral density, without anything below 5 Hz."""
    frequencies = len(psd)
    parts = rng.standard_normal((2, frequencies))
    spectrum = (parts[0] + 1j * parts[1]) * np.sqrt(psd * (rate_hz * count / 4.0))
    spectrum[: math.ceil(5.0 * count / rate_hz)] = 0.0
    return np.asarray(np.fft.irfft(spectrum, count))


def _gusts(count: int, rate_hz: int, rng: np.random.Generator) -> Floats:
    """A slow positive envelope, about a value a second, that closes on itself."""
    knots = max(4, count // rate_hz)
    raw = rng.standard_normal(knots)
    smooth = (np.roll(raw, -1) + raw + np.roll(raw, 1)) / math.sqrt(3.0)
    values = np.exp(0.7 * smooth)
    at = np.arange(count) * (knots / count)
    return np.asarray(np.interp(at, np.arange(knots + 1), np.append(values, values[0])))


def _hum(count: int, rate_hz: int, noise: StreetNoise) -> Floats:
    """A transformer: `hum_hz` and two harmonics, moved to whole periods of `count`."""
    time = np.arange(count) / count
    cycles = round(noise.hum_hz * count / rate_hz)
    wave = sum(
        share * np.sin(2.0 * np.pi * cycles * harmonic * time)
        for harmonic, share in ((1, 1.0), (2, 0.5), (3, 0.25))
    )
    return np.asarray(wave * (pascals(noise.hum_db_spl) / math.sqrt((1.0 + 0.25 + 0.0625) / 2.0)))
