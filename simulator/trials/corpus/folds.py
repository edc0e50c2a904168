"""Whose opinion a clip is judged by: that of a model which has not learned from it.

Clips that the shipped model may have learned from (their licence is free) go to the model of
their fold of the cross-validation; all others to the shipped model, as on a node. A *transfer* is
stricter: all clips of a folder go to a model that has learned from none of that folder.
"""

import hashlib
import zlib
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files

from agent.core.hearing.classifier import Model, read_model
from simulator.trials.corpus.listening import JudgeOf
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


def without_file(clips: Iterable[Clip]) -> str:
    """Name of the weights that have learned from none of these clips: a folder is its groups."""
    groups = "\0".join(sorted({one.group for one in clips}))
    return f"without-{hashlib.sha256(groups.encode()).hexdigest()[:12]}.npz"


@lru_cache(maxsize=FOLDS)
def fold_model(fold: int) -> Model:
    """The model of one fold."""
    return _read(fold_file(fold))


def unseen_judge(clip: Clip) -> Model | None:
    """A model that has not learned from `clip`; None for the node's own."""
    return fold_model(fold_of(clip.group)) if clip.is_free else None


def transfer_judge(clips: Iterable[Clip]) -> JudgeOf | None:
    """A model that has not learned from any of `clips`; None where no such model was kept."""
    try:
        model = _read(without_file(clips))
    except FileNotFoundError:
        return None
    return lambda _clip: model


def _read(name: str) -> Model:
    return read_model(files("simulator.trials.corpus").joinpath("weights", name).read_bytes())
