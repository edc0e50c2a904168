"""Fits the two parts of a verdict to examples, mixes them, and calibrates the score.

Cross-validation never splits a group (recordist, weapon, firing position): groups fall into folds
by a hash of their name. Calibration and operating point come from examples that the model of their
fold has not seen.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from agent.core.hearing.classifier import (
    PLAIN_FROM_DB,
    PLAIN_TO_DB,
    Glance,
    Model,
    Regression,
    written,
)
from agent.core.hearing.inputs import BANDS, SKETCH, edges_db
from agent.core.hearing.trees import Trees
from simulator.training.boosted import Growth
from simulator.training.table import Array, Flags, Table, balanced, mostly_faint

DEARER_PER_DB = 0.05
GROWTH = Growth(trees=150, depth=4, rate=0.06, share=0.1)
GLANCE = Growth(trees=40, depth=3, rate=0.15, share=0.5)
_OVERLOOKED, _FAINTEST = 5e-4, 5e-3
_FAINT_SHARES = 0.86, 0.7
_FREEDOM = 1.4
_FURTHEST = 4.0
_ROWS_AT_ONCE = 2000

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Mixture:
    """How much of each part's log-odds is taken; the sum is calibrated afterwards."""

    regression: float
    trees: float

    def of(self, regression: Array, trees: Array) -> Array:
        """The log-odds of the mixture, (n,), from those of the parts."""
        return np.asarray(self.regression * regression + self.trees * trees)


@dataclass(frozen=True, slots=True)
class Parts:
    """A regression and trees that learned from the same examples, and those examples' medians."""

    regression: Regression
    trees: Trees
    glance: Glance
    usual: Rows
    faintest_edges_db: Array

    def log_odds(self, rows: Rows) -> tuple[Array, Array]:
        """Of the regression and of the trees, shape (n,) each."""
        pieces = [rows[at : at + _ROWS_AT_ONCE] for at in range(0, len(rows), _ROWS_AT_ONCE)]
        if not pieces:
            return np.zeros(0), np.zeros(0)
        return (
            np.concatenate([self.regression.log_odds(one) for one in pieces]),
            np.concatenate([self.trees.log_odds(one) for one in pieces]),
        )

    def model(self, mixture: Mixture, line: "Calibration") -> Model:
        """What a node reads."""
        linear, boosted = (line.slope * one for one in (mixture.regression, mixture.trees))
        regression = replace(
            self.regression,
            weights=linear * self.regression.weights,
            offset=linear * self.regression.offset + line.offset,
        )
        trees = replace(
            self.trees, leaves=boosted * self.trees.leaves, offset=boosted * self.trees.offset
        )
        return Model(
            regression=regression,
            trees=(trees,) if mixture.trees else (),
            glance=self.glance,
            usual=self.usual,
            faintest_edges_db=self.faintest_edges_db,
            threshold=line.threshold,
            dearer_per_db=DEARER_PER_DB,
            sha256="",
        )

    def as_bytes(self, mixture: Mixture, line: "Calibration") -> bytes:
        """The file that `agent.core.hearing.classifier` reads."""
        return written(self.model(mixture, line))


def fit(rows: Table, chosen: Flags, growth: Growth = GROWTH) -> Parts:
    """Both parts, from the `chosen` rows.

    The regression is kept on a short rein: few recordists hold most free shots, and what a freer
    one learns beyond the common trend is their rooms. Its penalty is stated per example, so it does
    not loosen with their number.
    """
    inputs, is_shot = rows.inputs[chosen], rows.is_shot[chosen]
    linear, boosted = (
        mostly_faint(rows.weights[chosen], rows.snr_db[chosen], is_shot, share)
        for share in _FAINT_SHARES
    )
    weights = balanced(rows.weights[chosen], is_shot)
    return Parts(
        regression=_regression(inputs.astype(np.float64), is_shot, linear / linear.sum()),
        trees=growth.grown(inputs, is_shot, balanced(boosted, is_shot)),
        glance=_glance(inputs, is_shot, weights),
        usual=np.median(inputs, axis=0).astype(np.float32),
        faintest_edges_db=np.quantile(edges_db(inputs[:, :BANDS]), _FAINTEST, axis=0),
    )


def _glance(inputs: Rows, is_shot: Flags, weights: Array) -> Glance:
    """Trees on the outline alone. What they want keeps all but _OVERLOOKED of the shots."""
    sketch = inputs[:, SKETCH]
    trees = GLANCE.grown(sketch, is_shot, weights)
    log_odds = trees.log_odds(sketch[is_shot])
    return Glance(trees, float(np.float32(np.quantile(log_odds, _OVERLOOKED))))


def _regression(inputs: Array, is_shot: Flags, weights: Array) -> Regression:
    centre = weights @ inputs
    scale = np.sqrt(weights @ (inputs - centre) ** 2) + 1e-3
    model = LogisticRegression(C=_FREEDOM / len(inputs), max_iter=1000)
    standard = np.clip((inputs - centre) / scale, -_FURTHEST, _FURTHEST)
    model.fit(standard, is_shot, sample_weight=balanced(weights, is_shot))
    return Regression(centre, scale, np.asarray(model.coef_[0]), float(model.intercept_[0]))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt's line from log-odds to calibrated log-odds, and the score wanted of faint sounds."""

    slope: float
    offset: float
    threshold: float = 0.5

    def spare(self, log_odds: Array, snr_db: Array) -> Array:
        """Calibrated log-odds above what is wanted of each row, but for the threshold's, (n,)."""
        return np.asarray(self.slope * log_odds + self.offset - dearer(snr_db))

    def published(self, log_odds: Array, snr_db: Array) -> Flags:
        """Which rows reach what is wanted of them, (n,)."""
        least = math.log(self.threshold / (1.0 - self.threshold))
        return np.asarray(self.spare(log_odds, snr_db) >= least)

    def keeping(self, share: float, log_odds: Array, snr_db: Array) -> "Calibration":
        """With the threshold that publishes this `share` of the rows."""
        lowest = float(np.quantile(self.spare(log_odds, snr_db), 1.0 - share))
        return replace(self, threshold=1.0 / (1.0 + math.exp(-lowest)))


def calibrated(log_odds: Array, rows: Table) -> Calibration:
    """From log-odds of unseen rows; shots and others count alike."""
    line = LogisticRegression(C=1e6)
    line.fit(log_odds[:, None], rows.is_shot, sample_weight=balanced(rows.weights, rows.is_shot))
    return Calibration(float(line.coef_[0, 0]), float(line.intercept_[0]))


def dearer(snr_db: Array) -> Array:
    """Log-odds that are wanted on top of the threshold's, because a row is heard plainly, (n,)."""
    return DEARER_PER_DB * (np.clip(snr_db, PLAIN_FROM_DB, PLAIN_TO_DB) - PLAIN_FROM_DB)
