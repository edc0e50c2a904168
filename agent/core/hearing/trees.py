"""Boosted trees as four arrays: what they add to the log-odds of a row of numbers.

All trees are complete and equally deep, so that all are walked at once, a level at a time.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Trees:
    """`inputs` and `limits` (trees, 2**depth - 1) by level, `leaves` (trees, 2**depth).

    A row goes right where its input exceeds the limit. Trees of depth 1 are an additive model.
    """

    inputs: Places
    limits: Numbers
    leaves: Sums
    offset: float

    def log_odds(self, rows: Numbers) -> Sums:
        """Of `rows` (n, inputs), shape (n,)."""
        count, (trees, nodes) = len(rows), self.limits.shape
        is_beyond = (rows.take(self.inputs, axis=1) > self.limits).ravel()
        first, leaf = _first_places(trees, nodes)
        if count > 1:
            first = first + np.arange(count)[:, None] * (trees * nodes)
        before, at = first - 1, first.copy()
        for _ in range((nodes + 1).bit_length() - 1):
            is_right = is_beyond.take(at)
            at += at
            at -= before
            at += is_right
        at -= first
        at += leaf
        return np.asarray(self.leaves.take(at).sum(axis=1) + self.offset)


@lru_cache(maxsize=16)
def _first_places(trees: int, nodes: int) -> tuple[Places, Places]:
    """Of each tree's first node among all nodes, and among all leaves, less `nodes`; (1, trees)."""
    number = np.arange(trees)[None]
    return number * nodes, number * (nodes + 1) - nodes


NO_TREES = Trees(
    np.zeros((0, 1), np.intp), np.zeros((0, 1), np.float32), np.zeros((0, 2)), offset=0.0
)
