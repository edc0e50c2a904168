"""Whose opinion a clip is judged by: that of a model which has not learned from it.

Clips that the shipped model may have learned from (their licence is free) go to the model of
their fold of the cross-validation; all others to the shipped model, as on a node.
"""

import zlib
from functools import lru_cache, partial
from importlib.resources import files

from agent.core.hearing.classification import judged_by
from agent.core.hearing.classifier import Model, read_model
from simulator.trials.corpus.listening import Judge
from simulator.trials.corpus.manifest import Clip

FOLDS = 12


def fold_of(group: str) -> int:
    """The fold whose model has never seen `group`."""
    return zlib.crc32(group.encode()) % FOLDS


def live_fire_group(position: str) -> str:
    """The group of all live fire at one firing position."""
    return f"live fire {position}"


def fold_file(fold: int) -> str:
    """Name of a fold's weights within this package."""
    return f"fold-{fold}.npz"


@lru_cache(maxsize=FOLDS)
def fold_model(fold: int) -> Model:
    """The model of one fold."""
    return read_model(
        files("simulator.trials.corpus").joinpath("weights", fold_file(fold)).read_bytes()
    )


def unseen_judge(clip: Clip) -> Judge | None:
    """An opinion that is not learned from `clip`; None for the node's own."""
    return partial(judged_by, fold_model(fold_of(clip.group))) if clip.is_free else None
