"""Pulses whose arrival is known to a fraction of a sample, and the noise they arrive in.

Matched ones are what the picker assumes: Friedlander waves behind the absorption of ISO 9613-1,
which knows no dispersion. The others are what the open air does beside that; each says in its
name how it differs. Nothing here picks.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from simulator.scene.propagation import Air, Floats, Path, Spectrum, absorption_db_per_m, propagate
from simulator.scene.sources import Blast, StreetNoise, band_limit, pascals, street_noise

RATE_HZ = 48_000
NOISE_DBFS = -50.0
WIND_OVER_PINK_DB = 23.0
POSITIVE_S = (0.5e-3, 2e-3)
NEAR_M, FAR_M = 50.0, 800.0
BEFORE_S, AFTER_S = 1.0, 0.3
_LEVEL_DB_SPL = 50.0
_SPAN_S = 0.34
_LEAD_S = 0.02
_AIR = Air()


@dataclass(frozen=True, slots=True)
class Shape:
    """A spectrum with its onset at time zero, further onsets at `later_s`, and a clipping level.

    `clip` is the part of the peak at which the converter saturates.
    """

    spectrum: Spectrum
    later_s: tuple[float, ...] = ()
    clip: float | None = None


@dataclass(frozen=True, slots=True)
class Take:
    """A second and a bit of sound, float64 with full scale 1.0, and where onsets are in it."""

    samples: Floats
    onsets: tuple[float, ...]


def noise(seconds: int, rng: np.random.Generator, rate_hz: int = RATE_HZ) -> Floats:
    """Pink and white (-20 dB) noise of RMS 1 in 100 Hz to 20 kHz, and gusts of wind (+23 dB)."""
    street = StreetNoise(_LEVEL_DB_SPL, _LEVEL_DB_SPL + WIND_OVER_PINK_DB, hum_db_spl=-200.0)
    made = street_noise(seconds * rate_hz, rate_hz, street, rng)
    return np.asarray(made / pascals(_LEVEL_DB_SPL))


def frequencies_hz(rate_hz: int) -> Floats:
    """Those of all spectra here."""
    count = 1 << round(_SPAN_S * rate_hz).bit_length()
    return np.asarray(np.arange(count // 2 + 1) * (rate_hz / count))


def blast(frequency_hz: Floats, positive_s: float, distance_m: float, rate_hz: int) -> Spectrum:
    """The matched wave: Friedlander, absorbed over `distance_m`, sampled at `rate_hz`."""
    loss = 10.0 ** (-absorption_db_per_m(frequency_hz, _AIR) * (distance_m / 20.0))
    wave = Blast(1.0, positive_s).spectrum(frequency_hz) * loss
    return np.asarray(wave * band_limit(frequency_hz, rate_hz))


def wave(spectrum: Spectrum, at: float, rate_hz: int) -> Floats:
    """Samples of a spectrum whose onset is at (fractional) sample `at`."""
    count = 2 * (len(spectrum) - 1)
    turn = np.exp(-2j * np.pi * np.arange(len(spectrum)) * (at / count))
    return np.asarray(np.fft.irfft(spectrum * turn, count) * rate_hz)


def peak(spectrum: Spectrum, rate_hz: int) -> float:
    """Largest magnitude of its samples."""
    return float(np.abs(wave(spectrum, round(_LEAD_S * rate_hz), rate_hz)).max())


def take(
    shape: Shape, snr_db: float, sound: Floats, rate_hz: int, rng: np.random.Generator
) -> Take:
    """Put a pulse somewhere between two samples, `snr_db` (peak over noise) above some `sound`.

    Clipped at a part of the pulse's peak if `shape` says so, and rounded to 16 bits.
    """
    before, after = round(BEFORE_S * rate_hz), round(AFTER_S * rate_hz)
    lead = round(_LEAD_S * rate_hz)
    start = int(rng.integers(0, len(sound) - before - after))
    fraction = float(rng.random())
    size = 10.0 ** (snr_db / 20.0)
    pulse = wave(shape.spectrum, lead + fraction, rate_hz)[: lead + after]
    samples = sound[start : start + before + after].copy()
    samples[before - lead :] += pulse * (size / peak(shape.spectrum, rate_hz))
    if shape.clip is not None:
        samples = np.clip(samples, -shape.clip * size, shape.clip * size)
    scale = 10.0 ** (NOISE_DBFS / 20.0)
    quantised = np.clip(np.round(samples * scale * 32_768.0), -32_768, 32_767) / 32_768.0
    onsets = tuple(before + fraction + late * rate_hz for late in (0.0, *shape.later_s))
    return Take(quantised, onsets)


def matched(rate_hz: int, rng: np.random.Generator, distance_m: float | None = None) -> Shape:
    """Any duration and distance of the family, or a given distance."""
    return Shape(_plain(rate_hz, rng, distance_m))


def _plain(rate_hz: int, rng: np.random.Generator, distance_m: float | None = None) -> Spectrum:
    if distance_m is None:
        distance_m = math.exp(rng.uniform(math.log(NEAR_M), math.log(FAR_M)))
    return blast(frequencies_hz(rate_hz), rng.uniform(*POSITIVE_S), distance_m, rate_hz)


def _other_air(rate_hz: int, rng: np.random.Generator) -> Shape:
    """Cold to hot, dry to damp air, with the dispersion that the absorption entails."""
    frequency_hz = frequencies_hz(rate_hz)
    air = Air(rng.uniform(-10.0, 35.0), rng.uniform(20.0, 95.0))
    distance_m = math.exp(rng.uniform(math.log(NEAR_M), math.log(FAR_M)))
    spectrum = Blast(1.0, rng.uniform(*POSITIVE_S)).spectrum(frequency_hz)
    arrived = propagate(spectrum, frequency_hz, Path(0.0, distance_m, distance_m), air)
    return Shape(np.asarray(arrived * band_limit(frequency_hz, rate_hz)))


def _finite_rise(rate_hz: int, rng: np.random.Generator) -> Shape:
    """Pressure that needs 100 to 300 us to rise, in a straight line or a sine's half wave."""
    rise_s = rng.uniform(100e-6, 300e-6)
    time_s = (np.arange(64) + 0.5) * (rise_s / 64)
    slope = np.ones(64) if rng.random() < 0.5 else np.sin(np.pi * time_s / rise_s)
    turns = np.exp(-2j * np.pi * np.outer(frequencies_hz(rate_hz), time_s))
    return Shape(_plain(rate_hz, rng) * (turns @ (slope / slope.sum())))


def _barrier(rate_hz: int, rng: np.random.Generator) -> Shape:
    """Bent over an edge: 3 dB an octave above 150 Hz to 2 kHz, as diffraction does."""
    corner_hz = math.exp(rng.uniform(math.log(150.0), math.log(2000.0)))
    return Shape(_plain(rate_hz, rng) / np.sqrt(1.0 + 1j * frequencies_hz(rate_hz) / corner_hz))


def _out_of_sight(rate_hz: int, rng: np.random.Generator) -> Shape:
    """Softened (one pole, 0.4 to 2 kHz) and followed by what many walls scatter."""
    corner_hz = math.exp(rng.uniform(math.log(400.0), math.log(2000.0)))
    frequency_hz = frequencies_hz(rate_hz)
    time_s = np.arange(round(0.03 * rate_hz)) / rate_hz
    walls = rng.standard_normal(len(time_s)) * np.exp(-time_s / 8e-3) * -np.expm1(-time_s / 4e-3)
    scattered = np.fft.rfft(0.03 * walls, 2 * (len(frequency_hz) - 1))
    soft = _plain(rate_hz, rng) / (1.0 + 1j * frequency_hz / corner_hz)
    return Shape(np.asarray(soft * (1.0 + scattered)))


def _reflected(gain: tuple[float, float], delay_s: tuple[float, float]) -> "Maker":
    def make(rate_hz: int, rng: np.random.Generator) -> Shape:
        turn = np.exp(-2j * np.pi * frequencies_hz(rate_hz) * rng.uniform(*delay_s))
        return Shape(_plain(rate_hz, rng) * (1.0 + rng.uniform(*gain) * turn))

    return make


def _clipped(rate_hz: int, rng: np.random.Generator) -> Shape:
    """So loud that 0.2 to 0.8 of its peak is all that the converter can say."""
    return Shape(_plain(rate_hz, rng), clip=rng.uniform(0.2, 0.8))


def _shock_wave(rate_hz: int, rng: np.random.Generator) -> Shape:
    """A bullet's N-wave passing 5 to 60 m away, the muzzle blast 5 to 200 ms after it."""
    frequency_hz = frequencies_hz(rate_hz)
    omega = 2j * np.pi * np.maximum(frequency_hz, 1e-3)
    lasts_s, gap_s = rng.uniform(0.15e-3, 0.5e-3), rng.uniform(5e-3, 200e-3)
    end = np.exp(-omega * lasts_s)
    n_wave = (1.0 + end) / omega - 2.0 * (1.0 - end) / (lasts_s * omega**2)
    n_wave *= 10.0 ** (-absorption_db_per_m(frequency_hz, _AIR) * rng.uniform(5.0, 60.0) / 20.0)
    n_wave *= band_limit(frequency_hz, rate_hz)
    muzzle = _plain(rate_hz, rng)
    share = rng.uniform(0.3, 1.5) * peak(n_wave, rate_hz) / peak(muzzle, rate_hz)
    return Shape(n_wave + muzzle * (share * np.exp(-omega * gap_s)), later_s=(gap_s,))


Maker = Callable[[int, np.random.Generator], Shape]
LOUD_DB = (50.0, 60.0)
ORDINARY_DB = (16.0, 20.0, 30.0, 40.0)

MISMATCHES: Mapping[str, tuple[Maker, tuple[float, ...]]] = {
    "other air": (_other_air, ORDINARY_DB),
    "finite rise": (_finite_rise, ORDINARY_DB),
    "barrier": (_barrier, ORDINARY_DB),
    "out of sight": (_out_of_sight, ORDINARY_DB),
    "reflection 0.2-1 ms": (_reflected((0.3, 0.9), (0.2e-3, 1e-3)), ORDINARY_DB),
    "reflection 1-6 ms": (_reflected((0.3, 0.7), (1e-3, 6e-3)), ORDINARY_DB),
    "clipping": (_clipped, LOUD_DB),
    "shock wave, muzzle blast": (_shock_wave, ORDINARY_DB),
}
"""How the open air differs from the picker's assumptions, and the SNR it is tried at, in dB."""
