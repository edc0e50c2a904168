"""Says how much an onset sounds like a shot, from its features alone.

A logistic regression, with numpy: one weight for each number in the record, so anyone who holds
the record and the weights can repeat the score, and see what spoke for it and what against. How
the weights came about is the model card's and the training script's matter; what is published is
`classification`'s.
"""

import hashlib
import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.hearing.band_envelopes import (
    BAND_EDGES_HZ,
    COURSE_EDGES_S,
    LATELY_S,
    PAST_EDGES_S,
    SHAPES,
    SHARES,
)
from agent.core.records.kinds import Features

Numbers = npt.NDArray[np.float32]

INPUTS = (
    len(BAND_EDGES_HZ)
    - 1
    + len(BAND_EDGES_HZ) * (len(PAST_EDGES_S) + len(COURSE_EDGES_S) - 2)
    + len(SHARES)
    + len(LATELY_S)
    + SHAPES
    + 1
)
PLAIN_FROM_DB, PLAIN_TO_DB = 14.0, 40.0
_FURTHEST = 4.0


def described(features: Features) -> Numbers:
    """What the model looks at, shape (INPUTS,): the timbre alone.

    The loudness of the sound is left out on purpose: it is the distance's and the gain's.
    """
    return np.array(
        (
            *features.spectrum_db,
            *(level for row in features.course_db for level in row),
            *features.before_db,
            *features.shape,
            10.0 * features.tonality,
        ),
        np.float32,
    )


@dataclass(frozen=True, slots=True)
class Model:
    """`weights` of inputs standardised with `centre` and `scale`, shape (INPUTS,), and `offset`.

    `threshold` is the score that a sound at PLAIN_FROM_DB over the noise or below must reach;
    `dearer_per_db` says how much more, in log-odds, is wanted of what is heard more plainly.
    """

    centre: Numbers
    scale: Numbers
    weights: Numbers
    offset: float
    threshold: float
    dearer_per_db: float
    sha256: str

    def score(self, features: Features) -> float:
        """0 to 1, calibrated: of equally many shots and others, the share that were shots."""
        away = np.clip((described(features) - self.centre) / self.scale, -_FURTHEST, _FURTHEST)
        return _chance(float(np.dot(away, self.weights)) + self.offset)

    def wanted(self, features: Features) -> float:
        """The score from which on it is published.

        Near the noise a shot shows little of what it is; heard plainly it shows all, and so does
        what is none. One threshold for both would let pass every plain knock for the faint shots'
        sake.
        """
        plain_db = min(max(features.snr_db, PLAIN_FROM_DB), PLAIN_TO_DB) - PLAIN_FROM_DB
        least = math.log(self.threshold / (1.0 - self.threshold))
        return _chance(least + self.dearer_per_db * plain_db)


def _chance(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(60.0, max(-60.0, log_odds))))


def read_model(data: bytes) -> Model:
    """A model from the bytes of its .npz file (arrays only, nothing that runs).

    Raises ValueError, KeyError, OSError, EOFError or BadZipFile where they are not one that scores.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        arrays = {name: held[name].astype(np.float32) for name in held.files}
    shapes = {arrays[name].shape for name in ("centre", "scale", "weights")}
    if shapes != {(INPUTS,)} or not all(np.isfinite(one).all() for one in arrays.values()):
        raise ValueError("the model holds numbers of another shape, or none")
    if not (arrays["scale"] > 0).all() or not 0.0 < float(arrays["threshold"]) < 1.0:
        raise ValueError("the model holds numbers that cannot score")
    return Model(
        centre=arrays["centre"],
        scale=arrays["scale"],
        weights=arrays["weights"],
        offset=float(arrays["offset"]),
        threshold=float(arrays["threshold"]),
        dearer_per_db=float(arrays["dearer_per_db"]),
        sha256=hashlib.sha256(data).hexdigest(),
    )
