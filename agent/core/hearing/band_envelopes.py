"""The colour of an onset over time: the course of ten bands, what went before, and its shape.

All is measured on sound averaged down to 11-16 kHz and above LOWEST_HZ, so that it hardly depends
on the sample rate or on wind. Every band is told relative to its own attack, so that microphones
and distance, which colour a sound, leave its course alone. Loudness is `features`' matter.
"""

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from agent.core.hearing.attack_and_tail import lines, shape, tonality
from agent.core.hearing.picker import Stretch, Wave
from agent.core.hearing.spectra import squares

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
_SOFT_OCTAVES = 0.15
_TINY = 1e-12

Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


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
    numbers that need the tail's spectrum. `spectrum`, `wave` and `levels` are for `timbre`.
    """

    rate_hz: float
    zero: int
    spectrum: npt.NDArray[np.complex128]
    wave: Wave
    levels: Numbers
    course_db: tuple[int, ...]
    before_db: tuple[int, ...]
    shape: tuple[float, ...]

    @property
    def tail(self) -> Wave:
        """What follows the attack."""
        first, last = (self.zero + round(one * self.rate_hz) for one in _TAIL_S)
        return self.wave[first:last]


def outline(stretch: Stretch, onset: int) -> Outline:
    """Outline of the onset at whole sample `onset`; sound that is not there counts as silence."""
    rate_hz, sound = _coarse(stretch, onset)
    zero = round(_BEFORE_S * rate_hz)
    plan = _plan(rate_hz, len(sound))
    spectrum = np.fft.rfft(sound, plan.size) * plan.high_pass
    wave = np.fft.irfft(spectrum, plan.size)[: len(sound)]
    levels = plan.whole.means(wave * wave) + _TINY
    attack = float(levels[plan.attack] @ plan.attack_share)
    first, last = (zero + round(one * rate_hz) for one in _TAIL_S)
    return Outline(
        rate_hz=rate_hz,
        zero=zero,
        spectrum=spectrum,
        wave=wave,
        levels=levels,
        course_db=_whole(_within(levels / attack)),
        before_db=_whole(_before(wave[: zero - round(0.005 * rate_hz)], attack, rate_hz)),
        shape=shape(wave, wave[first:last], zero, rate_hz),
    )


def timbre(outlined: Outline) -> Timbre:
    """The whole timbre of an onset whose outline is known."""
    plan = _plan(outlined.rate_hz, len(outlined.wave))
    levels = np.empty((len(BAND_EDGES_HZ), plan.whole.count))
    levels[0] = outlined.levels
    for row, band in zip(levels[1:], plan.bands, strict=True):
        envelope = np.fft.ifft(outlined.spectrum[band.first : band.last] * band.weight, band.size)
        row[:] = band.spans.means(squares(envelope))
    levels[1:] += _TINY
    attack = levels[:, plan.attack] @ plan.attack_share
    bands = np.clip(_db(attack[1:] / attack[0]), -60.0, 0.0)
    tail, (early, late) = outlined.tail, (outlined.shape[:3], outlined.shape[3:])
    return Timbre(
        spectrum_db=_whole(bands - bands.mean()),
        course_db=(outlined.course_db, *_whole_rows(_within(levels[1:] / attack[1:, None]))),
        before_db=outlined.before_db,
        shape=(*early, *lines(tail, outlined.rate_hz), *late),
        tonality=round(tonality(tail, outlined.rate_hz), 3),
    )


@dataclass(frozen=True, slots=True)
class _Band:
    """Bins `first` <= k < `last` of the spectrum, faded by `weight`; `size` of its transform."""

    first: int
    last: int
    weight: Numbers
    size: int
    spans: "_Spans"


@dataclass(frozen=True, slots=True)
class _Spans:
    """Means of power over spans with fractional edges, (2, spans) each of `at` and `inside`.

    `at` is the sample in which an edge lies, and `inside` how much of it lies before the edge.
    """

    at: Places
    inside: Numbers
    scale: Numbers

    @property
    def count(self) -> int:
        return len(self.scale)

    def means(self, power: Numbers) -> Numbers:
        before = np.cumsum(power)[self.at] - (1.0 - self.inside) * power[self.at]
        return np.asarray((before[1] - before[0]) * self.scale)


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that depends on the rate alone."""

    size: int
    high_pass: Numbers
    bands: tuple[_Band, ...]
    whole: _Spans
    attack: slice
    attack_share: Numbers


@lru_cache(maxsize=16)
def _plan(rate_hz: float, count: int) -> _Plan:
    size = 1 << (count - 1).bit_length()
    frequency_hz: Numbers = np.fft.rfftfreq(size, 1.0 / rate_hz).astype(np.float64)
    steep = (frequency_hz / LOWEST_HZ) ** 4
    starts = np.array(PAST_EDGES_S[:-1] + COURSE_EDGES_S[:-1])
    stops = np.array(PAST_EDGES_S[1:] + COURSE_EDGES_S[1:])
    past = len(PAST_EDGES_S) - 1
    inside = [
        past + at
        for at, (start, stop) in enumerate(itertools.pairwise(COURSE_EDGES_S))
        if start >= _ATTACK_S[0] and stop <= _ATTACK_S[1]
    ]
    lasting = (stops - starts)[inside]
    edges = (np.stack((starts, stops)) + round(_BEFORE_S * rate_hz) / rate_hz) * rate_hz
    return _Plan(
        size=size,
        high_pass=np.sqrt(steep / (1.0 + steep)),
        bands=tuple(
            _band(low_hz, high_hz, frequency_hz, size, edges)
            for low_hz, high_hz in itertools.pairwise(BAND_EDGES_HZ)
        ),
        whole=_spans(edges, 1.0, 1.0),
        attack=slice(inside[0], inside[-1] + 1),
        attack_share=lasting / lasting.sum(),
    )


def _band(low_hz: float, high_hz: float, frequency_hz: Numbers, size: int, edges: Numbers) -> _Band:
    """Edges that fade by half at `low_hz` and `high_hz`: little rings before a sharp onset."""
    octaves = np.log2(np.maximum(frequency_hz, 1.0))
    rise = (octaves - np.log2(low_hz)) / (2.0 * _SOFT_OCTAVES) + 0.5
    fall = (np.log2(high_hz) - octaves) / (2.0 * _SOFT_OCTAVES) + 0.5
    weight = np.sin(np.clip(rise, 0.0, 1.0) * np.pi / 2) * np.sin(
        np.clip(fall, 0.0, 1.0) * np.pi / 2
    )
    bins = np.flatnonzero(weight > 0.0)
    first, last = int(bins[0]), int(bins[-1]) + 1
    small = 1 << (last - first - 1).bit_length()
    gain = 2.0 * (small / size) ** 2
    return _Band(first, last, weight[first:last], small, _spans(edges, size / small, gain))


def _spans(edges: Numbers, step: float, gain: float) -> _Spans:
    """Of power sampled every `step`, times `gain`; edges (2, spans) in samples.

    A sample's power counts from half a step before it to half a step after it.
    """
    place = edges / step + 0.5
    at = place.astype(np.intp)
    return _Spans(at, place - at, gain * step / (edges[1] - edges[0]))


def _coarse(stretch: Stretch, onset: int) -> tuple[float, Wave]:
    """Rate, and sound from _BEFORE_S before the onset to _AFTER_S after it, averaged down.

    The mean of what went before is taken away.
    """
    fold = max(1, stretch.rate_hz // _COARSE_HZ)
    rate_hz = stretch.rate_hz / fold
    before, count = round(_BEFORE_S * rate_hz), round((_BEFORE_S + _AFTER_S) * rate_hz)
    begin = onset - before * fold
    held = stretch.samples[max(0, begin) : begin + count * fold]
    missing = max(0, -begin)
    sound = np.zeros(count)
    lead = min(-missing % fold, len(held))
    whole = (len(held) - lead) // fold
    first = (missing + lead) // fold
    pieces = held[lead : lead + whole * fold].reshape(-1, fold)
    inside = sound[first : first + whole]
    np.dot(pieces, np.full(fold, 1.0 / fold), out=inside)
    if first < before:
        inside -= inside[: before - first].mean()
    return rate_hz, sound


def _before(past: Wave, attack: float, rate_hz: float) -> Numbers:
    piece = round(_LEVEL_S * rate_hz)
    whole = len(past) // piece * piece
    levels = np.square(past[len(past) - whole :]).reshape(-1, piece).mean(axis=1)
    ordered = np.sort(levels)
    last = len(levels) - 1
    shares = [ordered[round(share * last)] for share in SHARES]
    lately = [levels[-round(span / _LEVEL_S) :].max() for span in LATELY_S]
    return np.clip(_db((np.array(shares + lately) + _TINY) / attack), -60.0, float(HIGHEST_DB))


def _within(ratio: Numbers) -> Numbers:
    """In dB, from LOWEST_DB to HIGHEST_DB."""
    return np.clip(_db(ratio), float(LOWEST_DB), float(HIGHEST_DB))


def _db(ratio: Numbers) -> Numbers:
    return 10.0 * np.log10(ratio)


def _whole(values: Numbers) -> tuple[int, ...]:
    return tuple(np.rint(values).astype(int).tolist())


def _whole_rows(values: Numbers) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, np.rint(values).astype(int).tolist()))
