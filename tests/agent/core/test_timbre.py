"""The colour of an onset: what the numbers say is what was played, at any sample rate."""

import numpy as np
import pytest

from agent.core.onset import Stretch
from agent.core.timbre import (
    ATTACK_EDGES_S,
    BAND_EDGES_HZ,
    BEFORE_EDGES_S,
    LOWEST_DB,
    SPANS_S,
    Timbre,
    timbre,
)

ONSET_S = 0.9
RATES_HZ = [12_000, 22_050, 48_000, 96_000]


def heard(rate_hz: int, *parts: tuple[float, np.ndarray]) -> Timbre:
    """Timbre at ONSET_S of `parts` (start in seconds, samples) in a little noise."""
    sound = np.random.default_rng(1).normal(0.0, 1e-4, round(1.2 * rate_hz))
    for start_s, samples in parts:
        start = round(start_s * rate_hz)
        sound[start : start + len(samples)] += samples[: len(sound) - start]
    return timbre(Stretch(sound, rate_hz), round(ONSET_S * rate_hz))


def tone(rate_hz: int, hz: float, seconds: float, decay_s: float = 1e9) -> np.ndarray:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return 0.3 * np.sin(2 * np.pi * hz * time_s) * np.exp(-time_s / decay_s)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("hz", [180.0, 700.0, 2600.0])
def test_energy_is_in_the_band_and_span_where_it_was_played(rate_hz: int, hz: float) -> None:
    """A tone of 50 ms is loudest in its own band, at any rate, and gone in the last span."""
    bands = heard(rate_hz, (ONSET_S, tone(rate_hz, hz, 0.05))).bands_db
    band = int(np.searchsorted(BAND_EDGES_HZ, hz)) - 1
    assert int(np.argmax(bands[1])) == band
    assert bands[1][band] == pytest.approx(0.0, abs=1.5)
    assert bands[-1][band] < -30.0
    assert bands[0][band] < -30.0


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_tones_are_told_from_noise(rate_hz: int) -> None:
    """A periodic sound has a tonality near 1, a burst of noise one well below a half."""
    hiss = np.random.default_rng(2).normal(0.0, 0.1, round(0.2 * rate_hz))
    assert heard(rate_hz, (ONSET_S, tone(rate_hz, 400.0, 0.2))).tonality > 0.9
    assert heard(rate_hz, (ONSET_S, hiss)).tonality < 0.5


def test_what_went_before_is_told() -> None:
    """A louder knock 0.3 s earlier shows in its own piece of the past, and the past is busy."""
    knock = tone(48_000, 300.0, 0.1, decay_s=0.02)
    alone = heard(48_000, (ONSET_S, knock))
    second = heard(48_000, (ONSET_S - 0.3, 2 * knock), (ONSET_S, knock))
    assert max(alone.before_db) < -40.0
    assert alone.busy == 0.0
    loudest = int(np.argmax(second.before_db))
    assert BEFORE_EDGES_S[loudest] <= -0.3 <= BEFORE_EDGES_S[loudest + 1]
    assert second.before_db[loudest] > 3.0
    assert second.busy > 0.0


@pytest.mark.parametrize("half_us", [500, 1000, 3000])
def test_the_first_swing_is_half_a_period(half_us: int) -> None:
    """A sine that sets in at its zero stays up for half its period, to a coarse sample."""
    swing = heard(48_000, (ONSET_S, tone(48_000, 5e5 / half_us, 0.03)))
    assert swing.first_swing_us == pytest.approx(half_us, abs=100)


@pytest.mark.parametrize("count", [1, 7, 500, 20_000])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_short_silent_or_constant_sound_has_a_timbre_too(count: int, level: float) -> None:
    """Any stretch gives all numbers, finite and no lower than the lowest."""
    told = timbre(Stretch(np.full(count, level), 48_000), count // 2)
    assert len(told.bands_db) == len(SPANS_S)
    assert len(told.attack_db) == len(ATTACK_EDGES_S) - 1
    assert len(told.before_db) == len(BEFORE_EDGES_S) - 1
    numbers = [level for span in told.bands_db for level in span]
    numbers += [*told.attack_db, *told.before_db, told.tonality, told.busy, told.first_swing_us]
    assert np.isfinite(numbers).all()
    assert min(numbers) >= LOWEST_DB
