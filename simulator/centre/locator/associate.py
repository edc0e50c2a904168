"""Which arrivals belong to one discharge: blind, by the consistency of their times.

For each clear arrival the others are projected back onto a map of places it may have come from;
where they agree best, the place is refined and tested. Once a shot is placed, its pattern of
arrival times finds the further rounds, and its echoes are set aside. A pure function of the
arrivals as a set: neither their order nor the truth is known here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest

import numpy as np

from agent.core.units import sound_speed_mps
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.evidence import Evidence, Hypothesis
from simulator.centre.locator.incident import (
    Contribution,
    Incident,
    LocatedRound,
    Status,
    incident_id,
)
from simulator.centre.locator.registry import Station

LEAST_NODES = 4
MAX_PER_NODE = 512  # in one window of a minute: 1200 rounds a minute are 20 a second
MAX_INCIDENTS = 64  # in one window
LEAST_WEIGHT = 2.5
MAX_SIGMA_M = 40.0
ROUNDS_WITHIN_S = 8.0
PATTERN_WITHIN_S = 6e-3
LEAST_GAP_S = 0.04
_WEAKER_BY_DB = 10.0


@dataclass(frozen=True, slots=True)
class _Shot:
    """A placed round: arrival index per station index, and the hypothesis behind it."""

    hypothesis: Hypothesis
    members: dict[int, int]


def locate(
    arrivals: Sequence[Arrival], stations: Mapping[str, Station], air_temperature_c: float
) -> list[Incident]:
    """Incidents among the arrivals of one cell within a window of time, oldest first."""
    known = _clearest(a for a in arrivals if a.source in stations)
    if not known:
        return []
    evidence = Evidence(known, stations, sound_speed_mps(air_temperature_c))
    incidents: list[Incident] = []
    while (
        len(incidents) < MAX_INCIDENTS
        and (first := evidence.best_hypothesis(LEAST_WEIGHT)) is not None
    ):
        shots = [_Shot(first, first.members), *_further_rounds(evidence, first)]
        incidents.append(_conclude(evidence, sorted(shots, key=lambda s: s.hypothesis.emission_s)))
        for shot in shots:
            evidence.set_aside(shot.members, shot.hypothesis)
    if not incidents and (three := _heard_by_three(evidence)) is not None:
        incidents.append(three)
    return sorted(incidents, key=lambda incident: (incident.utc_ns, incident.id))


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


def _further_rounds(evidence: Evidence, first: Hypothesis) -> list[_Shot]:
    """Rounds whose arrivals repeat the first one's pattern at half of its nodes, or more."""
    rounds: list[_Shot] = []
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
            repeated = Hypothesis(first.enu_m, first.emission_s + exact, members, first.weight)
            rounds.append(_Shot(repeated, members))
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


def _conclude(evidence: Evidence, shots: list[_Shot]) -> Incident:
    first_position = shots[0].hypothesis
    rounds: list[LocatedRound] = []
    for shot in shots:
        located = _located(evidence, shot)
        if located is not None:
            rounds.append(located)
        elif rounds:
            rounds.append(_shared(evidence, shot, rounds[0]))
    members = [index for shot in shots for index in shot.members.values()]
    heard = {station for shot in shots for station in shot.members}
    nodes = len(heard)
    status: Status = "located"
    reason = f"{len(rounds)} round(s) from one place, heard by {nodes} nodes"
    if not rounds or min(one.sigma1_m for one in rounds) > MAX_SIGMA_M:
        status, rounds = "ill-conditioned", []
        reason = f"heard by {nodes} nodes, but they stand so that the place is not determined"
    base = rounds[0].utc_ns if rounds else evidence.utc_ns(first_position.emission_s)
    return _incident(evidence, members, sorted(heard), status, reason, rounds, base)


def _located(evidence: Evidence, shot: _Shot) -> LocatedRound | None:
    """The round's own solution; None with fewer than LEAST_NODES arrivals or no answer."""
    if len(shot.members) < LEAST_NODES:
        return None
    solution = evidence.solve(shot.members, shot.hypothesis.enu_m)
    if solution is None:
        return None
    major, minor = solution.sigmas_m
    (ee, en), (_, nn) = solution.covariance_m2
    east, north, up = (float(x) for x in solution.enu_m)
    return LocatedRound(
        utc_ns=evidence.utc_ns(solution.emission_s),
        enu_m=(east, north, up),
        covariance_m2=(float(ee), float(en), float(nn)),
        sigma1_m=major,
        sigma2_m=minor,
        arrivals=_contributions(evidence, shot, solution.residuals_s.tolist()),
    )


def _shared(evidence: Evidence, shot: _Shot, like: LocatedRound) -> LocatedRound:
    """A round heard by too few to be placed alone, whose pattern is that of a placed one."""
    place = np.array(like.enu_m)
    flight = [evidence.flight_s(place, station) for station in shot.members]
    times = [float(evidence.times[index]) for index in shot.members.values()]
    emission = float(np.median(np.array(times) - flight))
    late = [t - f - emission for t, f in zip(times, flight, strict=True)]
    return LocatedRound(
        utc_ns=evidence.utc_ns(emission),
        enu_m=like.enu_m,
        covariance_m2=like.covariance_m2,
        sigma1_m=like.sigma1_m,
        sigma2_m=like.sigma2_m,
        arrivals=_contributions(evidence, shot, late),
    )


def _contributions(
    evidence: Evidence, shot: _Shot, residuals_s: list[float]
) -> tuple[Contribution, ...]:
    return tuple(
        Contribution(evidence.arrivals[a].source, evidence.arrivals[a].record_id, late * 1e6)
        for a, late in zip(shot.members.values(), residuals_s, strict=True)
    )


def _heard_by_three(evidence: Evidence) -> Incident | None:
    """The clear first arrivals, if exactly three nodes have one."""
    clear: dict[int, int] = {}
    for index in np.flatnonzero(evidence.weight >= 0.6):
        clear.setdefault(int(evidence.station[index]), int(index))
    if len(clear) != 3:
        return None
    base = evidence.utc_ns(float(min(evidence.times[a] for a in clear.values())))
    reason = "heard by 3 nodes: detected, not located (4 are needed)"
    return _incident(evidence, list(clear.values()), sorted(clear), "detected", reason, [], base)


def _incident(
    evidence: Evidence,
    members: list[int],
    heard: list[int],
    status: Status,
    reason: str,
    rounds: list[LocatedRound],
    utc_ns: int,
) -> Incident:
    home = evidence.stations[heard[0]]
    return Incident(
        id=incident_id(evidence.arrivals[index].record_id for index in members),
        site=home.site,
        cell=home.cell,
        status=status,
        reason=reason,
        rounds=tuple(rounds),
        utc_ns=utc_ns,
        heard_by=tuple(evidence.stations[index].source for index in heard),
    )
