"""When, to a fraction of a sample, the first front of a sound arrived, and how sure that is.

Takes an onset that was found and places it by fitting the waves of a family in the noise as it
was just before. Whether there is an onset is `onset`'s matter; the clock's error is `timebase`'s.
"""

from dataclasses import dataclass, replace

import numpy as np

from agent.core.blastshapes import Shapes, Table, shapes
from agent.core.likelihood import Fit, climb, correlations, mix_at, overlaps
from agent.core.onset import Pick, Stretch, Wave
from agent.core.whitening import NOISE_S, Whitener, whitener

SEARCH_S = (-1.5e-3, 2.0e-3)
_SHARP = 14.0
_ODD_POLARITY = 0.1
_NEGLIGIBLE = 12.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """`index` counts (fractional) samples from the start of the stretch.

    `sigma_noise` (samples) is what noise alone does, `sigma_total` what an unknown shape adds.
    """

    index: float
    sigma_noise: float
    sigma_total: float
    deflection: float
    explained: float
    smear: float


@dataclass(frozen=True, slots=True)
class _Scene:
    """Whitened sound around a rough onset. `first` is the sample of lag 0."""

    shapes: Shapes
    first: int
    lags: int
    whitener: Whitener
    white: Wave
    twice: Wave
    gram: Table


def first_arrival(stretch: Stretch, rough: int) -> Arrival | None:
    """The arrival within SEARCH_S of sample `rough`; None where too little is there to tell."""
    scene = _scene(stretch, rough)
    if scene is None:
        return None
    mixes = scene.shapes.mixes.reshape(-1, scene.shapes.mixes.shape[-1])
    units = mixes / np.sqrt(np.einsum("kr,kr->k", mixes @ scene.gram, mixes))[:, None]
    along = correlations(scene.shapes, scene.twice, np.arange(scene.lags), 1)
    fits = along @ units.T
    prior = _lag_prior(scene, rough)
    best, _ = np.unravel_index(np.argmax(np.abs(fits)), fits.shape)
    if np.abs(fits).max() > _SHARP:
        return _sharp(scene, units, int(best))
    return _blurred(scene, units, fits, prior)


def _scene(stretch: Stretch, rough: int) -> _Scene | None:
    family = shapes(stretch.rate_hz)
    first = rough + round(SEARCH_S[0] * stretch.rate_hz)
    last = rough + round(SEARCH_S[1] * stretch.rate_hz)
    start, stop = first - family.before, last + family.length - family.before
    samples = stretch.samples
    noise_from = max(0, start - stretch.count(NOISE_S) - stretch.rate_hz // 20)
    if start < 1 or stop >= len(samples):
        return None
    noise = whitener(np.diff(samples[noise_from:start]), stretch.rate_hz)
    if noise is None:
        return None
    white = np.convolve(np.diff(samples[start - noise.order - 1 : stop]), noise.taps, "valid")
    padded = np.concatenate((white, np.zeros(noise.order)))
    twice = np.correlate(padded, noise.taps, "valid") / noise.power
    gram = overlaps(family, noise.taps, noise.power)
    return _Scene(family, first, last - first, noise, white, twice, gram)


def _lag_prior(scene: _Scene, rough: int) -> Table:
    away_s = np.abs(scene.first + np.arange(scene.lags) - rough) / scene.shapes.rate_hz
    return -np.maximum(away_s - 0.9e-3, 0.0) / 0.15e-3


def _sharp(scene: _Scene, units: Table, best: int) -> Arrival:
    """Well above the noise the likelihood has one narrow peak: its curvature says how narrow."""
    fit = _climbed(scene, units, best)
    index = scene.first + max(0, best - 2) + fit.lag
    return _arrival(scene, index, fit.sigma_lag, fit)

def _climbed(scene,units,best):
    lags = np.arange(max(0, best - 2), min(scene.lags, best + 3))
    along = correlations(scene.shapes, scene.twice, lags, scene.shapes.phases)
    fits = along @ units.T
    at, node = np.unravel_index(np.argmax(np.abs(fits)), fits.shape)
    distances = scene.shapes.mixes.shape[1]
    start = (int(at), int(node) // distances, int(node) % distances)
    return climb(scene.shapes, along, scene.gram, start)


def _blurred(scene: _Scene, units: Table, fits: Table, prior: Table) -> Arrival:
    """Near the noise: mean and width of the likelihood over all lags and waves."""
    top = fits * fits * 0.5 + prior[:, None]
    enough = top.max() - _NEGLIGIBLE
    likely = np.flatnonzero(top.max(axis=1) > enough)
    nodes = np.flatnonzero(top.max(axis=0) > enough)
    lags = np.unique(np.clip(likely[:, None] + np.array([-1, 0, 1]), 0, scene.lags - 1))
    along = correlations(scene.shapes, scene.twice, lags, scene.shapes.phases)
    fine = along @ units[nodes].T
    phases = scene.shapes.phases
    log = fine * fine * 0.5 + np.repeat(prior[lags], phases)[:, None] + np.where(fine<0,np.log(_ODD_POLARITY),0.)
    weight = np.exp(log - log.max())
    per_lag = weight.sum(axis=1)
    per_lag /= per_lag.sum()
    at = (lags[:, None] + np.arange(phases) / phases).ravel()
    mean = float(per_lag @ at)
    sigma = float(np.sqrt(per_lag @ (at - mean) ** 2))
    return Arrival(scene.first + mean, max(sigma,.3/phases), sigma, float(np.sqrt(2*top.max())), 1.0, 0.0)


def _arrival(scene,index,sigma,fit):
    sh=scene.shapes
    mix = mix_at(sh, fit.duration_at, fit.distance_at)
    lag=index-scene.first
    p=int(round(lag*sh.phases)); l,ph=divmod(p,sh.phases)
    model=np.convolve(sh.basis[ph]@mix*fit.amplitude, scene.whitener.taps)[:sh.length]
    seg=scene.white[l:l+sh.length]
    res=seg-model
    mis=float(np.mean(res**2))/scene.whitener.power
    expl=1-float(res@res)/float(seg@seg)
    smear=np.interp(fit.distance_at,np.arange(len(sh.smears)),sh.smears)
    return Arrival(index,sigma,mis,fit.deflection,expl,float(smear))
