"""The last time that was known for good, kept over power cuts: a host may wake up in 1970.

One number in a file, renewed each minute while the clock is locked. It is only ever a lower
bound on the present, to tell a receiver's week rollover and a dead clock from the truth.
"""

from contextlib import suppress
from pathlib import Path

from agent import durable
from agent.core.units import NS_PER_S

_RENEW_NS = 60 * NS_PER_S


class KnownTime:
    """Reads what an earlier run left at `path`, and keeps it up to date."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept_ns = 0
        try:
            self.utc_ns: int | None = int(path.read_text("ascii"))
        except (OSError, ValueError):
            self.utc_ns = None

    def keep(self, utc_ns: int) -> None:
        """UTC is known to be `utc_ns`; a file that cannot be written costs only this bound.

        Waits for the disk once a minute.
        """
        if abs(utc_ns - self._kept_ns) < _RENEW_NS:
            return
        self._kept_ns = utc_ns
        with suppress(OSError):
            durable.replace(self._path, f"{utc_ns}\n".encode("ascii"), 0o644)
