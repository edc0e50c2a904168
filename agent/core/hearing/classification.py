"""The node's own opinion of an onset: a score, and a typed reason when it is not published.

High recall first: what leaves the node is a candidate, and the score lets the centre decide.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from math import isfinite
from pkgutil import get_data
from zipfile import BadZipFile

import numpy as np
from msgspec import UNSET
from msgspec.structs import replace

from agent.core.hearing.band_envelopes import Outline, Timbre
from agent.core.hearing.classifier import PLAIN_FROM_DB, Model, chance, read_model
from agent.core.hearing.following import Candidate
from agent.core.hearing.inputs import ASPECTS, INPUTS, SKETCH, Numbers, described, sketched
from agent.core.records.kinds import Features, Verdict

MODEL_FILE = "verdict-5.npz"
_MODELS = "agent.models"

IMPULSIVE = "impulsive"
FOLLOWS = "follows a candidate"
WEAK = "weak"
SLOW = "slow"
STEADY = "steady"
TONAL = "tonal"
UNLIKE = "unlike a shot"
OUT_OF_RANGE = "out of range"
UNSCORED = "model cannot score"
BELOW = "below the least score of the settings"

MODEL_ERRORS = (OSError, ValueError, KeyError, EOFError, BadZipFile)
_WEAK_SNR_DB = 7.0
_TONAL = 0.8
_PLAINLY = -0.3
_CONFIDENCE = 0.5
_WORDS: Mapping[str, str] = {"past": STEADY, "attack": SLOW, "tone": TONAL}
_GROUPS = np.array([np.isin(np.arange(INPUTS), places) for places in ASPECTS.values()])


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the shipped model says of an onset by its timbre: `log_odds` of the numbers `row`.

    With `is_hopeless` it will not be published, whatever else there is to be said of it.
    """

    row: Numbers
    log_odds: float
    is_hopeless: bool


def opinion(colour: Timbre, snr_db: float) -> Opinion | None:
    """None where the model cannot score. What is out of its range is never hopeless."""
    try:
        model, row = shipped_model(), described(colour)
        log_odds = float(model.log_odds(row[None])[0])
        is_hopeless = model.is_hopeless(log_odds, snr_db) and model.has_learned_of(colour)
        return Opinion(row, log_odds, is_hopeless)
    except MODEL_ERRORS:
        return None


def judge(
    features: Features, told: Opinion | None, lead: Candidate | None = None, *, is_glanced_at: bool
) -> Verdict:
    """The shipped model's verdict on an onset, that may follow the candidate `lead`.

    `told` is its opinion of the timbre. One that `is_glanced_at` already was not passed over.

    A model that an update broke deafens nobody: what is heard plainly goes out without a score,
    and the self-test of hearing tells of it.
    """
    if told:
        verdict = _judged_by(shipped_model(), features, told, lead, is_glanced_at=is_glanced_at)
        if isfinite(verdict.score):
            return verdict
    accepted = features.snr_db >= PLAIN_FROM_DB and features.tonality <= _TONAL
    return Verdict(accepted=accepted, score=0.0, reason=UNSCORED)


def is_passed_over(outlined: Outline) -> bool:
    """Whether an onset is refused by its outline alone, so that nobody needs to describe it."""
    try:
        return shipped_model().glance.refuses(sketched(outlined))
    except MODEL_ERRORS:
        return False


def led_by(latest: Candidate | None, sample: int, features: Features) -> Candidate | None:
    """The `latest` candidate, if an onset at `sample` follows it by the shipped model."""
    try:
        return shipped_model().lead(latest, sample, features)
    except MODEL_ERRORS:
        return None


def judged_by(model: Model, features: Features, lead: Candidate | None = None) -> Verdict:
    """Accept what scores as high as the model wants; else say what spoke most plainly against it.

    Of what follows the candidate `lead` less is wanted; where that decides, the verdict names it.

    What the model's glance refuses is refused, whether or not it was described. What is periodic
    for a quarter of a second is no shot, however it begins: of 2 900 recorded shots, disguised ones
    included, none reaches _TONAL. Of sound outside what the model has learned the score says
    little: it is drawn half-way to 0.5, so that it ranks and is never sure, and the reason tells
    of it; what is published stays.
    """
    row = described(features)
    told = Opinion(row, float(model.log_odds(row[None])[0]), is_hopeless=False)
    return _judged_by(model, features, told, lead, is_glanced_at=False)


def _judged_by(
    model: Model, features: Features, told: Opinion, lead: Candidate | None, *, is_glanced_at: bool
) -> Verdict:
    score = chance(told.log_odds)
    alone = score >= model.wanted(features)
    accepted = (
        (alone or (lead is not None and score >= model.wanted(features, follows=True)))
        and features.tonality <= _TONAL
        and (is_glanced_at or not model.glance.refuses(told.row[SKETCH]))
    )
    follows = lead if accepted and not alone else None
    reason = FOLLOWS if follows else IMPULSIVE
    if not model.has_learned_of(features):
        score, reason = unsure(score), OUT_OF_RANGE
    elif not accepted:
        reason = _objection(model, features, told.row)
    return Verdict(
        accepted=accepted,
        score=round(score, 4),
        reason=reason,
        model_sha256=model.sha256,
        follows_sample=follows.sample if follows else UNSET,
    )


def unsure(score: float) -> float:
    """What is left of a score where the sound lies outside what the model has learned."""
    return 0.5 + _CONFIDENCE * (score - 0.5)


def wanted(verdict: Verdict, least_score: float) -> Verdict:
    """`verdict`, but not accepted where its score is below what the settings ask for."""
    if not verdict.accepted or verdict.score >= least_score:
        return verdict
    return replace(verdict, accepted=False, reason=BELOW)


@lru_cache(maxsize=1)
def shipped_model() -> Model:
    """The model that comes with this version of the agent."""
    return read_model(_model_bytes())


def model_sha256() -> str:
    """SHA-256 of its file, whole or not; empty where there is none."""
    try:
        return hashlib.sha256(_model_bytes()).hexdigest()
    except OSError:
        return ""


def _model_bytes() -> bytes:
    data = get_data(_MODELS, MODEL_FILE)
    if data is None:
        raise FileNotFoundError(f"agent/models/{MODEL_FILE}: missing from the installed package")
    return data


def known_model(sha256: str) -> Model | None:
    """The model that a record names, of this version or an earlier one; None if it is foreign."""
    for one in files(_MODELS).iterdir():
        if one.name.endswith(".npz"):
            data = one.read_bytes()
            if hashlib.sha256(data).hexdigest() == sha256:
                return read_model(data)
    return None


def _objection(model: Model, features: Features, row: Numbers) -> str:
    """The aspect of the sound that, were it as usual, would raise the regression's score most.

    The trees are not asked: for a word that hardly anybody reads they cost more than the score.
    """
    if features.snr_db < _WEAK_SNR_DB:
        return WEAK
    if features.tonality > _TONAL:
        return TONAL
    effects = model.regression.effects(row, model.usual, _GROUPS)
    most = int(np.argmin(effects))
    if effects[most] > _PLAINLY:
        return UNLIKE
    return _WORDS.get(tuple(ASPECTS)[most], UNLIKE)
