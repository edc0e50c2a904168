"""Sample index to host time, from block deliveries whose delay is one-sided.

A block is never handed over before its last sample exists, but often later. A least-squares
line is therefore late by the mean delay; the line that touches the points from below is not.
Time constants that no data can show (a delay that is always there) are the timebase's concern.
"""

from collections import deque

NS = 1e9
_BUCKET_S = 0.5


class SampleClock:
    """Tracks one uninterrupted stream of samples.

    The line is the edge of the lower convex hull that spans the mean sample index: the linear
    programming fit of Moon, Skelly, Towsley (INFOCOM 1999), which minimises the summed distance
    to all points from below. Earliest delivery per half second is kept, `window_s` of them.
    """

    def __init__(self, rate_hz: int, window_s: float = 45.0) -> None:
        self._rate_hz = rate_hz
        self._nominal_ns = NS / rate_hz
        self._keep = max(4, int(window_s / _BUCKET_S))
        self._bucket_samples = int(rate_hz * _BUCKET_S)
        self._points: deque[tuple[int, float]] = deque()
        self._open_bucket = -1
        self._base: tuple[int, int] | None = None
        self._line: tuple[float, float, float] | None = None

    def observe(self, end_sample: int, host_ns: int) -> None:
        """A block ending before `end_sample` was handed over at `host_ns`."""
        if self._base is None:
            self._base = (end_sample, host_ns)
        x = end_sample - self._base[0]
        late_ns = (host_ns - self._base[1]) - x * self._nominal_ns
        bucket = end_sample // self._bucket_samples
        if bucket != self._open_bucket:
            self._open_bucket = bucket
            self._points.append((x, late_ns))
            if len(self._points) > self._keep:
                self._points.popleft()
        elif late_ns < self._points[-1][1]:
            self._points[-1] = (x, late_ns)
        self._line = None

    @property
    def span_s(self) -> float:
        """Seconds of stream behind the present fit."""
        if len(self._points) < 2:
            return 0.0
        return (self._points[-1][0] - self._points[0][0]) / self._rate_hz

    @property
    def ppm(self) -> float:
        """Excess rate of the samples against the host clock, parts per million."""
        slope, _, _ = self._fit()
        return -slope / self._nominal_ns * 1e6

    @property
    def sigma_ns(self) -> float:
        """Spread of the fit itself: mean distance of the points to the line over sqrt(n).

        The distance to the edge of n one-sided delays falls like 1/n for exponential delays;
        sqrt(n) is deliberately cautious, since delays come in bursts.
        """
        _, _, mean_gap_ns = self._fit()
        return float(max(mean_gap_ns, 100.0) / max(1.0, len(self._points) ** 0.5))

    def host_ns_at(self, sample: float) -> int:
        """Host time at which the (fractional) sample was converted. ValueError if no block yet."""
        if self._base is None:
            raise ValueError("no block was observed yet")
        slope, intercept, _ = self._fit()
        whole = int(sample // 1)
        x = whole - self._base[0]
        offset = x * (self._nominal_ns + slope) + intercept + (sample - whole) * self._nominal_ns
        return self._base[1] + round(offset)

    def sample_at(self, host_ns: int) -> float:
        """The inverse of `host_ns_at`."""
        if self._base is None:
            raise ValueError("no block was observed yet")
        slope, intercept, _ = self._fit()
        return self._base[0] + (host_ns - self._base[1] - intercept) / (self._nominal_ns + slope)

    def _fit(self) -> tuple[float, float, float]:
        if self._line is None:
            self._line = lower_edge(list(self._points))
        return self._line


def lower_edge(points: list[tuple[int, float]]) -> tuple[float, float, float]:
    """Slope, intercept and mean gap of the lower hull edge over the mean x of sorted points."""
    if len(points) < 2:
        return 0.0, points[0][1] if points else 0.0, 0.0
    hull: list[tuple[int, float]] = []
    for point in points:
        while len(hull) > 1 and _turns_up(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    mean_x = sum(x for x, _ in points) / len(points)
    right = next(i for i in range(1, len(hull)) if hull[i][0] >= mean_x or i == len(hull) - 1)
    (x0, y0), (x1, y1) = hull[right - 1], hull[right]
    slope = (y1 - y0) / (x1 - x0)
    intercept = y0 - slope * x0
    mean_gap = sum(y - slope * x - intercept for x, y in points) / len(points)
    return slope, intercept, mean_gap


def _turns_up(a: tuple[int, float], b: tuple[int, float], c: tuple[int, float]) -> bool:
    """True when b lies on or above the segment from a to c, so is no corner of the lower hull."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])
