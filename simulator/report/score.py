"""How well located rounds match those that were fired. The only reader of truth and belief both.

Rounds are paired one to one within a cell, by time alone, so that a wrong place shows as an error
and not as a miss. Errors are horizontal. Limits and verdicts are the caller's.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, TypeVar

import numpy as np
from scipy.optimize import linear_sum_assignment

from agent.core.units import NS_PER_S, sound_speed_mps
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.incident import Incident, LocatedRound
from simulator.centre.locator.registry import Station

SAME_ROUND_NS = NS_PER_S
SAME_PLACE_M = 50.0
NODES_NEEDED = 4
_HEARD_WITHIN_NS = 60_000_000
UNLOCATED_WITHIN_NS = (-NS_PER_S, 3 * NS_PER_S)

Point = tuple[float, float, float]
Span = tuple[int, int]
Cause = Literal[
    "not recorded", "too few nodes", "badly conditioned", "not associated", "time unknown"
]
_InCell = TypeVar("_InCell", "TruthRound", Incident, Station)


@dataclass(frozen=True, slots=True)
class TruthRound:
    """One round that was fired; `utc_ns` is None where nobody knows when."""

    cell: str
    utc_ns: int | None
    enu_m: Point
    label: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What explains a miss: what the nodes heard, where they are, and the air of each cell.

    `recorded` holds first and last UTC ns of what a source could hear, where that is not all.
    """

    arrivals: Sequence[Arrival]
    stations: Mapping[str, Station]
    air_temperature_c: Mapping[str, float]
    recorded: Mapping[str, Span] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Miss:
    """Why a round was not located: a word to count by, and a phrase for a person."""

    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class Row:
    """One fired round and what became of it.

    `nodes_heard` counts the nodes whose arrivals located it or, for a miss, those with an arrival
    when it should have reached them; None if that cannot be told.
    """

    truth: TruthRound
    located: LocatedRound | None
    nodes_heard: int | None
    miss: Miss | None

    @property
    def error_m(self) -> float | None:
        """Horizontal distance from truth."""
        if self.located is None:
            return None
        return _apart_m(self.located.enu_m, self.truth.enu_m)


@dataclass(frozen=True, slots=True)
class Score:
    """The outcome of a run: a row for every fired round, and every located incident."""

    rows: tuple[Row, ...]
    located: tuple[Incident, ...]
    false: tuple[Incident, ...]

    @property
    def rounds_fired(self) -> int:
        """How many there were to locate."""
        return len(self.rows)

    @property
    def rounds_located(self) -> int:
        """How many were matched, however far away."""
        return len(self.errors_m)

    @property
    def incidents(self) -> int:
        """Located incidents."""
        return len(self.located)

    @property
    def false_incidents(self) -> int:
        """Located incidents where nothing was fired."""
        return len(self.false)

    @property
    def errors_m(self) -> list[float]:
        """Errors of the matched rounds, in the order of `rows`."""
        return [row.error_m for row in self.rows if row.error_m is not None]

    @property
    def median_error_m(self) -> float | None:
        """Over the matched rounds; None if there are none."""
        return median(self.errors_m) if self.errors_m else None

    @property
    def p90_error_m(self) -> float | None:
        """Over the matched rounds; None if there are none."""
        return float(np.quantile(self.errors_m, 0.9)) if self.errors_m else None

    def within(self, limit_m: float) -> int:
        """How many rounds were located no farther than this from truth."""
        return sum(error_m <= limit_m for error_m in self.errors_m)

    def summary(self) -> dict[str, int | float | None]:
        """The figures by the names they have in every JSON report."""
        return {
            "rounds_fired": self.rounds_fired,
            "rounds_located": self.rounds_located,
            "within_15m": self.within(15.0),
            "within_25m": self.within(25.0),
            "median_error_m": rounded(self.median_error_m),
            "p90_error_m": rounded(self.p90_error_m),
            "incidents": self.incidents,
            "false_incidents": self.false_incidents,
        }


def score(
    truth: Sequence[TruthRound], incidents: Sequence[Incident], evidence: Evidence | None = None
) -> Score:
    """Pair what was fired with what was located; rows keep the order of `truth`.

    Rounds pair if no more than 1 s apart, with the least total of time differences. A round of
    unknown time takes the nearest round of its cell that is left over. An incident is false if no
    round was fired within 1 s and 50 m of it. `evidence` is needed to tell why rounds were missed.
    """
    located = tuple(incident for incident in incidents if incident.status == "located")
    unlocated = _by_cell(incident for incident in incidents if incident.status != "located")
    fired, found = _by_cell(truth), _by_cell(located)
    pairs: dict[int, LocatedRound] = {}
    for cell, rounds in fired.items():
        candidates = [one for incident in found.get(cell, ()) for one in incident.rounds]
        pairs |= _pairs(rounds, candidates)
    inquest = None if evidence is None else _Inquest(evidence, unlocated)
    rows = tuple(_row(one, pairs.get(id(one)), inquest) for one in truth)
    false = tuple(one for one in located if not _is_real(one, fired.get(one.cell, ())))
    return Score(rows, located, false)


def rounded(value: float | None, digits: int = 2) -> float | None:
    """`value` for a report, None kept."""
    return None if value is None else round(value, digits)


def _pairs(fired: list[TruthRound], found: list[LocatedRound]) -> dict[int, LocatedRound]:
    """Located rounds by the id of the fired one, both of one cell."""
    timed = [one for one in fired if one.utc_ns is not None]
    pairs = dict(_pairs_in_time(timed, found))
    taken = {id(one) for one in pairs.values()}
    for one in fired:
        left_over = [other for other in found if id(other) not in taken]
        if one.utc_ns is None and left_over:
            nearest = min(left_over, key=lambda other: _apart_m(other.enu_m, one.enu_m))
            pairs[id(one)] = nearest
            taken.add(id(nearest))
    return pairs


def _pairs_in_time(
    fired: list[TruthRound], found: list[LocatedRound]
) -> Iterator[tuple[int, LocatedRound]]:
    """A pair too far apart costs as much as none, so a false round displaces no right pair."""
    apart_ns = np.array(
        [[abs((one.utc_ns or 0) - other.utc_ns) for other in found] for one in fired], np.float64
    ).reshape(len(fired), len(found))
    for one, other in zip(*linear_sum_assignment(np.minimum(apart_ns, SAME_ROUND_NS)), strict=True):
        if apart_ns[one, other] <= SAME_ROUND_NS:
            yield id(fired[one]), found[other]


def _is_real(incident: Incident, fired: Iterable[TruthRound]) -> bool:
    place = incident.enu_m
    return place is not None and any(
        _apart_m(place, one.enu_m) <= SAME_PLACE_M
        and (
            one.utc_ns is None
            or any(abs(one.utc_ns - found.utc_ns) <= SAME_ROUND_NS for found in incident.rounds)
        )
        for one in fired
    )


def _row(truth: TruthRound, located: LocatedRound | None, inquest: "_Inquest | None") -> Row:
    if located is not None:
        heard = len({arrival.source for arrival in located.arrivals})
        return Row(truth, located, heard, None)
    if inquest is None:
        return Row(truth, None, None, None)
    return Row(truth, None, *inquest.of(truth))


class _Inquest:
    """Finds out why a round was not located."""

    def __init__(self, evidence: Evidence, unlocated: Mapping[str, list[Incident]]) -> None:
        self._unlocated = unlocated
        self._air_temperature_c = evidence.air_temperature_c
        self._recorded = evidence.recorded
        self._stations = _by_cell(evidence.stations.values())
        self._arrivals_ns: dict[str, list[int]] = defaultdict(list)
        for arrival in evidence.arrivals:
            self._arrivals_ns[arrival.source].append(arrival.toa_utc_ns)

    def of(self, truth: TruthRound) -> tuple[int | None, Miss]:
        """How many nodes heard it, and why that did not do."""
        if truth.utc_ns is None:
            detail = "nobody knows when it was fired, and no located round of its cell is left over"
            return None, Miss("time unknown", detail)
        stations = self._stations.get(truth.cell, [])
        due_ns = {one.source: self._due_ns(one, truth.utc_ns, truth) for one in stations}
        heard = sum(self._heard(source, at_ns) for source, at_ns in due_ns.items())
        recorded = sum(self._is_recorded(source, at_ns) for source, at_ns in due_ns.items())
        if heard < NODES_NEEDED and recorded < min(NODES_NEEDED, len(stations)):
            detail = f"its sound reached {recorded} of {len(stations)} nodes while they recorded"
            return heard, Miss("not recorded", detail)
        if heard < NODES_NEEDED:
            detail = f"heard by {heard} of {len(stations)} nodes; {NODES_NEEDED} are needed"
            return heard, Miss("too few nodes", detail)
        earliest_ns, latest_ns = UNLOCATED_WITHIN_NS
        for incident in self._unlocated.get(truth.cell, ()):
            after_ns = incident.utc_ns - truth.utc_ns
            if incident.status == "ill-conditioned" and earliest_ns <= after_ns <= latest_ns:
                return heard, Miss("badly conditioned", incident.reason)
        detail = f"{heard} of {len(stations)} nodes heard it, but their times agree on no place"
        return heard, Miss("not associated", detail)

    def _due_ns(self, station: Station, fired_ns: int, truth: TruthRound) -> float:
        speed_mps = sound_speed_mps(self._air_temperature_c[truth.cell])
        return fired_ns + math.dist(station.enu_m, truth.enu_m) / speed_mps * NS_PER_S

    def _heard(self, source: str, due_ns: float) -> bool:
        arrivals_ns = self._arrivals_ns[source]
        return any(abs(arrived_ns - due_ns) <= _HEARD_WITHIN_NS for arrived_ns in arrivals_ns)

    def _is_recorded(self, source: str, due_ns: float) -> bool:
        first_ns, last_ns = self._recorded.get(source, (due_ns, due_ns))
        return first_ns <= due_ns <= last_ns


def _apart_m(one: Point, other: Point) -> float:
    return math.hypot(one[0] - other[0], one[1] - other[1])


def _by_cell(things: Iterable[_InCell]) -> dict[str, list[_InCell]]:
    groups: dict[str, list[_InCell]] = defaultdict(list)
    for thing in things:
        groups[thing.cell].append(thing)
    return dict(groups)
