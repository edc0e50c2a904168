"""What went wrong with single messages and rows: counted by reason, logged once a minute."""

import logging
from collections import Counter

from agent.core.units import NS_PER_S
from agent.errors import RecordError

TELL_EVERY_NS = 60 * NS_PER_S
MAX_REASONS = 256
OTHER_REASONS = "for other reasons"
_TOLD = 8

log = logging.getLogger("earshot.locator")


class Mishaps:
    """Counts since the start, at most MAX_REASONS of them by their own name."""

    def __init__(self, counted: Counter[str], what: str) -> None:
        self._counted, self._what = counted, what
        self._untold: Counter[tuple[str, str]] = Counter()
        self._tell_at_ns = 0

    def note(self, reason: str, source: str = "") -> None:
        """One more; `source` is whose message it was, as far as that is known."""
        if reason not in self._counted and len(self._counted) >= MAX_REASONS:
            reason = OTHER_REASONS
        self._counted[reason] += 1
        who = (source, reason)
        if who not in self._untold and len(self._untold) >= MAX_REASONS:
            who = ("", OTHER_REASONS)
        self._untold[who] += 1

    def tell(self, now_ns: int) -> None:
        """Say what is new, if it is time to."""
        if not self._untold or now_ns < self._tell_at_ns:
            return
        self._tell_at_ns = now_ns + TELL_EVERY_NS
        worst = self._untold.most_common(_TOLD)
        told = [f"{times} of {who or 'nobody known'}: {why}" for (who, why), times in worst]
        if more := len(self._untold) - len(told):
            told.append(f"and {more} reasons more")
        log.warning("%d %s: %s", self._untold.total(), self._what, "; ".join(told))
        self._untold.clear()


def told_of(error: Exception) -> str:
    """What is to be said of an error; of one that nobody thought of also its kind."""
    return str(error) if isinstance(error, RecordError) else f"{type(error).__name__}: {error}"
