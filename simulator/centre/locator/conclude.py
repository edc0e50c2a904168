"""What an association comes to: rounds with their places, and an incident in words."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from simulator.centre.locator.evidence import Evidence
from simulator.centre.locator.hypothesis import Beside, Hypothesis
from simulator.centre.locator.incident import (
    Contribution,
    Incident,
    LocatedRound,
    Status,
    incident_id,
)
from simulator.centre.locator.solve import Solution
from simulator.centre.locator.support import Founded, Lists

LEAST_NODES = 4
MAX_SIGMA_M = 40.0


def conclude(evidence: Evidence, shots: Sequence[Hypothesis], lists: Lists) -> Incident:
    """What rounds from one place are, oldest first, with what lists add to them."""
    first_position = shots[0]
    rounds: list[LocatedRound] = []
    for shot in shots:
        located = _located(evidence, shot, lists)
        if located is not None:
            rounds.append(located)
        elif rounds:
            rounds.append(_shared(evidence, shot, rounds[0]))
    members = [index for shot in shots for index in shot.members.values()]
    told = heard_at(shots)
    listing = {one.source for round_ in rounds for one in round_.arrivals if one.is_listed}
    also = {index for index, one in enumerate(evidence.stations) if one.source in listing}
    heard, nodes = told | also, len(told | also)
    status: Status = "located"
    reason = f"{len(rounds)} round(s) from one place, heard by {nodes} nodes"
    if also - told:
        reason += f", {len(also - told)} of which only listed it"
    if not rounds or min(one.sigma1_m for one in rounds) > MAX_SIGMA_M:
        status, rounds = "ill-conditioned", []
        reason = f"heard by {nodes} nodes, but they stand so that the place is not determined"
    base = rounds[0].utc_ns if rounds else evidence.utc_ns(first_position.emission_s)
    return _incident(evidence, members, sorted(heard), status, reason, rounds, base)


def confirmed(evidence: Evidence, founded: Founded, lists: Lists) -> Incident:
    """What three nodes told and lists confirmed."""
    told, heard = founded.members, [one.station for one in founded.beside]
    solution = evidence.solve(told, founded.solution.enu_m, founded.beside)
    rounds = [] if solution is None else [_round(evidence, told, founded.beside, solution)]
    status: Status = "located"
    reason = (
        f"{len(rounds)} round(s) from one place, told by {len(told)} nodes and in the lists of "
        f"{len(heard)} busy ones"
    )
    if not rounds or rounds[0].sigma1_m > MAX_SIGMA_M:
        status, rounds = "ill-conditioned", []
        reason = f"told by {len(told)} nodes, but they stand so that the place is not determined"
    base = rounds[0].utc_ns if rounds else evidence.utc_ns(founded.solution.emission_s)
    lists.take(founded.beside)
    members = list(told.values())
    return _incident(evidence, members, sorted([*told, *heard]), status, reason, rounds, base)


def detected(evidence: Evidence, shots: Sequence[Hypothesis], late: int) -> Incident:
    """Rounds from one place, oldest first; `late` of their nodes heard something else before."""
    members = [index for shot in shots for index in shot.members.values()]
    heard = heard_at(shots)
    reason = (
        f"heard by {len(heard)} nodes: detected, not located, for {late} of them heard something "
        f"else just before ({LEAST_NODES} first sounds are needed)"
    )
    base = evidence.utc_ns(shots[0].emission_s)
    return _incident(evidence, members, sorted(heard), "detected", reason, [], base)


def heard_at(shots: Iterable[Hypothesis]) -> set[int]:
    """The stations of all their members."""
    return {station for shot in shots for station in shot.members}


def _located(evidence: Evidence, shot: Hypothesis, lists: Lists) -> LocatedRound | None:
    """The round's own solution; None with fewer than LEAST_NODES arrivals or no answer."""
    if len(shot.members) < LEAST_NODES:
        return None
    solution = evidence.solve(shot.members, shot.enu_m)
    if solution is None:
        return None
    beside = lists.fitting(solution, shot.members)
    joint = evidence.solve(shot.members, shot.enu_m, beside) if beside else None
    if joint is None:
        return _round(evidence, shot.members, (), solution)
    lists.take(beside)
    return _round(evidence, shot.members, beside, joint)


def _round(
    evidence: Evidence, members: Mapping[int, int], beside: Sequence[Beside], solution: Solution
) -> LocatedRound:
    major, minor = solution.sigmas_m
    (ee, en), (_, nn) = solution.covariance_m2
    east, north, up = (float(x) for x in solution.enu_m)
    return LocatedRound(
        utc_ns=evidence.utc_ns(solution.emission_s),
        enu_m=(east, north, up),
        covariance_m2=(float(ee), float(en), float(nn)),
        sigma1_m=major,
        sigma2_m=minor,
        arrivals=_contributions(evidence, members, beside, solution.residuals_s.tolist()),
    )


def _shared(evidence: Evidence, shot: Hypothesis, like: LocatedRound) -> LocatedRound:
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
        arrivals=_contributions(evidence, shot.members, (), late),
    )


def _contributions(
    evidence: Evidence,
    members: Mapping[int, int],
    beside: Sequence[Beside],
    residuals_s: Iterable[float],
) -> tuple[Contribution, ...]:
    heard = [evidence.arrivals[index] for index in members.values()]
    heard += [one.arrival for one in beside]
    return tuple(
        Contribution(one.source, one.record_id, late * 1e6, one.is_listed)
        for one, late in zip(heard, residuals_s, strict=True)
    )


def heard_by_three(evidence: Evidence) -> Incident | None:
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
