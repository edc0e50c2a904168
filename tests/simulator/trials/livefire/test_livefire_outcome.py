"""The live-fire figures and their page, from hand-made belief about hand-made tests."""

import json
import math
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from simulator.report.score import Evidence, score
from simulator.trials.livefire import truth
from simulator.trials.livefire.outcome import (
    LiveFireRun,
    as_json,
    by_position,
    exact_round_count_tests,
    without_place,
)
from simulator.trials.livefire.report import live_fire_report
from simulator.trials.livefire.sites import sites_of
from tests.support.field import fired_test
from tests.support.html import SVG, Reader
from tests.support.located import grid_result, incident, located, stations, unlocated


def found(one, east_m, north_m):
    """`one` located so far off."""
    place = (one.enu_m[0] + east_m, one.enu_m[1] + north_m, one.enu_m[2])
    round_at = located(0.0, place)
    return type(round_at)(
        **{name: getattr(round_at, name) for name in round_at.__dataclass_fields__}
        | {"utc_ns": one.utc_ns}
    )


def run_of(offsets_m, tests=None, is_blank=False):
    """The first rounds of the tests located at these offsets, each an incident of its own."""
    tests = tests or [fired_test()]
    sites = sites_of(tests)
    rounds = truth.rounds(tests, sites)
    incidents = [
        incident(found(one, *offset), cell=one.cell, site="FP6")
        for one, offset in zip(rounds, offsets_m, strict=False)
        if offset is not None
    ]
    cells = {
        source: station
        for test in tests
        for source, station in stations(
            test.name.replace("_", "-"),
            "FP6",
            {
                one.sensor: sites[test.position].sensor(test, one.sensor).enu_m
                for one in test.recordings
            },
        ).items()
    }
    air = {test.name.replace("_", "-"): test.temperature_c for test in tests}
    outcome = score(rounds, incidents, Evidence([], cells, air))
    return LiveFireRun(tests, sites, outcome, grid_result(incidents, cells), 1, is_blank)


def test_the_scatter_is_that_of_located_minus_survey():
    """rms counts the bias, the sigmas do not; sigma 1 is the long axis, whichever way it points."""
    bias, spread = 10.0, math.sqrt(0.5) * 6.0
    outcome = by_position(run_of([(bias, 0.0), (bias + spread, spread), (bias - spread, -spread)]))
    fp6 = outcome["FP6"]
    assert (fp6.fired, fp6.located) == (3, 3)
    assert fp6.sigma1_m == pytest.approx(6.0)
    assert fp6.sigma2_m == pytest.approx(0.0, abs=1e-6)
    assert fp6.rms_m == pytest.approx(math.sqrt(bias**2 + 2 / 3 * 36.0))


def test_too_few_rounds_have_no_scatter():
    """Two points always lie on a line; rms is told from one on."""
    outcome = by_position(run_of([(3.0, 4.0), None, None]))["FP6"]
    assert (outcome.rms_m, outcome.sigma1_m, outcome.sigma2_m) == (5.0, None, None)


@pytest.mark.parametrize(
    ("offsets_m", "exact"),
    [
        ([(1, 1), (2, 2), (3, 3)], 1),
        ([(1, 1), None, (3, 3)], 0),
        ([(1, 1), (2, 2), (60, 0)], 0),
        ([None, None, None], 0),
    ],
)
def test_a_test_is_exact_when_its_rounds_are_counted_rightly(offsets_m, exact):
    """Three fired, three located within 50 m of the survey: no more and no fewer."""
    assert exact_round_count_tests(run_of(offsets_m)) == exact


def test_what_is_told_without_a_place_is_counted_beside():
    """One while something was fired, one a minute later: neither is located, nor hidden."""
    run = run_of([(1, 1), None, None])
    first = run.score.rows[0].truth
    told = [
        replace(unlocated(0.0, "detected", "3 nodes"), cell=first.cell, utc_ns=first.utc_ns + off)
        for off in (1_000_000_000, 60_000_000_000)
    ]
    result = replace(run.result, incidents=[*run.result.incidents, *told])
    assert without_place(replace(run, result=result)) == (2, 1)


def test_the_json_holds_every_promised_figure():
    """The names in the issue are a contract with whoever compares runs."""
    told = json.loads(json.dumps(as_json(run_of([(1, 1), (20, 0), None]))))
    promised = {
        "tests": 1,
        "rounds_fired": 3,
        "rounds_located": 2,
        "within_15m": 1,
        "within_25m": 2,
        "incidents": 2,
        "false_incidents": 0,
        "exact_round_count_tests": 0,
        "records_published": 42,
        "records_verified": 42,
        "audio_s": 120.0,
        "wall_s": 3.0,
        "cpu_s": 4.0,
        "not_located": {"too few nodes": 1},
    }
    assert {name: told[name] for name in promised} == promised
    assert {"median_error_m", "p90_error_m"} <= told.keys()
    assert told["per_position"]["FP6"].keys() >= {"rms_m", "sigma1_m", "sigma2_m", "located"}


@pytest.mark.parametrize("offsets_m", [[(1, 1), (90, 0), None], [None] * 3])
@pytest.mark.parametrize("is_blank", [False, True])
def test_the_page_is_whole_whatever_was_located(offsets_m, is_blank):
    """A null control locates nothing, and has a page all the same."""
    text = live_fire_report(run_of(offsets_m, is_blank=is_blank))
    reader = Reader(text)
    assert "script" not in reader.tags
    told = " ".join(reader.text)
    for words in ("CC BY 4.0", "ShotSpotter", "96.9 %", "up to 21 sensors", "too few nodes"):
        assert words in told
    assert ("Null control" in told) == is_blank
    assert ("1 located beyond the frame" in told) == (offsets_m[0] is not None)
    for picture in SVG.findall(text):
        ElementTree.fromstring(picture)
