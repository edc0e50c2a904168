"""Picks thousands of pulses and holds the picker to the limit and to what it says of itself.

Onsets are given roughly, as detection gives them: about 0.4 ms early. Whether they would have
been detected is not asked, so that weak pulses count as well.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.core.hearing.arrival import arrive
from agent.core.hearing.picker import Stretch, place
from simulator.scene.propagation import Floats
from simulator.scene.randomness import stream
from simulator.trials.timing import peers, pulses
from simulator.trials.timing.bound import least_sigma_s

SNRS_DB = (40.0, 30.0, 20.0, 16.0, 12.0)
DISTANCES_M = (50.0, 200.0, 800.0)
COMPARED_DB = (40.0, 30.0, 20.0)
_NOISE_S, _SHORT_S, _MANY = 60, 15, 300
_ROUGH_S, _ROUGH_SIGMA_S, _ROUGH_MOST_S = -0.4e-3, 0.12e-3, 0.5e-3


@dataclass(frozen=True, slots=True)
class Cell:
    """Matched pulses of one SNR and distance: errors in us, ours and of each peer that took part.

    `bound_us` is the RMS of the bounds of these pulses.
    """

    snr_db: float
    distance_m: float
    bound_us: float
    z_rms: float
    errors_us: tuple[float, ...]
    peer_errors_us: dict[str, tuple[float, ...]]

    @property
    def rms_us(self) -> float:
        """RMS error."""
        return _rms(self.errors_us)

    @property
    def p50_us(self) -> float:
        """Median size of the error."""
        return float(np.median(np.abs(self.errors_us)))

    @property
    def ratio(self) -> float:
        """RMS error over the bound."""
        return self.rms_us / self.bound_us


@dataclass(frozen=True, slots=True)
class Row:
    """Pulses that differ in one way from what the picker assumes."""

    name: str
    picks: int
    inside: float
    inside_twice: float
    p50_us: float
    p95_us: float
    median_sigma_us: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything of one trial."""

    pulses: int
    seed: int
    cells: tuple[Cell, ...]
    rows: tuple[Row, ...]

    def figures(self) -> dict[str, Any]:
        """By the names that limits are set for."""
        return {
            "pulses_per_cell": self.pulses,
            "seed": self.seed,
            "crlb_ratio_20_40db": self._worst(COMPARED_DB),
            "crlb_ratio_16db": self._worst((16.0,)),
            "sigma_z_rms": {f"{snr_db:g}": self._z_rms(snr_db) for snr_db in SNRS_DB},
            "mismatch_inside": _mean([row.inside for row in self.rows]),
            "mismatch_inside_worst": min(row.inside for row in self.rows),
            "p50_us": self.p50_us,
            "peers_p50_us": self.peers_p50_us,
            "cells": [
                {
                    "snr_db": one.snr_db,
                    "distance_m": one.distance_m,
                    "bound_us": round(one.bound_us, 3),
                    "rms_us": round(one.rms_us, 3),
                    "ratio": round(one.ratio, 3),
                    "p50_us": round(one.p50_us, 3),
                    "z_rms": round(one.z_rms, 3),
                }
                for one in self.cells
            ],
            "mismatch": {
                row.name: {
                    "inside": round(row.inside, 4),
                    "inside_twice": round(row.inside_twice, 4),
                    "p50_us": round(row.p50_us, 1),
                    "p95_us": round(row.p95_us, 1),
                    "median_sigma_total_us": round(row.median_sigma_us, 1),
                }
                for row in self.rows
            },
        }

    def _worst(self, snrs_db: Sequence[float]) -> float:
        return round(max(one.ratio for one in self.cells if one.snr_db in snrs_db), 3)

    def _z_rms(self, snr_db: float) -> float:
        squares = [one.z_rms**2 for one in self.cells if one.snr_db == snr_db]
        return round(math.sqrt(sum(squares) / len(squares)), 3)

    @property
    def p50_us(self) -> float:
        """Median size of all errors at 20 dB and more, where every peer detects."""
        errors = [one.errors_us for one in self.cells if one.snr_db in COMPARED_DB]
        return round(float(np.median(np.abs(np.concatenate(errors)))), 3)

    @property
    def peers_p50_us(self) -> dict[str, float]:
        """The same of each peer, less its constant delay: a calibration would take that away."""
        medians = {}
        for name in PEERS:
            errors = np.concatenate([one.peer_errors_us.get(name, ()) for one in self.cells])
            medians[name] = round(float(np.median(np.abs(errors - np.median(errors)))), 3)
        return medians


PEERS: dict[str, Callable[[Floats, int, int], float]] = {
    "band-pass envelope peak": peers.envelope_peak,
    "STA/LTA and AIC": peers.sta_lta_aic,
}


def run(count: int, seed: int, told: Callable[[str], None] = lambda _: None) -> Outcome:
    """`count` pulses in each cell and row, all drawn from `seed`; `told` hears of the progress."""
    cells = []
    for snr_db in SNRS_DB:
        for distance_m in DISTANCES_M:
            told(f"{snr_db:g} dB at {distance_m:g} m")
            cells.append(cell(snr_db, distance_m, count, seed))
    rows = []
    for name in pulses.MISMATCHES:
        told(name)
        rows.append(row(name, count, seed))
    return Outcome(count, seed, tuple(cells), tuple(rows))


def cell(
    snr_db: float, distance_m: float, count: int, seed: int, *, with_peers: bool = True
) -> Cell:
    """`count` matched pulses of any duration at one SNR and distance."""
    rate_hz = pulses.RATE_HZ
    rng = stream(seed, "timing", f"{snr_db} {distance_m}")
    sound = pulses.noise(_NOISE_S if count >= _MANY else _SHORT_S, rng, rate_hz)
    errors, sigmas, bounds = [], [], []
    theirs: dict[str, list[float]] = {name: [] for name in PEERS}
    frequency_hz = pulses.frequencies_hz(rate_hz)
    for _ in range(count):
        positive_s = float(rng.uniform(*pulses.POSITIVE_S))
        spectrum = pulses.blast(frequency_hz, positive_s, distance_m, rate_hz)
        taken = pulses.take(pulses.Shape(spectrum), snr_db, sound, rate_hz, rng)
        rough = _rough(taken.onsets[0], rate_hz, rng)
        picked = arrive(*_given(taken.samples, rough, rate_hz))
        errors.append(picked.index - taken.onsets[0])
        sigmas.append(picked.sigma_noise)
        bounds.append(least_sigma_s(positive_s, distance_m, snr_db, rate_hz))
        if with_peers and snr_db in COMPARED_DB:
            for name, peer in PEERS.items():
                theirs[name].append(peer(taken.samples, rough, rate_hz) - taken.onsets[0])
    us = 1e6 / rate_hz
    return Cell(
        snr_db=snr_db,
        distance_m=distance_m,
        bound_us=_rms(bounds) * 1e6,
        z_rms=_rms(np.array(errors) / sigmas),
        errors_us=tuple(error * us for error in errors),
        peer_errors_us={name: tuple(e * us for e in them) for name, them in theirs.items()},
    )


def row(name: str, count: int, seed: int) -> Row:
    """`count` pulses of one kind of mismatch, at the SNRs it is tried at."""
    rate_hz = pulses.RATE_HZ
    rng = stream(seed, "timing", name)
    sound = pulses.noise(_NOISE_S if count >= _MANY else _SHORT_S, rng, rate_hz)
    make, snrs_db = pulses.MISMATCHES[name]
    errors, sigmas = [], []
    for _ in range(count):
        taken = pulses.take(make(rate_hz, rng), float(rng.choice(snrs_db)), sound, rate_hz, rng)
        for onset in taken.onsets:
            rough = _rough(onset, rate_hz, rng)
            picked = arrive(*_given(taken.samples, rough, rate_hz))
            errors.append(abs(picked.index - onset))
            sigmas.append(picked.sigma_total)
    size, sigma, us = np.array(errors), np.array(sigmas), 1e6 / rate_hz
    return Row(
        name=name,
        picks=len(size),
        inside=float(np.mean(size <= sigma)),
        inside_twice=float(np.mean(size <= 2.0 * sigma)),
        p50_us=float(np.quantile(size, 0.5)) * us,
        p95_us=float(np.quantile(size, 0.95)) * us,
        median_sigma_us=float(np.median(sigma)) * us,
    )


def _given(samples: Floats, rough: int, rate_hz: int) -> tuple[Stretch, Any]:
    stretch = Stretch(np.asarray(samples, np.float64), rate_hz)
    return stretch, place(stretch, rough)


def _rough(onset: float, rate_hz: int, rng: np.random.Generator) -> int:
    """Where detection puts an onset: early by 0.4 ms, give or take 0.12."""
    off_s = float(np.clip(rng.normal(0.0, _ROUGH_SIGMA_S), -_ROUGH_MOST_S, _ROUGH_MOST_S))
    return math.floor(onset + (_ROUGH_S + off_s) * rate_hz)


def _rms(values: Iterable[float] | Floats) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(list(values))))))


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)
