"""What may have been fired, for whoever asks about a shot that nobody was told of.

Here everything counts that any node heard then, told or only listed, and every place at which four
nodes agree is an answer. So many answers are chance that each asks for a comparison: the same
sounds, each node's moved in time by an amount of its own, as searches for gravitational waves do.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from agent.adapters.outbox import open_database
from agent.core.units import NS_PER_S
from agent.errors import StoreError
from simulator.centre.locator.air import STANDARD_C, around
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.associate import locate
from simulator.centre.locator.chains import Chains
from simulator.centre.locator.holdings import Holdings
from simulator.centre.locator.incident import Incident
from simulator.centre.locator.past import CellPast, Index, place_of
from simulator.centre.locator.registry import Registry, Station
from simulator.centre.locator.schema import STEPS
from simulator.centre.locator.trust import Trust

SLIDES = 8
LONGEST_NS = 60 * NS_PER_S
_STEP_NS = 3_700_000_000  # longer than sound is under way in a cell


@dataclass(frozen=True, slots=True)
class Answer:
    """Of one cell: places and times that four nodes agree on, and how many chance makes of as many
    sounds; `told` and `listed` sounds were looked at."""

    site: str
    cell: str
    incidents: tuple[Incident, ...]
    by_chance: float
    told: int
    listed: int


def answers_in(path: Path, registry: Registry, utc_ns: int, within_ns: int) -> list[Answer]:
    """What a stopped locator's store says of that time; `within_ns` is LONGEST_NS / 2 at most.

    Raises StoreError.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such file")
    cells: dict[tuple[str, str], dict[str, Station]] = {}
    for source, station in registry.stations.items():
        cells.setdefault((station.site, station.cell), {})[source] = station
    first_ns, last_ns = utc_ns - within_ns, utc_ns + within_ns
    with closing(open_database(path, STEPS)) as db:
        try:
            trust = Trust(registry.keys)
            trust.load(db)
            held = Holdings(db, path, trust, Chains(db), Index(db))
            return [
                _answer(CellPast(held.select, place, held.read), stations, first_ns, last_ns)
                for stations in cells.values()
                for place in {place_of(one) for one in stations}
            ]
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error


def searched(
    heard: Sequence[Arrival], stations: Mapping[str, Station], air_temperature_c: float
) -> tuple[list[Incident], float]:
    """Places at which four nodes agree, and how many there are on average where no two can."""
    found = _places(heard, stations, air_temperature_c)
    slides = [_places(slid(heard, number), stations, air_temperature_c) for number in range(SLIDES)]
    return found, sum(map(len, slides)) / SLIDES


def slid(heard: Sequence[Arrival], number: int) -> list[Arrival]:
    """The same, each node's moved around the span by its own part of it; other for each number."""
    if not heard:
        return []
    first_ns = min(one.toa_utc_ns for one in heard)
    span_ns = max(one.toa_utc_ns for one in heard) - first_ns + 1
    rank = {source: at for at, source in enumerate(sorted({one.source for one in heard}))}
    return [
        replace(
            one,
            toa_utc_ns=first_ns
            + (one.toa_utc_ns - first_ns + rank[one.source] * (number + 1) * _STEP_NS) % span_ns,
        )
        for one in heard
    ]


def _places(
    heard: Sequence[Arrival], stations: Mapping[str, Station], air_temperature_c: float
) -> list[Incident]:
    found = locate(heard, stations, air_temperature_c, is_asked=True)
    return [one for one in found if one.status == "located"]


def _answer(past: CellPast, stations: Mapping[str, Station], first_ns: int, last_ns: int) -> Answer:
    told = list(_told(past, first_ns, last_ns))
    lists = [past.listing(*name) for name in past.listings(first_ns, last_ns)]
    listed = [
        one
        for listing in lists
        for one in (listing.onsets if listing else ())
        if first_ns <= one.toa_utc_ns <= last_ns
    ]
    air_c = around(past, (first_ns + last_ns) // 2)
    found, by_chance = searched([*told, *listed], stations, STANDARD_C if air_c is None else air_c)
    home = next(iter(stations.values()))
    return Answer(home.site, home.cell, tuple(found), by_chance, len(told), len(listed))


def _told(past: CellPast, first_ns: int, last_ns: int) -> Iterator[Arrival]:
    for key in takewhile(lambda key: key[0] <= last_ns, past.later(first_ns - 1)):
        if (arrival := past.arrival(key)) is not None:
            yield arrival
