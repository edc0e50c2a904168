"""The numbers of a record that a model looks at: their order, and what each is called.

All are of the timbre. The loudness of a sound is left out on purpose: it is the distance's and the
gain's.
"""

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from agent.core.hearing.band_envelopes import (
    BAND_EDGES_HZ,
    COURSE_EDGES_S,
    LATELY_S,
    PAST_EDGES_S,
    SHARES,
    Outline,
    Timbre,
)
from agent.core.records.kinds import Features

Numbers = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]

_SHAPES = (
    "crest of the attack, dB",
    "crest of the tail, dB",
    "peak of the tail under that of the attack, dB",
    "flatness of the tail's spectrum, dB",
    "strongest line of the tail, dB",
    "time of the peak, ms",
    "share of the peak that goes up",
    "share of the peak that goes down",
    "changes of sign in the attack, per ten samples",
    "changes of sign in the tail, per ten samples",
)
_TONAL = frozenset((*_SHAPES[3:5], "periodicity of the tail, tenths"))
_SWIFT = frozenset((_SHAPES[0], _SHAPES[5]))
_ATTACK_UNTIL_S = 0.02


def described(features: Features | Timbre) -> Numbers:
    """The numbers of one onset, shape (INPUTS,)."""
    parts = features.spectrum_db, *features.course_db, features.before_db, features.shape
    return np.fromiter(itertools.chain(*parts, (10.0 * features.tonality,)), np.float32)


def sketched(outline: Outline) -> Numbers:
    """Those of the numbers that the outline of an onset tells already, shape (len(SKETCH),)."""
    return np.array((*outline.course_db, *outline.before_db, *outline.shape), np.float32)


def edges_db(spectrum_db: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The lowest and the highest band of attacks (..., 9) over the mean of two middle ones, in dB.

    A microphone or a converter that ends within what the node listens to shows here, whatever the
    sound is. Shape (..., 2).
    """
    bands = np.asarray(spectrum_db, np.float64)
    middle = 0.5 * (bands[..., 5:6] + bands[..., 6:7])
    return np.asarray(bands[..., :: BANDS - 1] - middle)


def _named() -> Iterator[tuple[str, str]]:
    """What each number is called, and which aspect of a sound it belongs to."""
    bands = [f"{low} to {high} Hz" for low, high in itertools.pairwise(BAND_EDGES_HZ)]
    for band in bands:
        yield f"attack at {band}, dB", "colour"
    past, course = itertools.pairwise(PAST_EDGES_S), itertools.pairwise(COURSE_EDGES_S)
    spans = (*past, *course)
    for band in ("all bands", *bands):
        for start_s, stop_s in spans:
            span = f"{1e3 * start_s:+.0f} to {1e3 * stop_s:+.0f} ms"
            if stop_s <= PAST_EDGES_S[-1]:
                aspect = "past"
            else:
                aspect = "attack" if stop_s <= _ATTACK_UNTIL_S else "tail"
            yield f"{band}, {span}, dB", aspect
    for share in SHARES:
        yield f"level before: quantile {share:g}, dB", "past"
    for span_s in LATELY_S:
        yield f"level before: loudest of {1e3 * span_s:.0f} ms, dB", "past"
    for name in (*_SHAPES, "periodicity of the tail, tenths"):
        aspect = "tone" if name in _TONAL else "attack" if name in _SWIFT else "tail"
        yield name, aspect


BANDS = len(BAND_EDGES_HZ) - 1
_SPANS = len(PAST_EDGES_S) + len(COURSE_EDGES_S) - 2
_LEVELS = BANDS + (BANDS + 1) * _SPANS
_FORMS = _LEVELS + len(SHARES) + len(LATELY_S)
SKETCH: Places = np.array(
    [
        *range(BANDS, BANDS + _SPANS),
        *range(_LEVELS, _FORMS + 3),
        *range(_FORMS + 5, _FORMS + len(_SHAPES)),
    ]
)
NAMES, _ASPECT_OF = zip(*_named(), strict=True)
INPUTS = len(NAMES)
ASPECTS: Mapping[str, Places] = {
    aspect: np.flatnonzero(np.array(_ASPECT_OF) == aspect)
    for aspect in ("past", "attack", "colour", "tail", "tone")
}
