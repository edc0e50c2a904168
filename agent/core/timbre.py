"""The colour of an onset over time: energy in bands, tonality, and what went before.

All is measured on sound averaged down to 11-16 kHz, so that it hardly depends on the sample rate.
Levels are in dB relative to the loudest of their kind, never absolute: loudness is `features`'.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from agent.core.onset import Stretch, Wave

BAND_EDGES_HZ = (60.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 3500.0, 5300.0)
SPANS_S = ((-0.105, -0.005), (0.0, 0.02), (0.02, 0.06), (0.06, 0.12), (0.12, 0.25))
ATTACK_EDGES_S = (0.0, 0.5e-3, 1e-3, 2e-3, 4e-3, 8e-3, 16e-3, 32e-3)
BEFORE_EDGES_S = (-0.8, -0.4, -0.2, -0.1, -0.05, -0.025, -0.005)
LOWEST_DB = -60.0
_COARSE_HZ = 11_000
_PIECE_S = 12.5e-3
_LOUD_BEFORE = 0.3
_TONE_S = (0.015, 0.115)
_TONE_LAG_S = (1.2e-3, 14e-3)


@dataclass(frozen=True, slots=True)
class Timbre:
    """Shapes: `bands_db` (5 spans, 7 bands), `attack_db` (7), `before_db` (6); see the edges.

    `tonality` is 0 for noise and 1 for a periodic sound, `busy` the share of the last 0.8 s that
    was nearly as loud, `first_swing_us` how long the first half wave of the attack lasted.
    """

    bands_db: tuple[tuple[float, ...], ...]
    attack_db: tuple[float, ...]
    before_db: tuple[float, ...]
    tonality: float
    busy: float
    first_swing_us: float


def timbre(stretch: Stretch, onset: int) -> Timbre:
    """Timbre of the onset at whole sample `onset`; sound that is not there counts as silence."""
    rate_hz, sound = _coarse(stretch, onset)
    zero = round(-SPANS_S[0][0] * 10 * rate_hz)
    level = np.sqrt(_piecewise(sound[zero:] ** 2, [round(s * rate_hz) for s in ATTACK_EDGES_S]))
    loudest = max(float(level.max()), 1e-12)
    piece = round(_PIECE_S * rate_hz)
    past = sound[zero - round(0.8 * rate_hz) : zero - round(0.005 * rate_hz)]
    whole = len(past) // piece * piece
    rms = np.sqrt(np.mean(past[len(past) - whole :].reshape(-1, piece) ** 2, axis=1))
    near = np.sqrt(np.mean(sound[zero : zero + 2 * piece] ** 2)) + 1e-12
    return Timbre(
        bands_db=_bands_db(sound, zero, rate_hz),
        attack_db=_relative_db(level, loudest),
        before_db=_relative_db(_loudest_before(rms), near),
        tonality=round(_tonality(sound, zero, rate_hz), 3),
        busy=round(float(np.mean(rms > _LOUD_BEFORE * near)), 3),
        first_swing_us=round(_first_swing(sound[zero:], rate_hz) * 1e6, 0),
    )


def _coarse(stretch: Stretch, onset: int) -> tuple[float, Wave]:
    """Rate, and sound from 1.05 s before the onset to 0.25 s after it, averaged down.

    The mean of the last 0.1 s before is taken away.
    """
    fold = max(1, stretch.rate_hz // _COARSE_HZ)
    rate_hz = stretch.rate_hz / fold
    before = round(-SPANS_S[0][0] * 10 * rate_hz) * fold
    after = round(SPANS_S[-1][1] * rate_hz + 1) * fold
    held = stretch.samples[max(0, onset - before) : onset + after]
    missing = max(0, before - onset)
    quiet = stretch.samples[max(0, onset - round(0.1 * stretch.rate_hz)) : onset]
    mean = float(quiet.mean()) if len(quiet) else 0.0
    sound = np.zeros((before + after) // fold)
    lead = min(-missing % fold, len(held))
    whole = (len(held) - lead) // fold
    first = (missing + lead) // fold
    pieces = held[lead : lead + whole * fold].reshape(-1, fold)
    sound[first : first + whole] = pieces @ np.full(fold, 1.0 / fold) - mean
    for at, part in ((first - 1, held[:lead]), (first + whole, held[lead + whole * fold :])):
        if len(part):
            sound[at] += (float(part.sum()) - len(part) * mean) / fold
    return rate_hz, sound


def _bands_db(sound: Wave, zero: int, rate_hz: float) -> tuple[tuple[float, ...], ...]:
    """Mean power per span and band, relative to the span of the attack with all its bands."""
    rows = []
    for start_s, stop_s in SPANS_S:
        piece = sound[zero + round(start_s * rate_hz) : zero + round(stop_s * rate_hz)]
        power = np.abs(np.fft.rfft(piece * _window(len(piece), start_s == 0.0), 4 * 512)) ** 2
        edges = [round(edge * 2048 / rate_hz) for edge in BAND_EDGES_HZ]
        rows.append(np.add.reduceat(power, edges)[:-1] / len(piece))
    whole = max(float(rows[1].sum()), 1e-20)
    return tuple(_relative_db(np.sqrt(row), whole**0.5) for row in rows)


@lru_cache(maxsize=64)
def _window(count: int, is_attack: bool) -> Wave:
    """A Hann window; its falling half alone where the sound begins with the window."""
    return np.hanning(2 * count)[count:] if is_attack else np.hanning(count)


def _piecewise(power: Wave, edges: list[int]) -> Wave:
    return np.add.reduceat(power[: edges[-1]], edges[:-1]) / np.maximum(np.diff(edges), 1)


def _loudest_before(rms: Wave) -> Wave:
    """The loudest piece between each pair of BEFORE_EDGES_S."""
    ends = [len(rms) - round((-0.005 - edge) / _PIECE_S) for edge in BEFORE_EDGES_S]
    return np.array([rms[max(0, a) : b].max() for a, b in pairwise(ends)])


def _tonality(sound: Wave, zero: int, rate_hz: float) -> float:
    """Largest normalised autocorrelation at lags of 70 to 800 Hz, just after the attack."""
    piece = sound[zero + round(_TONE_S[0] * rate_hz) : zero + round(_TONE_S[1] * rate_hz)]
    piece = piece - piece.mean()
    spectrum = np.fft.rfft(piece, 4096)
    together = np.fft.irfft(np.abs(spectrum) ** 2, 4096)[: len(piece)]
    if together[0] <= 0.0:
        return 0.0
    lags = np.arange(round(_TONE_LAG_S[0] * rate_hz), round(_TONE_LAG_S[1] * rate_hz))
    return max(0.0, float((together[lags] / (1.0 - lags / len(piece))).max() / together[0]))


def _first_swing(sound: Wave, rate_hz: float) -> float:
    """Seconds that the first strong half wave stays on its side of zero."""
    attack = sound[: round(30e-3 * rate_hz)]
    size = np.abs(attack)
    strong = np.flatnonzero(size >= 0.4 * size.max())
    if not len(strong) or size.max() <= 0.0:
        return 0.0
    at, is_up = int(strong[0]), attack[strong[0]] > 0
    others = np.flatnonzero((attack > 0) != is_up)
    start = others[others < at]
    stop = others[others > at]
    first = int(start[-1]) + 1 if len(start) else 0
    last = int(stop[0]) if len(stop) else len(attack)
    return (last - first) / rate_hz


def _relative_db(level: Wave, top: float) -> tuple[float, ...]:
    relative = 20.0 * np.log10(np.maximum(level / top, 10.0 ** (LOWEST_DB / 20.0)))
    return tuple(round(float(one), 1) for one in relative)
