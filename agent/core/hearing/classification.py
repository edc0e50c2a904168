"""The node's own opinion of an onset: a score, and a typed reason when it is not published.

High recall first: what leaves the node is a candidate, and the score lets the centre decide.
"""

import hashlib
from functools import lru_cache
from math import isfinite
from pkgutil import get_data
from zipfile import BadZipFile

from msgspec.structs import replace

from agent.core.hearing.classifier import PLAIN_FROM_DB, Model, read_model
from agent.core.hearing.picker import Pick
from agent.core.records.kinds import Features, Verdict

MODEL_FILE = "verdict-3.npz"

IMPULSIVE = "impulsive"
WEAK = "weak"
SLOW = "slow"
STEADY = "steady"
TONAL = "tonal"
UNLIKE = "unlike a shot"
UNSCORED = "model cannot score"
BELOW = "below the least score of the settings"

_WEAK_SNR_DB = 7.0
_SLOW_RISE_US = 12_000.0
_STEADY_DB = -8
_MEDIAN = 1
MODEL_ERRORS = (OSError, ValueError, KeyError, EOFError, BadZipFile)
_TONAL = 0.8


def judge(_pick: Pick, features: Features) -> Verdict:
    """The shipped model's verdict. The features suffice to repeat it, so the pick is not asked.

    A model that an update broke deafens nobody: what is heard plainly goes out without a score,
    and the self-test of hearing tells of it.
    """
    try:
        verdict = judged_by(shipped_model(), features)
    except MODEL_ERRORS:
        verdict = None
    if verdict and isfinite(verdict.score):
        return verdict
    accepted = features.snr_db >= PLAIN_FROM_DB and features.tonality <= _TONAL
    return Verdict(accepted=accepted, score=0.0, reason=UNSCORED)


def judged_by(model: Model, features: Features) -> Verdict:
    """Accept what scores as high as the model wants; else say what spoke most plainly against it.

    What is periodic for a quarter of a second is no shot, however it begins: of 2 900 recorded
    shots, disguised ones included, none reaches _TONAL.
    """
    score = model.score(features)
    accepted = score >= model.wanted(features) and features.tonality <= _TONAL
    reason = IMPULSIVE if accepted else _objection(features)
    return Verdict(
        accepted=accepted, score=round(score, 4), reason=reason, model_sha256=model.sha256
    )


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
    data = get_data("agent.models", MODEL_FILE)
    if data is None:
        raise FileNotFoundError(f"agent/models/{MODEL_FILE}: missing from the installed package")
    return data


def _objection(features: Features) -> str:
    for is_so, reason in (
        (features.snr_db < _WEAK_SNR_DB, WEAK),
        (features.rise_us > _SLOW_RISE_US, SLOW),
        (features.tonality > _TONAL, TONAL),
        (features.before_db[_MEDIAN] > _STEADY_DB, STEADY),
    ):
        if is_so:
            return reason
    return UNLIKE
