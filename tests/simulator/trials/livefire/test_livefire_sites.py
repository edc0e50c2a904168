"""Where the sensors hang: the three sources of a position, and local metres."""

import numpy as np
import pytest

from simulator.trials.livefire import dataset
from simulator.trials.livefire.dataset import Pulse
from simulator.trials.livefire.sites import (
    PULSE_SIGMA_M,
    RAW_FIX_SIGMA_M,
    Site,
    sites_of,
    valid_name,
)
from tests.support.field import (
    PITTSBURGH,
    SENSORS_M,
    START_NS,
    SURVEY_M,
    fired_test,
    needs_pittsburgh,
    recording,
)


def pulse(sensor, place_m):
    return Pulse("u", sensor, START_NS, np.array(place_m))


def test_local_metres_are_small_and_keep_all_distances():
    """The dataset's origins are kilometres away; the site's own lies among its sensors."""
    site = Site("FP6", [fired_test()])
    local = {name: np.array(site.local_m(place)) for name, place in SENSORS_M.items()}
    assert max(np.abs(place).max() for place in local.values()) < 500.0
    for name, place in local.items():
        gone_m = np.linalg.norm(place - np.array(site.local_m(SURVEY_M)))
        assert gone_m == pytest.approx(np.linalg.norm(SENSORS_M[name] - SURVEY_M))


def test_the_origin_says_nothing_of_the_survey():
    """The answer must not leak into the frame: another survey, the same local positions."""
    elsewhere = fired_test(survey_m=SURVEY_M + 300.0)
    one, other = Site("FP6", [fired_test()]), Site("FP6", [elsewhere])
    assert one.local_m(SENSORS_M["S-1"]) == other.local_m(SENSORS_M["S-1"])


def test_a_tests_own_pulses_come_first():
    """A sensor that was moved between tests is where this test's pulses say it is."""
    moved = fired_test("test_116", pulses=(pulse("S-1", SENSORS_M["S-1"] + 20.0),))
    site = Site("FP6", [fired_test(), fired_test("test_117"), moved])
    place = site.sensor(moved, "S-1")
    np.testing.assert_allclose(place.enu_m, site.local_m(SENSORS_M["S-1"] + 20.0))
    assert place.sigma_m == PULSE_SIGMA_M


def test_another_tests_pulses_come_second():
    """A sensor without a pulse in this test takes its place from the position's other tests."""
    silent = fired_test("test_116", pulses=())
    site = Site("FP6", [fired_test(), silent])
    place = site.sensor(silent, "S-2")
    np.testing.assert_allclose(place.enu_m, site.local_m(SENSORS_M["S-2"]))
    assert place.sigma_m == PULSE_SIGMA_M


def test_the_median_raw_fix_comes_last():
    """Without any pulse the raw fixes of all tests are all there is, and sigma says so."""
    tests = [
        fired_test(name, pulses=(), recordings=(recording("S-3", fix_m),))
        for name, fix_m in (
            ("a", (0.0, 10.0, 5.0)),
            ("b", (2.0, 12.0, 6.0)),
            ("c", (90.0, 90.0, 90.0)),
        )
    ]
    site = Site("FP6", tests)
    place = site.sensor(tests[0], "S-3")
    np.testing.assert_allclose(place.enu_m, site.local_m(np.array([2.0, 12.0, 6.0])))
    assert place.sigma_m == RAW_FIX_SIGMA_M


def test_names_are_made_valid():
    """The wire allows letters, digits and hyphens, 32 of them."""
    assert valid_name("test_115") == "test-115"
    assert valid_name("SCP-00-BNG-5543") == "SCP-00-BNG-5543"
    assert valid_name("a b/c." * 10) == "a-b-c-a-b-c-a-b-c-a-b-c-a-b-c-a-"


@pytest.mark.field
@needs_pittsburgh
def test_all_of_pittsburgh_has_a_place():
    """Of 468 recordings 6 have nothing but raw fixes; no local coordinate is over 1.5 km."""
    tests = dataset.load(PITTSBURGH)
    sites = sites_of(tests)
    places = [
        sites[test.position].sensor(test, one.sensor) for test in tests for one in test.recordings
    ]
    assert len(places) == 468
    assert sum(place.sigma_m == RAW_FIX_SIGMA_M for place in places) == 6
    assert max(abs(metres) for place in places for metres in place.enu_m) < 1500.0
