"""One shot told twice: two groups of nodes whose clocks are whole seconds apart, or 1024 weeks.

Both groups place the shot at the same spot, and no node is in both. Whose second is right is told
by those that are sure of theirs, else by the larger camp: all nodes that ever were on one side of
such a pair, for around a single shot those that are wrong may be more. Where neither says, both
stay, and each says that the other may be right; so does what such nodes tell alone.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import dist, sqrt

from agent.core.clock.counting import GPS_WEEKS_NS as WEEKS_NS
from agent.core.units import NS_PER_S
from simulator.centre.locator.incident import Alternative, Incident

REACH_NS = 21 * NS_PER_S
_SAME_INSTANT_NS = 60_000_000
_SAME_PLACE_M, _SAME_PLACE_SIGMAS = 30.0, 4.0
_CLEARLY_LARGER = 1.25
_SIGMAS = 2.0


@dataclass(frozen=True, slots=True)
class Split:
    """`ahead` and `behind` are one shot, told by clocks that are `off_s` apart; `sure` are those of
    the nodes that are sure of their second."""

    ahead: Incident
    behind: Incident
    off_s: int
    sure: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        """The ids of both."""
        return frozenset((self.ahead.id, self.behind.id))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which of both is right; None where nothing tells."""

    right: Incident | None
    wrong: Incident | None
    words: str


class Camps:
    """On which side nodes stood in all that was told twice, in a cell of so many `stations`."""

    def __init__(self, splits: Iterable[Split], stations: int) -> None:
        self._stations, splits = stations, list(splits)
        self._sides: dict[int, Counter[str]] = {}
        for one in splits:
            sides = self._sides.setdefault(one.off_s, Counter())
            sides.update(one.ahead.heard_by)
            sides.subtract(one.behind.heard_by)
        self._sizes = {
            off_s: (sum(one > 0 for one in sides.values()), sum(one < 0 for one in sides.values()))
            for off_s, sides in self._sides.items()
        }
        self._right: dict[int, set[str]] = {}
        for one in splits:
            ranks = self._ranks(one)
            if ranks[0] != ranks[1]:
                right = one.ahead if ranks[0] > ranks[1] else one.behind
                self._right.setdefault(one.off_s, set()).update(right.heard_by)

    def judge(self, split: Split) -> Verdict:
        """Who is right, and who is off, in words for a person."""
        ahead, behind = split.ahead, split.behind
        ranks = self._ranks(split)
        if ranks[0] == ranks[1]:
            words = f"clocks of {_list(behind)} and of {_list(ahead)} are {_told(split.off_s)}"
            return Verdict(None, None, f"{words} apart: one shot, twice")
        is_ahead_right = ranks[0] > ranks[1]
        right, wrong = (ahead, behind) if is_ahead_right else (behind, ahead)
        sign = "-" if is_ahead_right else "+"
        told = f"{sign}{_told(split.off_s)} off their neighbours' incidents"
        return Verdict(right, wrong, f"clocks of {_list(wrong)} are {told}")

    def alternatives(self, incident: Incident) -> tuple[Alternative, ...]:
        """When else it was, if those are off who mostly told it: of none of them it was found that
        they are right."""
        found = []
        for off_s, sides in self._sides.items():
            right = self._right.get(off_s, set())
            stand = [sides[one] for one in incident.heard_by if one not in right]
            for sign in (1, -1):
                if 2 * sum(sign * one > 0 for one in stand) > len(incident.heard_by):
                    found.append(Alternative(incident.utc_ns - sign * off_s * NS_PER_S))
        return tuple(found)

    def _ranks(self, split: Split) -> tuple[int, int]:
        """How much speaks for those ahead, and for those behind; the same where nothing tells."""
        sure = (_are_sure(split.ahead, split), _are_sure(split.behind, split))
        if sure[0] != sure[1]:
            return sure
        sizes = self._sizes.get(split.off_s, (0, 0))
        return sizes if self._is_clear(*sizes) else (0, 0)

    def _is_clear(self, one: int, other: int) -> bool:
        """Whether the larger camp is so in the whole cell: two sigma of a draw of that many nodes
        without replacement, and more than a few of all."""
        drawn = one + other
        unseen = max(0.0, 1.0 - drawn / self._stations)
        is_larger = max(one, other) > _CLEARLY_LARGER * min(one, other)
        return is_larger and abs(one - other) >= _SIGMAS * sqrt(drawn * unseen)

    def are_right(self, source: str) -> bool:
        """Whether a node stands in a camp that is not clearly the smaller one."""
        for off_s, sides in self._sides.items():
            sizes = self._sizes[off_s]
            is_smaller = self._is_clear(*sizes) and sizes[sides[source] < 0] == min(sizes)
            if sides[source] and not is_smaller:
                return True
        return False


def splits(one: Incident, near: Sequence[Incident], sure: frozenset[str]) -> list[Split]:
    """What of `near` tells the same shot as `one`."""
    return [found for other in near if (found := _split(one, other, sure)) is not None]


def _split(one: Incident, other: Incident, sure: frozenset[str]) -> Split | None:
    place, other_place = one.enu_m, other.enu_m
    if place is None or other_place is None or not set(one.heard_by).isdisjoint(other.heard_by):
        return None
    apart_ns = one.utc_ns - other.utc_ns
    within_ns = apart_ns - round(apart_ns / WEEKS_NS) * WEEKS_NS
    off_s = round(apart_ns / NS_PER_S)
    is_whole = abs(apart_ns - off_s * NS_PER_S) <= _SAME_INSTANT_NS
    if not off_s or not is_whole or abs(within_ns) > REACH_NS:
        return None
    sigma_m = max(round_.sigma1_m for incident in (one, other) for round_ in incident.rounds)
    if dist(place[:2], other_place[:2]) > max(_SAME_PLACE_M, _SAME_PLACE_SIGMAS * sigma_m):
        return None
    ahead, behind = (one, other) if off_s > 0 else (other, one)
    heard = {*one.heard_by, *other.heard_by}
    return Split(ahead, behind, abs(off_s), frozenset(sure & heard))


def _are_sure(incident: Incident, split: Split) -> int:
    """1 if most of those who heard it are sure of their second, else 0."""
    return int(2 * len(split.sure & {*incident.heard_by}) > len(incident.heard_by))


def _told(off_s: int) -> str:
    weeks, rest_s = divmod(off_s * NS_PER_S + REACH_NS, WEEKS_NS)
    rest_s = (rest_s - REACH_NS) // NS_PER_S
    parts = [f"{1024 * weeks} weeks"] * bool(weeks) + [f"{rest_s} s"] * bool(rest_s)
    return " ".join(parts)


def _list(incident: Incident) -> str:
    return ", ".join(one.rpartition(":")[2] for one in incident.heard_by)
