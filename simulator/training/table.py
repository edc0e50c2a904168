"""Examples as arrays, and how much each of them counts.

Weights were set once, by what a source is worth, and then left alone but where the card says so.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from agent.core.hearing.inputs import described
from simulator.training.examples import CLIPS, CONFUSERS, LIVE_FIRE, SHOTS, Example
from simulator.trials.corpus.folds import fold_of

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Words = npt.NDArray[np.str_]

_SHARE: Mapping[tuple[str, bool], float] = {
    (CLIPS, True): 1.0,
    (CLIPS, False): 1.5,
    (SHOTS, True): 0.5,
    (CONFUSERS, False): 0.7,
    (LIVE_FIRE, True): 0.4,
}
_NEARLY_SHOTS = {
    *("explosion", "fireworks", "balloon_pop"),
    *("synthetic firework", "synthetic charge", "synthetic backfire"),
}
_NEARLY = 0.3
_FAINT_DB = 12.0


@dataclass(frozen=True, slots=True)
class Table:
    """Examples as arrays: `inputs` (n, INPUTS), the others (n,)."""

    inputs: npt.NDArray[np.float32]
    snr_db: Array
    is_shot: Flags
    weights: Array
    folds: npt.NDArray[np.int64]
    folders: Words
    sources: Words
    kinds: Words

    def of(self, mine: Flags) -> "Table":
        """Some of the rows."""
        return Table(*(getattr(self, field.name)[mine] for field in fields(self)))


def joined(tables: Sequence[Table]) -> Table:
    """All rows of all of them."""
    columns = [[getattr(one, field.name) for one in tables] for field in fields(Table)]
    return Table(*map(np.concatenate, columns))


def table(examples: Sequence[Example]) -> Table:
    """Examples with the weight that each source, kind, group and take is meant to have."""
    return Table(
        inputs=np.array([described(one.features) for one in examples], np.float32),
        snr_db=np.array([one.features.snr_db for one in examples]),
        is_shot=np.array([one.is_shot for one in examples]),
        weights=_weights(examples),
        folds=np.array([fold_of(one.group) for one in examples]),
        folders=np.array([one.folder for one in examples]),
        sources=np.array([one.source for one in examples]),
        kinds=np.array([one.kind for one in examples]),
    )


def _weights(examples: Sequence[Example]) -> Array:
    """Many triggers of a take, and many clips of a group, count by the root of their number."""
    in_take = Counter((one.source, one.take) for one in examples)
    raw = [_worth(one) / in_take[one.source, one.take] ** 0.5 for one in examples]
    of_group: dict[tuple[str, str, bool], float] = defaultdict(float)
    for one, weight in zip(examples, raw, strict=True):
        of_group[one.source, one.group, one.is_shot] += weight
    shared = [
        weight / of_group[one.source, one.group, one.is_shot] ** 0.5
        for one, weight in zip(examples, raw, strict=True)
    ]
    total: dict[tuple[str, bool], float] = defaultdict(float)
    for one, weight in zip(examples, shared, strict=True):
        total[one.source, one.is_shot] += weight
    return np.array(
        [
            weight * _SHARE[one.source, one.is_shot] / total[one.source, one.is_shot]
            for one, weight in zip(examples, shared, strict=True)
        ]
    )


def _worth(one: Example) -> float:
    return _NEARLY if one.kind in _NEARLY_SHOTS else 1.0


def balanced(weights: Array, is_shot: Flags) -> Array:
    """`weights` with shots and other sounds of equal total, mean 1."""
    even = weights.copy()
    for label in (True, False):
        mine = is_shot == label
        even[mine] *= 0.5 * len(even) / even[mine].sum()
    return even


def mostly_faint(weights: Array, snr_db: Array, is_shot: Flags, share: float) -> Array:
    """Of what is no shot, faint sounds get this share of the weight: so it is in a street."""
    faint, shared = snr_db < _FAINT_DB, weights.copy()
    total = weights[~is_shot].sum()
    for mine, its in ((~is_shot & faint, share), (~is_shot & ~faint, 1.0 - share)):
        if mine.any():
            shared[mine] *= its * total / weights[mine].sum()
    return shared
