"""Puts a clip into a street, so that gate and noise floor have settled before it begins.

A clip is continued on both sides by noise with the colour and level of its own quietest part, so
that its cut ends are no event, and lies in street noise of several kinds and levels. Nothing
here knows what a clip's label is: shots and other sounds are treated alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.fft import next_fast_len

from simulator.scene.lead_in import noise_like, quietest
from simulator.scene.randomness import stream
from simulator.scene.sources import StreetNoise, street_noise
from simulator.trials.corpus.manifest import Clip, Pcm

LEAD_IN_S = 9.0
TAIL_S = 1.0
EMBEDDINGS = 5
_STREETS = (
    StreetNoise(level_db_spl=55.0, wind_db_spl=45.0, hum_db_spl=30.0),
    StreetNoise(level_db_spl=52.0, wind_db_spl=66.0, hum_db_spl=35.0),
    StreetNoise(level_db_spl=52.0, wind_db_spl=50.0, hum_db_spl=55.0),
)
_STREET_S = 24
SNR_DB = (24.0, 46.0)
_FADE_IN_S = 1e-3
_FADE_OUT_S = 50e-3
FULL_SCALE = 32_768.0

Wave = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Embedding:
    """A clip in its street: `samples` at `rate_hz`; the clip is `start` <= index < `stop`."""

    samples: Pcm
    rate_hz: int
    start: int
    stop: int
    snr_db: float


def embeddings(clip: Clip, seed: int, count: int = EMBEDDINGS) -> Iterator[Embedding]:
    """`count` different embeddings, the same for the same seed. Raises CorpusError."""
    pcm, rate_hz = clip.read()
    sound = pcm / FULL_SCALE
    for number in range(count):
        rng = stream(seed, "corpus", clip.name, str(number))
        yield embed(sound, rate_hz, rng, number, SNR_DB)


def embed(
    sound: Wave,
    rate_hz: int,
    rng: np.random.Generator,
    street: int,
    snr_db: tuple[float, float],
    lead_in_s: float = LEAD_IN_S,
) -> Embedding:
    """`sound` (full scale 1.0) in one of several kinds of street.

    The street's RMS is a random level in `snr_db` below the sound's own peak.
    """
    before, after = round(lead_in_s * rate_hz), round(TAIL_S * rate_hz)
    total = continued(sound, rate_hz, before, after, rng)
    below_peak_db = float(rng.uniform(*snr_db))
    noise = np.roll(_street(street % len(_STREETS), rate_hz), int(rng.integers(1 << 30)))
    peak = float(np.abs(sound).max())
    total += np.resize(noise, len(total)) * (peak * 10.0 ** (-below_peak_db / 20.0))
    samples = np.clip(np.rint(total * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1.0)
    pcm = samples.astype(np.int16)
    return Embedding(pcm, rate_hz, before, before + len(sound), below_peak_db)


def continued(sound: Wave, rate_hz: int, before: int, after: int, rng: np.random.Generator) -> Wave:
    """`sound` with `before` and `after` samples of noise like its own quietest part.

    The first millisecond only is cross-faded, because clips may begin with the shot.
    """
    fade_in = min(round(_FADE_IN_S * rate_hz), len(sound) // 2)
    fade_out = min(round(_FADE_OUT_S * rate_hz), len(sound) // 2)
    count = before + len(sound) + after
    total = noise_like(quietest(sound, rate_hz), next_fast_len(count), rng)[:count]
    share = np.ones(len(sound))
    share[:fade_in] = np.sin(np.linspace(0.0, np.pi / 2, fade_in, endpoint=False))
    share[len(sound) - fade_out :] = np.cos(np.linspace(0.0, np.pi / 2, fade_out))
    inside = slice(before, before + len(sound))
    total[inside] = total[inside] * np.sqrt(1.0 - share**2) + sound * share
    return total


@lru_cache(maxsize=16)
def _street(kind: int, rate_hz: int) -> Wave:
    """Street noise without a seam, RMS 1."""
    rng = stream(0, "corpus street", str(kind), str(rate_hz))
    noise = np.asarray(street_noise(_STREET_S * rate_hz, rate_hz, _STREETS[kind], rng))
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), np.float64)
