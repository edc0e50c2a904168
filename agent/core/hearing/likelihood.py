"""How well the waves of a family fit a sound at every lag: the likelihood of its arrival.

Pure arithmetic on whitened sound, after Kay 1993, Fundamentals of Statistical Signal Processing:
Estimation Theory, chapters 7 and 11. Amplitude is always fitted, sign included. What the result
means is `arrival`'s matter.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.hearing.templates import Shapes, Table

_STEPS = 6
_CLOSE = 0.02
_LONGEST_STEP = np.array([3.0, 1.0, 1.0])
_BATCH = 48
_CUBIC = np.array(  # Lagrange's cubics through the nodes 0..3, ascending powers, (4, 4)
    [[1.0, 0.0, 0.0, 0.0], [-11 / 6, 3.0, -1.5, 1 / 3], [1.0, -2.5, 2.0, -0.5],
     [-1 / 6, 0.5, -0.5, 1 / 6]]
)  # fmt: skip

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Fit:
    """The wave that fits best: `lag` in samples, its two axes in steps of the family's grid.

    `sigma_lag` comes from the curvature there, everything else being unknown. `amplitude` is for
    the wave as tabulated; `deflection` is amplitude over the amplitude's sigma, with its sign.
    """

    lag: float
    duration_at: float
    distance_at: float
    sigma_lag: float
    amplitude: float
    deflection: float


def correlations(shapes: Shapes, sound: Table, lags: Indices | range, phases: int) -> Table:
    """Twice whitened `sound` against each basis wave, (lags x phases, rank), in order of `lags`.

    Lag 0 has the onset `shapes.before` samples after the start of `sound`. In small batches, so
    that no BLAS starts threads for it.
    """
    size = max(1, _BATCH // phases)
    batches = -(-len(lags) // size)
    pieces = _pieces(sound, shapes.length)
    chosen = pieces[lags.start : lags.stop] if isinstance(lags, range) else pieces[lags]
    padded = np.empty((batches * size, shapes.length))
    padded[: len(lags)] = chosen
    padded[len(lags) :] = 0.0
    found = padded.reshape(batches, size, shapes.length) @ shapes.columns[:, : phases * shapes.rank]
    return np.asarray(found.reshape(-1, shapes.rank)[: len(lags) * phases])


def _pieces(sound: Table, length: int) -> Table:
    """All pieces of `length` as views; numpy's sliding_window_view costs as much as the product."""
    step = sound.strides[0]
    return np.ndarray((len(sound) - length + 1, length), np.float64, sound, 0, (step, step))


def overlaps(shapes: Shapes, taps: Table, power: float) -> Table:
    """Inner products of the whitened basis waves, (rank, rank).

    A filter makes of an inner product the sum over all lags of its own autocorrelation there times
    the inner product of one wave with the other late by so much. `taps` are a whitener's, or fewer.
    """
    own = np.correlate(taps, taps, "full")[len(taps) - 1 :] / power
    return np.asarray(own @ shapes.products[: len(own)]).reshape(shapes.rank, shapes.rank)


def climb(shapes: Shapes, along: Table, gram: Table, start: tuple[int, int, int]) -> Fit:
    """Newton's method from a node (index in `along`, duration, distance) to the best fit.

    `along` is `correlations` in all phases; lag 0 of the result is its first row.
    """
    place = np.array(start, float)
    top = np.array([len(along), *shapes.mixes.shape[:2]]) - 1.0
    for _ in range(_STEPS):
        gradient, curvature, amplitude, energy = _expansion(shapes, along, gram, place)
        inverse = _inverse(curvature, gradient, place, top)
        step = inverse[:3, :3] @ gradient
        step /= max(1.0, float((np.abs(step) / _LONGEST_STEP).max()))
        place = np.minimum(np.maximum(place + step, 0.0), top)
        sigma = float(np.sqrt(inverse[0, 0]))
        if abs(step[0]) < _CLOSE * sigma:
            break
    return Fit(
        lag=float(place[0]) / shapes.phases,
        duration_at=float(place[1]),
        distance_at=float(place[2]),
        sigma_lag=sigma / shapes.phases,
        amplitude=amplitude,
        deflection=amplitude * float(np.sqrt(energy)),
    )


def mix_at(shapes: Shapes, duration_at: float, distance_at: float) -> Table:
    """How the wave between the nodes of the grid is made of the basis, (rank,)."""
    return np.asarray(_mixes(shapes, duration_at, distance_at)[0, 0])


def _expansion(
    shapes: Shapes, along: Table, gram: Table, place: Table
) -> tuple[Table, Table, float, float]:
    """Of A c.y - A^2 c.G.c / 2 at its best A: gradient (3,) in lag and axes, curvature (4, 4) in
    these and ln A; A and c.G.c.
    """
    at = min(max(int(place[0]) - 1, 0), len(along) - 4)
    near = _weights(float(place[0]) - at) @ along[at : at + 4]
    mixes = _mixes(shapes, float(place[1]), float(place[2]))
    wave = mixes[0, 0]
    turned = gram @ wave
    energy = max(float(wave @ turned), 1e-300)
    a = float(wave @ near[0]) / energy
    left = near[0] - a * turned
    sides = np.array([mixes[1, 0], mixes[0, 1]])
    gradient = np.empty(3)
    gradient[0] = a * (wave @ near[1])
    gradient[1:] = a * (sides @ left)
    curvature = np.empty((4, 4))
    curvature[0, 0] = a * (wave @ near[2])
    curvature[0, 1:3] = curvature[1:3, 0] = a * (sides @ near[1])
    curvature[0, 3] = curvature[3, 0] = gradient[0]
    curvature[1:3, 1:3] = -a * a * (sides @ gram @ sides.T)
    curvature[1, 1] += a * (mixes[2, 0] @ left)
    curvature[2, 2] += a * (mixes[0, 2] @ left)
    bend = a * (mixes[1, 1] @ left)
    curvature[1, 2] += bend
    curvature[2, 1] += bend
    curvature[1:3, 3] = curvature[3, 1:3] = gradient[1:] - a * a * (sides @ turned)
    curvature[3, 3] = -a * a * energy
    return gradient, curvature, a, energy


def _inverse(curvature: Table, gradient: Table, place: Table, top: Table) -> Table:
    """Of minus the curvature; made positive where it is not, 0 along what leads out of the grid.

    The gradient along such an axis is set to zero.
    """
    minus = -curvature
    for axis in (1, 2):
        if (place[axis] <= 0.0 and gradient[axis] < 0.0) or (
            place[axis] >= top[axis] and gradient[axis] > 0.0
        ):
            minus[axis], minus[:, axis] = 0.0, 0.0
            minus[axis, axis] = 1.0
            gradient[axis] = 0.0
    values, vectors = np.linalg.eigh(minus)
    values = np.maximum(np.abs(values), 1e-9 * float(values[-1]) + 1e-12)
    return np.asarray((vectors / values) @ vectors.T)


def _mixes(shapes: Shapes, duration_at: float, distance_at: float) -> Table:
    """The mix between nodes and its derivatives, (3, 3, rank), by order along each axis."""
    rows, columns, _ = shapes.mixes.shape
    row = min(max(int(duration_at) - 1, 0), rows - 4)
    column = min(max(int(distance_at) - 1, 0), columns - 4)
    patch = shapes.mixes[row : row + 4, column : column + 4]
    across = _weights(distance_at - column) @ patch
    return np.asarray((_weights(duration_at - row) @ across.reshape(4, -1)).reshape(3, 3, -1))


def _weights(x: float) -> Table:
    """Cubic interpolation at `x` from values at 0, 1, 2, 3: value and two derivatives, (3, 4)."""
    powers = np.array([[1.0, x, x * x, x**3], [0.0, 1.0, 2 * x, 3 * x * x], [0.0, 0.0, 2.0, 6 * x]])
    return np.asarray(powers @ _CUBIC)
