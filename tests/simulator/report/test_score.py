"""Pairing what was fired with what was located, and telling why something was not."""

import pytest

from simulator.report.score import Evidence, score
from tests.support.located import (
    AIR_C,
    NODES_ENU_M,
    START_NS,
    arrivals,
    fired,
    incident,
    located,
    stations,
    unlocated,
)


def inquest(truth, incidents=(), heard=()):
    evidence = Evidence(list(heard), stations(), {"a": AIR_C})
    return score([truth], list(incidents), evidence).rows[0]


def test_a_perfect_run_scores_perfectly():
    """Every round at its place in time and space: no error, nothing missed, nothing false."""
    outcome = score([fired(1.0), fired(2.5)], [incident(located(1.0)), incident(located(2.5))])
    assert outcome.summary() == {
        "rounds_fired": 2,
        "rounds_located": 2,
        "within_15m": 2,
        "within_25m": 2,
        "median_error_m": 0.0,
        "p90_error_m": 0.0,
        "incidents": 2,
        "false_incidents": 0,
    }
    assert [row.nodes_heard for row in outcome.rows] == [5, 5]
    assert all(row.miss is None for row in outcome.rows)


def test_errors_are_horizontal():
    """Height counts for nothing: nodes near the ground cannot tell it."""
    outcome = score([fired(1.0, (0.0, 0.0, 1.5))], [incident(located(1.0, (3.0, 4.0, 90.0)))])
    assert outcome.errors_m == [5.0]


def test_rounds_of_a_burst_are_paired_one_to_one():
    """Three rounds 100 ms apart, one of them not located: the two found keep their own round."""
    truth = [fired(1.0), fired(1.1), fired(1.2)]
    outcome = score(truth, [incident(located(1.003), located(1.204))])
    found = [row.located and row.located.utc_ns - row.truth.utc_ns for row in outcome.rows]
    assert found == [3_000_000, None, 4_000_000]


def test_a_false_round_displaces_no_right_pair():
    """The least total difference in time wins, not the largest number of pairs."""
    truth = [fired(1.0), fired(2.0)]
    outcome = score(truth, [incident(located(1.99)), incident(located(2.9, (900.0, 0.0, 0.0)))])
    assert outcome.rows[0].located is None
    assert outcome.rows[1].error_m == 0.0


def test_nothing_pairs_over_more_than_a_second_or_across_cells():
    """1 s is the limit; a round of another cell is none of ours."""
    assert score([fired(1.0)], [incident(located(2.0))]).rounds_located == 1
    assert score([fired(1.0)], [incident(located(2.001))]).rounds_located == 0
    assert score([fired(1.0)], [incident(located(1.0), cell="b")]).rounds_located == 0


def test_a_wrong_place_is_an_error_and_a_false_incident_but_not_a_miss():
    """Pairing asks for time alone; an incident over 50 m from anything fired is false."""
    for east_m, false in ((169.9, 0), (170.1, 1)):
        outcome = score([fired(1.0)], [incident(located(1.0, (east_m, 165.0, 1.5)))])
        assert outcome.rounds_located == 1
        assert outcome.false_incidents == false


def test_an_incident_is_false_where_nothing_was_fired_at_the_time():
    """The right place at a wrong time is false; so is anything in a cell without rounds."""
    outcome = score([fired(1.0)], [incident(located(2.1)), incident(located(1.0), cell="b")])
    assert (outcome.incidents, outcome.false_incidents) == (2, 2)


def test_only_located_incidents_count():
    """What was merely detected is neither located nor false."""
    outcome = score([fired(1.0)], [unlocated(1.5, "detected", "3 nodes")])
    assert (outcome.incidents, outcome.false_incidents, outcome.rounds_located) == (0, 0, 0)
    assert outcome.summary()["median_error_m"] is None
    assert outcome.summary()["p90_error_m"] is None


def test_a_round_of_unknown_time_takes_the_nearest_that_is_left_over():
    """Rounds of known time are paired first; then place decides."""
    near, far = located(7.0, (125.0, 165.0, 1.5)), located(8.0, (140.0, 165.0, 1.5))
    truth = [fired(None), fired(1.0)]
    outcome = score(truth, [incident(far), incident(near), incident(located(1.0))])
    assert [row.error_m for row in outcome.rows] == [5.0, 0.0]
    assert outcome.false_incidents == 0


def test_no_rounds_and_no_incidents_are_a_score_too():
    """A quiet night: nothing fired, nothing located, no division by nothing."""
    assert score([], []).summary()["rounds_fired"] == 0
    assert score([], [incident(located(1.0))]).false_incidents == 1
    assert score([fired(1.0)], []).rows[0].miss is None


def test_too_few_nodes_heard_it():
    """Three arrivals at their predicted times are one too few, and are counted."""
    truth = fired(1.0)
    row = inquest(truth, heard=arrivals(truth, ["n1", "n2", "n3"]))
    assert (row.nodes_heard, row.miss.cause) == (3, "too few nodes")
    assert row.miss.detail == "heard by 3 of 5 nodes; 4 are needed"


def test_a_round_after_the_recordings_end_could_not_be_heard():
    """Where recordings are short excerpts, the miss is not blamed on who listened to them."""
    truth = fired(1.0)
    due_ns = {one.source: one.toa_utc_ns for one in arrivals(truth, NODES_ENU_M)}
    ended = {source: (START_NS, at_ns - 1) for source, at_ns in due_ns.items()}
    lasted = {source: (START_NS, at_ns + 1) for source, at_ns in list(due_ns.items())[:3]}
    evidence = Evidence([], stations(), {"a": AIR_C}, ended | lasted)
    miss = score([truth], [], evidence).rows[0].miss
    assert (miss.cause, miss.detail[:30]) == ("not recorded", "its sound reached 3 of 5 nodes")
    first = next(iter(ended))
    evidence = Evidence([], stations(), {"a": AIR_C}, {first: ended[first]})
    assert score([truth], [], evidence).rows[0].miss.cause == "too few nodes"


def test_an_arrival_at_another_time_is_of_something_else():
    """Only an arrival within 60 ms of its predicted time is counted as hearing the round."""
    truth = fired(1.0)
    on_time, late = arrivals(truth, ["n1", "n2"], 0.05), arrivals(truth, ["n3", "n4", "n5"], 0.07)
    assert inquest(truth, heard=[*on_time, *late]).nodes_heard == 2


@pytest.mark.parametrize(
    ("incidents", "cause"),
    [
        ([], "not associated"),
        ([unlocated(1.6, "detected", "3 nodes agree")], "not associated"),
        ([unlocated(1.6, "ill-conditioned", "all nodes on one side")], "badly conditioned"),
        ([unlocated(9.0, "ill-conditioned", "something later")], "not associated"),
    ],
)
def test_enough_nodes_heard_it_and_yet(incidents, cause):
    """With four arrivals it is the solve or the association that failed; the locator says which."""
    truth = fired(1.0)
    row = inquest(truth, incidents, arrivals(truth, ["n1", "n2", "n3", "n4"]))
    assert (row.nodes_heard, row.miss.cause) == (4, cause)
    if cause == "badly conditioned":
        assert row.miss.detail == "all nodes on one side"


def test_nobody_can_tell_who_heard_a_round_of_unknown_time():
    """Its miss says so instead of guessing."""
    row = inquest(fired(None))
    assert (row.nodes_heard, row.miss.cause) == (None, "time unknown")
