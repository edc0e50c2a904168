"""A small neural network that says how much an onset sounds like a shot, from its features alone.

Runs a few averaged networks of two hidden layers with numpy. Everything it looks at is in the
record, so anyone who holds the record and the weights can repeat the score. How the weights came
about is the model card's and the training script's matter; what is published is `verdict`'s.
"""

import hashlib
import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.features import ENVELOPE_PIECES
from agent.core.records import Features
from agent.core.timbre import ATTACK_EDGES_S, BAND_EDGES_HZ, BEFORE_EDGES_S, LOWEST_DB, SPANS_S

Numbers = npt.NDArray[np.float32]

INPUTS = (
    9
    + ENVELOPE_PIECES
    + len(SPANS_S) * (len(BAND_EDGES_HZ) - 1)
    + len(ATTACK_EDGES_S)
    + len(BEFORE_EDGES_S)
    - 2
)
_FURTHEST = 4.0


def described(features: Features) -> Numbers:
    """Features as the network takes them, shape (INPUTS,): levels in dB, the rest as log10.

    The loudness of the sound is left out on purpose: it is the distance's and the gain's.
    """
    envelope = features.envelope_db
    return np.array(
        (
            features.snr_db,
            math.log10(features.rise_us + 5.0),
            math.log10(max(features.duration_ms, 0.1)),
            features.crest_db,
            math.log10(features.centroid_hz + 10.0),
            features.tonality,
            features.busy,
            math.log10(features.first_swing_us + 5.0),
            float(features.clipped),
            *envelope,
            *(LOWEST_DB,) * (ENVELOPE_PIECES - len(envelope)),
            *(level for span in features.bands_db for level in span),
            *features.attack_db,
            *features.before_db,
        ),
        np.float32,
    )


@dataclass(frozen=True, slots=True)
class Model:
    """`nets` networks side by side: `layers` are (weights (nets, in, out), biases (nets, 1, out)).

    Inputs are standardised with `centre` and `scale`, shape (INPUTS,). A score at or above
    `threshold` is published.
    """

    centre: Numbers
    scale: Numbers
    layers: tuple[tuple[Numbers, Numbers], ...]
    threshold: float
    sha256: str

    def score(self, features: Features) -> float:
        """0 to 1, calibrated: of equally many shots and others, the share that were shots."""
        away = (described(features) - self.centre) / self.scale
        state = np.clip(away, -_FURTHEST, _FURTHEST)[None, None, :]
        for weights, biases in self.layers[:-1]:
            state = np.maximum(state @ weights + biases, 0.0)
        weights, biases = self.layers[-1]
        log_odds = float((state @ weights + biases).mean())
        return 1.0 / (1.0 + math.exp(-min(60.0, max(-60.0, log_odds))))


def read_model(data: bytes) -> Model:
    """A model from the bytes of its .npz file (arrays only, nothing that runs)."""
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        arrays = {name: held[name].astype(np.float32) for name in held.files}
    depth = sum(name.startswith("weights") for name in arrays)
    layers = tuple((arrays[f"weights_{n}"], arrays[f"biases_{n}"]) for n in range(depth))
    return Model(
        centre=arrays["centre"],
        scale=arrays["scale"],
        layers=layers,
        threshold=float(arrays["threshold"]),
        sha256=hashlib.sha256(data).hexdigest(),
    )
