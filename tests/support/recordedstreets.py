"""Hours of street made of recordings: what a microphone on a pole delivers, minute by minute.

A bed of recorded ambience, cut anew and cross-faded without end, and recorded events over it at
levels that such things have some metres away. The capsule's own noise is added, for a clip's
digital silence is no street's. Recordings only chosen by class, levels by what the class is; what
the node looks for is not known here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import pi

import numpy as np
from scipy.signal import resample_poly

from simulator.scene.sources import StreetNoise, pascals, street_noise
from simulator.trials.corpus.manifest import Clip, load
from tests.support.field import FIELD

CLIPS = FIELD / "clips"
FULL_SCALE_DB_SPL = 120.0
RATE_HZ = 12_000
CAPSULE_DB_SPL = 30.0
MINUTE_S = 60
_FADE_S = 1.5
_PIECE_S = (3.0, 9.0)

LEVELS_DB_SPL: Mapping[str, tuple[float, float]] = {
    "aircraft": (60, 78),
    "air_conditioner": (50, 62),
    "ambience_city": (52, 62),
    "animal": (50, 65),
    "bell": (60, 75),
    "bird": (45, 65),
    "car_horn": (70, 92),
    "children_playing": (55, 72),
    "church_bells": (60, 78),
    "clock_tick": (40, 55),
    "dog_bark": (60, 85),
    "door": (55, 78),
    "door_knock": (50, 70),
    "drilling": (65, 85),
    "engine": (58, 76),
    "engine_idling": (56, 72),
    "fire_crackle": (45, 60),
    "fireworks": (75, 98),
    "insects": (42, 58),
    "jackhammer": (72, 90),
    "object_impact": (55, 80),
    "rain": (50, 66),
    "siren": (65, 96),
    "speech_babble": (48, 62),
    "street_music": (55, 75),
    "thunder": (68, 92),
    "train": (62, 82),
    "whistle": (60, 80),
    "wind": (55, 72),
}
"""RMS while it sounds, dB SPL."""


@dataclass(frozen=True, slots=True)
class Street:
    """`beds` sound without end, an event of `events` begins every `every_s` on average."""

    beds: tuple[str, ...]
    events: tuple[str, ...]
    every_s: float


STREETS: Mapping[str, Street] = {
    "traffic": Street(
        ("ambience_city",),
        (
            *("engine_idling", "engine", "car_horn", "siren", "dog_bark", "door", "aircraft"),
            *("children_playing", "street_music", "train", "whistle", "door_knock", "bell"),
        ),
        25.0,
    ),
    "works": Street(
        ("air_conditioner", "engine_idling"),
        ("jackhammer", "drilling", "engine", "object_impact", "dog_bark", "siren", "car_horn"),
        12.0,
    ),
    "weather": Street(
        ("rain", "insects"),
        ("wind", "thunder", "bird", "animal", "church_bells", "fire_crackle", "fireworks"),
        40.0,
    ),
}


def minutes(name: str, seed: int) -> Iterator[np.ndarray]:
    """int16, shape (60 * RATE_HZ,), without end. `noise` is made, the STREETS are recorded."""
    rng = np.random.default_rng((seed, *name.encode()))
    sound = _noise(rng) if name == "noise" else _recorded(STREETS[name], rng)
    capsule = pascals(CAPSULE_DB_SPL)
    full = pascals(FULL_SCALE_DB_SPL)
    for minute in sound:
        wave = (minute + rng.normal(0.0, capsule, len(minute))) / full
        yield np.clip(np.rint(wave * 32_768), -32_768, 32_767).astype(np.int16)


def _noise(rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Synthetic street noise with wind and a little hum, never twice the same."""
    while True:
        yield street_noise(MINUTE_S * RATE_HZ, RATE_HZ, StreetNoise(), rng)


def _recorded(street: Street, rng: np.random.Generator) -> Iterator[np.ndarray]:
    beds = [_bed(kind, rng) for kind in street.beds]
    count = MINUTE_S * RATE_HZ
    over = np.zeros(0)
    while True:
        minute = np.zeros(count + 60 * RATE_HZ)
        minute[: len(over)] = over
        for _ in range(rng.poisson(MINUTE_S / street.every_s)):
            event = _event(str(rng.choice(street.events)), rng)
            start = int(rng.integers(count))
            event = event[: len(minute) - start]
            minute[start : start + len(event)] += event
        over = minute[count:].copy()
        yield minute[:count] + sum(next(bed) for bed in beds)


def _event(kind: str, rng: np.random.Generator) -> np.ndarray:
    """A recording, faded in and out so that its cut ends are no event."""
    sounds = _sounds(kind)
    wave = sounds[int(rng.integers(len(sounds)))].copy()
    fade = min(len(wave) // 3, round(0.2 * RATE_HZ))
    wave[:fade] *= np.sin(np.linspace(0, pi / 2, fade)) ** 2
    wave[-fade:] *= np.cos(np.linspace(0, pi / 2, fade)) ** 2
    return wave * pascals(rng.uniform(*LEVELS_DB_SPL[kind]))


def _bed(kind: str, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Minutes of ambience: pieces of all recordings of it, cross-faded, at a level that drifts."""
    fade, count = round(_FADE_S * RATE_HZ), MINUTE_S * RATE_HZ
    rising = np.sin(np.linspace(0, pi / 2, fade))
    low_db, high_db = LEVELS_DB_SPL[kind]
    level_db = (low_db + high_db) / 2
    tail, held = np.zeros(fade), np.zeros(0)
    while True:
        while len(held) < count:
            wave = _piece(kind, rng)
            level_db = float(np.clip(level_db + rng.normal(0.0, 0.7), low_db, high_db))
            wave *= pascals(level_db)
            wave[:fade] = wave[:fade] * rising + tail
            tail = wave[-fade:] * rising[::-1]
            held = np.concatenate((held, wave[:-fade]))
        yield held[:count]
        held = held[count:]


def _piece(kind: str, rng: np.random.Generator) -> np.ndarray:
    sounds = _sounds(kind)
    wave = sounds[int(rng.integers(len(sounds)))]
    wanted = round(rng.uniform(*_PIECE_S) * RATE_HZ)
    if len(wave) <= wanted:
        wave = np.concatenate((wave, wave[::-1]))
    start = int(rng.integers(max(1, len(wave) - wanted)))
    return wave[start : start + max(wanted, 3 * round(_FADE_S * RATE_HZ))].copy()


@lru_cache(maxsize=64)
def _sounds(kind: str) -> list[np.ndarray]:
    """All recordings of a class at RATE_HZ, RMS 1 while they sound."""
    return [
        wave for clip in _clips() if clip.kind == kind and len(wave := _at_rate(clip)) > RATE_HZ
    ]


@lru_cache(maxsize=1)
def _clips() -> list[Clip]:
    return [clip for clip in load(CLIPS) if not clip.is_shot]


def _at_rate(clip: Clip) -> np.ndarray:
    pcm, rate_hz = clip.read()
    ratio = Fraction(RATE_HZ, rate_hz)
    wave = resample_poly(pcm / 32_768, ratio.numerator, ratio.denominator)
    wave -= wave.mean()
    loud = wave[np.abs(wave) > 0.1 * np.abs(wave).max()]
    return wave / np.sqrt(np.mean(loud**2))
