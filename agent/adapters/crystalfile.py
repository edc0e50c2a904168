"""How the host's crystal follows temperature, learnt over days and kept over restarts.

Two numbers in a file, renewed each hour. Losing it costs days of learning and nothing else.
"""

import math
from contextlib import suppress
from pathlib import Path

from agent import durable
from agent.core.units import NS_PER_S

_RENEW_NS = 3_600 * NS_PER_S
_NS_PER_S_PER_PPM = 1000.0


class CrystalFile:
    """`slope` is what an earlier run left, as (ns per s per C, its 1-sigma); None if nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._renewed_ns: int | None = None
        self.slope = _read(path)

    def keep(self, host_ns: int, ppm_per_c: float | None, sigma: float | None) -> None:
        """The crystal runs faster by so many ppm for each C; `sigma` is the error of that."""
        if ppm_per_c is None or sigma is None:
            return
        if self._renewed_ns is not None and host_ns - self._renewed_ns < _RENEW_NS:
            return
        self._renewed_ns = host_ns
        slope = (-ppm_per_c * _NS_PER_S_PER_PPM, sigma * _NS_PER_S_PER_PPM)
        with suppress(OSError):
            durable.replace(self._path, f"{slope[0]:.3f} {slope[1]:.3f}\n".encode("ascii"), 0o644)


def _read(path: Path) -> tuple[float, float] | None:
    try:
        slope, sigma = map(float, path.read_text("ascii").split())
    except (OSError, ValueError):
        return None
    return (slope, sigma) if math.isfinite(slope) and 0.0 < sigma < math.inf else None
