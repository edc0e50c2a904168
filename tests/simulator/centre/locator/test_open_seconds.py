"""Incidents of nodes of which nobody knows whether it is they who are whole seconds off."""

from collections.abc import Sequence

from agent.core.units import NS_PER_S
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.clockdoubts import ClockDoubts
from simulator.centre.locator.incident import Incident, to_geojson
from simulator.cli.locate import incident_line
from tests.support.located import Point, incident, located, stations

OFF_S = 3
NODES: dict[str, Point] = {
    f"n{number}": (40.0 * number, 25.0 * (number % 4), 5.0) for number in range(24)
}
KNOWN = stations(nodes=NODES)
LEFT = [f"urn:earshot:lab:a:n{number}" for number in range(12)]  # OFF_S ahead, or the others behind
RIGHT = [f"urn:earshot:lab:a:n{number}" for number in range(12, 24)]


class Cell:
    """Incidents come one by one; what was told of each last."""

    def __init__(self) -> None:
        self.all: list[Incident] = []
        self.told: dict[str, Incident] = {}
        self.doubts = ClockDoubts(KNOWN, self._near, self._heard)

    def _near(self, utc_ns: int) -> list[Incident]:
        return [one for one in self.all if abs(one.utc_ns - utc_ns) <= 21 * NS_PER_S]

    def _heard(self, first_ns: int, last_ns: int) -> Sequence[Arrival]:
        return ()

    def tell(self, *ones: Incident) -> list[str]:
        self.all += ones
        changed, withdrawn = list(ones), list[Incident]()
        words = self.doubts.look(changed, withdrawn)
        for gone in withdrawn:
            self.told.pop(gone.id, None)
        self.told |= {one.id: one for one in changed}
        return words

    def give_up(self, one: Incident) -> None:
        self.all.remove(one)
        changed, withdrawn = list[Incident](), [one]
        self.doubts.look(changed, withdrawn)
        for gone in withdrawn:
            self.told.pop(gone.id, None)
        self.told |= {again.id: again for again in changed}


def shot(at_s: float, heard: list[str], off_s: int = 0, place: Point = (300.0, 40.0, 1.5)):
    return incident(located(at_s + off_s, place, heard=heard))


def offsets(one: Incident) -> list[float]:
    return [(may_be.utc_ns - one.utc_ns) / NS_PER_S for may_be in one.alternatives]


def test_even_camps_are_told_with_each_others_time_and_name() -> None:
    """Neither is sure: each has the other's time and incident, in GeoJSON and in the log's line."""
    cell = Cell()
    one, other = shot(10.0, RIGHT[:6]), shot(10.0, LEFT[:6], OFF_S)
    cell.tell(one)
    assert cell.told[one.id].alternatives == ()
    cell.tell(other)
    assert offsets(cell.told[one.id]) == [OFF_S]
    assert offsets(cell.told[other.id]) == [-OFF_S]
    assert cell.told[one.id].alternatives[0].incident_id == other.id
    said = to_geojson(cell.told[one.id], None)["properties"]
    assert said["alternatives"] == [
        {"time": to_geojson(other, None)["properties"]["time"], "incident": other.id}
    ]
    assert "is open" in said["notes"][0]
    assert "(or 21:00:13.000: nobody can tell)" in incident_line(cell.told[one.id])
    assert "alternatives" not in to_geojson(one, None)["properties"]


def test_what_one_camp_tells_alone_is_as_open() -> None:
    """Too few of the others were near: it may be they who are right."""
    cell = Cell()
    cell.tell(shot(10.0, RIGHT[:6]), shot(10.0, LEFT[:6], OFF_S))
    lone, of_both = shot(40.0, LEFT[:5], OFF_S), shot(70.0, [*LEFT[2:4], *RIGHT[8:11]])
    cell.tell(lone)
    assert offsets(cell.told[lone.id]) == [-OFF_S]
    cell.tell(of_both)
    assert offsets(cell.told[of_both.id]) == []


def test_once_it_shows_who_is_right_all_are_told_anew() -> None:
    """The larger camp becomes clear: its incidents are sure, the other's are withdrawn, and what
    those told alone stays open."""
    cell = Cell()
    first, second = shot(10.0, RIGHT[:6]), shot(10.0, LEFT[:6], OFF_S)
    cell.tell(first, second)
    right_alone, left_alone = shot(40.0, RIGHT[:5]), shot(70.0, LEFT[:5], OFF_S)
    cell.tell(right_alone, left_alone)
    assert offsets(cell.told[right_alone.id]) == [OFF_S]
    cell.tell(shot(100.0, RIGHT), shot(100.0, LEFT[:5], OFF_S))
    assert second.id not in cell.told
    assert offsets(cell.told[first.id]) == offsets(cell.told[right_alone.id]) == []
    assert offsets(cell.told[left_alone.id]) == [-OFF_S]


def test_what_a_twin_hid_comes_back_when_that_is_given_up() -> None:
    """A located incident that turns out otherwise takes back what it said of its twin."""
    cell = Cell()
    many, few = shot(10.0, RIGHT), shot(10.0, LEFT[:4], OFF_S)
    cell.tell(many, few)
    assert set(cell.told) == {many.id}
    cell.give_up(many)
    assert set(cell.told) == {few.id}
    assert offsets(cell.told[few.id]) == []
