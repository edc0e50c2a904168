"""Shots hidden in busy streets: which are told at once, which only listed, which nobody notices.

A street is made of the clips of one class, one after another, none twice the same: each comes
faster or slower, duller or brighter, nearer or farther. Two hours of it draw up the rules of
thinning; shots and bursts are mixed into the clips as they are, at levels against the loudest of
the street, and held against the rules of the second hour. What is mixed in is judged by a model
that has not learned from the shot, the street by one that has not learned from the clip.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TypeVar

import numpy as np
from scipy.signal import lfilter, resample_poly

from agent.core.hearing.classifier import Model
from agent.core.hearing.street_past import fingerprint
from agent.core.hearing.thinning import Thinning, falls_under
from agent.core.records.thinned import ThinningRule
from simulator.scene.randomness import stream
from simulator.trials.corpus.bill import RATE_HZ, onset_at
from simulator.trials.corpus.embedding import FULL_SCALE, SNR_DB, Embedding, Wave, embed
from simulator.trials.corpus.listening import Heard, JudgeOf, Trigger, heard
from simulator.trials.corpus.manifest import Clip
from simulator.trials.corpus.rapidfire import ROUNDS, burst, is_dry

_T = TypeVar("_T")

LEVELS_DB = (-12.0, -6.0, 0.0, 6.0)
SHOTS, BURSTS = 60, 20
_TAKES, _MOST_TAKES = 96, 24
_HOURS = 2.0
_RULES = 24
_LEAD_S, _AFTER_S, _BEFORE_S = 10.0, 1.2, 0.5
_NEAR_S = 12e-3
_LOUD_PERCENTILE, _PIECE_S = 99.0, 0.01
_ROUND_S = 0.075


@dataclass(frozen=True, slots=True)
class Hidden:
    """Shares of the shots of one level (dB over the street's loudest) in one street.

    `candidates` of all shots; of these `told` at once, the rest is listed. `bursts_told` is the
    share of bursts of which one round or more is told, `rounds_told` of their candidates. None
    where there is none.
    """

    kind: str
    level_db: float
    shots: int
    candidates: float
    told: float | None
    bursts: int
    bursts_told: float | None
    rounds_told: float | None


@dataclass(frozen=True, slots=True)
class BusyStreet:
    """What two hours of it cost, by hour, and the rules of the second."""

    candidates_an_hour: float
    told: tuple[int, int]
    rules: tuple[ThinningRule, ...]


def hidden_shots(
    kind: str, street: Sequence[Clip], shots: Sequence[Clip], seed: int, judge_of: JudgeOf
) -> tuple[BusyStreet, list[Hidden]]:
    """The street of the clips of `kind`, and a row for each of LEVELS_DB."""
    busy = busy_street(street, seed, judge_of)
    rng = stream(seed, "hidden shots", kind)
    single = [shots[i] for i in rng.permutation(len(shots))[:SHOTS]]
    dry = [*islice(cycle([one for one in shots if is_dry(one)]), BURSTS)]
    rows = []
    for level_db in LEVELS_DB:
        alone = [_mixed(one, _alone(one), street, level_db, rng, judge_of) for one in single]
        fired = [_mixed(one, _fired(one), street, level_db, rng, judge_of) for one in dry]
        rows.append(_row(kind, level_db, alone, fired, busy.rules))
    return busy, rows


def busy_street(clips: Sequence[Clip], seed: int, judge_of: JudgeOf) -> BusyStreet:
    """Two hours of takes of `clips`, in random order."""
    takes = [one for clip in clips for one in _takes(clip, len(clips), seed, judge_of(clip))]
    rng, thinning, begun_s = stream(seed, "busy street", clips[0].kind), Thinning(RATE_HZ), 0.0
    rules, told, candidates = list[ThinningRule](), [0, 0], 0
    while begun_s < _HOURS * 3600.0:
        take = takes[int(rng.integers(len(takes)))]
        for one in take.published:
            at_s = begun_s + min(max(one.at_s, 0.0), take.clip_s)
            _, is_thinned = thinning.take(onset_at(one, at_s), None, None)
            hour = min(1, int(at_s / 3600.0))
            candidates, told[hour] = candidates + 1, told[hour] + (not is_thinned)
            if hour and thinning.rule and (not rules or thinning.rule is not rules[-1]):
                rules.append(thinning.rule)
        begun_s += take.clip_s
    spread = rules[:: max(1, len(rules) // _RULES)]
    return BusyStreet(candidates / _HOURS, (told[0], told[1]), tuple(spread))


def _takes(clip: Clip, clips: int, seed: int, model: Model | None) -> Iterator[Heard]:
    pcm, rate_hz = clip.read()
    for number in range(min(_MOST_TAKES, max(2, _TAKES // clips))):
        rng = stream(seed, "take", clip.name, str(number))
        sound = varied(pcm / FULL_SCALE, rng)
        yield heard(clip, embed(sound, rate_hz, rng, number, SNR_DB), model)


def varied(sound: Wave, rng: np.random.Generator) -> Wave:
    """Up to a tenth faster or slower, duller or brighter by 5 dB, fainter by up to 12 dB."""
    sound = np.asarray(resample_poly(sound, int(rng.integers(90, 111)), 100))
    tilt = float(rng.uniform(-0.3, 0.3))
    tilted = lfilter([1.0, tilt], [1.0], sound) / (1.0 + abs(tilt))
    return np.asarray(tilted * 10.0 ** (float(rng.uniform(-12.0, 0.0)) / 20.0))


@dataclass(frozen=True, slots=True)
class _Shot:
    """Sound, its rate in Hz, and when its rounds come, in seconds."""

    sound: Wave
    rate_hz: int
    rounds_s: tuple[float, ...]


def _alone(clip: Clip) -> _Shot:
    """The clip's first shot, with some of what was before it and after it."""
    pcm, rate_hz = clip.read()
    at_s = clip.onsets_s[0]
    first = max(0, round((at_s - _BEFORE_S) * rate_hz))
    sound = pcm[first : round((at_s + _AFTER_S) * rate_hz)] / FULL_SCALE
    return _Shot(sound, rate_hz, (at_s - first / rate_hz,))


def _fired(clip: Clip) -> _Shot:
    """ROUNDS of it as automatic fire."""
    made = burst(clip, np.ones(ROUNDS), _ROUND_S)
    return _Shot(made.sound, made.rate_hz, made.shots_s)


def _mixed(
    clip: Clip,
    shot: _Shot,
    street: Sequence[Clip],
    level_db: float,
    rng: np.random.Generator,
    judge_of: JudgeOf,
) -> list[list[Trigger]]:
    """Candidates at each round of `shot`, amid the street."""
    rate_hz, lead = shot.rate_hz, round(_LEAD_S * shot.rate_hz)
    sound = _bed(street, rate_hz, lead + len(shot.sound) + round(_AFTER_S * rate_hz), rng)
    piece = round(_PIECE_S * rate_hz)
    peaks = np.abs(sound[: len(sound) // piece * piece]).reshape(-1, piece).max(axis=1)
    loud = float(np.percentile(peaks, _LOUD_PERCENTILE)) * 10.0 ** (level_db / 20.0)
    sound[lead : lead + len(shot.sound)] += shot.sound * (loud / float(np.abs(shot.sound).max()))
    pcm = np.clip(np.rint(sound * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1.0).astype(np.int16)
    embedded = Embedding(pcm, rate_hz, lead, lead + len(shot.sound), level_db)
    found = heard(clip, embedded, judge_of(clip)).published
    near_s = max(clip.accuracy_s, _NEAR_S)
    return [[one for one in found if abs(one.at_s - at_s) <= near_s] for at_s in shot.rounds_s]


def _bed(clips: Sequence[Clip], rate_hz: int, count: int, rng: np.random.Generator) -> Wave:
    """`count` samples of the clips as they are, one after another."""
    parts, length = list[Wave](), 0
    while length < count:
        pcm, from_hz = clips[int(rng.integers(len(clips)))].read()
        common = math.gcd(from_hz, rate_hz)
        part = resample_poly(pcm / FULL_SCALE, rate_hz // common, from_hz // common)
        parts.append(np.asarray(part))
        length += len(part)
    return np.concatenate(parts)[:count]


def _row(
    kind: str,
    level_db: float,
    alone: Sequence[list[list[Trigger]]],
    fired: Sequence[list[list[Trigger]]],
    rules: Sequence[ThinningRule],
) -> Hidden:
    def is_told(candidates: list[Trigger], rule: ThinningRule) -> bool:
        return any(not _is_under(rule, one) for one in candidates)

    heard_alone = [one[0] for one in alone if one[0]]
    heard_rounds = [[one for one in rounds if one] for rounds in fired]
    heard_bursts = [rounds for rounds in heard_rounds if rounds]
    return Hidden(
        kind=kind,
        level_db=level_db,
        shots=len(alone),
        candidates=len(heard_alone) / max(1, len(alone)),
        told=_share(rules, heard_alone, is_told),
        bursts=len(fired),
        bursts_told=_share(
            rules, heard_bursts, lambda one, rule: any(is_told(each, rule) for each in one)
        ),
        rounds_told=_share(rules, [each for one in heard_bursts for each in one], is_told),
    )


def _share(
    rules: Sequence[ThinningRule], things: Sequence[_T], is_told: Callable[[_T, ThinningRule], bool]
) -> float | None:
    """Over all rules; all of them where the street draws up none, None where there is none."""
    if not things:
        return None
    told = [is_told(one, rule) for one in things for rule in rules]
    return sum(told) / len(told) if told else 1.0


def _is_under(rule: ThinningRule, one: Trigger) -> bool:
    return falls_under(rule, one.features.peak_dbfs, one.verdict.score, fingerprint(one.features))
