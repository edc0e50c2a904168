"""What the kernel shows of the computer and its box: heat, supply, disk, memory, card, outside air.

Read from sysfs and procfs, by a helper thread, because a sensor on a bus may take a second or hang;
`read` tells what is known. What is older than _STALE_S is not known any more.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from agent.ports import Vitals

_EVERY_S, _STALE_S = 20.0, 120.0
_AIR_C = (-60.0, 65.0)  # a DS18B20 says 85 before its first conversion
_SOC_C = (-40.0, 125.0)
_MB = 1_000_000
_KB = 1024
_NOT_AIR = (
    "cpu",
    "soc",
    "core",
    "nvme",
    "drive",
    "rpi",
    "gpu",
    "acpi",
    "k10",
    "pch",
    "wifi",
    "bat",
)
_SOC_ZONES = ("cpu", "soc", "x86_pkg", "bcm2835")


class SystemVitals:
    """A HostVitals. `store` is a path on the disk that records are kept on."""

    def __init__(
        self,
        store: Path = Path("/"),
        sysfs: Path = Path("/sys"),
        procfs: Path = Path("/proc"),
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._sysfs, self._procfs, self._seconds = store, sysfs, procfs, seconds
        self._last, self._measured_s = Vitals(), -_STALE_S
        self._helper: threading.Thread | None = None

    def read(self) -> Vitals:
        """The latest values; starts a new measurement where they are old. Never waits."""
        age_s = self._seconds() - self._measured_s
        if age_s >= _EVERY_S and not (self._helper and self._helper.is_alive()):
            self._helper = threading.Thread(target=self._refresh, name="vitals", daemon=True)
            self._helper.start()
        return self._last if age_s < _STALE_S else Vitals()

    def measure(self) -> Vitals:
        """All of it now; may take a second."""
        disk_free_mb, disk_total_mb, is_read_only = self._disk()
        memory = self._memory()
        return Vitals(
            air_temperature_c=self._air_c(),
            soc_temperature_c=self._soc_c(),
            throttled=self._throttled(),
            disk_free_mb=disk_free_mb,
            disk_total_mb=disk_total_mb,
            disk_is_read_only=is_read_only,
            memory_free_mb=memory.get("MemAvailable"),
            memory_total_mb=memory.get("MemTotal"),
            card_used_pct=self._card_used_pct(),
        )

    def _refresh(self) -> None:
        self._last = self.measure()
        self._measured_s = self._seconds()

    def _air_c(self) -> float | None:
        """The first of: 1-wire, IIO, hwmon of a chip that is no part of the computer."""
        shown = (
            *(_milli(path) for path in self._found("bus/w1/devices/*-*/temperature")),
            *(_w1_slave(path) for path in self._found("bus/w1/devices/*-*/w1_slave")),
            *(_iio(path.parent) for path in self._found("bus/iio/devices/iio:device*/name")),
            *(
                _milli(path)
                for path in self._found("class/hwmon/hwmon*/temp1_input")
                if not _text(path.parent / "name").lower().startswith(_NOT_AIR)
            ),
        )
        return _first(shown, _AIR_C)

    def _soc_c(self) -> float | None:
        zones = self._found("class/thermal/thermal_zone*/type")
        shown = [
            _milli(kind.parent / "temp") for kind in zones if _text(kind).startswith(_SOC_ZONES)
        ]
        return _first(shown, _SOC_C)

    def _throttled(self) -> int | None:
        """The firmware's own word, else the kernel's alarm about the supply."""
        for path in self._found("devices/platform/soc/soc:firmware/get_throttled"):
            return _number(_text(path), 16)
        for path in self._found("class/hwmon/hwmon*/in0_lcrit_alarm"):
            alarm = _number(_text(path), 10)
            return None if alarm is None else alarm & 1
        return None

    def _disk(self) -> tuple[int, int, bool] | tuple[None, None, None]:
        try:
            shown = os.statvfs(self._store)
        except OSError:
            return None, None, None
        free, total = shown.f_bavail * shown.f_frsize, shown.f_blocks * shown.f_frsize
        if shown.f_files and not shown.f_favail:
            free = 0  # no room for one more name is no room
        return free // _MB, total // _MB, bool(shown.f_flag & os.ST_RDONLY)

    def _memory(self) -> dict[str, int]:
        rows = [row.split() for row in _text(self._procfs / "meminfo").splitlines()]
        return {
            row[0].rstrip(":"): int(row[1]) * _KB // _MB
            for row in rows
            if len(row) > 1 and row[1].isdecimal()
        }

    def _card_used_pct(self) -> int | None:
        """Of its rated life, where the card tells (eMMC does, most SD cards do not)."""
        used = [
            10 * life
            for path in self._found("block/mmcblk*/device/life_time")
            for word in _text(path).split()
            if (life := _number(word, 16))
        ]
        return max(used, default=None)

    def _found(self, pattern: str) -> list[Path]:
        try:
            return sorted(self._sysfs.glob(pattern))
        except OSError:
            return []


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _number(text: str, base: int) -> int | None:
    try:
        return int(text, base)
    except ValueError:
        return None


def _milli(path: Path) -> float | None:
    number = _number(_text(path), 10)
    return None if number is None else number / 1000.0


def _w1_slave(path: Path) -> float | None:
    """The older file of the same sensor: two lines, the first with its checksum."""
    told = _text(path)
    if "YES" not in told:
        return None
    number = _number(told.rpartition("t=")[2], 10)
    return None if number is None else number / 1000.0


def _iio(device: Path) -> float | None:
    """Degrees of an IIO device, processed or raw: (raw + offset) * scale, in millidegrees."""
    if (processed := _milli(device / "in_temp_input")) is not None:
        return processed
    raw = _number(_text(device / "in_temp_raw"), 10)
    if raw is None:
        return None
    try:
        offset = float(_text(device / "in_temp_offset") or 0.0)
        scale = float(_text(device / "in_temp_scale") or 1.0)
    except ValueError:
        return None
    return (raw + offset) * scale / 1000.0


def _first(shown: Iterable[float | None], possible_c: tuple[float, float]) -> float | None:
    low_c, high_c = possible_c
    for celsius in shown:
        if celsius is not None and low_c < celsius < high_c:
            return round(celsius, 2)
    return None
