"""The quick ways give the numbers of the plain ways: models and records rest on them."""

import numpy as np
import pytest

from agent.core.hearing.classification import shipped_model
from agent.core.hearing.features import measure
from agent.core.hearing.inputs import INPUTS, SKETCH
from agent.core.hearing.likelihood import correlations, overlaps
from agent.core.hearing.picker import Stretch, find_onsets, moving_sums, noise_floor, step_response
from agent.core.hearing.templates import shapes
from tests.support import plain_hearing as plain
from tests.support.sound import add_blast, noise

RATES_HZ = [12_000, 22_050, 44_100, 48_000, 96_000]


def scene(rate_hz: int, seed: int) -> tuple[np.ndarray, list[int]]:
    """Blasts, knocks, hiss and tones of any level, close together, some of them cut at the top."""
    rng = np.random.default_rng(seed)
    sound = noise(4.0, seed=seed, rate_hz=rate_hz)
    onsets = []
    for number, at_s in enumerate(np.arange(0.05, 3.9, 0.23) + rng.uniform(0, 0.1, 17)):
        onset, level = at_s * rate_hz, 10.0 ** rng.uniform(-2.0, 0.3)
        time_s = np.arange(round(0.2 * rate_hz)) / rate_hz
        fading = np.exp(-time_s / 10.0 ** rng.uniform(-3.0, -0.5))
        if number % 3 == 0:
            add_blast(sound, onset, level, rate_hz=rate_hz)
        else:
            hiss = rng.standard_normal(len(time_s))
            tone = np.sin(2 * np.pi * rng.uniform(100.0, 3000.0) * time_s)
            wave = level * fading * (hiss if number % 3 == 1 else tone)
            room = sound[int(onset) :][: len(wave)]
            room += wave[: len(room)]
        onsets.append(int(onset))
    return np.clip(np.rint(sound * 32_768), -32_768, 32_767) / 32_768 + 1e-3, onsets


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_the_record_s_numbers_are_the_defined_ones(rate_hz: int) -> None:
    """Each number lies within half its last digit of its definition, wherever the onset lies.

    At either end of the stretch too, where sound is missing.
    """
    sound, onsets = scene(rate_hz, seed=rate_hz)
    for onset in [*onsets, 1, len(sound) - rate_hz // 8]:
        told = measure(Stretch(sound, rate_hz), onset, None, gap_in_window=False)
        for name, defined in plain.features(Stretch(sound, rate_hz), onset).items():
            said = np.array(getattr(told, name), float).ravel()
            digit = plain.ROUNDING.get(name, plain.LEAST_ROUNDING)
            assert np.abs(said - defined).max(initial=0.0) <= 0.5001 * digit, (name, onset)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_all_onsets_are_found_where_the_ratio_peaks(rate_hz: int) -> None:
    """Looking only where it may be loud enough finds the same onsets as looking everywhere."""
    sound, onsets = scene(rate_hz, seed=rate_hz + 1)
    stretch = Stretch(sound, rate_hz)
    floor = noise_floor(sound.astype(np.float32), rate_hz)
    count = 0
    for first in range(0, len(sound), rate_hz // 5):
        last = first + rate_hz // 5
        found = [one.rough for one in find_onsets(stretch, first, last, floor)]
        assert found == plain.onsets(stretch, first, last, floor)
        count += len(found)
    assert count >= len(onsets) // 2


@pytest.mark.parametrize("count", [1, 2, 3, 24, 33, 720, 1000])
def test_moving_sums_are_sums(count: int) -> None:
    """Of any number of neighbours, up to all there are."""
    samples = np.random.default_rng(1).normal(size=1000)
    sums = [samples[at : at + count].sum() for at in range(len(samples) - count + 1)]
    assert moving_sums(samples, count) == pytest.approx(sums, abs=1e-12)


def test_a_step_is_answered_by_a_triangle() -> None:
    """One that peaks at the step, at its height, and is nothing further away than its reach."""
    step = np.where(np.arange(200) >= 100, 3.0, 1.0)
    answer = step_response(step, 10)
    assert answer[100] == pytest.approx(2.0)
    assert answer[95] == pytest.approx(1.0)
    assert np.abs(answer[:91]).max() == pytest.approx(0.0)
    assert np.abs(answer[110:]).max() == pytest.approx(0.0)
    assert not step_response(step[:20], 10).any()


def test_trees_walked_at_once_say_what_each_says() -> None:
    """Of one row as of many, the sum of what every tree says, asked one question after another."""
    model, rng = shipped_model(), np.random.default_rng(2)
    rows = rng.normal(-10.0, 15.0, (50, INPUTS)).astype(np.float32)
    for trees, seen in ((model.trees[0], rows), (model.glance.trees, rows[:, SKETCH])):
        one_by_one = [plain.log_odds(trees, row) for row in seen]
        assert trees.log_odds(seen) == pytest.approx(one_by_one, abs=1e-9)
        assert trees.log_odds(seen[7:8]) == pytest.approx(one_by_one[7:8], abs=1e-9)


@pytest.mark.parametrize("rate_hz", [12_000, 48_000, 96_000])
@pytest.mark.parametrize("phases", [1, 2])
def test_correlations_are_sums_of_products(rate_hz: int, phases: int) -> None:
    """At consecutive lags and at any others, in every phase."""
    family = shapes(rate_hz, 0.4e-3)
    phases = min(phases, family.phases)
    sound = np.random.default_rng(3).normal(size=family.length + 150)
    for lags in (range(20, 131), np.array([0, 3, 64, 150])):
        plainly = [
            sound[lag : lag + family.length] @ family.basis[phase]
            for lag in lags
            for phase in range(phases)
        ]
        assert correlations(family, sound, lags, phases) == pytest.approx(np.array(plainly))


@pytest.mark.parametrize("rate_hz", [12_000, 48_000, 96_000])
def test_overlaps_are_those_of_whitened_waves(rate_hz: int) -> None:
    """The inner products of the basis waves, each put through the whitening filter."""
    family = shapes(rate_hz, 2e-3)
    taps = np.concatenate(([1.0], np.random.default_rng(4).normal(0.0, 0.2, 12)))
    white = np.array([np.convolve(wave, taps) for wave in family.basis[0].T])
    assert overlaps(family, taps, 0.5) == pytest.approx(white @ white.T / 0.5, abs=1e-9)
