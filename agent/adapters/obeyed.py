"""Which commands were obeyed, kept over power cuts: a restart must not obey one again.

One line of text for each: its id, and until when it lives in ns of UTC. A file that makes no sense
is as good as none; the run then knows less, and `core.trust.commands` takes less.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from agent import durable
from agent.errors import StoreError

_LINE = re.compile(r"([0-9a-f]{32}) ([0-9]{1,19})")


class ObeyedFile:
    """`ids` is what an earlier run left at `path`: until when, by id."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            lines = path.read_text("ascii").splitlines()
        except (OSError, ValueError):
            lines = []
        found = filter(None, map(_LINE.fullmatch, lines))
        self.ids = {match[1]: int(match[2]) for match in found}

    def keep(self, ids: Mapping[str, int]) -> None:
        """On the disk on return, all of it or what was there before. Raises StoreError."""
        text = "".join(f"{one} {until}\n" for one, until in ids.items())
        try:
            durable.replace(self._path, text.encode("ascii"), 0o600)
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be written: {error.strerror}") from None
