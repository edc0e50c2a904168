"""Fits the verdict's networks to examples, calibrates their score, and picks the operating point.

Cross-validation never splits a group (recordist, weapon, firing position): groups fall into folds
by a hash of their name. The operating point and the calibration come from examples that the
model of their fold has not seen.
"""

import io
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from agent.core.opinion import described
from simulator.corpus.folds import fold_of
from simulator.training.examples import Example

RECALL_WANTED = 0.95
HIDDEN = (64, 32)
_SHARE: Mapping[tuple[str, bool], float] = {
    ("clips", True): 1.0,
    ("clips", False): 1.5,
    ("synthetic shots", True): 0.4,
    ("synthetic confusers", False): 0.7,
    ("live fire", True): 0.2,
}
_NEARLY_SHOTS = {"explosion": 0.3, "fireworks": 0.3, "balloon_pop": 0.3}
_DRAWS = 2
_BLUR = 0.15
_EPOCHS = 15
_PENALTY = 1.0
_FURTHEST = 4.0

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Table:
    """Examples as arrays: `inputs` (n, INPUTS), the others (n,)."""

    inputs: Array
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
    return Table(
        inputs=np.array([described(one.features) for one in examples], np.float64),
        is_shot=np.array([one.is_shot for one in examples]),
        weights=weights / weights.sum(),
        folds=np.array([fold_of(one.group) for one in examples]),
    )


@dataclass(frozen=True, slots=True)
class Fitted:
    """Networks before calibration; `log_odds` of rows of inputs."""

    centre: Array
    scale: Array
    layers: tuple[tuple[Array, Array], ...]

    def log_odds(self, inputs: Array) -> Array:
        """Shape (n,), averaged over the networks."""
        state = np.clip((inputs - self.centre) / self.scale, -_FURTHEST, _FURTHEST)[None]
        for weights, biases in self.layers[:-1]:
            state = np.maximum(state @ weights + biases, 0.0)
        weights, biases = self.layers[-1]
        return np.asarray((state @ weights + biases).mean(axis=0)[:, 0])

    def as_bytes(self, slope: float, offset: float, threshold: float) -> bytes:
        """The file that `agent.core.opinion` reads; log-odds become slope x log-odds + offset."""
        *inner, (weights, biases) = self.layers
        arrays = {"centre": self.centre, "scale": self.scale}
        for number, (w, b) in enumerate((*inner, (weights * slope, biases * slope + offset))):
            arrays[f"weights_{number}"], arrays[f"biases_{number}"] = w, b
        half: dict[str, Any] = {name: one.astype(np.float16) for name, one in arrays.items()}
        file = io.BytesIO()
        np.savez(file, threshold=np.float32(threshold), **half)
        return file.getvalue()


def fit(rows: Table, chosen: npt.NDArray[np.bool_], nets: int, seed: int) -> Fitted:
    """`nets` networks on the `chosen` rows, each on a weighted draw of its own, a bit blurred."""
    inputs, weights = rows.inputs[chosen], rows.weights[chosen]
    centre, scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-3
    trained = []
    for net in range(nets):
        rng = np.random.default_rng([seed, net])
        drawn = rng.choice(len(inputs), _DRAWS * len(inputs), p=weights / weights.sum())
        blurred = (inputs[drawn] - centre) / scale
        blurred = np.clip(blurred + rng.normal(0.0, _BLUR, blurred.shape), -_FURTHEST, _FURTHEST)
        trained.append(
            _trained(blurred.astype(np.float32), rows.is_shot[chosen][drawn], seed + net)
        )
    layers = tuple(
        (
            np.stack([one.coefs_[depth] for one in trained]),
            np.stack([one.intercepts_[depth][None] for one in trained]),
        )
        for depth in range(len(HIDDEN) + 1)
    )
    return Fitted(centre, scale, layers)


def _trained(
    inputs: npt.NDArray[np.float32], is_shot: npt.NDArray[np.bool_], seed: int
) -> MLPClassifier:
    network = MLPClassifier(
        HIDDEN, alpha=_PENALTY, max_iter=_EPOCHS, learning_rate_init=2e-3, batch_size=256,
        random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return network.fit(inputs, is_shot)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt's line from log-odds to calibrated log-odds, and the operating point on its score."""

    slope: float
    offset: float
    threshold: float


def calibrated(log_odds: Array, rows: Table, counted: npt.NDArray[np.bool_]) -> Calibration:
    """From log-odds of unseen rows; the threshold keeps RECALL_WANTED of the `counted` shots."""
    line = LogisticRegression(C=1e6)
    weights = np.empty(len(rows.weights))
    for label in (True, False):
        mine = rows.is_shot == label
        weights[mine] = rows.weights[mine] / rows.weights[mine].sum() * len(rows.weights)
    line.fit(log_odds[:, None], rows.is_shot, sample_weight=weights)
    slope, offset = float(line.coef_[0, 0]), float(line.intercept_[0])
    lowest = float(np.quantile(log_odds[counted & rows.is_shot], 1.0 - RECALL_WANTED))
    return Calibration(slope, offset, 1.0 / (1.0 + np.exp(-(slope * lowest + offset))))
