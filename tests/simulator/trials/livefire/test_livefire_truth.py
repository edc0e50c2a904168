"""When the rounds of the live-fire tests were fired, told from tagged pulses."""

from itertools import pairwise

import pytest

from agent.core.units import NS_PER_MS, NS_PER_S
from simulator.trials.livefire import dataset, truth
from simulator.trials.livefire.dataset import Pulse
from simulator.trials.livefire.sites import sites_of
from tests.support.field import PITTSBURGH, START_NS, fired_test, needs_pittsburgh


def rounds_of(test):
    return truth.rounds([test], sites_of([test]))


def seconds(rounds):
    return [
        None if one.utc_ns is None else pytest.approx((one.utc_ns - START_NS) / NS_PER_S, abs=1e-6)
        for one in rounds
    ]


def test_a_round_is_fired_before_its_pulses_arrive():
    """Travel time in the test's own air is taken off; rounds come in order, at the survey."""
    test = fired_test()
    rounds = rounds_of(test)
    assert seconds(rounds) == [3.0, 3.5, 4.0]
    assert {one.cell for one in rounds} == {"test-115"}
    assert [one.label for one in rounds] == [f"FP6 test_115 round {n}/3" for n in (1, 2, 3)]
    assert {one.enu_m for one in rounds} == {sites_of([test])["FP6"].local_m(test.survey_m)}


def test_one_wrong_pulse_moves_nothing():
    """The median of four: a pulse that is a second late (an echo, another sound) is outvoted."""
    test = fired_test()
    first = test.pulses[0]
    late = Pulse(first.uuid, first.sensor, first.arrival_utc_ns + NS_PER_S, first.position_m)
    (fired, *_) = rounds_of(fired_test(pulses=(late, *test.pulses[1:])))
    assert abs(fired.utc_ns - START_NS - 3 * NS_PER_S) < NS_PER_MS


def test_unknown_uuids_are_skipped():
    """Some tagged pulses are absent from the pulse file; the others still tell the time."""
    test = fired_test()
    tuples = tuple(("gone", *uuids, "lost") for uuids in test.tuples)
    assert seconds(rounds_of(fired_test(tuples=tuples))) == [3.0, 3.5, 4.0]


@pytest.mark.parametrize("tuples", [2, 0])
def test_a_round_without_pulses_has_no_time(tuples):
    """It is still a round that was fired; its time is None and it comes last."""
    test = fired_test()
    rounds = rounds_of(fired_test(tuples=test.tuples[:tuples]))
    assert seconds(rounds) == [3.0, 3.5, 4.0][:tuples] + [None] * (3 - tuples)


def test_a_tuple_of_unknown_uuids_only_tells_nothing():
    """Nothing is made up for it."""
    test = fired_test()
    rounds = rounds_of(fired_test(tuples=(*test.tuples[:2], ("gone",))))
    assert seconds(rounds) == [3.0, 3.5, None]


def test_what_was_recorded_is_what_is_not_padding():
    """Two to five seconds into the file of each node, by the source that its records will bear."""
    spans = truth.recorded([fired_test()])
    assert spans["urn:earshot:FP6:test-115:S-1"] == (
        START_NS + 2 * NS_PER_S,
        START_NS + 5 * NS_PER_S,
    )
    assert len(spans) == 4


@pytest.mark.field
@needs_pittsburgh
def test_pittsburgh_has_180_rounds_one_without_a_time():
    """All others are fired inside the ten seconds that were recorded, at least 0.3 s apart."""
    tests = dataset.load(PITTSBURGH)
    rounds = truth.rounds(tests, sites_of(tests))
    assert len(rounds) == 180
    assert [one.label for one in rounds if one.utc_ns is None] == ["FP4 test_055 round 3/3"]
    starts_ns = {test.name.replace("_", "-"): test.recordings[0].start_utc_ns for test in tests}
    known = [one for one in rounds if one.utc_ns is not None]
    assert all(0 < one.utc_ns - starts_ns[one.cell] < 9 * NS_PER_S for one in known)
    times_ns = sorted(one.utc_ns for one in known)
    assert min(b - a for a, b in pairwise(times_ns)) > 300 * NS_PER_MS
