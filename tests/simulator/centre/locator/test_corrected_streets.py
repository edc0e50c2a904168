"""Hours of shots located while nodes were without satellites: corrected from the store, all.

Memory is small, so that what is corrected was forgotten long ago; a kill meanwhile loses nothing.
"""

import random
from contextlib import closing
from dataclasses import replace
from math import dist
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.core.records import Draft
from agent.core.units import NS_PER_S, rfc3339
from simulator.centre.locator.corrections import PAGE
from simulator.centre.locator.incident import Incident
from simulator.centre.locator.service import EVENTS, LocatorService
from simulator.centre.locator.store import EventStore
from simulator.centre.locator.windows import MANY_TOUCHES, CellBelief, Revision
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from tests.support.cells import Cell
from tests.support.drafts import LOCATOR, draft, impulse
from tests.support.heldover import LASTS_S, HeldOver
from tests.support.located import NODES_ENU_M, START_NS, Point, arrivals, fired, stations

MEMORY, SHOTS = 25, 16
LOST = ("n3", "n4")
N3 = "urn:earshot:lab:a:n3"


class Street:
    """A cell before a centre with a small memory: shots, then corrections, and what is believed."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory, self.rng = directory, random.Random(seed)
        self.clocks = {node: HeldOver(seed + number) for number, node in enumerate(LOST)}
        self.cell, self.broker, self.now_ns = Cell(), VirtualBroker(), 0
        self.street = VirtualPublisher(self.broker, "street")
        self.street.connect()
        self.believed: dict[str, Incident] = {}
        self.shots: list[tuple[int, Point]] = []
        self.most = 0
        self.open()

    def open(self) -> None:
        self.store = EventStore(self.directory / "s", self.cell.registry.keys, LOCATOR)
        link = VirtualPublisher(self.broker, "locator", (EVENTS,), persistent=True)
        self.service = LocatorService(
            self.store,
            link,
            self.cell.registry,
            rng=random.Random(1),
            memory=MEMORY,
            announce=self._believe,
        )
        self.run(3)

    def _believe(self, revision: Revision) -> None:
        for gone in revision.withdrawn:
            self.believed.pop(gone.id, None)
        self.believed |= {one.id: one for one in revision.changed}

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.service.step(self.now_ns, lambda: rfc3339(START_NS + self.now_ns))
            self.now_ns += NS_PER_S
            self.most = max(self.most, len(self.service.arrivals))

    def fire(self, at_s: float) -> None:
        """A shot that all five hear, two of them by clocks that are astray."""
        place = (self.rng.uniform(40, 240), self.rng.uniform(60, 400), 1.5)
        truth = fired(at_s, place)
        self.shots.append((START_NS + round(at_s * NS_PER_S), place))
        for one in arrivals(truth, NODES_ENU_M):
            node = one.source.rpartition(":")[2]
            off_ns, sigma_ns = 0, 20_000
            if node in LOST and at_s < LASTS_S:
                clock = self.clocks[node]
                off_ns, sigma_ns = clock.error_ns(at_s), clock.sigma_ns(at_s)
            toa_ns = one.toa_utc_ns + off_ns
            heard = msgspec.structs.replace(
                impulse(),
                toa_utc_ns=str(toa_ns),
                sigma_noise_ns=10_000,
                sigma_total_ns=sigma_ns + 10_000,
            )
            said = Draft(data=heard, clock=draft().clock, host_ns=1, utc_ns=toa_ns)
            message = self.cell.message(node, self.cell.seal(node, said))
            self.street.publish(message.topic, message.payload)

    def correct(self, node: str) -> None:
        message = self.cell.say(node, self.clocks[node].correction())
        self.street.publish(message.topic, message.payload)

    def rms_m(self) -> float:
        """How far what is believed of the shots in the spell is from the truth."""
        offs = []
        for at_ns, place in self.shots:
            if at_ns < START_NS + LASTS_S * NS_PER_S:
                near = [one for one in self.believed.values() if abs(one.utc_ns - at_ns) < 10**9]
                (one,) = [found for found in near if found.enu_m is not None]
                assert one.enu_m is not None
                offs.append(dist(one.enu_m[:2], place[:2]))
        return float(np.sqrt(np.mean(np.square(offs))))


@pytest.mark.parametrize(("seed", "kills"), [(0, False), (10, True)])
def test_all_that_a_holdover_touched_moves_to_where_it_was(
    tmp_path: Path, seed: int, *, kills: bool
) -> None:
    """Shots of two hours, forgotten since: each is located again, closer to the truth in all, and
    says so."""
    street = Street(tmp_path, seed)
    with closing(street.store):
        for number in range(SHOTS):
            street.fire(100.0 + number * (LASTS_S - 200.0) / SHOTS)
            street.run(7 if number % 4 == 3 else 1)
        for number in range(6):
            street.fire(LASTS_S + 100.0 * number)
            street.run(1)
        street.run(12)
        before_m = street.rms_m()
        for node in LOST:
            street.correct(node)
            street.run(2)
        if kills:
            street.store.close()
            street.open()
        street.run(25)
        noted = [one for one in street.believed.values() if "corrected" in " ".join(one.notes)]
        assert len(noted) == SHOTS
        assert street.rms_m() < before_m / 2
        assert kills or street.most <= 2 * MEMORY  # a start tells the latest thousand again
        assert not any(one.is_waiting for one in street.service._cells.values())
        street.store.close()


class City:
    """A past in which one node heard something each second for `hours`; counts what is asked."""

    def __init__(self, hours: int) -> None:
        self.last_ns, self.asked = START_NS + hours * 3600 * NS_PER_S, 0

    def heard_by(self, source: str, after_ns: int, last_ns: int, limit: int) -> list[int]:
        assert limit <= PAGE
        self.asked += 1
        first = after_ns // NS_PER_S + 1
        return [one * NS_PER_S for one in range(first, min(first + limit, last_ns // NS_PER_S + 1))]

    def corrected(self, first_ns: int, last_ns: int) -> list[tuple[str, str, int]]:
        return []

    def earlier(self, utc_ns: int) -> list[object]:
        return []

    later = earlier

    def felt(self, first_ns: int, last_ns: int) -> list[float]:
        return []


def test_a_city_that_lost_its_satellites_needs_no_more_memory() -> None:
    """A thousand nodes correct two hours with a sound a second: seven million touches, of which a
    few hundred wait at a time."""
    belief = CellBelief(stations(), 5 * NS_PER_S, City(2))  # type: ignore[arg-type]
    for number in range(1_000):
        belief.correct(f"urn:earshot:lab:a:c{number}", HELD, 0)
    for second in range(20):
        belief.settle(second * NS_PER_S)
        assert len(belief._touches) < MANY_TOUCHES + PAGE
    assert belief.is_waiting


def test_before_anything_is_forgotten_it_is_the_same(tmp_path: Path) -> None:
    """Without a past: an arrival that comes after the correction is corrected as well."""
    belief = CellBelief(stations(), 5 * NS_PER_S)
    assert belief.correct(N3, HELD, 0) == ""
    (one,) = arrivals(fired(3_600.0), ["n3"])
    off_ns = HeldOver(5).error_ns(3_600.0)
    belief.hear(replace(one, toa_utc_ns=one.toa_utc_ns + off_ns), 0)
    belief.settle(6 * NS_PER_S)
    ((known,),) = [belief._corrections.applied(belief.arrivals)]
    assert abs(known.toa_utc_ns - one.toa_utc_ns) < abs(off_ns)


HELD = HeldOver(5).correction()
