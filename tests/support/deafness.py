"""What broken microphones deliver, as physics and converters make it; and streets that are well.

Levels in dBFS. Streets are pink, breathe as streets do, and have wind below and a capsule's own
noise above; nothing here knows what the node looks for.
"""

from functools import lru_cache

import numpy as np

from agent.core.audio import AudioBlock
from tests.support.sound import noise

FULL = 32_768.0
PERIOD_S = 20.0


def pcm(wave: np.ndarray, bits: int = 16) -> np.ndarray:
    """`wave` (full scale 1.0) as a converter of so many bits gives it: int16, or int32."""
    full = 2.0 ** (bits - 1)
    held = np.clip(np.rint(wave * full), -full, full - 1.0)
    return (
        held.astype(np.int16) if bits == 16 else (held.astype(np.int64) << 32 - bits).astype("i4")
    )


def street(seconds: float, rate_hz: int, level_db: float = -45.0, seed: int = 1) -> np.ndarray:
    """A street at ease: it swells by some dB every few seconds, and a capsule hisses below it."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate_hz)
    tile = 10 ** (level_db / 20) * _tile(seed, rate_hz)
    wave = np.resize(tile, count)
    slow = np.cumsum(rng.normal(0.0, 0.6, round(seconds) + 2))
    slow = 3.0 * np.sin(slow)
    swell = np.interp(np.arange(count) / rate_hz, np.arange(len(slow)), slow)
    return wave * 10 ** (swell / 20) + rng.normal(0.0, 10 ** (-84.0 / 20), count)


@lru_cache(maxsize=4)
def _tile(seed: int, rate_hz: int) -> np.ndarray:
    return noise(PERIOD_S, seed, 1.0, rate_hz)


def electronics(seconds: float, rate_hz: int, level_db: float, seed: int = 2) -> np.ndarray:
    """A converter without a capsule: white, with some 1/f below 100 Hz."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate_hz)
    white = rng.normal(0.0, 1.0, count)
    spectrum = np.fft.rfft(white)
    hz = np.maximum(np.fft.rfftfreq(count, 1.0 / rate_hz), 5.0)
    return 10 ** (level_db / 20) * np.fft.irfft(spectrum * np.sqrt(1.0 + 100.0 / hz), count)


def hum(
    seconds: float, rate_hz: int, mains_hz: float = 50.0, level_db: float = -40.0
) -> np.ndarray:
    """An open wire: mains and its harmonics, 0.1 Hz off, over the noise of the input."""
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    wave = np.zeros(len(at))
    for harmonic, share in ((1, 1.0), (2, 0.3), (3, 0.5), (5, 0.25), (7, 0.1), (9, 0.05)):
        wave += share * np.sin(2 * np.pi * harmonic * (mains_hz + 0.1) * at + harmonic)
    return wave / wave.std() * 10 ** (level_db / 20) + electronics(seconds, rate_hz, -85.0)


def constant(seconds: float, rate_hz: int, value: float) -> np.ndarray:
    return np.full(round(seconds * rate_hz), value)


def gated(seconds: float, rate_hz: int) -> np.ndarray:
    """A headset's chip: it lets pass what is loud, and shuts off what it takes for noise."""
    wave = street(seconds, rate_hz)
    half_s = rate_hz // 2
    level = np.sqrt(np.add.reduceat(wave**2, np.arange(0, len(wave), half_s)) / half_s)
    return wave * np.repeat(level > np.median(level), half_s)[: len(wave)]


def storm(seconds: float, rate_hz: int, seed: int = 3) -> np.ndarray:
    """No windscreen: rumble that falls by 11 dB per octave over 20 Hz, and a street below it."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate_hz)
    spectrum = np.fft.rfft(rng.normal(0.0, 1.0, count))
    hz = np.maximum(np.fft.rfftfreq(count, 1.0 / rate_hz), 20.0)
    rumble = np.fft.irfft(spectrum * (hz / 20.0) ** (-11 / 6), count)
    gusts = np.repeat(10 ** (rng.normal(0.0, 3.0, int(seconds) + 1) / 20), rate_hz)[:count]
    return rumble / rumble.std() * 10 ** (-14.0 / 20) * gusts + street(seconds, rate_hz, -62.0)


def blocks(samples: np.ndarray, size: int, rate_hz: int, first: int = 0, host_ns: int = 0):
    """As a driver hands them over."""
    for at in range(0, len(samples), size):
        part = samples[at : at + size]
        yield AudioBlock(first + at, part, host_ns + round((at + len(part)) / rate_hz * 1e9))
