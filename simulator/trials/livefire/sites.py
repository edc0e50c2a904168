"""Firing positions as sites: where the sensors hang, in local metres around each site.

The dataset's own origins are arbitrary and kilometres away, so every site gets one among its
sensors. Nothing here depends on the survey: nodes and locator may know all of it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.trials.livefire.dataset import Test, Vector

PULSE_SIGMA_M = 1.0
RAW_FIX_SIGMA_M = 5.0
_ORIGIN_GRID_M = 100.0

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class SensorPosition:
    """Where a sensor hangs, and how well that is known (1 sigma of each coordinate)."""

    enu_m: Point
    sigma_m: float


class Site:
    """One firing position: its local frame and what its tests together tell of its sensors."""

    def __init__(self, position: str, tests: Sequence[Test]) -> None:
        self.position = position
        self._from_pulses = _medians(
            (pulse.sensor, pulse.position_m) for test in tests for pulse in test.pulses
        )
        self._from_fixes = _medians(
            (recording.sensor, recording.raw_fix_m)
            for test in tests
            for recording in test.recordings
        )
        places = np.array([self._place(sensor) for sensor in self._from_fixes])
        self._origin_m = np.round(np.median(places, axis=0) / _ORIGIN_GRID_M) * _ORIGIN_GRID_M

    def local_m(self, place_m: Vector) -> Point:
        """A place of the dataset in this site's own metres."""
        east_m, north_m, up_m = (float(value) for value in place_m - self._origin_m)
        return east_m, north_m, up_m

    def sensor(self, test: Test, sensor: str) -> SensorPosition:
        """From the test's own pulses, else from another test's, else the median raw fix."""
        own = _medians((pulse.sensor, pulse.position_m) for pulse in test.pulses).get(sensor)
        if own is not None:
            return SensorPosition(self.local_m(own), PULSE_SIGMA_M)
        sigma_m = PULSE_SIGMA_M if sensor in self._from_pulses else RAW_FIX_SIGMA_M
        return SensorPosition(self.local_m(self._place(sensor)), sigma_m)

    def _place(self, sensor: str) -> Vector:
        known = self._from_pulses.get(sensor)
        return self._from_fixes[sensor] if known is None else known


def sites_of(tests: Iterable[Test]) -> dict[str, Site]:
    """Every firing position among `tests`, by its name."""
    by_position: dict[str, list[Test]] = defaultdict(list)
    for test in tests:
        by_position[test.position].append(test)
    return {position: Site(position, its_tests) for position, its_tests in by_position.items()}


def valid_name(text: str) -> str:
    """`text` with what a site, cell or node may not be called replaced by hyphens."""
    return re.sub("[^A-Za-z0-9-]", "-", text)[:32]


def _medians(places: Iterable[tuple[str, Vector]]) -> dict[str, Vector]:
    """Median of the places of each sensor, coordinate by coordinate."""
    by_sensor: dict[str, list[Vector]] = defaultdict(list)
    for sensor, place_m in places:
        by_sensor[sensor].append(place_m)
    return {sensor: np.median(several, axis=0) for sensor, several in by_sensor.items()}
