"""Sound for tests of hearing: street noise and Friedlander blasts of known, sub-sample onset."""

import numpy as np

from agent.core.audio import AudioBlock, AudioFormat
from agent.core.hearing import Hearing, Onset
from simulator.trials.timing import pulses

RATE_HZ = 48_000


def noise(seconds: float, seed: int = 1, rms: float = 0.003, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Pink-ish noise, float64, full scale 1.0."""
    white = np.random.default_rng(seed).normal(0.0, 1.0, round(seconds * rate_hz))
    spectrum = np.fft.rfft(white)
    frequencies = np.maximum(np.fft.rfftfreq(len(white), 1.0 / rate_hz), 20.0)
    pink = np.fft.irfft(spectrum / np.sqrt(frequencies), len(white))
    return pink * (rms / pink.std())


def add_blast(
    sound: np.ndarray, onset: float, peak: float, tau_s: float = 1e-3, rate_hz: int = RATE_HZ
) -> None:
    """A Friedlander waveform p(t) = peak (1 - t/tau) exp(-t/tau) from (fractional) sample `onset`.

    Made at 16 times the rate and averaged down, so that the step itself is band-limited.
    """
    fine = 16
    first = int(onset) - 1
    count = min(round(12 * tau_s * rate_hz), len(sound) - first)
    t = ((np.arange(count * fine) + 0.5) / fine + first - 0.5 - onset) / rate_hz
    wave = np.where(t >= 0, (1 - t / tau_s) * np.exp(-np.maximum(t, 0) / tau_s), 0.0)
    sound[first : first + count] += peak * wave.reshape(-1, fine).mean(axis=1)


def add_band_limited_blast(sound: np.ndarray, onset: float, peak: float) -> None:
    """As a converter with its filter would give it, 100 m away; duration 1 ms."""
    spectrum = pulses.blast(pulses.frequencies_hz(RATE_HZ), 1e-3, 100.0, RATE_HZ)
    lead = 1_000
    wave = pulses.wave(spectrum, lead + onset % 1.0, RATE_HZ)[:4_000]
    sound[int(onset) - lead : int(onset) - lead + len(wave)] += wave * (peak / np.abs(wave).max())


def as_int16(sound: np.ndarray) -> np.ndarray:
    return np.clip(np.round(sound * 32_768), -32_768, 32_767).astype(np.int16)


def hear(samples: np.ndarray, cut: int = 1_024, rate_hz: int = RATE_HZ) -> list[Onset]:
    """All onsets in `samples`, delivered in blocks of `cut`."""
    hearing, found = Hearing(AudioFormat(rate_hz)), []
    for start in range(0, len(samples), cut):
        found += hearing.on_block(AudioBlock(start, samples[start : start + cut], 0))
    return found + hearing.finish()
