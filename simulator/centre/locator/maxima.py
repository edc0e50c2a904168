"""Maxima of arrays: the strongest of just before, and the best places that lie apart."""

from collections import deque

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


def strongest_before(times: Vector, strength: Vector, within_s: float) -> Vector:
    """For each of ascending `times` the greatest strength of the time just before, or -inf.

    A queue of those that nothing later outdoes: each goes in and out once, however many there are.
    """
    best = np.full(len(times), -np.inf)
    queue: deque[int] = deque()
    entered = 0
    for index, now in enumerate(times):
        while times[entered] < now:
            while queue and strength[queue[-1]] <= strength[entered]:
                queue.pop()
            queue.append(entered)
            entered += 1
        while queue and now - times[queue[0]] >= within_s:
            queue.popleft()
        if queue:
            best[index] = strength[queue[0]]
    return best


def separate_maxima(image: Vector, grid_m: Vector, apart_m: float, count: int) -> list[int]:
    """The best places of those in `grid_m` (n, 2 or more), at least `apart_m` from each other."""
    image = image.copy()
    east, north = grid_m[:, 0], grid_m[:, 1]
    chosen = []
    for _ in range(count):
        place = int(np.argmax(image))
        if image[place] <= 0.0:
            break
        chosen.append(place)
        is_near = np.abs(east - east[place]) < apart_m
        image[is_near & (np.abs(north - north[place]) < apart_m)] = 0.0
    return chosen
