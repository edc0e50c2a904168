"""When, to a fraction of a sample, the first front of a sound arrived, and how sure that is.

Takes an onset that was found, and places it by fitting the waves of a family in the noise as it was
just before; one that is like none of them keeps its place, or gets its plain first break. Whether
there is an onset is `picker`'s matter, the clock's error `clock.timebase`'s. Uses 0.4 s before the
onset, 5 ms after.

Two uncertainties, both 1 sigma in samples: `sigma_noise` is what noise alone does if the sound is
of the family; `sigma_total` adds what an unknown shape may do, which in the open air rules:
a rise that is the source's own cannot be told from one that the way through the air has made.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from agent.core.hearing.first_break import Break, first_break, is_clipped
from agent.core.hearing.likelihood import Fit, climb, correlations, overlaps
from agent.core.hearing.picker import Pick, Stretch, Wave
from agent.core.hearing.templates import Shapes, Table, shapes
from agent.core.hearing.whitening import NOISE_S, Whitener, whitener

WHOLE, FRONT, SPREAD, BREAK, STEP = "whole", "front", "spread", "break", "step"
SEARCH_S = (-1.5e-3, 2.0e-3)
WHOLE_S = 2.0e-3
FRONT_S = 0.4e-3

# Deflections (amplitude over its sigma) are 13 at 20 dB, 42 at 30 dB, within some 20 %.
_NARROW = 14.0
_USUAL_LATE_S, _USUAL_S = 0.35e-3, 0.6e-3
_UNUSUAL_S = 0.15e-3
_ODD_POLARITY = 0.1
_NEGLIGIBLE = 8.0
_EVERY = 2
_AROUND = 4
_LEAST_PHASE = 0.3

_WELL_EXPLAINED = 0.85
_WELL_AT = 4.0
_FRONT_EXPLAINED = 0.8
_FIRST_SHARE, _LOUD_SHARE = 0.3, 0.4
_SURE, _LOUD_OVER = 5.5, 3.5
_ONE_FRONT_S, _ONE_WAVE_S = 0.45e-3, 0.8e-3

# A straight rise of T fits as air that smears by T / sqrt(12), and puts the onset T / 2 late:
# 1.73 smears. Dispersion, which the waves have not, is less.
_SMEARS = 1.8
_LEAST_S = 10e-6
_LEAST_SAMPLES = 0.1
_LEAST_SIGMA = 1e-3
_CLIPPED_S = 100e-6
_BREAK_S = 150e-6
_EARLIER_S = 0.4e-3


@dataclass(frozen=True, slots=True)
class Arrival:
    """`index` counts (fractional) samples from the start of the stretch, as both sigmas do.

    `how` it was found: WHOLE or FRONT where the blast, or its first 0.4 ms, was fitted, SPREAD
    where noise leaves several places, BREAK for the first break, STEP for the onset as it came.
    """

    index: float
    sigma_noise: float
    sigma_total: float
    how: str


@dataclass(frozen=True, slots=True)
class _Scene:
    """Whitened sound around a rough onset; lag 0 is an onset at sample `first`."""

    first: int
    lags: int
    rough: int
    whitener: Whitener
    white: Wave
    twice: Wave


def prepare(rate_hz: int) -> None:
    """Make the tables for this rate now, so that no onset waits for them."""
    shapes(rate_hz, WHOLE_S)
    shapes(rate_hz, FRONT_S)


def arrive(stretch: Stretch, pick: Pick) -> Arrival:
    """The first arrival of the onset `pick`; the pick itself where too little sound is there."""
    found = first_arrival(stretch, pick.rough, pick.index)
    return found or plain_break(stretch, pick.index)


def first_arrival(stretch: Stretch, rough: int, onset: float | None = None) -> Arrival | None:
    """The first arrival within SEARCH_S of sample `rough`; None where too little sound is there.

    `onset`, by default `rough`, is what stands where nothing better is found.
    """
    whole = shapes(stretch.rate_hz, WHOLE_S)
    scene = _scene(stretch, rough, whole)
    if scene is None:
        return None
    gram = overlaps(whole, scene.whitener.taps, scene.whitener.power)
    coarse = _units(whole.mixes[::_EVERY, ::_EVERY], gram)
    fits = coarse @ correlations(whole, scene.twice, range(scene.lags), 1).T
    np.abs(fits, out=fits)
    size = np.maximum.reduce(fits)
    best = int(size.argmax())
    deflection = float(size[best])
    rivals = np.flatnonzero(size[:best] > _LOUD_SHARE * deflection + _LOUD_OVER)
    is_first = not len(rivals) or best - rivals[0] <= stretch.count(_ONE_WAVE_S)
    plain = is_first and _is_plain(scene, whole, best, deflection)
    spread = _spread(scene, whole, gram, fits) if deflection < _NARROW else None
    if plain and not _is_clipped(stretch, rough):
        return spread or _fitted(scene, whole, gram, best, WHOLE)
    front = _front(stretch, scene, rough, rough if onset is None else onset)
    return front if spread is None else _doubted(front, spread)


def _is_clipped(stretch: Stretch, rough: int) -> bool:
    return is_clipped(stretch, rough - stretch.count(1e-3), rough + stretch.count(3e-3))


def _scene(stretch: Stretch, rough: int, family: Shapes) -> _Scene | None:
    samples, rate_hz = stretch.samples, stretch.rate_hz
    first, last = (rough + round(edge * rate_hz) for edge in SEARCH_S)
    start, stop = first - family.before, last + family.length - family.before
    if start < 1 or stop >= len(samples):
        return None
    noise_from = max(0, start - stretch.count(NOISE_S))
    noise = whitener(_steps(samples[noise_from:start]), rate_hz)
    if noise is None:
        return None
    white = noise.whitened(_steps(samples[start - noise.order - 1 : stop]))
    padded = np.concatenate((white, np.zeros(noise.order)))
    twice = np.correlate(padded, noise.taps, "valid")
    twice /= noise.power
    return _Scene(first, last - first, rough, noise, white, twice)


def _steps(samples: Wave) -> Wave:
    """Differences between neighbours; numpy's own takes twice as long on so few."""
    return samples[1:] - samples[:-1]


def _units(mixes: Table, gram: Table) -> Table:
    """The waves of unit energy under this noise, (durations x distances, rank)."""
    flat = mixes.reshape(-1, len(gram))
    size = np.sqrt(np.einsum("ij,ij->i", flat @ gram, flat))
    return np.asarray(flat / size[:, None])


def _explained(scene: _Scene, waves: Shapes, lag: int, deflection: float) -> float:
    """Share of the sound's energy over that of the noise that the wave at `lag` accounts for."""
    piece = scene.white[lag : lag + waves.length]
    energy = float(piece @ piece) / scene.whitener.power - len(piece)
    return deflection**2 / max(energy, deflection**2, 1.0)


def _is_plain(scene: _Scene, waves: Shapes, lag: int, deflection: float) -> bool:
    """Whether what is left over may be noise; near the noise that says little."""
    wanted = _WELL_EXPLAINED * (1.0 - _WELL_AT / max(deflection, _WELL_AT))
    return _explained(scene, waves, lag, deflection) >= wanted


def _fitted(scene: _Scene, waves: Shapes, gram: Table, best: int, how: str) -> Arrival:
    """Well above the noise the likelihood has one narrow peak: its curvature says how narrow."""
    fit, first = _climbed(scene, waves, gram, best)
    smear = float(np.interp(fit.distance_at, np.arange(len(waves.smears)), waves.smears))
    least = max(_LEAST_S * waves.rate_hz, _LEAST_SAMPLES)
    total = math.hypot(_SMEARS * smear, least)
    sigma = max(fit.sigma_lag, _LEAST_SIGMA)
    return Arrival(scene.first + first + fit.lag, sigma, math.hypot(total, sigma), how)


def _climbed(scene: _Scene, waves: Shapes, gram: Table, best: int) -> tuple[Fit, int]:
    """The best fit near lag `best`, and the lag that it counts from."""
    first = max(0, min(best - _AROUND, scene.lags - 2 * _AROUND - 1))
    lags = range(first, first + 2 * _AROUND + 1)
    along = correlations(waves, scene.twice, lags, waves.phases)
    units = _units(waves.mixes, gram)
    at, node = divmod(int(np.abs(along @ units.T).argmax()), len(units))
    return climb(waves, along, gram, (at, *divmod(node, waves.mixes.shape[1]))), first


def _spread(scene: _Scene, waves: Shapes, gram: Table, fits: Table) -> Arrival:
    """Near the noise: mean and width of the posterior over all lags and waves of the family.

    Flat in ln(duration), ln(distance) and over the lags that detection usually gives; the
    amplitude integrated out, which leaves exp(deflection^2 / 2).
    """
    late_s = (scene.first + np.arange(scene.lags) - scene.rough) / waves.rate_hz
    usual = -np.maximum(np.abs(late_s - _USUAL_LATE_S) - _USUAL_S, 0.0) / _UNUSUAL_S
    seen = fits * fits * 0.5 + usual
    is_likely = seen.max(axis=0) > seen.max() - _NEGLIGIBLE
    is_likely[1:] |= is_likely[:-1]
    is_likely[:-1] |= is_likely[1:]
    whole = np.flatnonzero(is_likely)
    along = correlations(waves, scene.twice, whole, waves.phases)
    deflections = along @ _units(waves.mixes, gram).T
    chance = deflections * deflections * 0.5
    chance[deflections < 0.0] += math.log(_ODD_POLARITY)
    chance += np.repeat(usual[whole], waves.phases)[:, None]
    weight = np.exp(chance - chance.max())
    per_lag, total = weight.sum(axis=1), float(weight.sum())
    lags = (whole[:, None] + np.arange(waves.phases) / waves.phases).ravel()
    mean = float(per_lag @ lags) / total
    sigma = math.sqrt(float(per_lag @ (lags - mean) ** 2) / total)
    sigma = max(sigma, _LEAST_PHASE / waves.phases)
    per_distance = weight.reshape(len(lags), *waves.mixes.shape[:2]).sum(axis=(0, 1))
    smear = math.sqrt(float(per_distance @ waves.smears**2) / total)
    least = max(_LEAST_S * waves.rate_hz, _LEAST_SAMPLES)
    return Arrival(scene.first + mean, sigma, math.hypot(sigma, _SMEARS * smear, least), SPREAD)


def _doubted(front: Arrival, spread: Arrival) -> Arrival:
    """Near the noise it is not sure that the blast does not fit: what it would say stays likely."""
    apart = front.index - spread.index
    noise = math.hypot(front.sigma_noise, spread.sigma_noise, apart)
    return replace(front, sigma_noise=noise, sigma_total=math.hypot(front.sigma_total, noise))


def _front(stretch: Stretch, scene: _Scene, rough: int, onset: float) -> Arrival:
    """Echoes and clipping leave the first 0.4 ms alone, so that these may fit.

    Where they do not, the onset as it came stands, unless the sound had broken out well before.
    """
    waves = shapes(stretch.rate_hz, FRONT_S)
    gram = overlaps(waves, scene.whitener.taps, scene.whitener.power)
    along = correlations(waves, scene.twice, range(scene.lags), 1)
    of_all = _units(waves.mixes, gram) @ along.T
    fits = np.maximum.reduce(np.abs(of_all, out=of_all))
    strong = max(_FIRST_SHARE * float(fits.max()), min(_SURE, float(fits.max())))
    first = int(np.argmax(fits >= strong))  # no later, louder echo
    best = first + int(fits[first : first + stretch.count(_ONE_FRONT_S) + 1].argmax())
    if _explained(scene, waves, best, float(fits[best])) < _FRONT_EXPLAINED:
        return plain_break(stretch, onset)
    found = _fitted(scene, waves, gram, best, FRONT)
    if not _is_clipped(stretch, rough):
        return found
    return replace(found, sigma_total=math.hypot(found.sigma_total, _CLIPPED_S * waves.rate_hz))


def plain_break(stretch: Stretch, onset: float) -> Arrival:
    """The first break of sound at `onset`: as true as a fit, less exact, much cheaper."""
    broke = first_break(stretch, onset) or Break(onset, 0.0, 0.0)
    unknown = _BREAK_S * stretch.rate_hz
    sigma = max(broke.sigma, _LEAST_SIGMA)
    total = math.hypot(sigma, broke.rise / 2.0, unknown)
    if onset - broke.index < stretch.count(_EARLIER_S):
        return Arrival(onset, sigma, total, STEP)
    return Arrival(broke.index, sigma, total, BREAK)
