"""Echoes among few nodes: no place is claimed that an echo may have made."""

from dataclasses import replace
from math import dist

from agent.core.units import NS_PER_S
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.associate import locate
from simulator.centre.locator.incident import Incident
from tests.simulator.centre.locator.test_associate import STATIONS, TEMPERATURE_C, heard
from tests.support.echostreet import START_NS, Street, street

NEAR_M = 50.0


def is_true(incident: Incident, one: Street) -> bool:
    """Whether something was fired there, and then."""
    at_s = [(found.utc_ns - START_NS) / NS_PER_S for found in incident.rounds]
    place = incident.enu_m
    is_then = any(abs(at - fired) < 1.0 for at in at_s for fired in one.rounds_s)
    return place is not None and dist(place[:2], one.place_m) <= NEAR_M and is_then


def test_streets_full_of_echoes_make_no_shots() -> None:
    """Of 60 streets one place at most is wrong, and seven rounds in ten are located. When nothing
    spoke for what came first, eleven to eighteen places were wrong and fewer rounds located."""
    wrong = fired = located = 0
    for seed in range(60):
        one = street(seed)
        found = [
            incident
            for incident in locate(one.arrivals, one.stations, one.air_c)
            if incident.status == "located"
        ]
        wrong += sum(not is_true(incident, one) for incident in found)
        fired += len(one.rounds_s)
        located += sum(len(incident.rounds) for incident in found if is_true(incident, one))
    assert wrong <= 1
    assert located >= 0.7 * fired


def later(arrivals: list[Arrival], name: str, late_s: float, snr_db: float) -> list[Arrival]:
    """What that node heard, as an echo so much later, and of that SNR."""
    return [
        replace(
            one,
            record_id=f"{one.record_id}+",
            toa_utc_ns=one.toa_utc_ns + round(late_s * NS_PER_S),
            snr_db=snr_db,
        )
        for one in arrivals
        if one.source.endswith(name)
    ]


def test_what_came_first_is_the_direct_way() -> None:
    """At three of six nodes an echo from one wall is far clearer than the direct sound, and makes
    an image of its own with chance at the others: the place is that of what came first."""
    direct = heard(0.0, 0.0, 1.0)
    faint = [replace(one, snr_db=16.0) for one in direct]
    echoes = [one for n in ("n1", "n2", "n3") for one in later(direct, n, 0.15, 34.0)]
    (incident,) = locate(faint + echoes, STATIONS, TEMPERATURE_C)
    assert incident.enu_m is not None
    assert dist(incident.enu_m[:2], (0.0, 0.0)) < 3.0
    assert len(incident.rounds[0].arrivals) == 6


def test_four_of_which_one_heard_something_before_are_detected() -> None:
    """Three first sounds and an echo fit some place to a millisecond: none is claimed, the shot is
    told all the same, and why it has no place. Without the sound before it is four first ones."""
    four = heard(60.0, 40.0, 1.0, ("n1", "n3", "n5", "n6"))
    (clear,) = locate(four, STATIONS, TEMPERATURE_C)
    assert clear.status == "located"
    before = later(four, "n5", -0.12, 16.0)
    (incident,) = locate(four + before, STATIONS, TEMPERATURE_C)
    assert (incident.status, incident.rounds, incident.enu_m) == ("detected", (), None)
    assert "1 of them heard something else just before" in incident.reason
    assert len(incident.heard_by) == 4


def test_a_faint_sound_before_speaks_against_nobody() -> None:
    """The street's own faint onsets come all the time."""
    four = heard(60.0, 40.0, 1.0, ("n1", "n3", "n5", "n6"))
    (incident,) = locate(four + later(four, "n5", -0.3, 7.0), STATIONS, TEMPERATURE_C)
    assert incident.status == "located"


def test_rounds_of_two_shooters_are_no_sounds_before_each_other() -> None:
    """Two in turn, a third of a second apart: each round follows another's at all nodes."""
    rounds = [heard(*(((-120.0, 0.0), (120.0, 60.0))[n % 2]), 1.0 + n / 3) for n in range(6)]
    found = locate([one for round_ in rounds for one in round_], STATIONS, TEMPERATURE_C)
    assert [(one.status, len(one.rounds)) for one in found] == [("located", 3), ("located", 3)]
