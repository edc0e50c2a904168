"""Position and time of one discharge from times of arrival, with a covariance.

Gauss-Newton on all unknowns at once: east, north, height, time of emission and a uniform wind.
Which arrivals belong together is `associate`'s matter. Rays are straight and the air is the same
everywhere: what that leaves out is inside AIR_SIGMA and PATH_SIGMA_S.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

PATH_SIGMA_S = 4e-3
AIR_SIGMA = 0.002
HEIGHT_SIGMA_M = 15.0
WIND_SIGMA_MPS = 2.5
_HUBER = 2.0
_ITERATIONS = 12
_DONE_M = 1e-3


@dataclass(frozen=True, slots=True)
class Solution:
    """`unknowns` (6,): east, north, up, emission on the arrivals' time scale, wind east, north.

    Residuals in seconds. `covariance` (6, 6) is of the unknowns, scaled up where the residuals are
    larger than stated.
    """

    unknowns: Vector
    covariance: Vector
    residuals_s: Vector
    sound_mps: float

    @property
    def enu_m(self) -> Vector:
        """Where it was, shape (3,)."""
        return self.unknowns[:3]

    @property
    def emission_s(self) -> float:
        """When it was, on the arrivals' time scale."""
        return float(self.unknowns[3])

    @property
    def covariance_m2(self) -> Vector:
        """Of east and north, 2 x 2."""
        return self.covariance[:2, :2]

    @property
    def sigmas_m(self) -> tuple[float, float]:
        """Major and minor half axis of the 1-sigma ellipse."""
        minor, major = np.sqrt(np.maximum(np.linalg.eigvalsh(self.covariance_m2), 0.0))
        return float(major), float(minor)

    def predicted(self, stations_m: Vector, sigmas_s: Vector) -> tuple[Vector, Vector]:
        """When each of `stations_m` (n, 3) should have heard it, and within what 1 sigma (n,), s.

        `sigmas_s` (n,) are those of the arrivals that one looks for.
        """
        no_times = np.zeros(len(stations_m))
        late, slope = _linearise(self.unknowns, stations_m, no_times, self.sound_mps)
        unknown = np.einsum("ni,ij,nj->n", slope, self.covariance, slope)
        distance = np.linalg.norm(stations_m - self.enu_m, axis=1)
        own = _path_sigma_s(sigmas_s, distance, self.sound_mps)
        return -late, np.asarray(np.sqrt(own**2 + np.maximum(unknown, 0.0)))


def solve(
    stations_m: Vector,
    arrivals_s: Vector,
    sigmas_s: Vector,
    sound_mps: float,
    guess_m: Vector,
    shares: Vector | None = None,
) -> Solution | None:
    """Least squares with Huber weights; None where the geometry gives no answer.

    `stations_m` (n, 3), `arrivals_s` and `sigmas_s` (n,), n >= 3; `guess_m` (3,), whose height is
    also the prior for the source's height, with HEIGHT_SIGMA_M. Wind, with a prior of calm and
    WIND_SIGMA_MPS, adds its component along the path to the speed of sound; temperature and
    refraction add AIR_SIGMA of the path, bent or reflected paths PATH_SIGMA_S. `shares` (n,), 0..1,
    are of arrivals that belong with no more than that probability: they weigh as much less.
    Formula: Gauss-Newton for multilateration, Foy 1976, IEEE Trans. AES-12, 187.
    """
    unknowns = np.append(guess_m.astype(np.float64), [0.0, 0.0, 0.0])  # e, n, u, time, wind e, n
    distance = np.linalg.norm(stations_m - guess_m, axis=1)
    unknowns[3] = np.median(arrivals_s - distance / sound_mps)
    sigma = _path_sigma_s(sigmas_s, distance, sound_mps)
    if shares is not None:
        sigma = sigma / np.sqrt(shares)
    prior = np.append(guess_m[2], [0.0, 0.0])
    priors = np.zeros((3, 6))
    priors[[0, 1, 2], [2, 4, 5]] = [1 / HEIGHT_SIGMA_M, 1 / WIND_SIGMA_MPS, 1 / WIND_SIGMA_MPS]
    for _ in range(_ITERATIONS):
        residual, slope = _linearise(unknowns, stations_m, arrivals_s, sound_mps)
        weight = np.minimum(1.0, _HUBER / np.maximum(np.abs(residual / sigma), 1e-9)) ** 0.5 / sigma
        matrix = np.vstack((slope * weight[:, None], priors))
        pull = (prior - unknowns[[2, 4, 5]]) * priors[[0, 1, 2], [2, 4, 5]]
        step, _, rank, _ = np.linalg.lstsq(matrix, np.append(residual * weight, pull), rcond=None)
        if rank < 6:
            return None
        unknowns += step / max(1.0, float(np.linalg.norm(step[:3])) / 200.0)
        if float(np.abs(step[:3]).max()) < _DONE_M:
            break
    residual, _ = _linearise(unknowns, stations_m, arrivals_s, sound_mps)
    freedom = max(1, len(residual) - 3)
    excess = max(1.0, float(((residual * weight) ** 2).sum()) / freedom)
    covariance = np.linalg.inv(matrix.T @ matrix) * excess
    return Solution(unknowns, np.asarray(covariance), residual, sound_mps)


def _path_sigma_s(sigmas_s: Vector, distance_m: Vector, sound_mps: float) -> Vector:
    """Of an arrival over its path: the onset's own, the bent path, and the air's temperature."""
    by_air = AIR_SIGMA * distance_m / sound_mps
    return np.asarray(np.sqrt(sigmas_s**2 + PATH_SIGMA_S**2 + by_air**2))


def _linearise(
    unknowns: Vector, stations_m: Vector, arrivals_s: Vector, sound_mps: float
) -> tuple[Vector, Vector]:
    """Residuals (n,) and the slope (n, 6) of the predicted arrivals in each unknown."""
    apart = stations_m - unknowns[:3]
    distance = np.maximum(np.linalg.norm(apart, axis=1), 1e-3)
    along = apart / distance[:, None]
    speed = sound_mps + along[:, :2] @ unknowns[4:]
    residual = arrivals_s - unknowns[3] - distance / speed
    by_wind = -(distance / speed**2)[:, None] * along[:, :2]
    slope = np.column_stack((-along / speed[:, None], np.ones(len(distance)), by_wind))
    return residual, slope
