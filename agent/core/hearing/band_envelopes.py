"""The colour of an onset over time: the course of ten bands, what went before, and its shape.

All is measured on sound averaged down to 11-16 kHz and above LOWEST_HZ, so that it hardly depends
on the sample rate or on wind. Every band is told relative to its own attack, so that microphones
and distance, which colour a sound, leave its course alone. Loudness is `features`' matter.
"""

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from agent.core.hearing.attack_and_tail import lines, shape, tonality
from agent.core.hearing.filterbank import FilterBank, SpanMeans, filter_bank, span_means
from agent.core.hearing.picker import Stretch, Wave
from agent.core.hearing.spectra import Numbers, Spectrum

LOWEST_HZ = 80.0
BAND_EDGES_HZ = (80, 160, 320, 640, 1000, 1500, 2200, 3200, 4300, 5400)
PAST_EDGES_S = (-0.4, -0.2, -0.1, -0.05, -0.025, -0.012, -0.004)
COURSE_EDGES_S = (
    -0.001, 0.001, 0.003, 0.006, 0.012, 0.02, 0.03, 0.045, 0.065, 0.09, 0.12, 0.16, 0.21, 0.255,
)  # fmt: skip
SHAPES = 10
LATELY_S = (0.1, 0.2, 0.4)
SHARES = (0.1, 0.5, 0.9, 1.0)
LOWEST_DB, HIGHEST_DB = -45, 25
_COARSE_HZ = 11_000
_BEFORE_S = 0.42
_AFTER_S = 0.26
_ATTACK_S = (0.001, 0.02)
_LEVEL_S = 12.5e-3
_TAIL_S = (0.03, 0.25)
_TINY = 1e-12
_LEAST_DB = np.repeat(
    (float(LOWEST_DB), -60.0),
    (len(PAST_EDGES_S) + len(COURSE_EDGES_S) - 2, len(SHARES) + len(LATELY_S)),
)


@dataclass(frozen=True, slots=True)
class Timbre:
    """Whole dB but for the last. Rows of `course_db` are all sound, then the bands.

    `spectrum_db` (9) is the attack per band, relative to the mean of all; `course_db` (10, 19)
    each span's power relative to the row's own attack, spans of the past first; `before_db` (7)
    levels of the past relative to the attack: quantiles at SHARES, then the loudest of LATELY_S.
    `shape` (10) is crest of the attack and of the tail in dB, the tail's peak in dB, its flatness
    and its strongest line in dB; place of the peak in ms, share of the peak that goes up and down,
    changes of sign in attack and tail, per ten samples. `tonality` is 0 for noise and 1 for a
    periodic tail.
    """

    spectrum_db: tuple[int, ...]
    course_db: tuple[tuple[int, ...], ...]
    before_db: tuple[int, ...]
    shape: tuple[float, ...]
    tonality: float


@dataclass(frozen=True, slots=True)
class Outline:
    """An onset's sound of all bands together, and what can be told of it before they are parted.

    `course_db` (19) and `before_db` (7) as in `Timbre`; `shape` (8) is its shape but for the two
    numbers that need the tail's spectrum. `spectrum`, `wave` and the power of its `attack` are for
    `timbre`.
    """

    rate_hz: float
    zero: int
    spectrum: Spectrum
    wave: Wave
    attack: float
    course_db: tuple[int, ...]
    before_db: tuple[int, ...]
    shape: tuple[float, ...]


def outline(stretch: Stretch, onset: int) -> Outline:
    """Outline of the onset at whole sample `onset`; sound that is not there counts as silence."""
    fold = max(1, stretch.rate_hz // _COARSE_HZ)
    plan = _plan(stretch.rate_hz / fold)
    spectrum = np.fft.rfft(_coarse(stretch, onset, fold, plan))
    parts = spectrum.view(np.float64)
    parts *= plan.high_pass
    wave = np.fft.irfft(spectrum, plan.size)[: plan.count]
    levels = plan.whole.of(wave * wave)[0]
    levels += _TINY
    attack = float(levels[plan.attack] @ plan.attack_share)
    told = np.concatenate((levels, _before(wave[plan.past], plan.piece)))
    told /= attack
    told_db = _whole(_within_db(told, _LEAST_DB))
    return Outline(
        rate_hz=plan.rate_hz,
        zero=plan.zero,
        spectrum=spectrum,
        wave=wave,
        attack=attack,
        course_db=told_db[: len(levels)],
        before_db=told_db[len(levels) :],
        shape=shape(wave, wave[plan.tail], plan.zero, plan.rate_hz),
    )


def timbre(outlined: Outline) -> Timbre:
    """The whole timbre of an onset whose outline is known."""
    plan = _plan(outlined.rate_hz)
    levels = plan.bands.levels(outlined.spectrum)
    levels += _TINY
    attack = levels[:, plan.attack] @ plan.attack_share
    levels /= attack[:, None]
    attack /= outlined.attack
    bands = _within_db(attack, -60.0, 0.0)
    tail, (early, late) = outlined.wave[plan.tail], (outlined.shape[:3], outlined.shape[3:])
    return Timbre(
        spectrum_db=_whole(bands - np.add.reduce(bands) / len(bands)),
        course_db=(outlined.course_db, *_whole_rows(_within_db(levels, LOWEST_DB))),
        before_db=outlined.before_db,
        shape=(*early, *lines(tail, outlined.rate_hz), *late),
        tonality=round(tonality(tail, outlined.rate_hz), 3),
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that depends on the rate alone; slices and counts in samples of the wave."""

    rate_hz: float
    count: int
    size: int
    zero: int
    past: slice
    piece: int
    tail: slice
    high_pass: Numbers
    bands: FilterBank
    whole: SpanMeans
    attack: slice
    attack_share: Numbers


@lru_cache(maxsize=16)
def _plan(rate_hz: float) -> _Plan:
    count, zero = round((_BEFORE_S + _AFTER_S) * rate_hz), round(_BEFORE_S * rate_hz)
    size = 1 << (count - 1).bit_length()
    steep = (np.fft.rfftfreq(size, 1.0 / rate_hz) / LOWEST_HZ) ** 4
    starts = np.array(PAST_EDGES_S[:-1] + COURSE_EDGES_S[:-1])
    stops = np.array(PAST_EDGES_S[1:] + COURSE_EDGES_S[1:])
    past = len(PAST_EDGES_S) - 1
    inside = [
        past + at
        for at, (start, stop) in enumerate(itertools.pairwise(COURSE_EDGES_S))
        if start >= _ATTACK_S[0] and stop <= _ATTACK_S[1]
    ]
    lasting = (stops - starts)[inside]
    spans = (np.stack((starts, stops)) + zero / rate_hz) * rate_hz
    piece, until = round(_LEVEL_S * rate_hz), zero - round(0.005 * rate_hz)
    return _Plan(
        rate_hz=rate_hz,
        count=count,
        size=size,
        zero=zero,
        past=slice(until % piece, until),
        piece=piece,
        tail=slice(*(zero + round(one * rate_hz) for one in _TAIL_S)),
        high_pass=np.sqrt(steep / (1.0 + steep)).repeat(2),
        bands=filter_bank(BAND_EDGES_HZ, spans, rate_hz, size),
        whole=span_means(spans, [1.0], [count]),
        attack=slice(inside[0], inside[-1] + 1),
        attack_share=lasting / lasting.sum(),
    )


def _coarse(stretch: Stretch, onset: int, fold: int, plan: _Plan) -> Wave:
    """Sound from _BEFORE_S before the onset to _AFTER_S after it, averaged down by `fold`.

    The mean of what went before is taken away. Zeros follow up to the plan's size.
    """
    begin = onset - plan.zero * fold
    held = stretch.samples[max(0, begin) : begin + plan.count * fold]
    missing = max(0, -begin)
    sound = np.zeros(plan.size)
    lead = min(-missing % fold, len(held))
    whole = (len(held) - lead) // fold
    first = (missing + lead) // fold
    inside = sound[first : first + whole]
    held = held[lead : lead + whole * fold]
    if fold > 1:
        np.dot(held.reshape(-1, fold), np.full(fold, 1.0 / fold), out=inside)
    else:
        inside[:] = held
    if first < plan.zero:
        past = inside[: plan.zero - first]
        inside -= np.add.reduce(past) / len(past)
    return sound


def _before(past: Wave, piece: int) -> list[float]:
    """Power of pieces of the past: those at SHARES of them, and the loudest of LATELY_S."""
    pieces = past.reshape(-1, piece)
    levels = (np.einsum("ij,ij->i", pieces, pieces) / piece + _TINY).tolist()
    ordered = sorted(levels)
    shares = [ordered[round(share * (len(levels) - 1))] for share in SHARES]
    return shares + [max(levels[-round(span / _LEVEL_S) :]) for span in LATELY_S]


def _within_db(ratio: Numbers, lowest: Numbers | float, highest: float = HIGHEST_DB) -> Numbers:
    """In dB, from `lowest` to `highest`; in the memory of `ratio`."""
    np.log10(ratio, out=ratio)
    ratio *= 10.0
    np.maximum(ratio, lowest, out=ratio)
    return np.minimum(ratio, highest, out=ratio)


def _whole(values: Numbers) -> tuple[int, ...]:
    return tuple(np.rint(values, out=values).astype(int).tolist())


def _whole_rows(values: Numbers) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, np.rint(values, out=values).astype(int).tolist()))
