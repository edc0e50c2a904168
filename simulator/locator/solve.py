"""Position and time of one discharge from times of arrival, with a covariance.

Gauss-Newton on all unknowns at once: east, north, height and time of emission. Which arrivals
belong together is `associate`'s matter. Straight rays, one sound speed, no wind: what these leave
out is inside PATH_SIGMA.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

PATH_SIGMA_S = 4e-3
AIR_SIGMA = 0.004
HEIGHT_SIGMA_M = 15.0
_HUBER = 2.0
_ITERATIONS = 12
_DONE_M = 1e-3


@dataclass(frozen=True, slots=True)
class Solution:
    """`enu_m` shape (3,), `emission_s` on the arrivals' time scale, residuals in seconds.

    `covariance_m2` is 2 x 2 (east, north), scaled up where the residuals are larger than stated.
    """

    enu_m: Vector
    emission_s: float
    covariance_m2: Vector
    residuals_s: Vector

    @property
    def sigmas_m(self) -> tuple[float, float]:
        """Major and minor half axis of the 1-sigma ellipse."""
        minor, major = np.sqrt(np.maximum(np.linalg.eigvalsh(self.covariance_m2), 0.0))
        return float(major), float(minor)


def solve(
    stations_m: Vector,
    arrivals_s: Vector,
    sigmas_s: Vector,
    sound_mps: float,
    guess_m: Vector,
) -> Solution | None:
    """Least squares with Huber weights; None where the geometry gives no answer.

    `stations_m` (n, 3), `arrivals_s` and `sigmas_s` (n,), n >= 4; `guess_m` (3,), whose height is
    also the prior for the source's height, with HEIGHT_SIGMA_M. Refraction, wind and an unknown
    temperature grow with the path: AIR_SIGMA of it; bent or reflected paths add PATH_SIGMA_S.
    Formula: Gauss-Newton for multilateration, Foy 1976, IEEE Trans. AES-12, 187.
    """
    place, prior_height = guess_m.astype(np.float64).copy(), float(guess_m[2])
    distance = np.linalg.norm(stations_m - place, axis=1)
    emission = float(np.median(arrivals_s - distance / sound_mps))
    sigma = np.sqrt(sigmas_s**2 + PATH_SIGMA_S**2 + (AIR_SIGMA * distance / sound_mps) ** 2)
    height_row = np.array([0.0, 0.0, 1.0 / HEIGHT_SIGMA_M, 0.0])
    for _ in range(_ITERATIONS):
        apart = place - stations_m
        distance = np.maximum(np.linalg.norm(apart, axis=1), 1e-3)
        residual = arrivals_s - emission - distance / sound_mps
        weight = np.minimum(1.0, _HUBER / np.maximum(np.abs(residual / sigma), 1e-9)) ** 0.5 / sigma
        slope = np.column_stack((apart / distance[:, None] / sound_mps, np.ones(len(residual))))
        matrix = np.vstack((slope * weight[:, None], height_row))
        target = np.append(residual * weight, (prior_height - place[2]) / HEIGHT_SIGMA_M)
        step, _, rank, _ = np.linalg.lstsq(matrix, target, rcond=None)
        if rank < 4:
            return None
        reach = max(1.0, float(np.linalg.norm(step[:3])) / 200.0)
        place, emission = place + step[:3] / reach, emission + float(step[3]) / reach
        if float(np.abs(step[:3]).max()) < _DONE_M:
            break
    residual = arrivals_s - emission - np.linalg.norm(stations_m - place, axis=1) / sound_mps
    freedom = max(1, len(residual) - 3)
    excess = max(1.0, float(((residual * weight) ** 2).sum()) / freedom)
    covariance = np.linalg.inv(matrix.T @ matrix) * excess
    return Solution(place, emission, covariance[:2, :2], residual)
