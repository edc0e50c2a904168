"""A capsule that fades is told within three days, from the street's own days; weather is not."""

import math

import msgspec
import numpy as np
import pytest

from agent.core.hearing.level_history import DEAD_DB, HOURS, LevelHistory, Levels

FIRST_HOUR = 497_000


def street_db(hours: int, seed: int) -> np.ndarray:
    """Levels of `hours` hours: traffic by the hour, quieter Sundays, weather that lasts days."""
    rng = np.random.default_rng(seed)
    at = FIRST_HOUR + np.arange(hours)
    traffic = 6.0 * np.sin(2 * np.pi * (at % HOURS - 9) / HOURS)
    sundays = -2.0 * (at // HOURS % 7 == 0)
    weather, sky = np.empty(hours), 0.0
    for hour in range(hours):
        sky = 0.98 * sky + rng.normal(0.0, 0.2)
        weather[hour] = sky
    return -55.0 + traffic + sundays + weather + rng.normal(0.0, 1.0, hours)


def heard(history: LevelHistory, levels: np.ndarray, first: int = 0) -> int | None:
    """Hears them all; after how many hours a fall was told, None if it never was."""
    told = None
    for number, level in enumerate(levels):
        history.on_hour(FIRST_HOUR + first + number, float(level))
        if history.has_fallen and told is None:
            told = number + 1
    return told


@pytest.mark.parametrize("days", [5, 9, 40])
@pytest.mark.parametrize("seed", range(5))
def test_a_loss_of_six_db_is_told_within_three_days(seed: int, days: int) -> None:
    """However young or old the history is; and for as long as it lasts."""
    levels = street_db(HOURS * (days + 10), seed)
    history = LevelHistory()
    assert heard(history, levels[: days * HOURS]) is None
    told = heard(history, levels[days * HOURS :] - 6.0, days * HOURS)
    assert told is not None
    assert told <= 3 * HOURS
    assert history.has_fallen


@pytest.mark.parametrize("seed", range(10))
def test_ordinary_months_tell_of_no_change(seed: int) -> None:
    """Sundays, weather and traffic of 90 days, with hours missing."""
    levels = street_db(HOURS * 90, 100 + seed)
    history, rng = LevelHistory(), np.random.default_rng(seed)
    for number, level in enumerate(levels):
        if rng.random() < 0.9:
            history.on_hour(FIRST_HOUR + number, float(level))
        assert not history.has_fallen
        assert not history.has_risen


def test_a_storm_of_a_day_is_no_loss() -> None:
    """12 dB more for a day, and half a day of snow, 5 dB less."""
    levels = street_db(HOURS * 30, 7)
    levels[HOURS * 12 : HOURS * 13] += 12.0
    levels[HOURS * 20 : HOURS * 20 + 12] -= 5.0
    history = LevelHistory()
    assert heard(history, levels) is None
    assert not history.has_risen


def test_it_is_over_when_the_level_is_back() -> None:
    """A cleaned windscreen: within three days nothing is told any more."""
    levels = street_db(HOURS * 30, 3)
    history = LevelHistory()
    heard(history, levels[: 10 * HOURS])
    assert heard(history, levels[10 * HOURS : 14 * HOURS] - 7.0, 10 * HOURS)
    heard(history, levels[14 * HOURS : 17 * HOURS], 14 * HOURS)
    assert not history.has_fallen


def test_what_is_not_known_is_not_told() -> None:
    """No shift within the first days, whatever happens in them."""
    history = LevelHistory()
    levels = street_db(4 * HOURS, 1)
    levels[2 * HOURS :] -= 20.0
    assert heard(history, levels) is None
    assert history.shift_db is None
    assert not history.is_far_below(FIRST_HOUR, -200.0) or history.days >= 3


def test_a_dead_capsule_is_far_below_every_hour_it_knows() -> None:
    """At once, not in days: but only where the hour is known."""
    history = LevelHistory()
    assert not history.is_far_below(FIRST_HOUR, -120.0)
    heard(history, street_db(6 * HOURS, 1))
    for hour in range(HOURS):
        usual = history.levels.usual[(FIRST_HOUR + hour) % HOURS].mean_db
        assert history.is_far_below(FIRST_HOUR + hour, usual - DEAD_DB - 1.0)
        assert not history.is_far_below(FIRST_HOUR + hour, usual - DEAD_DB + 1.0)


def test_a_restart_each_day_forgets_nothing() -> None:
    """What is kept is a few hundred numbers, and says the same after it was written and read."""
    levels = street_db(HOURS * 20, 2)
    levels[15 * HOURS :] -= 6.0
    steady, broken = LevelHistory(), LevelHistory()
    for number, level in enumerate(levels):
        for history in (steady, broken):
            history.on_hour(FIRST_HOUR + number, float(level))
        if number % 17 == 0:
            kept = msgspec.json.encode(broken.levels)
            assert len(kept) < 4_000
            broken = LevelHistory(msgspec.json.decode(kept, type=Levels))
    assert broken.has_fallen
    assert broken.levels.usual == steady.levels.usual
    assert math.isclose(broken.shift_db, steady.shift_db)
