"""Automatic fire made of single recorded shots: how close together may rounds be, to be told apart?

Only shots that are dry are taken (little echo by the time the next round comes), from clips that
anyone may use, each judged by a model that has not learned from it. What is found is `figures`'
matter.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from simulator.scene.randomness import stream
from simulator.trials.corpus.embedding import FULL_SCALE, SNR_DB, embed
from simulator.trials.corpus.listening import Heard, JudgeOf, heard
from simulator.trials.corpus.manifest import Clip

SPACINGS_MS = (45, 50, 60, 75, 100, 150)
ROUNDS = 10
_LEAD_S = 5e-3
_ATTACK_S = (0.0, 0.01)
_REST_S = (0.045, 0.09)
_DRY_DB = 15.0
_SOFTEST = 0.8
_PEAK = 0.9

Wave = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Burst:
    """Rounds of one weapon, `rate_hz`, and where they begin, in seconds."""

    sound: Wave
    rate_hz: int
    shots_s: tuple[float, ...]


def rapid_fire(
    clips: Iterable[Clip], seed: int, count: int, judge_of: JudgeOf
) -> Iterator[tuple[int, Heard]]:
    """Spacing in ms, and what was heard: each dry shot at each spacing in `count` streets."""
    for clip in clips:
        if not is_dry(clip):
            continue
        for spacing_ms in SPACINGS_MS:
            for number in range(count):
                rng = stream(seed, "rapid fire", clip.name, str(spacing_ms), str(number))
                made = burst(clip, rng.uniform(_SOFTEST, 1.0, ROUNDS), spacing_ms / 1e3)
                sound = made.sound * _PEAK
                embedded = embed(sound, made.rate_hz, rng, number, SNR_DB)
                fired = replace(clip, onsets_s=made.shots_s)
                yield spacing_ms, heard(fired, embedded, judge_of(clip))


def burst(clip: Clip, levels: Wave, every_s: float) -> Burst:
    """The only shot of `clip` once for each of `levels`, `every_s` apart; its peak is 1."""
    samples, rate_hz = clip.read()
    first = max(0, round((clip.onsets_s[0] - _LEAD_S) * rate_hz))
    lead_s = clip.onsets_s[0] - first / rate_hz
    shot = samples[first:] / FULL_SCALE
    starts = [round(turn * every_s * rate_hz) for turn in range(len(levels))]
    sound = np.zeros(starts[-1] + len(shot))
    for start, level in zip(starts, levels, strict=True):
        sound[start : start + len(shot)] += shot * level
    shots_s = tuple(lead_s + start / rate_hz for start in starts)
    return Burst(sound / float(np.abs(sound).max()), rate_hz, shots_s)


def is_single(clip: Clip) -> bool:
    """Whether a clip holds one shot, in one piece."""
    return len(clip.onsets_s) == 1 and not clip.secondary_s


def is_dry(clip: Clip) -> bool:
    """Whether it is a single shot with little left of it by the time the next round would come."""
    if not is_single(clip) or not clip.licence.startswith("CC0"):
        return False
    samples, rate_hz = clip.read()
    after = samples[round(clip.onsets_s[0] * rate_hz) :] / FULL_SCALE
    attack, rest = (
        after[round(first * rate_hz) : round(last * rate_hz)]
        for first, last in (_ATTACK_S, _REST_S)
    )
    if not len(rest):
        return False
    return bool(np.mean(attack**2) > 10.0 ** (_DRY_DB / 10.0) * np.mean(rest**2))
