"""How well every wave of a family fits at every lag: the likelihood of the time of arrival.

Pure arithmetic on whitened sound, after Kay 1993, Fundamentals of Statistical Signal Processing,
chapters 3 and 7. Amplitude is always fitted. What the result means is `arrival`'s matter.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.blastshapes import Shapes, Table

_STEPS = 5
_CLOSE = 1e-3
_LONGEST_STEP = np.array([4.0, 1.0, 1.0])
_CUBIC = np.array(  # Lagrange's cubics through the nodes 0..3, ascending powers, (4, 4)
    [[1.0, 0.0, 0.0, 0.0], [-11 / 6, 3.0, -1.5, 1 / 3], [1.0, -2.5, 2.0, -0.5],
     [-1 / 6, 0.5, -0.5, 1 / 6]]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fit:
    """A wave of the family in full: `lag` in samples, its two axes in steps of the grid.

    `sigma_lag` is the curvature's, all else unknown; `amplitude` is for the wave as tabulated,
    `deflection` its size over the noise: amplitude over the amplitude's sigma.
    """

    lag: float
    duration_at: float
    distance_at: float
    sigma_lag: float
    amplitude: float
    deflection: float


def correlations(shapes: Shapes, sound: Table, lags: npt.NDArray[np.intp], phases: int) -> Table:
    """Whitened twice `sound` against each basis wave: (lags x phases, rank), in order of time.

    Lag 0 has the onset `shapes.before` samples after the start of `sound`.
    """
    pieces = np.lib.stride_tricks.sliding_window_view(sound, shapes.length)[lags]
    basis = shapes.basis[:phases]
    columns = basis.transpose(1, 0, 2).reshape(shapes.length, -1)
    return np.asarray((pieces @ columns).reshape(len(lags) * phases, -1))


def overlaps(shapes: Shapes, taps: Table, power: float) -> Table:
    """Inner products of the whitened basis waves, (rank, rank)."""
    bins = shapes.spectra.shape[1]
    weight = np.abs(np.fft.rfft(taps, 2 * (bins - 1))) ** 2 / ((bins - 1) * power)
    weight[[0, -1]] *= 0.5
    return np.asarray(((shapes.spectra * weight) @ shapes.spectra.conj().T).real)


def climb(shapes: Shapes, along: Table, gram: Table, start: tuple[int, int, int]) -> Fit:
    """Newton's method from a node (index in `along`, duration, distance) to the best fit.

    `along` is `correlations` in all phases, from lag 0 of the result on.
    """
    place = np.array(start, float)
    top = np.array([len(along) - 1.0, *(count - 1.0 for count in shapes.mixes.shape[:2])])
    for _ in range(_STEPS):
        gradient, curvature, amplitude, energy = _expansion(shapes, along, gram, place)
        free = np.array([True, *_within(place[1:], top[1:], gradient[1:]), True])
        inverse = _inverse(curvature, free)
        step = inverse[:3, :3] @ gradient
        step /= max(1.0, float(np.max(np.abs(step) / _LONGEST_STEP)))
        place = np.minimum(np.maximum(place + step, 0.0), top)
        if np.max(np.abs(step)) < _CLOSE:
            break
    return Fit(
        lag=float(place[0]) / shapes.phases,
        duration_at=float(place[1]),
        distance_at=float(place[2]),
        sigma_lag=float(np.sqrt(max(inverse[0, 0], 0.0))) / shapes.phases,
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
    y, y1, y2 = _weights(place[0] - at) @ along[at : at + 4]
    mixes = _mixes(shapes, float(place[1]), float(place[2]))
    c, sides = mixes[0, 0], np.array([mixes[1, 0], mixes[0, 1]])
    turned = gram @ c
    energy = float(c @ turned)
    a = float(c @ y) / energy
    left = y - a * turned
    gradient = np.array([a * (c @ y1), *(a * (sides @ left))])
    bends = np.array([[mixes[2, 0] @ left, mixes[1, 1] @ left], [0.0, mixes[0, 2] @ left]])
    bends[1, 0] = bends[0, 1]
    curvature = np.empty((4, 4))
    curvature[0, 0] = a * (c @ y2)
    curvature[0, 1:3] = a * (sides @ y1)
    curvature[0, 3] = a * (c @ y1)
    curvature[1:3, 1:3] = a * bends - a * a * (sides @ gram @ sides.T)
    curvature[1:3, 3] = a * (sides @ (left - a * turned))
    curvature[3, 3] = -a * a * energy
    lower = np.tril_indices(4, -1)
    curvature[lower] = curvature.T[lower]
    return gradient, curvature, a, energy


def _within(place: Table, top: Table, gradient: Table) -> npt.NDArray[np.bool_]:
    """False where the climb would lead out of the family."""
    return np.asarray(~(((place <= 0.0) & (gradient < 0.0)) | ((place >= top) & (gradient > 0.0))))


def _inverse(curvature: Table, free: npt.NDArray[np.bool_]) -> Table:
    """Of minus the curvature in what is free, made positive where it is not; 0 elsewhere."""
    values, vectors = np.linalg.eigh(-curvature[np.ix_(free, free)])
    values = np.maximum(np.abs(values), 1e-9 * np.max(np.abs(values)) + 1e-300)
    inverse = np.zeros((4, 4))
    inverse[np.ix_(free, free)] = (vectors / values) @ vectors.T
    return inverse


def _mixes(shapes: Shapes, duration_at: float, distance_at: float) -> Table:
    """The mix between nodes and its derivatives, (3, 3, rank), by order along each axis."""
    table, weights, first = shapes.mixes, [], []
    for at, count in zip((duration_at, distance_at), table.shape, strict=False):
        first.append(min(max(int(at) - 1, 0), count - 4))
        weights.append(_weights(at - first[-1]))
    patch = table[first[0] : first[0] + 4, first[1] : first[1] + 4]
    return np.tensordot(weights[0], weights[1] @ patch, axes=(1, 0))


def _weights(x: float) -> Table:
    """Cubic interpolation at `x` from values at 0, 1, 2, 3: value and two derivatives, (3, 4)."""
    powers = np.array([[1.0, x, x * x, x**3], [0.0, 1.0, 2 * x, 3 * x * x], [0.0, 0.0, 2.0, 6 * x]])
    return np.asarray(powers @ _CUBIC)
