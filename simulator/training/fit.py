"""Fits the two parts of a verdict to examples, mixes them, and calibrates the score.

Cross-validation never splits a group (recordist, weapon, firing position): groups fall into folds
by a hash of their name. Calibration and operating point come from examples that the model of their
fold has not seen.
"""

import math
from collections.abc import Sequence
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
from agent.core.hearing.following import Following
from agent.core.hearing.inputs import BANDS, SKETCH, edges_db
from agent.core.hearing.trees import Trees
from simulator.training.boosted import Growth
from simulator.training.table import Array, Flags, Table, balanced, mostly_faint

DEARER_PER_DB = 0.05
GROWTH = Growth(trees=150, depth=4, rate=0.06, share=0.1)
FOLLOWING = Following(from_s=0.04, until_s=0.2, within_db=3.0, fainter_db=3.0, cheaper=1.5)
GLANCE = Growth(trees=40, depth=3, rate=0.15, share=0.5)
_OVERLOOKED, _FAINTEST = 5e-4, 5e-3
_FAINT_SHARE = 0.86
_FREEDOM = 1.4
_FURTHEST = 4.0
_ROWS_AT_ONCE = 2000

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Mixture:
    """How much of each part's log-odds is taken; the sum is calibrated afterwards."""

    regression: float
    trees: float

    def of(self, parts: Array) -> Array:
        """The log-odds of the mixture, (n,), from those of the parts (2, draws, n)."""
        regression, trees = parts.mean(axis=1)
        return np.asarray(self.regression * regression + self.trees * trees)


@dataclass(frozen=True, slots=True)
class Parts:
    """Regressions and trees, one of each draw of takes, and medians of what they learned from.

    All regressions share `centre` and `scale`, so that their mean is one as well.
    """

    regressions: tuple[Regression, ...]
    trees: tuple[Trees, ...]
    glance: Glance
    usual: Rows
    faintest_edges_db: Array

    def log_odds(self, rows: Rows) -> Array:
        """Of every draw's regression, then of every draw's trees, shape (2, draws, n)."""
        told = np.zeros((2, len(self.trees), len(rows)))
        for at in range(0, len(rows), _ROWS_AT_ONCE):
            piece = slice(at, at + _ROWS_AT_ONCE)
            for draw, (linear, boosted) in enumerate(
                zip(self.regressions, self.trees, strict=True)
            ):
                told[0, draw, piece] = linear.log_odds(rows[piece])
                told[1, draw, piece] = boosted.log_odds(rows[piece])
        return told

    def model(self, mixture: Mixture, line: "Calibration") -> Model:
        """What a node reads: the mean over the draws."""
        linear, boosted = (line.slope * one for one in (mixture.regression, mixture.trees))
        weights = np.mean([one.weights for one in self.regressions], axis=0)
        offset = float(np.mean([one.offset for one in self.regressions]))
        regression = replace(
            self.regressions[0], weights=linear * weights, offset=linear * offset + line.offset
        )
        share = boosted / len(self.trees)
        trees = Trees(
            inputs=np.concatenate([one.inputs for one in self.trees]),
            limits=np.concatenate([one.limits for one in self.trees]),
            leaves=share * np.concatenate([one.leaves for one in self.trees]),
            offset=share * sum(one.offset for one in self.trees),
        )
        return Model(
            regression=regression,
            trees=(trees,) if mixture.trees else (),
            glance=self.glance,
            usual=self.usual,
            faintest_edges_db=self.faintest_edges_db,
            threshold=line.threshold,
            dearer_per_db=DEARER_PER_DB,
            following=FOLLOWING,
            sha256="",
        )

    def as_bytes(self, mixture: Mixture, line: "Calibration") -> bytes:
        """The file that `agent.core.hearing.classifier` reads."""
        return written(self.model(mixture, line))


def fit(draws: Sequence[Table], chosen: Sequence[Flags], growth: Growth = GROWTH) -> Parts:
    """Both parts of every draw, from the `chosen` rows of each.

    The regression is kept on a short rein: few recordists hold most free shots, and what a freer
    one learns beyond the common trend is their rooms. Its penalty is stated per example, so it does
    not loosen with their number.
    """
    taught = [rows.of(mine) for rows, mine in zip(draws, chosen, strict=True)]
    weights = [_mostly_faint(rows) for rows in taught]
    inputs = np.concatenate([rows.inputs for rows in taught])
    of_all = np.concatenate([one / one.sum() for one in weights])
    centre = of_all @ inputs / of_all.sum()
    scale = np.sqrt(of_all @ (inputs - centre) ** 2 / of_all.sum()) + 1e-3
    return Parts(
        regressions=tuple(
            _regression(rows, centre, scale, one) for rows, one in zip(taught, weights, strict=True)
        ),
        trees=tuple(
            growth.grown(rows.inputs, rows.is_shot, balanced(one, rows.is_shot))
            for rows, one in zip(taught, weights, strict=True)
        ),
        glance=_glance(taught[0]),
        usual=np.median(inputs, axis=0).astype(np.float32),
        faintest_edges_db=np.quantile(edges_db(inputs[:, :BANDS]), _FAINTEST, axis=0),
    )


def _mostly_faint(rows: Table) -> Array:
    return mostly_faint(rows.weights, rows.snr_db, rows.is_shot, _FAINT_SHARE)


def _glance(rows: Table) -> Glance:
    """Trees on the outline alone. What they want keeps all but _OVERLOOKED of the shots."""
    sketch, is_shot = rows.inputs[:, SKETCH], rows.is_shot
    trees = GLANCE.grown(sketch, is_shot, balanced(rows.weights, is_shot))
    log_odds = trees.log_odds(sketch[is_shot])
    return Glance(trees, float(np.float32(np.quantile(log_odds, _OVERLOOKED))))


def _regression(rows: Table, centre: Array, scale: Array, weights: Array) -> Regression:
    model = LogisticRegression(C=_FREEDOM / len(weights), max_iter=1000)
    standard = np.clip((rows.inputs - centre) / scale, -_FURTHEST, _FURTHEST)
    model.fit(standard, rows.is_shot, sample_weight=balanced(weights, rows.is_shot))
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
