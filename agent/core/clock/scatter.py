"""How far marks lie from their neighbours, whatever the rate of the line through them."""

from collections.abc import Sequence
from itertools import pairwise

_LEAST_BENDS = 4


def scatter_of(marks: Sequence[tuple[int, int]]) -> float | None:
    """1-sigma (ns) of one mark among others, each (axis_ns, utc_ns); None before it can be told.

    Second differences of evenly spaced marks cancel offset and rate: their variance is 6 times
    that of one mark, and the median keeps outliers from counting.
    """
    offsets = [utc - axis for axis, utc in marks]
    steps = [
        (b[1] - a[1], y - x)
        for (a, b), (x, y) in zip(pairwise(marks), pairwise(offsets), strict=True)
    ]
    bends = sorted(abs(q[1] - p[1]) for p, q in pairwise(steps) if p[0] == q[0])
    if len(bends) < _LEAST_BENDS:
        return None
    return bends[len(bends) // 2] / 0.6745 / 6**0.5
