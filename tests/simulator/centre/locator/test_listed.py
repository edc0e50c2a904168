"""What busy streets only list: it joins the shots that it fits, and makes none."""

import random
from contextlib import closing
from dataclasses import replace
from math import dist
from pathlib import Path

import msgspec
import pytest

from agent.core.records.thinned import ListedOnset, Thinned, packed
from agent.core.units import NS_PER_S, rfc3339
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.associate import locate
from simulator.centre.locator.incident import Incident, to_geojson
from simulator.centre.locator.listed import PATIENCE_NS
from simulator.centre.locator.service import EVENTS, LocatorService
from simulator.centre.locator.store import EventStore
from simulator.centre.locator.support import at_least
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from tests.simulator.centre.locator.test_associate import STATIONS, TEMPERATURE_C, heard
from tests.support.cells import SHOT, Cell
from tests.support.drafts import LOCATOR, THINNED
from tests.support.hooves import AIR_C, START_NS, Scene, scene
from tests.support.located import START_NS as CELL_START_NS
from tests.support.located import arrivals, fired

EAST_NORTH = (60.0, 40.0)


def listed(arrivals: list[Arrival]) -> list[Arrival]:
    """The same, as a list holds them."""
    return [replace(one, is_listed=True, record_id=f"{one.record_id}!") for one in arrivals]


def shot(told: str, in_lists: str) -> tuple[list[Arrival], list[Arrival]]:
    """One shot, told by some of the nodes and listed by others."""
    names = [[f"n{digit}" for digit in digits] for digits in (told, in_lists)]
    given = [heard(*EAST_NORTH, 2.0, tuple(some)) if some else [] for some in names]
    return given[0], listed(given[1])


def test_listed_onsets_join_a_shot_that_others_told() -> None:
    """They are arrivals like others, told apart; the incident keeps its name when they come."""
    told, also = shot("1346", "25")
    (before,) = locate(told, STATIONS, TEMPERATURE_C)
    (incident,) = locate(told, STATIONS, TEMPERATURE_C, also)
    assert (incident.id, incident.status) == (before.id, "located")
    assert len(incident.heard_by) == 6
    assert "2 of which only listed it" in incident.reason
    (one,), (alone,) = incident.rounds, before.rounds
    assert one.sigma1_m < alone.sigma1_m
    feature = to_geojson(incident, None)["properties"]["rounds"][0]["arrivals"]
    assert [found.get("listed", False) for found in feature] == [False] * 4 + [True] * 2


@pytest.mark.parametrize("late_s", [0.06, -0.06])
def test_a_listed_onset_of_another_time_joins_nothing(late_s: float) -> None:
    """Within a few milliseconds of what the shot foretells, or not at all."""
    told, also = shot("1346", "2")
    moved = [replace(one, toa_utc_ns=one.toa_utc_ns + round(late_s * 1e9)) for one in also]
    assert locate(told, STATIONS, TEMPERATURE_C, moved) == locate(told, STATIONS, TEMPERATURE_C)


def test_in_a_street_that_never_rests_chance_explains_it() -> None:
    """An onset every 20 ms fits anything: it joins nothing."""
    told, also = shot("1346", "2")
    start_ns = also[0].toa_utc_ns - 3 * NS_PER_S
    crowd = [replace(also[0], toa_utc_ns=start_ns + n * 20_000_000) for n in range(300)]
    assert locate(told, STATIONS, TEMPERATURE_C, crowd) == locate(told, STATIONS, TEMPERATURE_C)


def test_three_nodes_and_their_neighbours_lists_locate() -> None:
    """Three told it and three listed it, in streets where little else happens: it has a place."""
    told, also = shot("135", "246")
    (before,) = locate(told, STATIONS, TEMPERATURE_C)
    assert before.status == "detected"
    (incident,) = locate(told, STATIONS, TEMPERATURE_C, also)
    assert incident.status == "located"
    assert incident.enu_m is not None
    assert dist(incident.enu_m[:2], EAST_NORTH) < 5.0
    assert "told by 3 nodes and in the lists of 3 busy ones" in incident.reason


def test_one_list_confirms_no_three() -> None:
    """Of three told arrivals and one listed any place may be made: it stays without one."""
    told, also = shot("135", "2")
    (incident,) = locate(told, STATIONS, TEMPERATURE_C, also)
    assert incident.status == "detected"


@pytest.mark.parametrize(("told", "lists"), [("", "123456"), ("1", "23456"), ("12", "3456")])
def test_lists_found_nothing(told: str, lists: str) -> None:
    """However many list it: with fewer than three that told it there is no incident."""
    heard_of, also = shot(told, lists)
    assert locate(heard_of, STATIONS, TEMPERATURE_C, also) == []


def test_at_least_so_many_by_chance() -> None:
    """The tail of a Poisson binomial distribution, against the sum over all outcomes."""
    assert at_least(0, [0.3, 0.2]) == pytest.approx(1.0)
    assert at_least(1, [0.3, 0.2]) == pytest.approx(1.0 - 0.7 * 0.8)
    assert at_least(2, [0.3, 0.2]) == pytest.approx(0.06)
    assert at_least(1, []) == 0.0


def judged(one: Scene, lists: list[Arrival]) -> tuple[int, int]:
    """How many shots are located within 50 m, and how many incidents are of none."""
    found = [
        incident
        for incident in locate(one.told, one.stations, AIR_C, lists)
        if incident.status == "located"
    ]
    right = {
        (at_s, incident.id)
        for at_s, *place in one.shots
        for incident in found
        if incident.enu_m
        and dist(incident.enu_m[:2], place) <= 50.0
        and any(abs((r.utc_ns - START_NS) / NS_PER_S - at_s) < 0.25 for r in incident.rounds)
    }
    return len({at_s for at_s, _ in right}), len(found) - len({name for _, name in right})


def test_lists_of_hooves_find_shots_and_make_none() -> None:
    """Beside streets where a horse passes every two minutes lists place an eighth more shots, and
    beside streets where one is always near they make no false incident."""
    told_only, with_lists = [0, 0], [0, 0]
    for seed in range(100, 116):
        for one in (scene(seed, 4, 6, pause_s=120.0), scene(seed, 5, 0, pause_s=15.0)):
            for sums, lists in ((told_only, []), (with_lists, one.listed)):
                right, wrong = judged(one, lists)
                sums[0] += right
                sums[1] += wrong
    assert with_lists[0] >= 1.125 * told_only[0]
    assert with_lists[1] <= told_only[1]


def thinned(at_ns: list[int]) -> Thinned:
    """A list of onsets at these times."""
    rows = [ListedOnset(ns - at_ns[0], 300_000, -30.0, 15.0, 0.4, 1.0) for ns in at_ns]
    return msgspec.structs.replace(
        THINNED, count=len(rows), first_utc_ns=str(at_ns[0]), listed=packed(rows)
    )


class Town:
    """A centre with a small memory before a cell; what is believed, by name."""

    def __init__(self, folder: Path, memory: int) -> None:
        self.folder, self.memory, self.now_ns = folder, memory, 0
        self.cell, self.broker = Cell(), VirtualBroker()
        self.street = VirtualPublisher(self.broker, "street")
        self.street.connect()
        self.believed: dict[str, Incident] = {}
        self.open()

    def open(self) -> None:
        self.store = EventStore(self.folder / "s", self.cell.registry.keys, LOCATOR)
        link = VirtualPublisher(self.broker, "locator", (EVENTS,), persistent=True)
        self.service = LocatorService(
            self.store,
            link,
            self.cell.registry,
            rng=random.Random(1),
            memory=self.memory,
            announce=lambda new: self.believed.update((one.id, one) for one in new.changed),
        )
        self.run(2)

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.service.step(self.now_ns, lambda: rfc3339(CELL_START_NS + self.now_ns))
            self.now_ns += NS_PER_S

    def say(self, *messages) -> None:  # type: ignore[no-untyped-def]
        for one in messages:
            self.street.publish(one.topic, one.payload)
        self.run(1)

    def list_shot(self, node: str, at_s: float) -> None:
        """A node lists a shot among two other onsets."""
        (one,) = arrivals(fired(at_s, SHOT), [node])
        apart_ns = 7 * NS_PER_S
        at_ns = [one.toa_utc_ns + n * apart_ns for n in (-1, 0, 1)]
        self.say(self.cell.say(node, thinned(at_ns)))


@pytest.mark.parametrize("memory", [4096, 8])
def test_a_list_that_comes_later_joins_what_was_told(tmp_path: Path, memory: int) -> None:
    """A minute after the shot, when it was forgotten too, and after a kill as well."""
    town = Town(tmp_path, memory)
    with closing(town.store):
        town.say(*town.cell.shot(0.0, ["n1", "n2", "n3", "n4"]))
        for number in range(1, 4):
            town.say(*town.cell.shot(200.0 * number))
        town.run(10)
        town.list_shot("n5", 0.0)
        town.run(PATIENCE_NS // NS_PER_S + 8)
        (joined,) = [one for one in town.believed.values() if one.utc_ns < CELL_START_NS + NS_PER_S]
        assert len(joined.heard_by) == 5
        assert [one.is_listed for one in joined.rounds[0].arrivals] == [False] * 4 + [True]
    town.believed.clear()
    town.open()
    with closing(town.store):
        town.run(10)
        assert not town.believed or town.believed[joined.id] == joined


def test_a_list_that_waits_for_its_shot_joins_at_once(tmp_path: Path) -> None:
    """What was told comes late: the lists of that time are in the store already."""
    town = Town(tmp_path, 4096)
    with closing(town.store):
        town.list_shot("n5", 0.0)
        town.say(*town.cell.shot(0.0, ["n1", "n2", "n3", "n4"]))
        town.run(7)
        (incident,) = town.believed.values()
        assert len(incident.heard_by) == 5
