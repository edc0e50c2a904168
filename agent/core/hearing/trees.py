"""Boosted trees as four arrays: what they add to the log-odds of a row of numbers.

All trees are complete, equally deep, and no deeper than four questions: the answers of a tree, read
as a number, say by a table in which leaf they end, so that nobody walks.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

DEEPEST = 4
Numbers = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Trees:
    """`inputs` and `limits` (trees, 2**depth - 1) by level, `leaves` (trees, 2**depth).

    A row goes right where its input exceeds the limit. Trees of depth 1 are an additive model.
    Asking is quickest where `inputs` and `limits` lie in memory by node.
    """

    inputs: Places
    limits: Numbers
    leaves: Sums
    offset: float

    def log_odds(self, rows: Numbers) -> Sums:
        """Of `rows` (n, inputs), shape (n,)."""
        trees, nodes = self.limits.shape
        digits, leaf_of = _leaves(nodes)
        answers = rows.take(self.inputs.T, axis=1) > self.limits.T
        leaf = leaf_of.take((digits @ answers).astype(np.intp))
        leaf += _first_leaves(trees, nodes)
        return np.asarray(self.leaves.take(leaf).sum(axis=1) + self.offset)


@lru_cache(maxsize=DEEPEST)
def _leaves(nodes: int) -> tuple[Numbers, Places]:
    """What each of a tree's answers counts for, and in which leaf the sum of them ends."""
    leaf_of = np.zeros(1 << nodes, np.intp)
    answers = np.arange(len(leaf_of))
    for _ in range(nodes.bit_length()):
        leaf_of += leaf_of + 1 + (answers >> leaf_of & 1)
    return (1 << np.arange(nodes)).astype(np.float32), leaf_of - nodes


@lru_cache(maxsize=16)
def _first_leaves(trees: int, nodes: int) -> Places:
    """Of each tree among the leaves of all."""
    return np.arange(trees) * (nodes + 1)


NO_TREES = Trees(
    np.zeros((0, 1), np.intp), np.zeros((0, 1), np.float32), np.zeros((0, 2)), offset=0.0
)
