"""Few nodes in streets full of echoes, as arrivals: what they hear of one weapon, and of nothing.

Four to six nodes; each path is late by some milliseconds (exponential, 7 ms on average), one in
eight direct sounds is missing, and three nodes in four hear up to four echoes within 0.7 s, 9 +- 5
dB below the direct sound, less what that masks of them. Beside it come 120 onsets an hour.
"""

from dataclasses import dataclass
from math import exp, log10

import numpy as np

from agent.core.units import NS_PER_S, sound_speed_mps
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.registry import Station
from tests.support.drafts import LOCATOR_KEYS

START_NS = 1_773_522_000 * NS_PER_S
_KEY = next(iter(LOCATOR_KEYS.values()))
_LASTS_S, _CHANCE_HZ = 20.0, 120 / 3600
_LEAST_SNR_DB = 7.0


@dataclass(frozen=True)
class Street:
    """What was fired (seconds; east, north), and what was heard of it in air at `air_c`."""

    stations: dict[str, Station]
    air_c: float
    rounds_s: list[float]
    place_m: tuple[float, float]
    arrivals: list[Arrival]


def street(seed: int) -> Street:
    """One to three rounds from one place."""
    rng = np.random.default_rng([seed, 17])
    place = _apart(rng, int(rng.integers(4, 7)))
    muzzle, air_c = np.array([*rng.uniform(-300, 300, 2), 1.5]), float(rng.uniform(0, 25))
    rounds_s = (5.0 + np.cumsum(rng.uniform(0.4, 0.9, 1 if rng.random() < 0.4 else 3))).tolist()
    heard: list[Arrival] = []
    for number, at in enumerate(place):
        name = f"urn:earshot:s:c:n{number}"
        far_m = float(np.linalg.norm(at - muzzle))
        snr_db = 98.0 - 20.0 * log10(far_m) - 0.01 * far_m - float(rng.exponential(8))
        late_s = far_m / sound_speed_mps(air_c) + float(rng.exponential(7e-3))
        for at_s, louder_db in _ways(rng, rounds_s, late_s):
            if snr_db + louder_db > _LEAST_SNR_DB:
                heard.append(_arrival(name, len(heard), at_s, snr_db + louder_db))
        for at_s in rng.uniform(0, _LASTS_S, rng.poisson(_CHANCE_HZ * _LASTS_S)):
            heard.append(_arrival(name, len(heard), float(at_s), 8 + float(rng.exponential(6))))
    stations = {
        f"urn:earshot:s:c:n{number}": Station(
            f"urn:earshot:s:c:n{number}", "s", "c", f"n{number}", _KEY, tuple(at.tolist()), 0.5
        )
        for number, at in enumerate(place)
    }
    return Street(stations, air_c, rounds_s, (float(muzzle[0]), float(muzzle[1])), heard)


def _ways(
    rng: np.random.Generator, rounds_s: list[float], late_s: float
) -> list[tuple[float, float]]:
    """When sound of each round comes to a node, direct or not, and how much louder than direct."""
    is_direct = rng.random() > 0.125
    echoes = rng.integers(1, 5) if rng.random() < 0.75 else 0
    ways = [(0.0, 0.0)] * is_direct
    for after_s, louder_db in zip(
        rng.uniform(0.02, 0.7, echoes), rng.normal(-9, 5, echoes), strict=True
    ):
        masked_db = 12.0 * exp(-after_s / 0.25) if is_direct else 0.0
        ways.append((float(after_s), float(louder_db) - masked_db))
    return [
        (at_s + late_s + after_s + float(rng.normal(0, 1e-3)), louder_db + float(rng.normal()))
        for at_s in rounds_s
        for after_s, louder_db in ways
    ]


def _apart(rng: np.random.Generator, count: int) -> np.ndarray:
    """So many places in 1.4 km, none within 200 m of another."""
    while True:
        place = np.column_stack((rng.uniform(-700, 700, (count, 2)), rng.uniform(4, 14, count)))
        apart_m = np.linalg.norm(place[:, None] - place, axis=-1) + 1e9 * np.eye(count)
        if apart_m.min() > 200.0:
            return place


def _arrival(source: str, number: int, at_s: float, snr_db: float) -> Arrival:
    toa_ns = START_NS + round(at_s * NS_PER_S)
    return Arrival(source, f"{source}/{number}", toa_ns, 700_000, snr_db, snr_db - 60.0, 0.8)
