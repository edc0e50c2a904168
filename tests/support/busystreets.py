"""Streets that give a node work: recordings looped, and twenty impulses a second for a minute."""

import csv
from collections.abc import Iterator
from math import gcd

import numpy as np
import soundfile
from scipy.signal import resample_poly

from tests.support.field import FIELD
from tests.support.noisystreet import RATE_HZ, street

CLIPS = FIELD / "clips"
STREETS = {
    *("air_conditioner", "aircraft", "ambience_city", "engine", "engine_idling", "insects"),
    *("rain", "train", "wind"),
}
LOOPED_S = 20


def ambience(kinds: set[str] | None, every: int = 1) -> Iterator[np.ndarray]:
    """Labelled clips of `kinds`, or all that are not impulsive, each looped; int16."""
    with (CLIPS / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["impulsive"] == "no"]
    chosen = [row for row in rows if kinds is None or row["class"] in kinds]
    for row in chosen[::every]:
        sound, rate_hz = soundfile.read(CLIPS / row["file"])
        common = gcd(RATE_HZ, rate_hz)
        wave = resample_poly(sound, RATE_HZ // common, rate_hz // common)
        yield _looped(np.clip(wave * 32_767, -32_768, 32_767).astype(np.int16))


def worst() -> np.ndarray:
    """Twenty impulses a second for a minute, no two alike in level; int16."""
    sound, _ = street(60.0, 0.5, seed=3)
    rng = np.random.default_rng(4)
    wave = np.zeros(len(sound))
    for onset in np.arange(2.0, 59.5, 0.05) * RATE_HZ + rng.uniform(0, 480, 1150):
        tail = np.exp(-np.arange(960) / 96) * rng.standard_normal(960)
        wave[int(onset) : int(onset) + 960] += 10 ** rng.uniform(2.5, 4.3) * tail
    return np.clip(sound + wave, -32_768, 32_767).astype(np.int16)


def _looped(sound: np.ndarray) -> np.ndarray:
    """The clip to and fro until it lasts LOOPED_S: no seam in it that would be an event."""
    both = np.concatenate((sound, sound[::-1]))
    return np.resize(both, max(len(sound), LOOPED_S * RATE_HZ))
