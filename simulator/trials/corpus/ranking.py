"""How well scores rank shots above other sounds, and how sure that is, recording by recording.

The area under the ROC curve is the Mann-Whitney statistic. Clips of one recordist or weapon are no
independent witnesses, so the bootstrap draws groups, not clips (a cluster bootstrap after Field &
Welsh 2007, J. R. Statist. Soc. B 69, 369).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

DRAWS = 1000
LOWER = 0.1

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]


def area(scores: Scores, is_shot: Labels) -> float | None:
    """Shape (n,) each; None where one kind is missing."""
    above = _above(scores, is_shot)
    return float(above.mean()) if above.size else None


def lower_bound(
    scores: Scores, is_shot: Labels, groups: Sequence[str], seed: int = 0
) -> float | None:
    """One-sided 90 % bound of `area`, groups drawn anew; None where one kind is missing."""
    above = _above(scores, is_shot)
    if not above.size:
        return None
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    rng, drawn = np.random.default_rng(seed), list[float]()
    for _ in range(DRAWS):
        times = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))[group]
        good, bad = times[is_shot], times[~is_shot]
        if good.any() and bad.any():
            drawn.append(float(good @ above @ bad) / (int(good.sum()) * int(bad.sum())))
    return float(np.quantile(drawn, LOWER)) if drawn else None


def _above(scores: Scores, is_shot: Labels) -> Scores:
    """1 where a shot (row) is above another sound (column), 0.5 where they tie."""
    good, bad = scores[is_shot][:, None], scores[~is_shot]
    return np.asarray((good > bad) + 0.5 * (good == bad), np.float64)
