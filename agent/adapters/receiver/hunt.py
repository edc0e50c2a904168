"""Hunts for the speed of a line whose bytes make no sense, and asks a receiver for sentences.

Other daemons leave receivers at other speeds, and u-blox or CASIC ones in their binary language.
"""

from collections.abc import Sequence

from agent.core.units import NS_PER_S

SPEEDS = (9600, 38_400, 115_200, 4800, 57_600, 19_200, 230_400, 460_800)
_PATIENCE_NS = 3 * NS_PER_S
_ENOUGH_BYTES = 40
_ASK_AGAIN_NS = 10 * NS_PER_S


class Hunt:
    """Tell it what came; it says what to do. Speeds go round, the configured one first."""

    def __init__(self, baud: int) -> None:
        self.baud = baud
        self._speeds: Sequence[int] = (baud, *(one for one in SPEEDS if one != baud))
        self._at = self._bytes = 0
        self._since_ns: int | None = None
        self._sensible = self._dated = -1
        self._ask_ns: int | None = None

    def next_speed(self, read: int, sensible: int, now_ns: int) -> int | None:
        """Another speed to try, once what came for 3 s was nonsense. `sensible` counts all that
        came whole so far, `read` are the bytes of this reading."""
        if self._since_ns is None or sensible > self._sensible:
            self._since_ns, self._sensible, self._bytes = now_ns, sensible, 0
            return None
        self._bytes += read
        if self._bytes < _ENOUGH_BYTES or now_ns - self._since_ns < _PATIENCE_NS:
            return None
        self._at = (self._at + 1) % len(self._speeds)
        self.baud = self._speeds[self._at]
        self._since_ns, self._bytes = now_ns, 0
        return self.baud

    def is_to_ask(self, dated: int, frames: int, now_ns: int) -> bool:
        """Whether frames come and nothing with a date does, every ten seconds."""
        if dated > self._dated or not frames:
            self._dated, self._ask_ns = dated, now_ns + _PATIENCE_NS
            return False
        if self._ask_ns is None or now_ns < self._ask_ns:
            return False
        self._ask_ns = now_ns + _ASK_AGAIN_NS
        return True
