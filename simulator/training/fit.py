"""Fits the verdict's weights to examples, calibrates their score, and picks the operating point.

Cross-validation never splits a group (recordist, weapon, firing position): groups fall into folds
by a hash of their name. The operating point and the calibration come from examples that the
model of their fold has not seen.
"""

import io
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from agent.core.hearing.classifier import PLAIN_FROM_DB, PLAIN_TO_DB, described
from simulator.training.examples import Example
from simulator.trials.corpus.folds import fold_of

RECALL_WANTED = 0.912
DEARER_PER_DB = 0.15
_SHARE: Mapping[tuple[str, bool], float] = {
    ("clips", True): 1.0,
    ("clips", False): 1.5,
    ("synthetic shots", True): 0.5,
    ("synthetic confusers", False): 0.7,
    ("live fire", True): 0.4,
}
_NEARLY_SHOTS = {"explosion": 0.3, "fireworks": 0.3, "balloon_pop": 0.3}
_FREEDOM = 1.4
_FAINT_DB = 12.0
_FAINT_SHARE = 0.86
_FURTHEST = 4.0

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Table:
    """Examples as arrays: `inputs` (n, INPUTS), the others (n,)."""

    inputs: Array
    snr_db: Array
    is_shot: npt.NDArray[np.bool_]
    weights: Array
    folds: npt.NDArray[np.int64]


def table(examples: Sequence[Example]) -> Table:
    """Examples with the weight that each source and kind is meant to have."""
    in_take = Counter((one.source, one.take) for one in examples)
    raw = [
        _NEARLY_SHOTS.get(one.kind, 1.0) / in_take[one.source, one.take] ** 0.5 for one in examples
    ]
    total: dict[tuple[str, bool], float] = defaultdict(float)
    for one, weight in zip(examples, raw, strict=True):
        total[one.source, one.is_shot] += weight
    weights = np.array(
        [
            weight * _SHARE[one.source, one.is_shot] / total[one.source, one.is_shot]
            for one, weight in zip(examples, raw, strict=True)
        ]
    )
    weights = _mostly_faint(weights, examples)
    return Table(
        inputs=np.array([described(one.features) for one in examples], np.float64),
        snr_db=np.array([one.features.snr_db for one in examples]),
        is_shot=np.array([one.is_shot for one in examples]),
        weights=weights / weights.sum(),
        folds=np.array([fold_of(one.group) for one in examples]),
    )


def _mostly_faint(weights: Array, examples: Sequence[Example]) -> Array:
    """Of what is no shot, faint sounds get _FAINT_SHARE of the weight: so it is in a street."""
    faint = np.array([one.features.snr_db < _FAINT_DB for one in examples])
    others = np.array([not one.is_shot for one in examples])
    shared, total = weights.copy(), weights[others].sum()
    for mine, share in ((others & faint, _FAINT_SHARE), (others & ~faint, 1.0 - _FAINT_SHARE)):
        if mine.any():
            shared[mine] *= share * total / weights[mine].sum()
    return shared


@dataclass(frozen=True, slots=True)
class Fitted:
    """Weights before calibration; `log_odds` of rows of inputs."""

    centre: Array
    scale: Array
    weights: Array
    offset: float

    def log_odds(self, inputs: Array) -> Array:
        """Shape (n,)."""
        return _standard(inputs, self.centre, self.scale) @ self.weights + self.offset

    def as_bytes(self, line: "Calibration") -> bytes:
        """The file that `agent.core.hearing.classifier` reads, calibrated by `line`."""
        arrays: dict[str, Any] = {
            "centre": self.centre,
            "scale": self.scale,
            "weights": self.weights * line.slope,
            "offset": self.offset * line.slope + line.offset,
            "threshold": line.threshold,
            "dearer_per_db": DEARER_PER_DB,
        }
        file = io.BytesIO()
        single: dict[str, Any] = {n: np.asarray(one, np.float32) for n, one in arrays.items()}
        np.savez(file, **single)
        return file.getvalue()


def fit(rows: Table, chosen: npt.NDArray[np.bool_]) -> Fitted:
    """A logistic regression on the `chosen` rows, kept on a short rein.

    Few recordists hold most free shots: what a freer model learns beyond the common trend is their
    rooms and microphones. The penalty is stated per example, so it does not loosen with their
    number.
    """
    inputs, weights = rows.inputs[chosen], rows.weights[chosen] / rows.weights[chosen].sum()
    centre = weights @ inputs
    scale = np.sqrt(weights @ (inputs - centre) ** 2) + 1e-3
    model = LogisticRegression(C=_FREEDOM / len(inputs), max_iter=1000)
    standard = _standard(inputs, centre, scale)
    model.fit(standard, rows.is_shot[chosen], sample_weight=weights * len(inputs))
    return Fitted(centre, scale, np.asarray(model.coef_[0]), float(model.intercept_[0]))


def _standard(inputs: Array, centre: Array, scale: Array) -> Array:
    return np.asarray(np.clip((inputs - centre) / scale, -_FURTHEST, _FURTHEST))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt's line from log-odds to calibrated log-odds, and the score wanted of faint sounds."""

    slope: float
    offset: float
    threshold: float

    def published(self, log_odds: Array, rows: Table) -> npt.NDArray[np.bool_]:
        """Which rows reach what is wanted of them, (n,)."""
        least = math.log(self.threshold / (1.0 - self.threshold))
        return np.asarray(self.slope * log_odds + self.offset >= least + dearer(rows))


def calibrated(log_odds: Array, rows: Table, counted: npt.NDArray[np.bool_]) -> Calibration:
    """From log-odds of unseen rows; what is wanted keeps RECALL_WANTED of the `counted` shots.

    These are disguised, many of them beyond what a street does: of shots as they were recorded
    more is kept.
    """
    line = LogisticRegression(C=1e6)
    weights = np.empty(len(rows.weights))
    for label in (True, False):
        mine = rows.is_shot == label
        weights[mine] = rows.weights[mine] / rows.weights[mine].sum() * len(rows.weights)
    line.fit(log_odds[:, None], rows.is_shot, sample_weight=weights)
    slope, offset = float(line.coef_[0, 0]), float(line.intercept_[0])
    spare = slope * log_odds + offset - dearer(rows)
    lowest = float(np.quantile(spare[counted & rows.is_shot], 1.0 - RECALL_WANTED))
    return Calibration(slope, offset, 1.0 / (1.0 + math.exp(-lowest)))


def dearer(rows: Table) -> Array:
    """Log-odds that are wanted on top of the threshold's, because a row is heard plainly, (n,)."""
    return DEARER_PER_DB * (np.clip(rows.snr_db, PLAIN_FROM_DB, PLAIN_TO_DB) - PLAIN_FROM_DB)
