"""Street noise with muzzle blasts of known onset and SNR, for measuring detectors side by side.

Pink noise, white noise 20 dB below it, wind in gusts some 20 dB above it below 60 Hz. Blasts are
Friedlander waves of 0.5-2 ms after 50-800 m of air (ISO 9613-1; without its dispersion, which
moves onsets by 0.2 us/m, for every detector alike), with one ground reflection and a tail. SNR is
peak over noise RMS in 100 Hz - 20 kHz, where pink and white noise are 1.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.fft import next_fast_len

from simulator.scene.propagation import Air, Path, propagate

RATE_HZ = 48_000
SNRS_DB = (40, 30, 25, 20, 16, 12, 9)
NOISE_STEPS = 103.0
_WINDOW = 16_384
BEFORE = 1_024
_AIR = Air(temperature_c=20.0, humidity_pct=50.0)


@dataclass(frozen=True, slots=True)
class Blast:
    """Where it begins (fractional sample), how far it stands out, dB, and what is no chance in it.

    `direct` is the wave alone, `echoed` with its reflection, neither with its tail; both in steps
    of the converter, from sample int(onset) - BEFORE on.
    """

    onset: float
    snr_db: int
    direct: np.ndarray = field(repr=False, compare=False)
    echoed: np.ndarray = field(repr=False, compare=False)


def street_noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` samples, RMS 1 in 100 Hz - 20 kHz without the wind."""
    size = next_fast_len(count, real=True)
    frequency_hz = np.fft.rfftfreq(size, 1.0 / RATE_HZ)
    low = np.maximum(frequency_hz, 10.0)
    even = 1.0 / low / np.log(200.0) + 0.01 / 19_900.0
    wind = 2.5 * (low / 20.0) ** (-11 / 3)
    sounds = []
    for power in (even, wind):
        scale = np.sqrt(power * RATE_HZ * size / 4) * (frequency_hz > 5.0)
        parts = rng.standard_normal((2, len(scale)))
        sounds.append(np.fft.irfft((parts[0] + 1j * parts[1]) * scale, size)[:count])
    seconds = count // RATE_HZ + 3
    breath = np.convolve(rng.standard_normal(seconds + 8), np.ones(5) / 5**0.5, "same")
    gust = np.exp(0.7 * breath[:seconds])
    gust /= np.sqrt(np.mean(gust**2))
    return sounds[0] + sounds[1] * np.interp(np.arange(count) / RATE_HZ, np.arange(seconds), gust)


def blast_wave(fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Direct wave, with its reflection, and with its tail as well: (3, _WINDOW), first peak 1.

    The onset is at BEFORE + `fraction`.
    """
    frequency_hz = np.fft.rfftfreq(_WINDOW, 1.0 / RATE_HZ)
    tau_s, metres = rng.uniform(0.5e-3, 2e-3), float(rng.choice([50, 100, 200, 400, 800]))
    turn = 2j * np.pi * frequency_hz * tau_s
    direct = turn * tau_s / (1.0 + turn) ** 2 * RATE_HZ
    direct *= np.abs(propagate(np.ones_like(direct), frequency_hz, Path(0.0, metres, metres), _AIR))
    direct = direct * np.cos(0.5 * np.pi * np.clip((frequency_hz - 20_500.0) / 3_000.0, 0.0, 1.0))
    late_s, left = rng.uniform(1e-3, 6e-3), rng.uniform(0.3, 0.7)
    echo = 1.0 + left * np.exp(-2j * np.pi * frequency_hz * late_s)

    def placed(spectrum: np.ndarray, at: float) -> np.ndarray:
        return np.fft.irfft(spectrum * np.exp(-2j * np.pi * frequency_hz * at / RATE_HZ), _WINDOW)

    peak = placed(direct, BEFORE).max()
    wave = placed(direct * echo, BEFORE + fraction) / peak
    count = _WINDOW - BEFORE - 200
    tail = np.convolve(rng.standard_normal(count), np.ones(6) / 6, "same")
    at = np.arange(count)
    whole = wave.copy()
    whole[BEFORE + 200 :] += (
        0.12 * tail * np.exp(-at / (0.05 * RATE_HZ)) * (1 - np.exp(-at / (0.01 * RATE_HZ)))
    )
    return np.array((placed(direct, BEFORE + fraction) / peak, wave, whole))


def street(
    seconds: float, per_minute: float, seed: int, snrs_db: tuple[int, ...] = SNRS_DB
) -> tuple[np.ndarray, list[Blast]]:
    """int16 sound and its blasts, `per_minute` of them, one at a random place in each slot."""
    rng = np.random.default_rng(seed)
    sound = street_noise(round(seconds * RATE_HZ), rng)
    slot_s = 60.0 / per_minute
    blasts = []
    for number in range(int(seconds / slot_s)):
        onset = (number + 0.2 + 0.6 * rng.random()) * slot_s * RATE_HZ
        snr_db = snrs_db[number % len(snrs_db)]
        first = int(onset) - BEFORE
        if onset < 2.0 * RATE_HZ or first + _WINDOW > len(sound):
            continue
        waves = 10.0 ** (snr_db / 20) * blast_wave(onset - int(onset), rng)
        sound[first : first + _WINDOW] += waves[2]
        blasts.append(Blast(onset, snr_db, *(NOISE_STEPS * waves[:2])))
    return np.clip(np.rint(sound * NOISE_STEPS), -32_768, 32_767).astype(np.int16), blasts
