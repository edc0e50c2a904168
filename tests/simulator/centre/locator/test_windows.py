"""What the locator believes of a cell, and that only what was heard decides it."""

import random
from itertools import pairwise

import pytest

from agent.core.units import NS_PER_S
from simulator.centre.locator.air import Air
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.windows import MAX_SETTLE_PERIODS, CellBelief
from tests.support.located import NODES_ENU_M, START_NS, arrivals, fired, stations

SETTLE_NS = 5 * NS_PER_S
STATIONS = stations()
SHOTS_S = (0.0, 1.4, 2.9, 40.0, 41.0)


def belief():
    return CellBelief(STATIONS, SETTLE_NS)


def heard(at_s: float, nodes=NODES_ENU_M) -> list[Arrival]:
    """Arrivals of one shot, with ids that tell them apart."""
    return [
        Arrival(
            source=one.source,
            record_id=f"{int(at_s * 1000):032x}/{number}",
            toa_utc_ns=one.toa_utc_ns,
            sigma_ns=one.sigma_ns,
            snr_db=one.snr_db,
            peak_dbfs=one.peak_dbfs,
            score=one.score,
        )
        for number, one in enumerate(arrivals(fired(at_s), nodes), 1)
    ]


def hear(cell: CellBelief, some: list[Arrival], now_s: float = 0.0) -> None:
    for one in some:
        cell.hear(one, round(now_s * NS_PER_S))


def settle(cell: CellBelief, now_s: float):
    return cell.settle(round(now_s * NS_PER_S))


def test_a_shot_is_located_once_it_has_settled():
    """Not before 5 s have passed since the last arrival, then once, then not again."""
    cell = belief()
    hear(cell, heard(0.0)[:3], now_s=10.0)
    hear(cell, heard(0.0)[3:], now_s=12.0)
    assert settle(cell, 16.9).changed == []
    (incident,) = settle(cell, 17.0).changed
    assert incident.status == "located"
    assert cell.incidents == [incident]
    assert settle(cell, 30.0).changed == []


def test_what_goes_on_for_ever_is_located_too():
    """A run that is touched again and again does not put its own location off without end."""
    cell, located_s = belief(), []
    for number in range(60):
        hear(cell, heard(float(number)), now_s=float(number))
        if settle(cell, float(number)).changed:
            located_s.append(number)
    assert located_s[0] <= MAX_SETTLE_PERIODS * SETTLE_NS / NS_PER_S
    assert len(located_s) >= 1


def test_a_late_record_revises_the_window_it_falls_into():
    """Three nodes detect; the fourth and fifth come late and locate; the rest is left alone."""
    cell = belief()
    hear(cell, heard(0.0, ["n1", "n2", "n3"]))
    hear(cell, heard(60.0))
    settle(cell, 5.0)
    early, other = cell.incidents
    assert (early.status, other.status) == ("detected", "located")
    hear(cell, heard(0.0)[3:], now_s=600.0)
    revision = settle(cell, 605.0)
    assert [one.status for one in revision.changed] == ["located"]
    assert revision.withdrawn == [early]
    assert cell.incidents == [*revision.changed, other]


def test_a_late_record_can_join_two_windows():
    """Two shots 4.5 s apart are two incidents, until an arrival between them makes them one."""
    cell = belief()
    hear(cell, heard(0.0))
    hear(cell, heard(4.5))
    settle(cell, 5.0)
    before = cell.incidents
    assert len(before) == 2
    lone = Arrival(next(iter(STATIONS)), "e" * 32 + "/1", START_NS + 3 * NS_PER_S, 10**6, 9, -40, 0)
    hear(cell, [lone], now_s=20.0)
    revision = settle(cell, 25.0)
    assert cell.incidents == revision.changed
    assert [len(one.rounds) for one in cell.incidents] == [2]
    assert revision.withdrawn == before


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_coming_does_not_matter(seed):
    """Arrivals and heartbeats in any order, settled at any time: the same belief in the end."""
    rng = random.Random(seed)
    told = [("hear", one) for at_s in SHOTS_S for one in heard(at_s)]
    told += [("feel", (START_NS + n * NS_PER_S, 20.0 + n)) for n in range(-3, 60, 9)]
    beliefs = []
    for order in (told, rng.sample(told, len(told))):
        cell = belief()
        for now_s, (what, value) in enumerate(order):
            if what == "hear":
                hear(cell, [value], now_s)
            else:
                cell.feel(*value, now_ns=now_s * NS_PER_S)
            if rng.random() < 0.3:
                settle(cell, now_s + 10.0)
        cell.settle_all()
        beliefs.append((cell.incidents, cell.arrivals))
    assert beliefs[0] == beliefs[1]
    assert len(beliefs[0][0]) >= 2


def test_revisions_add_up_to_the_belief():
    """Whoever applies every change and withdrawal, in order, knows what the locator believes."""
    rng = random.Random(3)
    some = [one for at_s in SHOTS_S for one in heard(at_s)]
    cell, known = belief(), {}
    for now_s, one in enumerate(rng.sample(some, len(some))):
        hear(cell, [one], now_s=7.0 * now_s)
        revision = settle(cell, 7.0 * now_s + 5.0)
        for gone in revision.withdrawn:
            del known[gone.id]
        known |= {new.id: new for new in revision.changed}
    assert sorted(known.values(), key=lambda one: (one.utc_ns, one.id)) == cell.incidents


def test_long_runs_are_cut_at_their_largest_gap():
    """Two minutes of a shot every 2.5 s, with one gap of 2.9 s: no window is over 60 s."""
    times_s = [2.5 * n for n in range(26)] + [65.4 + 2.5 * n for n in range(26)]
    assert max(later - earlier for earlier, later in pairwise(times_s)) < 3.0
    cell = belief()
    for at_s in times_s:
        hear(cell, heard(at_s))
    settle(cell, 5.0)
    rounds = sorted(one.utc_ns for incident in cell.incidents for one in incident.rounds)
    assert len(rounds) == len(times_s)
    assert all(
        abs(utc_ns - START_NS - at_s * NS_PER_S) < NS_PER_S / 100
        for utc_ns, at_s in zip(rounds, times_s, strict=True)
    )


def test_a_guess_at_the_air_is_mended_by_the_first_heartbeat():
    """What was located for 15 C is located again once a node has told how warm it was."""
    cell = belief()
    hear(cell, heard(0.0))
    (guess,) = settle(cell, 5.0).changed
    cell.feel(START_NS + 40 * NS_PER_S, -20.0, now_ns=45 * NS_PER_S)
    (mended,) = settle(cell, 50.0).changed
    assert mended.id == guess.id
    assert mended != guess
    cell.feel(START_NS + 100 * NS_PER_S, -20.0, now_ns=105 * NS_PER_S)
    assert settle(cell, 110.0).changed == []


def test_air_is_the_median_of_the_hour_around():
    """One box in the sun changes nothing; yesterday does not count; unknown is None."""
    air = Air()
    assert air.temperature_c(START_NS) is None
    for number, value in enumerate((4.0, 5.0, 41.0)):
        air.feel(START_NS + number * 60 * NS_PER_S, value)
    air.feel(START_NS - 86_400 * NS_PER_S, -30.0)
    assert air.temperature_c(START_NS) == 5.0
    assert air.temperature_c(START_NS + 7200 * NS_PER_S) is None
    assert air.temperature_c(START_NS - 86_400 * NS_PER_S) == -30.0
