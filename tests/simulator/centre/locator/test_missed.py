"""A shot that nobody was told of is found when somebody asks, with how often chance answers."""

import random
from contextlib import closing
from math import dist
from pathlib import Path

import pytest

from agent.core.units import NS_PER_S, rfc3339
from agent.errors import StoreError
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.missed import SLIDES, answers_in, searched, slid
from simulator.centre.locator.service import EVENTS, LocatorService
from simulator.centre.locator.store import EventStore
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from tests.simulator.centre.locator.test_listed import thinned
from tests.support.cells import SHOT, Cell
from tests.support.drafts import LOCATOR
from tests.support.hooves import AIR_C, START_NS, scene
from tests.support.located import START_NS as CELL_START_NS
from tests.support.located import arrivals, fired


def test_shots_that_most_nodes_only_listed_are_among_the_answers() -> None:
    """Seven of nine nodes hear hooves: of eight shots three in four at least are found."""
    found, shots, answers, by_chance = 0, 0, 0, 0.0
    for seed in (300, 301):
        one = scene(seed, 7, 4, pause_s=120.0)
        for at_s, *place in one.shots:
            near = [
                heard
                for heard in (*one.told, *one.listed)
                if abs((heard.toa_utc_ns - START_NS) / NS_PER_S - at_s) < 5.0
            ]
            incidents, chance = searched(near, one.stations, AIR_C)
            shots, answers, by_chance = shots + 1, answers + len(incidents), by_chance + chance
            found += any(
                incident.enu_m is not None
                and dist(incident.enu_m[:2], place) < 50.0
                and abs((incident.utc_ns - START_NS) / NS_PER_S - at_s) < 0.5
                for incident in incidents
            )
    assert found >= 0.75 * shots
    assert answers - found <= by_chance + 4.0


def test_a_slide_moves_each_node_by_an_amount_of_its_own() -> None:
    """Sounds stay within their span, as many at each node; what was one sound is none any more."""
    heard = [
        Arrival(f"n{node}", f"r{node}/{n}", (7 * n + node) * NS_PER_S, 1000, 20.0, -20.0, 0.5)
        for node in range(5)
        for n in range(6)
    ]
    for number in range(SLIDES):
        moved = slid(heard, number)
        assert [one.source for one in moved] == [one.source for one in heard]
        offs = {
            (new.toa_utc_ns - old.toa_utc_ns) % (39 * NS_PER_S + 1)
            for new, old in zip(moved, heard, strict=True)
        }
        assert len(offs) == 5
    assert slid([], 0) == []


@pytest.fixture
def stopped(tmp_path: Path) -> tuple[Path, Cell]:
    """A store whose locator has ended: one node told a shot, the four others listed it."""
    path, cell, broker = tmp_path / "locator.sqlite", Cell(), VirtualBroker()
    street = VirtualPublisher(broker, "street")
    street.connect()
    with closing(EventStore(path, cell.registry.keys, LOCATOR)) as store:
        link = VirtualPublisher(broker, "locator", (EVENTS,), persistent=True)
        service = LocatorService(store, link, cell.registry, rng=random.Random(1))
        service.step(0, lambda: rfc3339(CELL_START_NS))
        messages = cell.shot(0.0, ["n1"])
        for number, node in enumerate(("n2", "n3", "n4", "n5")):
            (one,) = arrivals(fired(0.0, SHOT), [node])
            others = [one.toa_utc_ns + n * (5 + number) * NS_PER_S for n in (-1, 0, 1)]
            messages.append(cell.say(node, thinned(others)))
        for message in messages:
            street.publish(message.topic, message.payload)
        for second in range(1, 12):
            service.step(second * NS_PER_S, lambda: rfc3339(CELL_START_NS))
        assert not service.incidents
    return path, cell


def test_what_a_store_holds_of_it(stopped: tuple[Path, Cell]) -> None:
    """The place is that of the shot, and who only listed it is told."""
    path, cell = stopped
    (answer,) = answers_in(path, cell.registry, CELL_START_NS, 10 * NS_PER_S)
    (incident,) = answer.incidents
    assert incident.enu_m is not None
    assert dist(incident.enu_m[:2], SHOT[:2]) < 2.0
    assert sum(one.is_listed for one in incident.rounds[0].arrivals) == 4
    assert (answer.told, answer.listed, answer.by_chance) == (1, 12, 0.0)
    (nothing,) = answers_in(path, cell.registry, CELL_START_NS + 3600 * NS_PER_S, 10 * NS_PER_S)
    assert (nothing.incidents, nothing.told, nothing.listed) == ((), 0, 0)
    with pytest.raises(StoreError, match="no such file"):
        answers_in(path.with_name("none"), cell.registry, 0, 1)
