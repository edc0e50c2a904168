"""Who is named by chance in a noisy cell of hundreds of nodes: nobody; and who is off: for sure."""

import random
from bisect import bisect_left
from math import dist

from agent.core.units import NS_PER_S, sound_speed_mps
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.clockdoubts import ClockDoubts
from tests.support.located import START_NS, Point, incident, located, stations

NODES, SIDE_M, REACH_M = 300, 2_500.0, 400.0
PER_HOUR, SHOTS, APART_S = 300, 60, 40.0
OFF = "urn:earshot:lab:a:n7"


def test_strangers_sounds_name_nobody_and_a_wrong_clock_is_named() -> None:
    """Each node hears something every 12 s beside the shots; one of them tells all 4 s late."""
    rng = random.Random(5)
    places: dict[str, Point] = {
        f"n{number}": (rng.uniform(0, SIDE_M), rng.uniform(0, SIDE_M), 5.0)
        for number in range(NODES)
    }
    known = stations(nodes=places)
    span_ns = round(SHOTS * APART_S * NS_PER_S)
    heard = [
        (START_NS + rng.randrange(span_ns), source)
        for source in known
        for _ in range(round(PER_HOUR * SHOTS * APART_S / 3600))
    ]
    shots: list[tuple[float, Point, list[str]]] = []
    for number in range(SHOTS):
        centre = known[OFF].enu_m if number % 3 == 0 else (SIDE_M / 2, SIDE_M / 2, 5.0)
        spot = (centre[0] + rng.uniform(-200, 200), centre[1] + rng.uniform(-200, 200), 1.5)
        near = [source for source, one in known.items() if dist(one.enu_m, spot) < REACH_M]
        at_s = 20.0 + APART_S * number
        for source in near:
            flight_s = dist(known[source].enu_m, spot) / sound_speed_mps(15.0)
            late_s = 4.0 * (source == OFF)
            heard.append((START_NS + round((at_s + flight_s + late_s) * NS_PER_S), source))
        shots.append((at_s, spot, [source for source in near if source != OFF]))
    heard.sort()
    arrivals = [Arrival(source, "r/1", at_ns, 200_000, 20.0, -10.0, 0.5) for at_ns, source in heard]
    times = [at_ns for at_ns, _ in heard]

    def between(first_ns: int, last_ns: int) -> list[Arrival]:
        return arrivals[bisect_left(times, first_ns) : bisect_left(times, last_ns)]

    doubts = ClockDoubts(known, lambda utc_ns: [], between)
    told = {
        words
        for at_s, spot, members in shots
        for words in doubts.look([incident(located(at_s, spot, heard=members))], [])
    }
    assert told == {"clock of n7 is +4 s off its neighbours' incidents"}
