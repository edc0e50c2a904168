"""Which arrivals belong to one discharge: blind, by the consistency of their times.

For each clear arrival the others are projected back onto a map of places it may have come from;
where they agree best, the place is refined and tested. Once a shot is placed, its pattern of
arrival times finds the further rounds, and its echoes are set aside. A pure function of the
arrivals as a set: neither their order nor the truth is known here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import nlargest

import numpy as np

from agent.core.units import sound_speed_mps
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.conclude import (
    LEAST_NODES,
    conclude,
    confirmed,
    detected,
    heard_at,
    heard_by_three,
)
from simulator.centre.locator.evidence import Evidence
from simulator.centre.locator.hypothesis import Hypothesis
from simulator.centre.locator.incident import Incident
from simulator.centre.locator.registry import Station
from simulator.centre.locator.support import Lists

MAX_PER_NODE = 512  # in one window of a minute: 1200 rounds a minute are 20 a second
MAX_INCIDENTS = 64  # in one window
LEAST_WEIGHT = 2.5
ROUNDS_WITHIN_S = 8.0
PATTERN_WITHIN_S = 6e-3
LEAST_GAP_S = 0.04
_WEAKER_BY_DB = 10.0

_Doubted = tuple[list[Hypothesis], int]  # rounds, and of how many nodes something came before


def locate(
    arrivals: Sequence[Arrival],
    stations: Mapping[str, Station],
    air_temperature_c: float,
    listed: Sequence[Arrival] = (),
    *,
    is_asked: bool = False,
) -> list[Incident]:
    """Incidents among the arrivals of one cell within a window of time, oldest first.

    What is `listed` around it joins where it fits; it founds nothing. A place is claimed where four
    nodes agree on it with what they heard first; where fewer do, the shot is `detected`.
    Whoever `is_asked` for what might have been tells every place at which four nodes agree.
    """
    known = _clearest(a for a in arrivals if a.source in stations)
    if not known:
        return []
    speed_mps = sound_speed_mps(air_temperature_c)
    evidence = Evidence(known, stations, speed_mps, trusts_first=not is_asked)
    lists = Lists(evidence, listed)
    incidents, doubted = _told(evidence, lists)
    while len(incidents) < MAX_INCIDENTS and (founded := lists.founded()) is not None:
        incidents.append(confirmed(evidence, founded, lists))
        evidence.set_aside(founded.members, founded.hypothesis)
    incidents += _only_detected(evidence, doubted)
    if not incidents and (three := heard_by_three(evidence)) is not None:
        incidents.append(three)
    return sorted(incidents, key=lambda incident: (incident.utc_ns, incident.id))


def _told(evidence: Evidence, lists: Lists) -> tuple[list[Incident], list[_Doubted]]:
    """Incidents that four nodes or more told, and rounds from places that echoes may have made."""
    incidents: list[Incident] = []
    doubted: list[_Doubted] = []
    while (
        len(incidents) + len(doubted) < MAX_INCIDENTS
        and (first := evidence.best_hypothesis(LEAST_WEIGHT)) is not None
    ):
        shots = [first, *_further_rounds(evidence, first)]
        shots.sort(key=lambda one: one.emission_s)
        late = _late_comers(evidence, shots)
        are_few = len(heard_at(shots)) - len(late) < LEAST_NODES
        if are_few and not lists.confirm(shots[0]):
            evidence.doubt(late)
            doubted.append((shots, len(late)))
            continue
        incidents.append(conclude(evidence, shots, lists))
        for shot in shots:
            evidence.set_aside(shot.members, shot)
    return incidents, doubted


def _late_comers(evidence: Evidence, shots: Sequence[Hypothesis]) -> list[int]:
    """Of each station the earliest member, where something clear came before it."""
    members = {index for shot in shots for index in shot.members.values()}
    earliest: dict[int, int] = {}
    for index in sorted(members, key=lambda one: (evidence.times[one], one)):
        earliest.setdefault(int(evidence.station[index]), index)
    return [one for one in earliest.values() if evidence.unexplained(one, members)]


def _only_detected(evidence: Evidence, doubted: Iterable[_Doubted]) -> Iterator[Incident]:
    """What was heard at several nodes, of no known place, where nothing else explains it."""
    explained = {index for index, is_free in enumerate(evidence.free) if not is_free}
    for shots, late in doubted:
        members = {index for shot in shots for index in shot.members.values()}
        if explained.isdisjoint(members):
            explained |= members
            yield detected(evidence, shots, late)


def _clearest(arrivals: Iterable[Arrival]) -> list[Arrival]:
    """In order of time, of each node no more than MAX_PER_NODE, the strongest."""
    by_node: dict[str, list[Arrival]] = {}
    for one in arrivals:
        by_node.setdefault(one.source, []).append(one)
    kept = [
        one
        for own in by_node.values()
        for one in nlargest(MAX_PER_NODE, own, key=lambda a: a.peak_dbfs + 0.5 * a.snr_db)
    ]
    return sorted(kept, key=lambda a: (a.toa_utc_ns, a.record_id))


def _further_rounds(evidence: Evidence, first: Hypothesis) -> list[Hypothesis]:
    """Rounds whose arrivals repeat the first one's pattern at half of its nodes, or more."""
    rounds: list[Hypothesis] = []
    taken = {0.0}
    leader = max(first.members, key=lambda s: evidence.strength[first.members[s]])
    for candidate in evidence.of_station(leader):
        delay = float(evidence.times[candidate] - evidence.times[first.members[leader]])
        if abs(delay) > ROUNDS_WITHIN_S or any(abs(delay - t) < LEAST_GAP_S for t in taken):
            continue
        members = _repeats(evidence, first, delay)
        if len(members) >= max(3, -(-len(first.members) // 2)):
            taken.add(delay)
            exact = float(
                np.median(
                    [
                        evidence.times[a] - evidence.times[first.members[s]]
                        for s, a in members.items()
                    ]
                )
            )
            rounds.append(Hypothesis(first.enu_m, first.emission_s + exact, members, first.weight))
    return rounds


def _repeats(evidence: Evidence, first: Hypothesis, delay: float) -> dict[int, int]:
    """Arrivals as late as the first round's plus `delay`, and about as strong."""
    members: dict[int, int] = {}
    for station, original in first.members.items():
        own = evidence.of_station(station)
        late = np.abs(evidence.times[own] - evidence.times[original] - delay)
        late[evidence.peak[own] < evidence.peak[original] - _WEAKER_BY_DB] = np.inf
        late[~evidence.free[own]] = np.inf
        nearest = int(np.argmin(late))
        if late[nearest] <= PATTERN_WITHIN_S:
            members[station] = int(own[nearest])
    return members
