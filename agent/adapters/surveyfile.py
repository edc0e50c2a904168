"""The survey of the antenna's place, finished or not, kept over restarts.

Losing it costs a day of surveying; a wrong one is told by the first fixes after a start.
"""

from contextlib import suppress
from pathlib import Path

import msgspec

from agent import durable
from agent.core.clock.survey import SurveyMemory
from agent.core.units import NS_PER_S

_RENEW_NS = 900 * NS_PER_S


class SurveyFile:
    """`memory` is what an earlier run left; None if nothing, or nothing that can be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._renewed_ns: int | None = None
        self._was_surveyed = False
        self.memory = _read(path)

    def due(self, host_ns: int, memory: SurveyMemory | None) -> bytes | None:
        """What to `write` now: each quarter of an hour, and at once when a survey is done."""
        if memory is None:
            return None
        is_news = memory.is_surveyed and not self._was_surveyed
        is_old = self._renewed_ns is None or host_ns - self._renewed_ns >= _RENEW_NS
        if not (is_news or is_old):
            return None
        self._renewed_ns, self._was_surveyed = host_ns, memory.is_surveyed
        return msgspec.json.encode(memory)

    def write(self, content: bytes) -> None:
        """Renew the file; one that cannot be written costs a survey, and nothing else."""
        with suppress(OSError):
            durable.replace(self._path, content, 0o600)


def _read(path: Path) -> SurveyMemory | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=SurveyMemory)
    except (OSError, msgspec.MsgspecError):
        return None
