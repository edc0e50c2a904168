"""An onset's numbers by their definitions, one after the other, without any of the short cuts.

Slow on purpose, and never to be made quick: the agent's own way has to agree with it, for the
models have learned from these numbers. Also the picker's and the trees' plain ways.
"""

import itertools
import math

import numpy as np

from agent.core.hearing import band_envelopes as bands
from agent.core.hearing import features as measured
from agent.core.hearing import picker
from agent.core.hearing.picker import Stretch
from agent.core.hearing.spectra import smooth_size
from agent.core.hearing.trees import Trees

TINY = 1e-12
COARSE_HZ, BEFORE_S, AFTER_S, SOFT_OCTAVES = 11_000, 0.42, 0.26, 0.15


def level_db(power: np.ndarray) -> np.ndarray:
    return 10.0 * np.log10(power)


def dbfs(amplitude: float) -> float:
    return 20.0 * math.log10(amplitude) if amplitude > 1e-10 else -200.0


def features(stretch: Stretch, onset: int) -> dict[str, object]:
    """All that `features.measure` tells, by name, unrounded but for what is whole."""
    rate_hz, sound = stretch.rate_hz, stretch.samples
    count = stretch.count
    noise = sound[max(0, onset - count(0.1)) : onset]
    noise = noise[: max(1, len(noise) - count(0.01))]
    mean = noise.mean() if len(noise) else 0.0
    noise_rms = float(np.std(noise)) if len(noise) else 0.0
    window = sound[onset : onset + count(0.25)] - mean
    attack = np.abs(window[: count(0.03)])
    peak, rms = float(attack.max()), float(np.sqrt(np.mean(attack**2)))
    piece = window[: count(0.02)]
    power = np.abs(np.fft.rfft(piece * np.hanning(2 * len(piece))[len(piece) :])) ** 2
    power[0] = 0.0
    frequency_hz = np.fft.rfftfreq(len(piece), 1.0 / rate_hz)
    return {
        "peak_dbfs": dbfs(peak),
        "snr_db": dbfs(peak) - dbfs(max(noise_rms, 1e-7)),
        "noise_dbfs": dbfs(noise_rms),
        "crest_db": dbfs(peak) - dbfs(max(rms, 1e-10)),
        "centroid_hz": float(power @ frequency_hz / power.sum()) if power.sum() > 0 else 0.0,
        "duration_ms": 1e3 * duration(window, peak, count(1e-3)) / rate_hz,
        "envelope_db": envelope_db(window, count(0.025)),
        "clipped": is_clipped(np.abs(sound[onset : onset + count(0.25)])),
        **timbre(stretch, onset),
    }


def duration(window: np.ndarray, peak: float, millisecond: int) -> int:
    """As the node counts it: in steps of a quarter of a millisecond."""
    step = max(1, millisecond // 4)
    size = [np.abs(window[at : at + step]).sum() for at in range(0, len(window) - step + 1, step)]
    wide = min(4, len(size))
    last = None
    for at in range(len(size) - wide + 1):
        if sum(size[at : at + wide]) > 0.1 * peak * wide * step:
            last = at
    return 0 if last is None else last * step + (wide * step + 1) // 2


def envelope_db(window: np.ndarray, piece: int) -> list[float]:
    levels = [
        math.sqrt(np.mean(window[at : at + piece] ** 2))
        for at in range(0, len(window) - piece + 1, piece)
    ]
    top = max(levels, default=0.0)
    return [max(-60.0, 20.0 * math.log10(max(one / top, 1e-6))) for one in levels] if top else []


def is_clipped(size: np.ndarray) -> bool:
    top = size.max()
    runs = [len(list(run)) for flat, run in itertools.groupby(size >= top * (1 - 2e-3)) if flat]
    return bool(top >= 0.5 and max(runs) >= 3)


def timbre(stretch: Stretch, onset: int) -> dict[str, object]:
    """Each band cut out of the spectrum on its own, each span's power from a running sum."""
    rate_hz, sound = coarse(stretch, onset)
    zero, size = round(BEFORE_S * rate_hz), 1 << (len(sound) - 1).bit_length()
    frequency_hz = np.fft.rfftfreq(size, 1.0 / rate_hz)
    steep = (frequency_hz / bands.LOWEST_HZ) ** 4
    spectrum = np.fft.rfft(sound, size) * np.sqrt(steep / (1.0 + steep))
    wave = np.fft.irfft(spectrum, size)[: len(sound)]
    levels = [span_means(wave**2, 1.0, zero / rate_hz, rate_hz)]
    for low_hz, high_hz in itertools.pairwise(bands.BAND_EDGES_HZ):
        first, last, weight = band(low_hz, high_hz, frequency_hz)
        small = 1 << (last - first - 1).bit_length()
        envelope = np.fft.ifft(spectrum[first:last] * weight, small) * (small / size)
        levels.append(
            span_means(2.0 * np.abs(envelope) ** 2, size / small, zero / rate_hz, rate_hz)
        )
    power = np.array(levels) + TINY
    spans = [*itertools.pairwise(bands.PAST_EDGES_S), *itertools.pairwise(bands.COURSE_EDGES_S)]
    lasts = np.array([b - a if a >= 0.001 and b <= 0.02 else 0.0 for a, b in spans])
    attack = power @ (lasts / lasts.sum())
    colour = np.clip(level_db(attack[1:] / attack[0]), -60.0, 0.0)
    tail = wave[zero + round(0.03 * rate_hz) : zero + round(0.25 * rate_hz)]
    return {
        "spectrum_db": colour - colour.mean(),
        "course_db": np.clip(
            level_db(power / attack[:, None]), bands.LOWEST_DB, bands.HIGHEST_DB
        ).ravel(),
        "before_db": before_db(wave[: zero - round(0.005 * rate_hz)], attack[0], rate_hz),
        "shape": shape(wave, tail, zero, rate_hz),
        "tonality": tonality(tail, rate_hz),
    }


def coarse(stretch: Stretch, onset: int) -> tuple[float, np.ndarray]:
    """Averaged down, silence where there is no sound, without the mean of what went before."""
    fold = max(1, stretch.rate_hz // COARSE_HZ)
    rate_hz = stretch.rate_hz / fold
    zero, count = round(BEFORE_S * rate_hz), round((BEFORE_S + AFTER_S) * rate_hz)
    sound = np.zeros(count)
    there = np.zeros(count, bool)
    for at in range(count):
        start = onset + (at - zero) * fold
        if start >= 0 and start + fold <= len(stretch.samples):
            sound[at], there[at] = stretch.samples[start : start + fold].mean(), True
    if there[:zero].any():
        sound[there] -= sound[:zero][there[:zero]].mean()
    return rate_hz, sound


def band(low_hz: float, high_hz: float, hz: np.ndarray) -> tuple[int, int, np.ndarray]:
    octaves = np.log2(np.maximum(hz, 1.0))
    rise = np.clip((octaves - np.log2(low_hz)) / (2 * SOFT_OCTAVES) + 0.5, 0.0, 1.0)
    fall = np.clip((np.log2(high_hz) - octaves) / (2 * SOFT_OCTAVES) + 0.5, 0.0, 1.0)
    weight = np.sin(rise * np.pi / 2) * np.sin(fall * np.pi / 2)
    inside = np.flatnonzero(weight > 0.0)
    first, last = int(inside[0]), int(inside[-1]) + 1
    return first, last, weight[first:last]


def span_means(power: np.ndarray, step: float, zero_s: float, rate_hz: float) -> list[float]:
    """The integral of a staircase, between edges that need not lie on its steps."""
    total = np.concatenate(([0.0], np.cumsum(power)))

    def until(edge_s: float) -> float:
        place = (edge_s + zero_s) * rate_hz / step + 0.5
        return total[int(place)] + (place - int(place)) * power[int(place)]

    spans = [*itertools.pairwise(bands.PAST_EDGES_S), *itertools.pairwise(bands.COURSE_EDGES_S)]
    return [
        (until(stop) - until(start)) * step / ((stop - start) * rate_hz) for start, stop in spans
    ]


def before_db(past: np.ndarray, attack: float, rate_hz: float) -> np.ndarray:
    piece = round(12.5e-3 * rate_hz)
    first = len(past) % piece
    levels = [np.mean(past[at : at + piece] ** 2) for at in range(first, len(past), piece)]
    shares = [sorted(levels)[round(share * (len(levels) - 1))] for share in bands.SHARES]
    lately = [max(levels[-round(span / 12.5e-3) :]) for span in bands.LATELY_S]
    told = level_db((np.array(shares + lately) + TINY) / attack)
    return np.clip(told, -60.0, bands.HIGHEST_DB)


def shape(wave: np.ndarray, tail: np.ndarray, zero: int, rate_hz: float) -> list[float]:
    attack = wave[zero - round(0.001 * rate_hz) : zero + round(0.03 * rate_hz)]
    peak, tail_peak = (max(float(np.abs(one).max()), TINY) for one in (attack, tail))
    rms, tail_rms = (max(math.sqrt(np.mean(one**2)), TINY) for one in (attack, tail))
    lines = np.abs(np.fft.rfft(tail * np.hanning(len(tail)))) ** 2
    per_hz = len(tail) / rate_hz
    lines = lines[round(100 * per_hz) : round(5000 * per_hz)] + TINY
    mean = lines.mean()
    turns = [
        np.mean(np.diff((one > 0).astype(int)) != 0) * (len(one) - 1) for one in (attack, tail)
    ]
    return [
        20 * math.log10(peak / rms),
        20 * math.log10(tail_peak / tail_rms),
        max(-80.0, 20 * math.log10(tail_peak / peak)),
        level_db(lines).mean() - level_db(mean),
        level_db(lines.max() / mean),
        int(np.argmax(np.abs(attack))) / rate_hz * 1e3,
        attack.max() / peak,
        -attack.min() / peak,
        *(10 * turn / len(one) for turn, one in zip(turns, (attack, tail), strict=True)),
    ]


def tonality(tail: np.ndarray, rate_hz: float) -> float:
    lags = np.arange(round(1.25e-3 * rate_hz), round(14.2e-3 * rate_hz))
    size = smooth_size(len(tail) + lags[-1] + 1)
    together = np.fft.irfft(np.abs(np.fft.rfft(tail, size)) ** 2, size)
    if together[0] <= TINY:
        return 0.0
    return float(np.clip((together[lags] / (1 - lags / len(tail))).max() / together[0], 0.0, 1.0))


def onsets(stretch: Stretch, first: int, last: int, floor: float) -> list[int]:
    """Whole samples at which the picker's ratio is largest of all within APART_S."""
    sound, reach = stretch.samples, stretch.count(picker.STEP_S)
    total = np.concatenate(([0.0], np.cumsum(sound)))
    step = np.zeros(len(sound))
    at = np.arange(reach, len(sound) - reach + 1)
    step[at] = (total[at + reach] - 2 * total[at] + total[at - reach]) / reach
    energy = np.concatenate(([0.0], np.cumsum(step**2)))
    after, before = stretch.count(picker.AFTER_S), stretch.count(picker.BEFORE_S)
    guard, apart = stretch.count(picker.GUARD_S), stretch.count(picker.APART_S)
    at = np.arange(max(first - apart, before + guard), min(last + apart, len(sound) - after + 1))
    ahead = (energy[at + after] - energy[at]) / after
    behind = (energy[at - guard] - energy[at - guard - before]) / before
    rise = np.where(ahead < picker.LEAST_OVER_FLOOR * floor, 0.0, ahead / (behind + floor))
    return [
        int(at[k])
        for k in range(len(at))
        if rise[k] > picker.LEAST_RISE
        and first <= at[k] < last
        and rise[k] > rise[max(0, k - apart) : k].max(initial=0.0)
        and rise[k] >= rise[k + 1 : k + 1 + apart].max(initial=0.0)
    ]


def log_odds(trees: Trees, row: np.ndarray) -> float:
    """One tree after the other, one question after the other."""
    total = trees.offset
    for inputs, limits, leaves in zip(trees.inputs, trees.limits, trees.leaves, strict=True):
        node = 0
        while node < len(inputs):
            node = 2 * node + 1 + int(row[inputs[node]] > limits[node])
        total += leaves[node - len(inputs)]
    return total


ROUNDING = {"centroid_hz": 0.1, "envelope_db": 0.1, "spectrum_db": 1.0, "course_db": 1.0}
ROUNDING |= {"before_db": 1.0, "tonality": 1e-3, "clipped": 0.0}
LEAST_ROUNDING = 0.01
assert measured.WINDOW_S == 0.25
