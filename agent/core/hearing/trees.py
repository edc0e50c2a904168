"""Boosted trees as four arrays: what they add to the log-odds of a row of numbers.

All trees are complete and equally deep, so that all are walked at once, a level at a time.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trees:
    """`inputs` and `limits` (trees, 2**depth - 1) by level, `leaves` (trees, 2**depth).

    A row goes right where its input exceeds the limit. Trees of depth 1 are an additive model.
    """

    inputs: npt.NDArray[np.intp]
    limits: Numbers
    leaves: Sums
    offset: float

    def log_odds(self, rows: Numbers) -> Sums:
        """Of `rows` (n, inputs), shape (n,)."""
        count, (trees, nodes) = len(rows), self.limits.shape
        is_beyond = (rows[:, self.inputs] > self.limits).reshape(-1)
        first = np.arange(count * trees) * nodes
        at = first + is_beyond[first] + 1
        for _ in range(1, (nodes + 1).bit_length() - 1):
            at += at - first + is_beyond[at] + 1
        leaf = (at - first - nodes).reshape(count, trees)
        leaf += np.arange(trees) * (nodes + 1)
        return np.asarray(self.leaves.reshape(-1)[leaf].sum(axis=1) + self.offset)


NO_TREES = Trees(
    np.zeros((0, 1), np.intp), np.zeros((0, 1), np.float32), np.zeros((0, 2)), offset=0.0
)
