"""Boosted trees, learned by scikit-learn and handed over as the arrays that a node walks.

scikit-learn's trees grow where it helps most; a node's are complete, so a leaf above the bottom is
repeated below. Limits lie between values that the record can hold, and single precision keeps
them there, so that a node's sum is the trainer's.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier

from agent.core.hearing.trees import Numbers, Sums, Trees

Flags = npt.NDArray[np.bool_]

_LEAST_IN_LEAF = 40
_BINS = 255
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Growth:
    """How trees are grown: `share` is the part of the inputs that each split may choose from."""

    trees: int
    depth: int
    rate: float
    share: float = 1.0
    penalty: float = 5.0

    def grown(self, inputs: Numbers, is_shot: Flags, weights: Sums) -> Trees:
        """Trees that have learned from these rows; `weights` of mean 1."""
        learner = HistGradientBoostingClassifier(
            max_iter=self.trees,
            learning_rate=self.rate,
            max_depth=self.depth,
            max_leaf_nodes=2**self.depth,
            min_samples_leaf=_LEAST_IN_LEAF,
            l2_regularization=self.penalty,
            max_features=self.share,
            early_stopping=False,
            random_state=0,
        )
        learner.fit(in_steps(inputs), is_shot, sample_weight=weights)
        return handed_over(learner, self.depth)


def in_steps(inputs: Numbers) -> Numbers:
    """Every input rounded, where it must be, to as many values as the trainer has bins.

    Else the trainer looks for weighted quantiles, which takes it longer than all else.
    """
    stepped = inputs.copy()
    for column in stepped.T:
        finer = iter(_STEPS)
        held = column.copy()
        while len(np.unique(column)) > _BINS and (step := next(finer, None)):
            column[:] = np.rint(held / step) * step
    return stepped


def handed_over(learner: Any, depth: int) -> Trees:
    """A fitted learner's trees, each at most `depth` deep, as complete ones."""
    grown = [group[0].nodes for group in learner._predictors]
    nodes, leaves = 2**depth - 1, 2**depth
    made = Trees(
        inputs=np.zeros((len(grown), nodes), np.intp),
        limits=np.full((len(grown), nodes), np.inf, np.float32),
        leaves=np.zeros((len(grown), leaves)),
        offset=float(learner._baseline_prediction.ravel()[0]),
    )
    for number, tree in enumerate(grown):
        _copied(tree, 0, 0, number, made)
    return made


def _copied(tree: Any, node: int, place: int, number: int, made: Trees) -> None:
    nodes = made.limits.shape[1]
    if place >= nodes:
        made.leaves[number, place - nodes] = np.float32(tree[node]["value"])
        return
    left = right = node
    if not tree[node]["is_leaf"]:
        made.inputs[number, place] = tree[node]["feature_idx"]
        made.limits[number, place] = tree[node]["num_threshold"]
        left, right = int(tree[node]["left"]), int(tree[node]["right"])
    _copied(tree, left, 2 * place + 1, number, made)
    _copied(tree, right, 2 * place + 2, number, made)
