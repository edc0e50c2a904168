"""Says how much an onset sounds like a shot, from its features alone.

A mixture of a regression and of boosted trees, with numpy: anyone who holds the record and the
weights can repeat the score, and see what spoke for it and what against. How the weights came
about is the model card's and the training script's matter; what is published is
`classification`'s.
"""

import hashlib
import io
import math
from collections.abc import Callable
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from agent.core.hearing.band_envelopes import Timbre
from agent.core.hearing.following import Candidate, Following
from agent.core.hearing.inputs import INPUTS, described, edges_db
from agent.core.hearing.trees import NO_TREES, Numbers, Sums, Trees
from agent.core.records.kinds import Features

PLAIN_FROM_DB, PLAIN_TO_DB = 14.0, 40.0
_FURTHEST = 4.0
_ROUNDING = 1e-6
_TREES, _GLANCE, _FOLLOWING = "trees", "glance", "following"
_NO_EDGES = np.full(2, -np.inf)


@dataclass(frozen=True, slots=True)
class Regression:
    """`weights` of inputs standardised with `centre` and `scale`, shape (INPUTS,), and `offset`."""

    centre: Sums
    scale: Sums
    weights: Sums
    offset: float

    def log_odds(self, rows: Numbers) -> Sums:
        """Of `rows` (n, INPUTS), shape (n,)."""
        away = rows - self.centre
        away /= self.scale
        np.maximum(away, -_FURTHEST, out=away)
        np.minimum(away, _FURTHEST, out=away)
        return np.asarray(away @ self.weights + self.offset)

    def effects(self, row: Numbers, usual: Numbers, groups: npt.NDArray[np.bool_]) -> Sums:
        """What each group of inputs adds to its log-odds by not being as `usual`, (groups,)."""
        return _effects(self.log_odds, row, usual, groups)


@dataclass(frozen=True, slots=True)
class Glance:
    """Trees that look at the outline of an onset, and the log-odds from which it is worth more."""

    trees: Trees
    least: float

    def refuses(self, sketch: Numbers) -> bool:
        """Whether an onset with these numbers (see `inputs.SKETCH`) need not be described."""
        return float(self.trees.log_odds(sketch[None])[0]) < self.least


@dataclass(frozen=True, slots=True)
class Model:
    """A regression and a number of groups of trees, whose log-odds are added.

    `threshold` is the score that a sound at PLAIN_FROM_DB over the noise or below must reach;
    `dearer_per_db` says how much more, in log-odds, is wanted of what is heard more plainly.
    `usual` (INPUTS,) are the medians that an effect is told against. What its `glance` refuses is
    no candidate, whatever its score. `faintest_edges_db` (2,) is how faint the edges of the band
    were (see `inputs.edges_db`) in all but a few of the sounds that it learned from. `following`
    says what follows a candidate and is wanted less of; None in models before it was known.
    """

    regression: Regression
    trees: tuple[Trees, ...]
    glance: Glance
    usual: Numbers
    faintest_edges_db: Sums
    threshold: float
    dearer_per_db: float
    following: Following | None
    sha256: str

    def log_odds(self, rows: Numbers) -> Sums:
        """Calibrated log-odds of `rows` (n, INPUTS), shape (n,)."""
        total = self.regression.log_odds(rows)
        for one in self.trees:
            total = total + one.log_odds(rows)
        return total

    def score(self, features: Features) -> float:
        """0 to 1, calibrated: of equally many shots and others, the share that were shots."""
        return chance(float(self.log_odds(described(features)[None])[0]))

    def has_learned_of(self, features: Features | Timbre) -> bool:
        """False where the microphone lacks a part of the band that it never lacked in training."""
        return bool((edges_db(features.spectrum_db) >= self.faintest_edges_db).all())

    def wanted(self, features: Features, *, follows: bool = False) -> float:
        """The score from which on it is published; less of it where it `follows` a candidate.

        Near the noise a shot shows little of what it is; heard plainly it shows all, and so does
        what is none. One threshold for both would let pass every plain knock for the faint shots'
        sake.
        """
        return chance(self._wanted(features.snr_db, follows=follows))

    def is_hopeless(self, log_odds: float, snr_db: float) -> bool:
        """Whether an onset with these log-odds is not published even if it follows a candidate."""
        return log_odds < self._wanted(snr_db, follows=True) - _ROUNDING

    def _wanted(self, snr_db: float, *, follows: bool) -> float:
        """In log-odds."""
        plain_db = min(max(snr_db, PLAIN_FROM_DB), PLAIN_TO_DB) - PLAIN_FROM_DB
        least = math.log(self.threshold / (1.0 - self.threshold))
        cheaper = self.following.cheaper if follows and self.following else 0.0
        return least + self.dearer_per_db * plain_db - cheaper

    def lead(self, latest: Candidate | None, sample: int, features: Features) -> Candidate | None:
        """The `latest` candidate, if an onset at `sample` follows it."""
        if latest and self.following and latest.leads(sample, features, self.following):
            return latest
        return None

    def effects(self, features: Features, groups: npt.NDArray[np.bool_]) -> Sums:
        """What each group of inputs adds to the log-odds, by not being as usual, shape (groups,).

        `groups` (groups, INPUTS). The effect is the fall in log-odds were the group's inputs at
        their medians and all others as they are; effects of a mixture with trees do not add up.
        """
        return _effects(self.log_odds, described(features), self.usual, groups)


def _effects(
    log_odds: Callable[[Numbers], Sums],
    row: Numbers,
    usual: Numbers,
    groups: npt.NDArray[np.bool_],
) -> Sums:
    of_rows = log_odds(np.concatenate((row[None], np.where(groups, usual, row))))
    return np.asarray(of_rows[0] - of_rows[1:])


def chance(log_odds: float) -> float:
    """The probability that has these log-odds."""
    return 1.0 / (1.0 + math.exp(-min(60.0, max(-60.0, log_odds))))


def read_model(data: bytes) -> Model:
    """A model from the bytes of its .npz file (arrays only, nothing that runs).

    Also those of earlier versions: a regression alone, whose centre is what was usual. Raises
    ValueError, KeyError, OSError, EOFError or BadZipFile where they are not one that scores.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        arrays = {name: held[name] for name in held.files}
    _check(arrays)
    groups = sum(name.startswith(_TREES) and name.endswith("_leaves") for name in arrays)
    return Model(
        regression=Regression(
            centre=arrays["centre"].astype(np.float64),
            scale=arrays["scale"].astype(np.float64),
            weights=arrays["weights"].astype(np.float64),
            offset=float(arrays["offset"]),
        ),
        trees=tuple(_trees(arrays, f"{_TREES}_{number}") for number in range(groups)),
        glance=_glance(arrays),
        usual=arrays.get("usual", arrays["centre"]).astype(np.float32),
        faintest_edges_db=arrays.get("faintest_edges_db", _NO_EDGES).astype(np.float64),
        threshold=float(arrays["threshold"]),
        dearer_per_db=float(arrays["dearer_per_db"]),
        following=Following(*arrays[_FOLLOWING].tolist()) if _FOLLOWING in arrays else None,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def written(model: Model) -> bytes:
    """The bytes of the .npz file that `read_model` reads; single precision, compressed."""
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "centre": _single(model.regression.centre),
        "scale": _single(model.regression.scale),
        "weights": _single(model.regression.weights),
        "offset": _single(model.regression.offset),
        "usual": _single(model.usual),
        "faintest_edges_db": _single(model.faintest_edges_db),
        "threshold": _single(model.threshold),
        "dearer_per_db": _single(model.dearer_per_db),
    }
    if model.following:
        arrays[_FOLLOWING] = np.array(astuple(model.following))
    named = {f"{_TREES}_{number}": one for number, one in enumerate(model.trees)}
    for name, one in (named | {_GLANCE: model.glance.trees}).items():
        arrays[f"{name}_inputs"] = one.inputs.astype(np.uint8)
        arrays[f"{name}_limits"] = _single(one.limits)
        arrays[f"{name}_leaves"] = _single(one.leaves)
        arrays[f"{name}_offset"] = _single(one.offset)
    arrays[f"{_GLANCE}_least"] = _single(model.glance.least)
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _check(arrays: dict[str, npt.NDArray[np.generic]]) -> None:
    """Raises ValueError or KeyError."""
    shapes = {arrays[name].shape for name in ("centre", "scale", "weights")}
    numbers = [arrays[name].astype(np.float64) for name in ("centre", "scale", "weights", "offset")]
    if shapes != {(INPUTS,)} or not all(np.isfinite(one).all() for one in numbers):
        raise ValueError("the model holds numbers of another shape, or none")
    if not (numbers[1] > 0).all() or not 0.0 < float(arrays["threshold"]) < 1.0:
        raise ValueError("the model holds numbers that cannot score")
    for name in arrays:
        if name.endswith("_inputs") and (arrays[name].astype(np.intp) >= INPUTS).any():
            raise ValueError("the model's trees ask for numbers that no record holds")
        if name.endswith("_leaves") and not np.isfinite(arrays[name].astype(np.float64)).all():
            raise ValueError("the model's trees hold numbers that cannot score")


def _single(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return np.asarray(values, np.float32)


def _trees(arrays: dict[str, npt.NDArray[np.generic]], name: str) -> Trees:
    return Trees(
        inputs=arrays[f"{name}_inputs"].astype(np.intp, order="F"),
        limits=arrays[f"{name}_limits"].astype(np.float32, order="F"),
        leaves=arrays[f"{name}_leaves"].astype(np.float64),
        offset=float(arrays[f"{name}_offset"]),
    )


def _glance(arrays: dict[str, npt.NDArray[np.generic]]) -> Glance:
    """Models of earlier versions refuse nothing at a glance."""
    if f"{_GLANCE}_least" not in arrays:
        return Glance(NO_TREES, -math.inf)
    return Glance(_trees(arrays, _GLANCE), float(arrays[f"{_GLANCE}_least"]))
