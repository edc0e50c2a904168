"""Locates with nodes that do not know for sure which second it is, and says what came of them.

Their sub-second is good, so that a shot which the others placed tells by how many whole seconds
each of them is off. Where too few are sure of theirs all are taken as they are, and that is told.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import dist

from agent.core.units import NS_PER_S, sound_speed_mps
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.associate import locate
from simulator.centre.locator.conclude import LEAST_NODES
from simulator.centre.locator.incident import Incident
from simulator.centre.locator.registry import Station

MOST_OFF_S = 20  # leap seconds, twice over
_FITS_NS = 35_000_000  # the search's own trust in an arrival
_LEAST_VOTES_SHARE = 0.5


def locate_all_the_same(
    arrivals: Sequence[Arrival],
    stations: Mapping[str, Station],
    air_temperature_c: float,
    listed: Sequence[Arrival] = (),
) -> tuple[list[Incident], str]:
    """Incidents among these; if one node's arrivals break the search, among the others'; and what
    went wrong, empty if nothing did."""
    failure = ""
    for left_out in ("", *sorted({one.source for one in arrivals})):
        kept = [one for one in arrivals if one.source != left_out]
        beside = [one for one in listed if one.source != left_out]
        try:
            incidents = locate_by_seconds(kept, stations, air_temperature_c, beside)
        except Exception as error:
            failure = failure or f"{type(error).__name__}: {error}"
            continue
        return incidents, f"located without {left_out}: {failure}" if left_out else ""
    return [], f"not located: {failure}"


def locate_by_seconds(
    arrivals: Sequence[Arrival],
    stations: Mapping[str, Station],
    air_temperature_c: float,
    listed: Sequence[Arrival] = (),
) -> list[Incident]:
    """Incidents among the arrivals of one cell within a window of time, oldest first.

    Of what is `listed` around it, that of nodes which are sure of their second counts.
    """
    listed = [one for one in listed if one.confirmed]
    unsure = [one for one in arrivals if not one.confirmed and one.source in stations]
    if not unsure:
        return locate(arrivals, stations, air_temperature_c, listed)
    sure = [one for one in arrivals if one.confirmed]
    are_enough = len({one.source for one in sure if one.source in stations}) >= LEAST_NODES
    placed = locate(sure, stations, air_temperature_c, listed) if are_enough else []
    if not any(one.rounds for one in placed):
        found = locate(arrivals, stations, air_temperature_c, listed)
        return [_told_unsure(one, unsure) for one in found]
    off_s = _resolved(placed, unsure, stations, sound_speed_mps(air_temperature_c))
    moved = [
        replace(one, toa_utc_ns=one.toa_utc_ns - off_s[one.source] * NS_PER_S)
        for one in unsure
        if one.source in off_s
    ]
    if not moved:
        return placed
    found = locate([*sure, *moved], stations, air_temperature_c, listed)
    return [_told_resolved(one, off_s) for one in found]


def _resolved(
    placed: Sequence[Incident],
    unsure: Sequence[Arrival],
    stations: Mapping[str, Station],
    sound_mps: float,
) -> dict[str, int]:
    """By how many whole seconds each node is off, where the placed rounds leave one answer."""
    rounds = [one for incident in placed for one in incident.rounds]
    votes: dict[str, Counter[int]] = {}
    for arrival in unsure:
        for one in rounds:
            flight_s = dist(one.enu_m, stations[arrival.source].enu_m) / sound_mps
            late_ns = arrival.toa_utc_ns - one.utc_ns - round(flight_s * NS_PER_S)
            off_s = round(late_ns / NS_PER_S)
            if abs(late_ns - off_s * NS_PER_S) <= _FITS_NS and abs(off_s) <= MOST_OFF_S:
                votes.setdefault(arrival.source, Counter())[off_s] += 1
    return {source: best for source, told in votes.items() if (best := _one(told)) is not None}


def _one(votes: Counter[int]) -> int | None:
    """The answer that clearly has most votes."""
    first, *others = votes.most_common(2)
    return None if others and others[0][1] > _LEAST_VOTES_SHARE * first[1] else first[0]


def _told_unsure(incident: Incident, unsure: Sequence[Arrival]) -> Incident:
    names = {one.source for one in unsure} & set(incident.heard_by)
    if not names:
        return incident
    return incident.noted(f"which second it was is unconfirmed at {_list(names)}")


def _told_resolved(incident: Incident, off_s: Mapping[str, int]) -> Incident:
    heard = [source for source in incident.heard_by if source in off_s]
    for source in heard:
        off = off_s[source]
        if off:
            incident = incident.noted(f"{_short(source)} is {off:+d} s off, set right here")
    right = {source for source in heard if not off_s[source]}
    if right:
        incident = incident.noted(f"the others confirm the second of {_list(right)}")
    return incident


def _list(sources: set[str]) -> str:
    return ", ".join(sorted(map(_short, sources)))


def _short(source: str) -> str:
    return source.rpartition(":")[2]
