"""Where the node is: a mean with an honest error, gated, and an alarm when it moves."""

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from agent.core.clock.place_mean import metres_per_degree
from agent.core.clock.survey import Survey, SurveyMemory, SurveySettings
from agent.core.clock.time_signs import Fix, Place
from agent.core.units import NS_PER_S

HERE = Place(48.1173, 11.5167, 520.0, 0.9)
NORTH_M, EAST_M = metres_per_degree(HERE.latitude_deg)


def fix(second: float, east_m: float = 0.0, north_m: float = 0.0, **odd: object) -> Fix:
    place = Place(
        HERE.latitude_deg + north_m / NORTH_M,
        HERE.longitude_deg + east_m / EAST_M,
        520.0,
        float(odd.get("hdop", 0.9)),  # type: ignore[arg-type]
    )
    satellites = int(odd.get("satellites", 9))  # type: ignore[call-overload]
    valid = bool(odd.get("valid", True))
    return Fix(round(second * NS_PER_S), None, valid, satellites=satellites, place=place)


def wandering(seed: int, seconds: int, every: int = 10) -> list[Fix]:
    """Errors of a standing receiver: Gauss-Markov of 10 minutes, 2.5 m, and 0.5 m of noise."""
    rng = np.random.default_rng(seed)
    keep = math.exp(-every / 600.0)
    east = north = 0.0
    fixes = []
    for second in range(0, seconds, every):
        east = keep * east + rng.normal(0, 2.5 * math.sqrt(1 - keep**2))
        north = keep * north + rng.normal(0, 2.5 * math.sqrt(1 - keep**2))
        noise = rng.normal(0, 0.5, 2)
        fixes.append(fix(second, east + noise[0], north + noise[1]))
    return fixes


def test_a_degree_is_as_long_as_the_ellipsoid_says() -> None:
    """WGS 84 at the equator, at 45 degrees and near the pole, to the metre."""
    for latitude, north, east in (
        (0, 110_574, 111_320),
        (45, 111_132, 78_847),
        (80, 111_660, 19_394),
    ):
        assert metres_per_degree(latitude) == pytest.approx((north, east), abs=1.0)


def test_the_error_of_a_survey_is_honest() -> None:
    """Over many receivers the true error stays within two sigma in about 9 of 10."""
    within = []
    for seed in range(60):
        survey = Survey(SurveySettings(least_s=4 * 3600, enough_m=5.0))
        records = [r for one in wandering(seed, 5 * 3600) for r in survey.on_fix(one)]
        done = next(r for r in records if r.event == "surveyed")
        off_m = math.hypot(
            (done.latitude_deg - HERE.latitude_deg) * NORTH_M,
            (done.longitude_deg - HERE.longitude_deg) * EAST_M,
        )
        within.append(off_m <= 2 * done.sigma_m)
    assert 0.75 <= np.mean(within) <= 1.0


def test_more_time_not_more_fixes_makes_it_better() -> None:
    """Ten fixes a second for a minute are worth no more than one."""
    quick, slow = (Survey(SurveySettings()) for _ in range(2))
    for tenth in range(600):
        quick.on_fix(fix(tenth / 10, east_m=tenth % 3))
    for one in wandering(1, 12 * 3600):
        slow.on_fix(one)
    assert quick.sigma_m > 5.0
    assert slow.sigma_m < 2.5


@pytest.mark.parametrize("odd", [{"valid": False}, {"satellites": 4}, {"hdop": 6.0}])
def test_poor_fixes_do_not_count(odd: dict[str, object]) -> None:
    """Without a fix, with few satellites or a bad geometry nothing is learnt."""
    survey = Survey(SurveySettings(least_s=10))
    for second in range(100):
        assert survey.on_fix(fix(second, **odd)) == []
    assert survey.sigma_m is None


def test_hourly_means_are_told() -> None:
    """One record an hour, with what it rests on."""
    survey = Survey(SurveySettings())
    records = [r for one in wandering(2, 3 * 3600 + 60) for r in survey.on_fix(one)]
    hourly = [r for r in records if r.event == "hourly"]
    assert len(hourly) == 3 or len(hourly) == 2
    assert all(r.span_s >= 3600 and r.fixes > 300 for r in hourly)


def test_a_jump_is_told_once_after_five_seconds_and_taken_back() -> None:
    """100 m off for a moment is nothing; for five seconds an alarm; back again is told too."""
    survey = Survey(SurveySettings(), known=HERE)
    assert survey.on_fix(fix(1, east_m=100)) == []
    assert survey.on_fix(fix(2)) == []
    told = [r.event for second in range(3, 20) for r in survey.on_fix(fix(second, east_m=100))]
    assert told == ["moved"]
    assert survey.has_jumped
    back = [r.event for second in range(20, 30) for r in survey.on_fix(fix(second))]
    assert back == ["returned"]
    assert not survey.has_jumped


def test_a_node_carried_to_the_next_pole_is_noticed() -> None:
    """15 m are too little for the alarm, but the hourly mean tells."""
    survey = Survey(SurveySettings(), known=HERE)
    told = [r.event for second in range(0, 3700, 5) for r in survey.on_fix(fix(second, north_m=15))]
    assert told == ["hourly", "moved"]


def lasting(seed: int, hours: int) -> list[Fix]:
    """Errors that last three hours, 2.5 m to each side, and half a metre of noise; one in 20 s."""
    rng = np.random.default_rng(seed)
    keep = math.exp(-20 / 10_800.0)
    east, north = rng.normal(0, 2.5, 2)
    fixes = []
    for second in range(0, hours * 3600 + 100, 20):
        east = keep * east + rng.normal(0, 2.5 * math.sqrt(1 - keep**2))
        north = keep * north + rng.normal(0, 2.5 * math.sqrt(1 - keep**2))
        noise = rng.normal(0, 0.5, 2)
        fixes.append(fix(second, east + noise[0], north + noise[1]))
    return fixes


@pytest.mark.parametrize("hours", [4, 12])
def test_sigma_covers_errors_that_last_three_hours(hours: int) -> None:
    """Of 30 surveys 28 lie within twice the horizontal sigma, which is no more than thrice the
    truth: what lasts as long as the survey is not taken for noise that averages out."""
    within, stated, true = 0, [], []
    for seed in range(30):
        survey = Survey(SurveySettings(least_s=hours * 3600, enough_m=1e9))
        records = [r for one in lasting(seed + 900, hours) for r in survey.on_fix(one)]
        done = next(r for r in records if r.event == "surveyed")
        off_m = math.hypot(
            (done.latitude_deg - HERE.latitude_deg) * NORTH_M,
            (done.longitude_deg - HERE.longitude_deg) * EAST_M,
        )
        within += off_m <= 2 * done.sigma_m
        stated.append(done.sigma_m)
        true.append(off_m)
    assert within >= 28
    assert np.sqrt(np.mean(np.square(stated))) <= 3 * np.sqrt(np.mean(np.square(true)))


def test_axes_that_differ_are_told() -> None:
    """A wall to the east: the errors to the east are larger, and the record says both."""
    survey = Survey(SurveySettings(least_s=12 * 3600, enough_m=99.0))
    told = []
    for one in wandering(3, 13 * 3600):
        assert one.place is not None
        longer = HERE.longitude_deg + 6 * (one.place.longitude_deg - HERE.longitude_deg)
        told += survey.on_fix(replace(one, place=replace(one.place, longitude_deg=longer)))
    done = next(r for r in told if r.event == "surveyed")
    assert done.sigma_east_m > 1.5 * done.sigma_north_m
    assert math.hypot(done.sigma_east_m, done.sigma_north_m) == pytest.approx(
        done.sigma_m, abs=0.02
    )


def test_a_survey_outlives_restarts() -> None:
    """Power cuts every hour: the survey goes on where it was, and is done in the end."""
    memory, records = None, []
    for number in range(14):
        survey = Survey(SurveySettings(least_s=12 * 3600, enough_m=99.0), memory=memory)
        for one in wandering(number, 3600):
            records += survey.on_fix(one)
        memory = msgspec.json.decode(msgspec.json.encode(survey.memory), type=SurveyMemory)
    assert [r.event for r in records if r.event == "surveyed"] == ["surveyed"]
    assert memory is not None
    assert memory.is_surveyed


@pytest.mark.parametrize("off_m", [80.0, 3_000.0])
def test_a_node_carried_off_while_it_was_dark_is_told_by_the_first_fixes(off_m: float) -> None:
    """The place of the run before counts: six seconds after the first fix the alarm is there."""
    survey = Survey(SurveySettings(least_s=600, enough_m=99.0))
    for one in wandering(1, 5400):
        survey.on_fix(one)
    assert survey.is_surveyed
    later = Survey(SurveySettings(), memory=survey.memory)
    told = [r.event for second in range(10) for r in later.on_fix(fix(second, east_m=off_m))]
    assert told == ["moved"]
    assert later.has_jumped
    same = Survey(SurveySettings(), memory=survey.memory)
    assert [r.event for second in range(10) for r in same.on_fix(fix(second))] == []
