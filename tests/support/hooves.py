"""A cell beside a lively street, as arrivals: shots, and hooves of which most are only listed.

Horses walk past busy nodes for eight seconds each, a fall every 0.25-0.35 s: heard where they are,
and now and then by the neighbour too, at the right time for that. Where they come twice a minute
that makes 2 500 an hour and node. One fall in six stands out and is told. A shot is
told by quiet nodes; a busy one, to which it is no louder than the street, lists it mostly.
"""

from dataclasses import dataclass

import numpy as np

from agent.core.units import NS_PER_S, sound_speed_mps
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.registry import Station
from tests.support.drafts import LOCATOR_KEYS

START_NS = 1_773_522_000 * NS_PER_S
AIR_C = 12.0
LASTS_S = 60.0
_KEY = next(iter(LOCATOR_KEYS.values()))
_TOLD_FALLS = 1 / 6
_ALSO_NEXT = 0.3  # of the falls are heard by a second node
_LATE_S = 5e-3
_PASSES_S, _LISTED_SHOTS = 8.0, 0.8


@dataclass(frozen=True)
class Scene:
    """What was fired (second, east, north), and what the centre has of it."""

    stations: dict[str, Station]
    shots: list[tuple[float, float, float]]
    told: list[Arrival]
    listed: list[Arrival]


def scene(seed: int, busy: int, shots: int, pause_s: float = 25.0) -> Scene:
    """Nine nodes, `busy` of them on the street, a horse each `pause_s` or so, and `shots`."""
    rng = np.random.default_rng([seed, 31])
    place = np.array([(250.0 * i, 250.0 * j, 7.0) for i in range(3) for j in range(3)])
    place[:, :2] += rng.uniform(-40, 40, (9, 2))
    names = [f"urn:earshot:s:c:n{number}" for number in range(9)]
    stations = {
        name: Station(name, "s", "c", name[-2:], _KEY, tuple(map(float, at)), 0.5)
        for name, at in zip(names, place, strict=True)
    }
    lively = rng.permutation(9)[:busy].tolist()
    told: list[Arrival] = []
    listed: list[Arrival] = []

    def hear(node: int, at_s: float, is_told: bool, snr_db: float, score: float) -> None:
        sigma_s = float(rng.uniform(2e-4, 1e-3))
        toa_ns = START_NS + round((at_s + rng.normal(0, sigma_s)) * NS_PER_S)
        kept = told if is_told else listed
        name = f"{names[node]}/{len(kept)}"
        kept.append(
            Arrival(
                names[node], name, toa_ns, round(sigma_s * 1e9), snr_db, snr_db - 50.0, score,
                is_listed=not is_told,
            )
        )  # fmt: skip

    _hooves(rng, lively, place, pause_s, hear)
    fired = []
    for number in range(shots):
        at_s = 6.0 + number * (LASTS_S - 12.0) / max(1, shots) + float(rng.uniform(0, 2))
        east, north = rng.uniform(50, 450, 2).tolist()
        fired.append((at_s, east, north))
        far_m = np.linalg.norm(place - (east, north, 1.5), axis=1)
        for node in np.flatnonzero(rng.random(9) < np.clip(1.35 - far_m / 450.0, 0.0, 0.97)):
            late_s = far_m[node] / sound_speed_mps(AIR_C) + float(rng.exponential(_LATE_S))
            is_told = node not in lively or rng.random() > _LISTED_SHOTS
            hear(int(node), at_s + late_s, bool(is_told), float(rng.uniform(14, 34)), 0.85)
    return Scene(stations, fired, told, listed)


def _hooves(rng, lively, place, pause_s, hear) -> None:  # type: ignore[no-untyped-def]
    for node in lively:
        near = np.argsort(np.linalg.norm(place - place[node], axis=1))[1]
        at_s, period_s = float(rng.uniform(-10, 20)), float(rng.uniform(0.25, 0.35))
        gone_s = at_s + _PASSES_S
        apart_s = np.linalg.norm(place[near] - place[node]) / sound_speed_mps(AIR_C)
        along_s = float(rng.uniform(-0.5, 0.5)) * apart_s
        while at_s < LASTS_S:
            if at_s > gone_s:
                at_s += float(rng.exponential(pause_s))
                gone_s = at_s + _PASSES_S
                continue
            hear(node, at_s, rng.random() < _TOLD_FALLS, float(rng.uniform(9, 20)), 0.5)
            if rng.random() < _ALSO_NEXT and near in lively:
                hear(int(near), at_s + along_s, False, float(rng.uniform(6, 12)), 0.3)
            at_s += period_s + float(rng.normal(0, 0.02))
            along_s = float(np.clip(along_s + rng.normal(0, 5e-3), -apart_s, apart_s))
