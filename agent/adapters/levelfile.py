"""How loud the street was on earlier days, kept over restarts.

Some kilobytes of JSON, renewed each hour. Losing it costs days of learning and nothing else; what
was heard with another sound device or gain setting is not believed.
"""

from contextlib import suppress
from pathlib import Path

import msgspec

from agent import durable
from agent.core.hearing.level_history import Levels
from agent.core.units import NS_PER_S

_RENEW_NS = 3_600 * NS_PER_S


class LevelFile:
    """`levels` is what an earlier run with the same `device` left, else a beginning."""

    def __init__(self, path: Path, device: str) -> None:
        self._path = path
        self._renewed_ns: int | None = None
        self.levels = _read(path, device)

    def keep(self, host_ns: int) -> None:
        """Write `levels` once an hour; a disk that fails is the store's matter to tell."""
        if self._renewed_ns is None:
            self._renewed_ns = host_ns
        if host_ns - self._renewed_ns < _RENEW_NS:
            return
        self._renewed_ns = host_ns
        self.write()

    def write(self) -> None:
        """Write `levels` now. Waits for the disk."""
        with suppress(OSError):
            durable.replace(self._path, msgspec.json.encode(self.levels), 0o644)


def _read(path: Path, device: str) -> Levels:
    try:
        levels = msgspec.json.decode(path.read_bytes(), type=Levels)
    except (OSError, ValueError):  # msgspec's errors are ValueErrors
        return Levels(of=device)
    return levels if levels.of == device else Levels(of=device)
