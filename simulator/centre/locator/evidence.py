"""The arrivals of one window as arrays, and the search for the place that explains most of them.

Weights say how much an arrival looks like a direct one: clear, and not right after a stronger
one at the same node. Nothing here decides what an incident is.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from agent.core.units import NS_PER_S
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.hypothesis import Beside, Hypothesis
from simulator.centre.locator.maxima import separate_maxima, strongest_before
from simulator.centre.locator.registry import Station
from simulator.centre.locator.solve import Solution, solve

Vector = npt.NDArray[np.float64]

GRID_M = 12.0
MARGIN_M = 500.0
MAX_SEEDS = 48
CANDIDATES_PER_SEED = 3
_TRACE_BIN_S = 2e-3
_COARSE_S = 0.045
_FINE_S = 0.012
_TRUST_S = 0.035
_ECHO_S = 0.8
_LOUDER_THAN_AN_ECHO_DB = 2.0
_FAR_ECHO_S = 4.0
_FAR_ECHO_WEAKER_DB = 6.0
_AFTER_STRONGER = 0.55
KNOWN_ECHO = 0.25
_STATION_HEIGHT_M = 6.0
_DEAF_NEAR = 0.5
_UNEXPLAINED = 0.5


class Evidence:
    """Arrivals of one window; times are seconds since the first of them.

    Where it `trusts_first`, a clear sound that came before speaks against what follows it.
    """

    def __init__(
        self,
        arrivals: Sequence[Arrival],
        stations: Mapping[str, Station],
        sound_mps: float,
        *,
        trusts_first: bool = True,
    ) -> None:
        self.arrivals = list(arrivals)
        self.stations = sorted(stations.values(), key=lambda station: station.source)
        self._sound_mps, self._trusts_first = sound_mps, trusts_first
        number = {station.source: index for index, station in enumerate(self.stations)}
        self._base_ns = min(a.toa_utc_ns for a in arrivals)
        self.times = np.array([(a.toa_utc_ns - self._base_ns) / NS_PER_S for a in arrivals])
        self.station = np.array([number[a.source] for a in arrivals])
        self.places_m = np.array([station.enu_m for station in self.stations], np.float64)
        self.peak = np.array([a.peak_dbfs for a in arrivals])
        self.strength = self.peak + 0.5 * np.array([a.snr_db for a in arrivals])
        self.weight = self._weights()
        self.free = np.ones(len(self.times), bool)
        self._doubted: dict[int, float] = {}
        self._own = [np.flatnonzero(self.station == s) for s in range(len(self.stations))]
        heights = self.places_m[np.unique(self.station), 2]
        self._height_m = float(np.median(heights)) - _STATION_HEIGHT_M
        self._grid_m = self._grid()
        apart_m = self._grid_m[:, None] - self.places_m
        self._flight_s = np.asfortranarray(np.linalg.norm(apart_m, axis=2) / sound_mps)

    def of_station(self, station: int) -> npt.NDArray[np.intp]:
        """Indices of a station's arrivals, oldest first."""
        return self._own[station]

    def utc_ns(self, seconds: float) -> int:
        """UTC of a time on the window's scale."""
        return self._base_ns + round(seconds * NS_PER_S)

    def seconds(self, utc_ns: int) -> float:
        """A time of UTC on the window's scale."""
        return (utc_ns - self._base_ns) / NS_PER_S

    def flight_s(self, place_m: Vector, station: int) -> float:
        """How long sound takes from `place_m` to a station."""
        return float(np.linalg.norm(place_m - self.places_m[station])) / self._sound_mps

    def solve(
        self, members: Mapping[int, int], guess_m: Vector, beside: Sequence[Beside] = ()
    ) -> Solution | None:
        """The solution for given members (station to arrival, by index), and what is `beside`.

        What is less than certain to belong counts for as much less.
        """
        numbers = [*members, *(one.station for one in beside)]
        times = [*self.times[list(members.values())], *(one.time_s for one in beside)]
        sigmas = [self._sigma_s(s, self.arrivals[a]) for s, a in members.items()]
        sigmas += [self._sigma_s(one.station, one.arrival) for one in beside]
        shares = np.array([1.0] * len(members) + [one.probability for one in beside])
        guess = np.array([guess_m[0], guess_m[1], self._height_m])
        given = (self.places_m[numbers], np.array(times), np.array(sigmas))
        return solve(*given, self._sound_mps, guess, shares)

    def may_be_one(self, chosen: Sequence[int]) -> bool:
        """Whether arrivals of so many stations are no further apart than sound needs between."""
        stations = self.station[list(chosen)]
        if len(set(stations.tolist())) < len(chosen):
            return False
        apart_m = np.linalg.norm(
            self.places_m[stations][:, None] - self.places_m[stations], axis=-1
        )
        times = self.times[list(chosen)]
        late = np.abs(times[:, None] - times)
        return bool(np.all(late <= apart_m / self._sound_mps + _TRUST_S))

    def agreeing(self, members: Mapping[int, int], count: int) -> list[Vector]:
        """The places where given arrivals agree best, no more than a coarse step apart."""
        emissions = self.times[list(members.values())] - self._flight_s[:, list(members)]
        image = _COARSE_S - np.ptp(emissions, axis=1)
        best = separate_maxima(image, self._grid_m, 5 * GRID_M, count)
        return [self._grid_m[one] for one in best]

    def _sigma_s(self, station: int, arrival: Arrival) -> float:
        """Of the onset, and of where its node stands."""
        by_place_s = self.stations[station].sigma_m / self._sound_mps
        return float(np.hypot(arrival.sigma_ns / NS_PER_S, by_place_s))

    def set_aside(self, members: Mapping[int, int], shot: Hypothesis) -> None:
        """A placed round's arrivals are used up, and what follows them is likely its echo."""
        for one, weight in self._doubted.items():
            self.weight[one] = weight
        self._doubted.clear()
        for station, own in enumerate(self._own):
            direct = (
                float(self.times[members[station]])
                if station in members
                else shot.emission_s + self.flight_s(shot.enu_m, station) - _TRUST_S
            )
            late = self.times[own] - direct
            is_echo = (late >= 0.0) & (late < 2 * _ECHO_S)
            if station in members:
                louder_db = self.peak[own] - self.peak[members[station]]
                is_echo &= louder_db < _LOUDER_THAN_AN_ECHO_DB
                is_echo |= (late >= 0.0) & (late < _FAR_ECHO_S) & (louder_db < -_FAR_ECHO_WEAKER_DB)
            echoes = own[is_echo]
            self.weight[echoes] = np.minimum(self.weight[echoes], KNOWN_ECHO)
        self.free[list(members.values())] = False

    def unexplained(self, member: int, of_shot: Collection[int] = ()) -> float:
        """Weight of the clearest that came just before, at the same node, and is of no shot so far.

        What comes first came the direct way: who takes what follows leaves it unexplained.
        """
        if not self._trusts_first:
            return 0.0
        own = self._own[int(self.station[member])]
        late = self.times[member] - self.times[own]
        is_open = self.free[own] & (self.weight[own] > KNOWN_ECHO)
        before = own[(late > 0.0) & (late < _ECHO_S) & is_open]
        return float(max((self.weight[one] for one in before if one not in of_shot), default=0.0))

    def doubt(self, members: Sequence[int]) -> None:
        """These are echoes, unless a shot comes to light that explains what came before them."""
        self._doubted.update((one, float(self.weight[one])) for one in members)
        self.weight[members] = 0.0

    def best_hypothesis(self, least_weight: float) -> Hypothesis | None:
        """The place and time that explain most weight at four stations or more, if enough."""
        best: Hypothesis | None = None
        for place, emission in self._candidates():
            refined = self._refine(place, emission)
            enough = max(least_weight, best.weight + 1e-9 if best else 0.0)
            if refined and refined.weight >= enough:
                best = refined
        return best

    def _weights(self) -> Vector:
        """0..1: clearness, less where a comparable sound came just before at the same station."""
        clear = np.clip((np.array([a.snr_db for a in self.arrivals]) - 4.0) / 14.0, 0.25, 1.0)
        for own in (np.flatnonzero(self.station == s) for s in range(len(self.stations))):
            louder = strongest_before(self.times[own], self.strength[own], _ECHO_S)
            clear[own[louder > self.strength[own] - 3.0]] *= _AFTER_STRONGER
        return np.asarray(clear)

    def _grid(self) -> Vector:
        """Places worth asking about, shape (n, 3)."""
        heard = self.places_m[np.unique(self.station)]
        low, high = heard.min(axis=0)[:2] - MARGIN_M, heard.max(axis=0)[:2] + MARGIN_M
        step = max(GRID_M, float(np.sqrt(np.prod(high - low) / 60_000)))
        east, north = np.meshgrid(
            np.arange(low[0], high[0], step), np.arange(low[1], high[1], step)
        )
        level = np.full(east.size, self._height_m)
        return np.column_stack((east.ravel(), north.ravel(), level))

    def _candidates(self) -> list[tuple[Vector, float]]:
        """Places where the back-projections of a seed and of all others agree best."""
        usable = np.flatnonzero(self.free & (self.weight > KNOWN_ECHO))
        if not len(usable) or len(np.unique(self.station[self.free])) < 4:
            return []
        seeds = usable[np.argsort(-self.weight[usable], kind="stable")][:MAX_SEEDS]
        flight, traces = self._flight_s, self._traces()
        found: list[tuple[float, Vector, float]] = []
        for seed in seeds:
            emission = self.times[seed] - flight[:, self.station[seed]]
            image = np.zeros(len(self._grid_m))
            for station, trace in enumerate(traces):
                if trace is not None:
                    at = ((emission + flight[:, station] + 0.5) / _TRACE_BIN_S).astype(np.int32)
                    image += trace.take(at, mode="clip")
            for place in separate_maxima(image, self._grid_m, 5 * GRID_M, CANDIDATES_PER_SEED):
                found.append((float(image[place]), self._grid_m[place], float(emission[place])))
        found.sort(key=lambda one: -one[0])
        return [(place, emission) for _, place, emission in found[:MAX_SEEDS]]

    def _traces(self) -> list[Vector | None]:
        """Per station: how well an arrival at each instant would fit, on a fine time axis."""
        length = int((self.times.max() + 1.0) / _TRACE_BIN_S) + 1
        axis = np.arange(length) * _TRACE_BIN_S - 0.5
        traces: list[Vector | None] = []
        for own in self._own:
            own = own[self.free[own]]
            if not len(own):
                traces.append(None)
                continue
            trace = np.zeros(length)
            for index in own:
                near = slice(*np.searchsorted(axis, self.times[index] + [-_COARSE_S, _COARSE_S]))
                late = np.abs(axis[near] - self.times[index]) / _COARSE_S
                trace[near] = np.maximum(trace[near], self.weight[index] * (1.0 - late))
            traces.append(trace)
        return traces

    def _refine(self, place: Vector, emission: float) -> Hypothesis | None:
        """Alternate between choosing arrivals and solving; None if fewer than four agree."""
        members: dict[int, int] = {}
        for within in (2 * _COARSE_S, _COARSE_S, _TRUST_S):
            chosen = self._choose(place, emission, within)
            if len(chosen) < 4:
                return None
            if chosen != members:
                members = chosen
                solution = self.solve(members, place)
                if solution is None or not self.is_near(solution.enu_m):
                    return None
                place, emission = solution.enu_m, solution.emission_s
        late = np.abs(
            [self.times[a] - emission - self.flight_s(place, s) for s, a in members.items()]
        )
        kept = {s: a for (s, a), t in zip(members.items(), late, strict=True) if t < _TRUST_S}
        if len(kept) < 4:
            return None
        fit = np.exp(-0.5 * (late[late < _TRUST_S] / _FINE_S) ** 2)
        weight = float(fit @ self.weight[list(kept.values())])
        against = _DEAF_NEAR * self._deaf_near(place, kept)
        against += _UNEXPLAINED * sum(self.unexplained(a) for a in kept.values())
        return Hypothesis(place, emission, kept, weight - against)

    def _deaf_near(self, place: Vector, members: Mapping[int, int]) -> int:
        """How many stations nearer than the median member heard nothing of it."""
        distance = np.linalg.norm(self.places_m - place, axis=1)
        reach = float(np.median(distance[list(members)]))
        return int(np.sum(distance < reach)) - int(np.sum(distance[list(members)] < reach))

    def _choose(self, place: Vector, emission: float, within_s: float) -> dict[int, int]:
        """Per station the free arrival that fits best, if one is `within_s`."""
        members: dict[int, int] = {}
        for station, own in enumerate(self._own):
            own = own[self.free[own]]
            if len(own):
                late = self.times[own] - emission - self.flight_s(place, station)
                fit = self.weight[own] * np.exp(-0.5 * (late / (0.5 * within_s)) ** 2)
                fit[np.abs(late) > within_s] = 0.0
                if fit.max() > 0.0:
                    members[station] = int(own[np.argmax(fit)])
        return members

    def is_near(self, place: Vector) -> bool:
        """Whether a place is among those worth asking about."""
        return bool(
            np.all(place[:2] > self._grid_m.min(axis=0)[:2])
            and np.all(place[:2] < self._grid_m.max(axis=0)[:2])
        )
