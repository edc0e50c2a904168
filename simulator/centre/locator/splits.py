"""One shot told twice: two groups of nodes whose clocks are whole seconds apart.

Both groups place the shot at the same spot, and no node is in both. Whose second is right is told
by those that are sure of theirs, else by the larger group; where neither says, both stay.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import dist

from agent.core.units import NS_PER_S
from simulator.centre.locator.incident import Incident

REACH_NS = 21 * NS_PER_S
_SAME_INSTANT_NS = 60_000_000
_SAME_PLACE_M, _SAME_PLACE_SIGMAS = 30.0, 4.0


@dataclass(frozen=True, slots=True)
class Split:
    """`right` and `wrong` are one shot; `off_s` is by how much the clocks of `wrong` are ahead.

    `is_known` is false where nothing tells which of both is right.
    """

    right: Incident
    wrong: Incident
    off_s: int
    is_known: bool

    @property
    def words(self) -> str:
        """Who is off, for a person."""
        names = ", ".join(one.rpartition(":")[2] for one in self.wrong.heard_by)
        if self.is_known:
            return f"clocks of {names} are {self.off_s:+d} s off their neighbours' incidents"
        others = ", ".join(one.rpartition(":")[2] for one in self.right.heard_by)
        return f"clocks of {names} and of {others} are {abs(self.off_s)} s apart: one shot, twice"


def splits(
    fresh: Iterable[Incident], near: Sequence[Incident], sure: frozenset[str] | set[str]
) -> list[Split]:
    """Those of `fresh` that are told twice with one of `near`. `sure` are the nodes that are."""
    found = []
    for one in fresh:
        for other in near:
            if (split := _split(one, other, sure)) is not None:
                found.append(split)
    return found


def _split(one: Incident, other: Incident, sure: frozenset[str] | set[str]) -> Split | None:
    place, other_place = one.enu_m, other.enu_m
    if place is None or other_place is None or not set(one.heard_by).isdisjoint(other.heard_by):
        return None
    apart_ns = one.utc_ns - other.utc_ns
    off_s = round(apart_ns / NS_PER_S)
    if not off_s or abs(apart_ns) > REACH_NS or abs(apart_ns - off_s * NS_PER_S) > _SAME_INSTANT_NS:
        return None
    sigma_m = max(round_.sigma1_m for incident in (one, other) for round_ in incident.rounds)
    if dist(place[:2], other_place[:2]) > max(_SAME_PLACE_M, _SAME_PLACE_SIGMAS * sigma_m):
        return None
    ranks = [
        (len(sure & set(incident.heard_by)), len(incident.heard_by)) for incident in (one, other)
    ]
    if ranks[0] > ranks[1]:
        return Split(one, other, -off_s, is_known=True)
    return Split(other, one, off_s, is_known=ranks[0] < ranks[1])
