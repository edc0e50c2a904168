"""The host's own thermometers as a TimeReference: what warms the board warms its crystal.

The processor's zone and any IIO sensor, read once a minute from sysfs; where there is none, nothing
is said. The coolest is told: it heats least by its own work, and follows the box.
"""

from pathlib import Path

from agent.core.clock.time_signs import Temperature, TimeSign
from agent.core.units import NS_PER_S
from agent.ports import HostClock

_EVERY_NS = 60 * NS_PER_S
_POSSIBLE_C = (-40.0, 125.0)
_PATTERNS = (
    "class/thermal/thermal_zone*/temp",
    "bus/iio/devices/iio:device*/in_temp_input",
    "class/hwmon/hwmon*/temp*_input",
)


class Thermometer:
    """All sensors below `sysfs`, in milli-degrees as the kernel gives them."""

    def __init__(self, clock: HostClock, sysfs: Path = Path("/sys")) -> None:
        self._clock, self._sysfs = clock, sysfs
        self._due_ns: int | None = clock.monotonic_ns()

    def poll(self) -> list[TimeSign]:
        """A temperature a minute, if any sensor shows one that can be."""
        host_ns = self._clock.monotonic_ns()
        if self._due_ns is None or host_ns < self._due_ns:
            return []
        self._due_ns = host_ns + _EVERY_NS
        shown = [
            celsius
            for pattern in _PATTERNS
            for path in self._sysfs.glob(pattern)
            if (celsius := _read_c(path)) is not None
        ]
        return [Temperature(host_ns, min(shown))] if shown else []

    def close(self) -> None:
        """Tell no more."""
        self._due_ns = None


def _read_c(path: Path) -> float | None:
    try:
        celsius = int(path.read_text("ascii")) / 1000.0
    except (OSError, ValueError):
        return None
    return celsius if _POSSIBLE_C[0] < celsius < _POSSIBLE_C[1] else None
