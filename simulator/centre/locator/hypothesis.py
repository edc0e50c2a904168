"""What the search for a shot supposes: where and when it was, and who heard it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.centre.locator.arrival import Arrival

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A discharge at `enu_m`, `emission_s`; `members` maps station to arrival, by index."""

    enu_m: Vector
    emission_s: float
    members: dict[int, int]
    weight: float


@dataclass(frozen=True, slots=True)
class Beside:
    """A listed onset at a station that a shot explains, with what `probability`."""

    station: int
    arrival: Arrival
    time_s: float
    probability: float
