"""Following one clock against another: right, honest, and aware of what kind of crystal it is."""

import numpy as np
import pytest

from agent.core.clock.clock_filter import Drift


def wandering(rng: np.random.Generator, seconds: int, ppm_per_sqrt_hour: float) -> np.ndarray:
    """Offset in ns at each second of an oscillator whose rate does a random walk."""
    rates = rng.normal(0, 15_000) + np.cumsum(rng.normal(0, ppm_per_sqrt_hour * 1000 / 60, seconds))
    return np.concatenate([[0.0], np.cumsum(rates)])


@pytest.mark.parametrize("wander", [0.2, 2.0])
def test_pulses_are_followed_with_an_honest_sigma(wander: float) -> None:
    """Errors over sigma have an RMS near one, after the last pulse and five minutes later."""
    now, later = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth, drift = wandering(rng, 900, wander), Drift(2.0)
        for second in range(600):
            drift.observe(second, truth[second] + rng.normal(0, 1000), 1000)
        for ahead, errors in ((1, now), (300, later)):
            guess = drift.at(599 + ahead)
            errors.append((guess.offset_ns - truth[599 + ahead]) / guess.sigma_ns)
    assert 0.8 < np.sqrt(np.mean(np.square(now))) < 1.2
    assert 0.7 < np.sqrt(np.mean(np.square(later))) < 1.3


def test_late_observations_are_followed_from_below() -> None:
    """Exponential delays of 10 us do not make the line late by more than a tenth of that."""
    errors, sigmas = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth, drift = wandering(rng, 200, 2.0), Drift(3.0)
        for second in range(200):
            drift.observe_late(second, truth[second] + rng.exponential(10_000), 10_000, 300)
        guess = drift.at(199)
        errors.append(guess.offset_ns - truth[199])
        sigmas.append(guess.sigma_ns)
    assert abs(np.mean(errors)) < 1_000
    assert np.sqrt(np.mean(np.square(errors))) < 4_000
    assert 0.6 < np.sqrt(np.mean(np.square(errors))) / np.median(sigmas) < 1.6


def test_it_learns_what_kind_of_crystal_it_is() -> None:
    """After twenty minutes of pulses a good crystal and a poor one are told apart by far."""
    found = []
    for wander in (0.1, 3.0):
        rng = np.random.default_rng(5)
        truth, drift = wandering(rng, 1200, wander), Drift(2.0)
        for second in range(1200):
            drift.observe(second, truth[second] + rng.normal(0, 500), 500)
        found.append(drift.wander_ppm_per_sqrt_hour)
    assert found[0] < 0.3
    assert found[1] > 1.5


def test_one_late_second_is_not_believed() -> None:
    """A second in which every block was late by milliseconds moves the line by less than a us."""
    drift = Drift(3.0)
    for second in range(100):
        drift.observe_late(second, 5_000.0 * (second % 3), 5_000, 300)
    before = drift.at(100).offset_ns
    drift.observe_late(100, 8e6, 5_000, 300)
    assert abs(drift.at(101).offset_ns - before) < 1_000


def test_a_forgotten_offset_is_learnt_at_once_since_the_rate_holds() -> None:
    """After a jump one observation gives the offset again, and sigma says so."""
    drift = Drift(2.0)
    for second in range(100):
        drift.observe(second, 40_000.0 * second, 1000)
    drift.forget_offset()
    assert drift.at(100).sigma_ns > 1e8
    drift.observe(100, 7e8, 1000)
    assert abs(drift.at(101).offset_ns - 7e8 - 40_000) < 3_000
    assert drift.at(101).sigma_ns < 3_000


def test_no_input_breaks_it() -> None:
    """Absurd offsets and delays of any size keep all numbers finite."""
    rng = np.random.default_rng(0)
    drift = Drift(1.0)
    for second in range(3000):
        drift.observe_late(second, rng.normal(0, 1) * 10 ** rng.uniform(0, 15), 200, 300)
        guess = drift.at(second + 1)
        assert np.isfinite([guess.offset_ns, guess.sigma_ns, guess.rate_ns_per_s]).all()
        assert guess.sigma_ns >= 0
