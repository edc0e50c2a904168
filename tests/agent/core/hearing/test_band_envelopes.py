"""The colour of an onset: what the numbers say is what was played, at any sample rate."""

import numpy as np
import pytest

from agent.core.hearing.band_envelopes import (
    BAND_EDGES_HZ,
    COURSE_EDGES_S,
    HIGHEST_DB,
    LATELY_S,
    LOWEST_DB,
    PAST_EDGES_S,
    SHAPES,
    SHARES,
    Timbre,
    outline,
    timbre,
)
from agent.core.hearing.picker import Stretch

ONSET_S = 0.95
RATES_HZ = [12_000, 22_050, 48_000, 96_000]
SPANS = len(PAST_EDGES_S) + len(COURSE_EDGES_S) - 2


def heard(rate_hz: int, *parts: tuple[float, np.ndarray]) -> Timbre:
    """Timbre at ONSET_S of `parts` (start in seconds, samples) in a little noise."""
    sound = np.random.default_rng(1).normal(0.0, 1e-4, round(1.3 * rate_hz))
    for start_s, samples in parts:
        start = round(start_s * rate_hz)
        sound[start : start + len(samples)] += samples[: len(sound) - start]
    return timbre(outline(Stretch(sound, rate_hz), round(ONSET_S * rate_hz)))


def tone(rate_hz: int, hz: float, seconds: float, decay_s: float = 1e9) -> np.ndarray:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return 0.3 * np.sin(2 * np.pi * hz * time_s) * np.exp(-time_s / decay_s)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("hz", [230.0, 800.0, 2600.0])
def test_energy_is_in_the_band_and_span_where_it_was_played(rate_hz: int, hz: float) -> None:
    """A tone of 50 ms is loudest in its own band, at any rate, and gone in the last span."""
    told = heard(rate_hz, (ONSET_S, tone(rate_hz, hz, 0.05)))
    band = int(np.searchsorted(BAND_EDGES_HZ, hz)) - 1
    assert int(np.argmax(told.spectrum_db)) == band
    course = told.course_db[1 + band]
    last_of_past, last = len(PAST_EDGES_S) - 3, SPANS - 1
    assert course[last] < -30
    assert course[last_of_past] < -8
    assert abs(course[len(PAST_EDGES_S) + 4]) <= 3


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_loudness_is_left_out(rate_hz: int) -> None:
    """The same sound three times as loud has the same timbre, and so has one with an offset."""
    sound = np.random.default_rng(1).normal(0.0, 1e-3, round(1.3 * rate_hz))
    onset = round(ONSET_S * rate_hz)
    knock = tone(rate_hz, 500.0, 0.2, decay_s=0.02)
    sound[onset : onset + len(knock)] += knock
    soft, loud, shifted = (
        timbre(outline(Stretch(one, rate_hz), onset)) for one in (sound, 3.0 * sound, sound + 0.01)
    )
    for other in (loud, shifted):
        assert np.abs(np.subtract(soft.course_db, other.course_db)).max() <= 1
        assert np.abs(np.subtract(soft.spectrum_db, other.spectrum_db)).max() <= 1


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_tones_are_told_from_noise(rate_hz: int) -> None:
    """A periodic sound has a tonality near 1, a burst of noise one well below a half."""
    hiss = np.random.default_rng(2).normal(0.0, 0.1, round(0.26 * rate_hz))
    assert heard(rate_hz, (ONSET_S, tone(rate_hz, 400.0, 0.26))).tonality > 0.9
    assert heard(rate_hz, (ONSET_S, hiss)).tonality < 0.5


def test_what_went_before_is_told() -> None:
    """A louder knock 0.3 s earlier shows in its own span of the past, and not in a later one."""
    knock = tone(48_000, 300.0, 0.1, decay_s=0.02)
    alone = heard(48_000, (ONSET_S, knock))
    second = heard(48_000, (ONSET_S - 0.3, 2 * knock), (ONSET_S, knock))
    lately = dict(zip(LATELY_S, second.before_db[len(SHARES) :], strict=True))
    assert max(alone.before_db) < -30
    assert lately[0.4] > 0
    assert lately[0.2] < -20
    span = next(at for at in range(7) if PAST_EDGES_S[at] <= -0.3 < PAST_EDGES_S[at + 1])
    past = second.course_db[0][: len(PAST_EDGES_S) - 1]
    assert int(np.argmax(past)) == span


@pytest.mark.parametrize("count", [1, 7, 500, 20_000])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_short_silent_or_constant_sound_has_a_timbre_too(count: int, level: float) -> None:
    """Any stretch gives all numbers, finite and within their limits."""
    told = timbre(outline(Stretch(np.full(count, level), 48_000), count // 2))
    assert len(told.spectrum_db) == len(BAND_EDGES_HZ) - 1
    assert [len(row) for row in told.course_db] == [SPANS] * len(BAND_EDGES_HZ)
    assert len(told.before_db) == len(SHARES) + len(LATELY_S)
    assert len(told.shape) == SHAPES
    levels = [level for row in told.course_db for level in row]
    assert min(levels) >= LOWEST_DB
    assert max(levels) <= HIGHEST_DB
    assert np.isfinite([*levels, *told.spectrum_db, *told.shape, told.tonality]).all()
