"""What lists of busy streets add: onsets that fit a shot whose told arrivals already say where.

A listed onset is a true time of arrival, but one among thousands. So each is held against chance:
how likely the shot makes a node hear something at just that time, and how often its street does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from agent.core.units import NS_PER_S
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.evidence import Evidence
from simulator.centre.locator.hypothesis import Beside, Hypothesis
from simulator.centre.locator.solve import Solution

Vector = npt.NDArray[np.float64]

RATE_OVER_S = 30.0
"""A list is looked at so far around a shot, to know how often its street makes an onset."""
FALSE_PER_WINDOW = 1e-3
"""How often chance may confirm what only three nodes told, per window that has such three."""
_HEARD = 0.5  # that a node hears a shot that others heard: nobody knows
_NEAR_S = 3.0
_SIGMAS = 3.0
_MOST_LATE_S = 0.05  # where a place foretells no better than that, a list says nothing
_CLEAR = 0.6
_MOST_TRIPLES = 64
_PLACES = 2  # three times of arrival may have two


@dataclass(frozen=True, slots=True)
class Founded:
    """Three told arrivals (by station, as index) that lists confirm."""

    members: dict[int, int]
    solution: Solution
    beside: tuple[Beside, ...]

    @property
    def hypothesis(self) -> Hypothesis:
        """The same as what blind association finds."""
        place, emission_s = self.solution.enu_m, self.solution.emission_s
        return Hypothesis(place, emission_s, self.members, float(len(self.beside)))


class Lists:
    """The `listed` onsets around the window of `evidence`."""

    def __init__(self, evidence: Evidence, listed: Sequence[Arrival]) -> None:
        self._evidence = evidence
        number = {one.source: index for index, one in enumerate(evidence.stations)}
        rows: dict[int, list[tuple[float, Arrival]]] = {}
        for one in listed:
            if one.source in number:
                when_s = evidence.seconds(one.toa_utc_ns)
                rows.setdefault(number[one.source], []).append((when_s, one))
        self._onsets = {station: [one for _, one in own] for station, own in rows.items()}
        self._times = {station: np.array([at for at, _ in own]) for station, own in rows.items()}
        self._taken: set[tuple[str, int]] = set()

    def fitting(self, solution: Solution, members: Mapping[int, int]) -> list[Beside]:
        """Of each other station the listed onset that the shot explains better than chance."""
        return [one for one, _ in self._asked(solution, members) if one]

    def take(self, beside: Sequence[Beside]) -> None:
        """These are explained, and explain nothing else."""
        self._taken.update((one.arrival.source, one.arrival.toa_utc_ns) for one in beside)

    def confirm(self, shot: Hypothesis) -> bool:
        """Whether so many lists have an onset when the shot foretells it, that chance rarely does.

        Other than in `founded` it is told arrivals alone that chose it, before any list was asked.
        """
        solution = self._evidence.solve(shot.members, shot.enu_m) if self._onsets else None
        if solution is None:
            return False
        beside, chance = self._confirmation(solution, shot.members)
        return bool(beside) and chance < FALSE_PER_WINDOW

    def founded(self) -> Founded | None:
        """Three nodes' clear arrivals which no incident explains, and lists that confirm them.

        Three times of arrival fit some place always. What confirms is that so many lists have an
        onset when that place foretells it; how often chance does that is the sum over all triples
        and places that were asked, and must stay below FALSE_PER_WINDOW.
        """
        if not self._onsets:
            return None
        asked = [
            (members, solution) for members in self._triples() for solution in self._places(members)
        ]
        best, least = None, FALSE_PER_WINDOW / max(1, len(asked))
        for members, solution in asked:
            beside, chance = self._confirmation(solution, members)
            if beside and chance < least:
                best, least = Founded(members, solution, beside), chance
        return best

    def _confirmation(
        self, solution: Solution, members: Mapping[int, int]
    ) -> tuple[tuple[Beside, ...], float]:
        """What fits, and how likely chance gives as much."""
        answers = self._asked(solution, members)
        beside = tuple(one for one, _ in answers if one)
        return beside, at_least(len(beside), [by_chance for _, by_chance in answers])

    def _asked(
        self, solution: Solution, members: Mapping[int, int]
    ) -> list[tuple[Beside | None, float]]:
        """Of each other station with a list: what fits, and how likely chance gives that."""
        stations = [one for one in self._onsets if one not in members]
        if not stations:
            return []
        places = self._evidence.places_m[stations]
        due_s, sigma_s = solution.predicted(places, np.zeros(len(stations)))
        found = zip(stations, due_s.tolist(), sigma_s.tolist(), strict=True)
        return [self._best(*one) for one in found if _SIGMAS * one[2] <= _MOST_LATE_S]

    def _best(self, station: int, due_s: float, path_s: float) -> tuple[Beside | None, float]:
        rate_hz, times = self._rate_hz(station, due_s), self._times[station]
        within_s = _SIGMAS * path_s
        by_chance = float(-np.expm1(-2.0 * within_s * rate_hz))
        best, most = None, 1.0
        for index in np.flatnonzero(np.abs(times - due_s) <= within_s):
            one = self._onsets[station][index]
            if (one.source, one.toa_utc_ns) in self._taken:
                continue
            sigma_s = float(np.hypot(path_s, one.sigma_ns / NS_PER_S))
            z = (float(times[index]) - due_s) / sigma_s
            density = np.exp(-0.5 * z * z) / (np.sqrt(2.0 * np.pi) * sigma_s)
            odds = _HEARD * float(density) / rate_hz
            if odds > most:
                best = Beside(station, one, float(times[index]), odds / (1.0 + odds))
                most = odds
        return best, by_chance

    def _rate_hz(self, station: int, at_s: float) -> float:
        """Of its onsets just around, and one more: what passes on a street comes and goes."""
        apart = np.abs(self._times[station] - at_s)
        return float(np.sum(apart <= _NEAR_S) + 1) / (2.0 * _NEAR_S)

    def _triples(self) -> Iterator[dict[int, int]]:
        """Clear free arrivals of three stations that one sound may have made, clearest first."""
        evidence = self._evidence
        clear = np.flatnonzero(evidence.free & (evidence.weight >= _CLEAR))
        strongest = sorted(clear.tolist(), key=lambda one: -float(evidence.strength[one]))
        count = 0
        for last, one in enumerate(strongest):
            for two, three in combinations(strongest[:last], 2):
                if not evidence.may_be_one((one, two, three)):
                    continue
                yield {int(evidence.station[index]): index for index in (two, three, one)}
                count += 1
                if count == _MOST_TRIPLES:
                    return

    def _places(self, members: dict[int, int]) -> Iterator[Solution]:
        """The places from which three times of arrival make sense."""
        for guess in self._evidence.agreeing(members, _PLACES):
            solution = self._evidence.solve(members, guess)
            if solution is not None and self._evidence.is_near(solution.enu_m):
                yield solution


def at_least(count: int, chances: Sequence[float]) -> float:
    """How likely `count` or more of independent events with these chances happen."""
    exactly = np.zeros(len(chances) + 1)
    exactly[0] = 1.0
    for chance in chances:
        exactly[1:] = exactly[1:] * (1.0 - chance) + exactly[:-1] * chance
        exactly[0] *= 1.0 - chance
    return float(exactly[count:].sum())
