"""Blind association: shots are found and placed, echoes and chance are not, order is nothing."""

import random

import numpy as np
import pytest

from agent.core.units import NS_PER_S, sound_speed_mps
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.associate import locate
from simulator.centre.locator.incident import to_geojson
from simulator.centre.locator.registry import Station
from tests.support.drafts import LOCATOR_KEYS

START_NS = 1_773_522_000 * NS_PER_S
TEMPERATURE_C = 12.0
PLACES = {
    "n1": (-400.0, -260.0, 6.0),
    "n2": (-20.0, -340.0, 5.0),
    "n3": (360.0, -300.0, 7.0),
    "n4": (-330.0, 90.0, 6.0),
    "n5": (440.0, 70.0, 8.0),
    "n6": (40.0, 400.0, 9.0),
}
KEY = next(iter(LOCATOR_KEYS.values()))
STATIONS = {
    f"urn:earshot:s:c:{name}": Station(f"urn:earshot:s:c:{name}", "s", "c", name, KEY, place, 0.1)
    for name, place in PLACES.items()
}


def heard(
    east_m: float,
    north_m: float,
    at_s: float,
    names: tuple[str, ...] = tuple(PLACES),
    peak_dbfs: float = -6.0,
    extra_s: float = 0.0,
) -> list[Arrival]:
    """The direct arrivals of one shot, `extra_s` later for an echo that took a longer way."""
    arrivals = []
    for name in names:
        place = np.array(PLACES[name])
        distance = float(np.linalg.norm(place - (east_m, north_m, 1.5)))
        toa_ns = START_NS + round(
            (at_s + distance / sound_speed_mps(TEMPERATURE_C) + extra_s) * 1e9
        )
        loss_db = 20 * np.log10(distance / 100)
        arrivals.append(
            Arrival(
                source=f"urn:earshot:s:c:{name}",
                record_id=f"{name}/{toa_ns}",
                toa_utc_ns=toa_ns,
                sigma_ns=120_000,
                snr_db=40.0 - loss_db + (peak_dbfs + 6.0),
                peak_dbfs=peak_dbfs - loss_db,
                score=0.9,
            )
        )
    return arrivals


def located(arrivals: list[Arrival]) -> list[tuple[float, float, int]]:
    """East, north and number of rounds of each located incident."""
    incidents = locate(arrivals, STATIONS, TEMPERATURE_C)
    return [(*one.enu_m[:2], len(one.rounds)) for one in incidents if one.status == "located"]


@pytest.mark.parametrize("place", [(0.0, 0.0), (-210.0, 130.0), (300.0, -120.0), (60.0, 250.0)])
def test_clean_arrivals_give_the_place(place: tuple[float, float]) -> None:
    """Without noise the only error left is the unknown height of the muzzle."""
    ((east, north, rounds),) = located(heard(*place, 1.0))
    assert np.hypot(east - place[0], north - place[1]) < 1.0
    assert rounds == 1


def test_the_time_is_that_of_the_muzzle() -> None:
    (incident,) = locate(heard(50.0, 20.0, 3.25), STATIONS, TEMPERATURE_C)
    assert abs(incident.utc_ns - START_NS - 3.25e9) < 3e6
    assert incident.heard_by == tuple(sorted(STATIONS))


def test_two_sigma_hold_most_places() -> None:
    """With a millisecond of scatter the stated ellipse covers the error, and is not absurd."""
    rng, inside, majors = np.random.default_rng(5), [], []
    for _ in range(25):
        place = rng.uniform(-200, 200, 2)
        noisy = [
            Arrival(
                a.source, a.record_id, a.toa_utc_ns + round(rng.normal(0, 1e6)), 10**6, 30, -10, 0
            )
            for a in heard(*place, 1.0)
        ]
        (incident,) = locate(noisy, STATIONS, TEMPERATURE_C)
        (one,) = incident.rounds
        ee, en, nn = one.covariance_m2
        off = np.array(one.enu_m[:2]) - place
        inside.append(off @ np.linalg.inv([[ee, en], [en, nn]]) @ off < 6.18)
        majors.append(one.sigma1_m)
    assert np.mean(inside) >= 0.9
    assert np.median(majors) < 5.0


def test_a_burst_is_one_incident_with_all_its_rounds() -> None:
    """Seven rounds 65 ms apart: more rounds than the arrivals of one fit between two nodes."""
    burst = [a for n in range(7) for a in heard(120.0, -80.0, 1.0 + 0.065 * n)]
    ((east, north, rounds),) = located(burst)
    assert rounds == 7
    assert np.hypot(east - 120, north + 80) < 2.0


def test_two_shooters_are_two_incidents() -> None:
    """Shots from two places within a second are told apart."""
    both = heard(-250.0, -100.0, 1.0) + heard(280.0, 100.0, 1.4)
    places = sorted(located(both))
    assert [rounds for *_, rounds in places] == [1, 1]
    assert np.allclose([p[:2] for p in places], [(-250, -100), (280, 100)], atol=3.0)


def test_echoes_are_no_shots() -> None:
    """Weaker copies, even a whole consistent image, do not become incidents."""
    echoes = heard(200.0, 250.0, 1.8, peak_dbfs=-22.0)
    scattered = heard(0.0, 0.0, 1.0, ("n1", "n3", "n5"), -18.0, extra_s=0.12)
    ((east, north, rounds),) = located(heard(0.0, 0.0, 1.0) + echoes + scattered)
    assert (round(east), round(north), rounds) == (0, 0, 1)


def test_one_liar_does_not_move_the_place_far() -> None:
    """A node that is 300 ms off is left out."""
    arrivals = heard(40.0, -60.0, 1.0)
    bad = arrivals[2]
    arrivals[2] = Arrival(
        bad.source,
        bad.record_id,
        bad.toa_utc_ns + 300_000_000,
        10**5,
        bad.snr_db,
        bad.peak_dbfs,
        0.9,
    )
    ((east, north, _),) = located(arrivals)
    assert np.hypot(east - 40, north + 60) < 3.0


def test_three_nodes_detect_but_do_not_locate() -> None:
    (incident,) = locate(heard(0.0, 0.0, 1.0, ("n1", "n2", "n3")), STATIONS, TEMPERATURE_C)
    assert (incident.status, incident.rounds, incident.enu_m) == ("detected", (), None)
    assert "3 nodes" in incident.reason


@pytest.mark.parametrize("names", [(), ("n1",), ("n1", "n2")])
def test_fewer_are_nothing(names: tuple[str, ...]) -> None:
    assert locate(heard(0.0, 0.0, 1.0, names), STATIONS, TEMPERATURE_C) == []


def test_nodes_in_a_line_are_ill_conditioned() -> None:
    """Far off the end of a row of nodes, the range is not determined, and no place is claimed."""
    row = {
        f"r{n}": Station(f"r{n}", "s", "c", f"r{n}", KEY, (10.0 * n, 0.0, 6.0), 0.1)
        for n in range(4)
    }
    speed = sound_speed_mps(TEMPERATURE_C)
    arrivals = [
        Arrival(name, name, START_NS + round((400.0 - 10.0 * n) / speed * 1e9), 10**5, 30, -20, 0.9)
        for n, name in enumerate(row)
    ]
    incidents = locate(arrivals, row, TEMPERATURE_C)
    assert all(one.status != "located" for one in incidents)


def test_chance_is_rarely_an_incident() -> None:
    """Unrelated onsets of a busy minute, weak and strong, locate next to nothing."""
    rng, found = random.Random(3), 0
    for _ in range(10):
        arrivals = [
            Arrival(
                s, f"{s}/{n}", START_NS + rng.randrange(10**10), 10**5, rng.uniform(7, 16), -30, 0.3
            )
            for s in STATIONS
            for n in range(5)
        ]
        found += len(located(arrivals))
    assert found <= 2


def test_the_order_of_arrivals_is_nothing() -> None:
    """Any order of the same records gives the same incidents, to the byte."""
    arrivals = heard(10.0, 20.0, 1.0) + heard(10.0, 20.0, 1.3) + heard(-200.0, 90.0, 4.0)
    first = [to_geojson(one, None) for one in locate(arrivals, STATIONS, TEMPERATURE_C)]
    for seed in range(4):
        random.Random(seed).shuffle(arrivals)
        again = [to_geojson(one, None) for one in locate(arrivals, STATIONS, TEMPERATURE_C)]
        assert again == first


def test_geojson_is_on_the_map() -> None:
    """With an origin, the feature's point is where the metres say."""
    (incident,) = locate(heard(0.0, 111.0, 1.0), STATIONS, TEMPERATURE_C)
    feature = to_geojson(incident, (40.0, -80.0, 0.0))
    longitude, latitude = feature["geometry"]["coordinates"]
    assert longitude == pytest.approx(-80.0, abs=2e-5)
    assert latitude == pytest.approx(40.001, abs=2e-5)
    assert feature["properties"]["status"] == "located"
