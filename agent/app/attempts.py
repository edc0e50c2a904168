"""What was handed to the broker on one connection, and when each of it may be handed over again.

Pure bookkeeping by number of record. When to hand over what is `uplink`'s.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.trust.backoff import doubling
from agent.core.units import NS_PER_S

HASTY_NS = 2 * NS_PER_S
PATIENCE_NS = 30 * NS_PER_S
MAX_PATIENCE_NS = 1800 * NS_PER_S
REFUSED_NS = 2 * NS_PER_S
MAX_REFUSED_NS = 60 * NS_PER_S
MAX_TRUSTED_RANGES = 64  # a receipt with more may have left some out


@dataclass(slots=True)
class Attempt:
    """A record handed to the broker on this connection; `due_ns` is None while in flight.

    `order` counts up over all that was handed over, repetitions too; `sha256` is of its message.
    """

    is_alert: bool
    sha256: str
    tries: int = 0
    order: int = 0
    due_ns: int | None = None


class Attempts:
    """Those of one connection, which has not seen a receipt yet when it begins."""

    def __init__(self) -> None:
        self._attempts: dict[int, Attempt] = {}
        self._is_receipted, self._scout_seq = False, 0
        self._handed_over = 0

    def __contains__(self, seq: int) -> bool:
        return seq in self._attempts

    def waiting(self, now_ns: int) -> frozenset[int]:
        """What must not be handed over yet."""
        found = self._attempts.items()
        return frozenset(seq for seq, one in found if one.due_ns is None or one.due_ns > now_ns)

    def ordinary(self) -> int:
        """How many are without a receipt and no alerts."""
        return sum(not one.is_alert for one in self._attempts.values())

    def hand_over(self, seq: int, message: bytes, *, is_alert: bool) -> None:
        """Record `seq` goes to the broker as `message`."""
        if seq not in self._attempts:
            self._attempts[seq] = Attempt(is_alert, hashlib.sha256(message).hexdigest())
        attempt = self._attempts[seq]
        self._handed_over += 1
        attempt.tries, attempt.order, attempt.due_ns = attempt.tries + 1, self._handed_over, None

    def taken(self, seq: int, now_ns: int) -> None:
        """The broker took it."""
        attempt, self._scout_seq = self._attempts[seq], self._scout_seq or seq
        patience_ns = HASTY_NS if self._is_scout(seq) else PATIENCE_NS
        attempt.due_ns = now_ns + doubling(patience_ns, attempt.tries, MAX_PATIENCE_NS)

    def refused(self, seq: int, now_ns: int) -> None:
        """The broker did not take it."""
        attempt = self._attempts[seq]
        attempt.due_ns = now_ns + doubling(REFUSED_NS, attempt.tries, MAX_REFUSED_NS)

    def settle(self, ranges: Sequence[tuple[int, int]], *, was_refused: bool) -> set[int]:
        """Forget what is receipted, and tell it; what the broker took before it is lost, and due.

        A receipt also tells that the locator is there: what was refused, and the scout, may go.
        """
        covered = {
            seq: self._attempts.pop(seq)
            for seq in list(self._attempts)
            if any(first <= seq <= last for first, last in ranges)
        }
        self._is_receipted = self._is_receipted or bool(covered)
        newest = max((one.order for one in covered.values()), default=0)
        if len(ranges) > MAX_TRUSTED_RANGES:
            newest = 0
        for seq, attempt in self._attempts.items():
            is_overtaken = attempt.order < newest and attempt.tries == 1
            is_worth_a_try = was_refused or self._is_scout(seq) or is_overtaken
            if is_worth_a_try and attempt.due_ns is not None:
                attempt.due_ns = 0
        return set(covered)

    def find(self, sha256: str) -> int | None:
        """The record whose message has that digest, if it was handed over and waits."""
        found = (seq for seq, one in self._attempts.items() if one.sha256 == sha256)
        return next(found, None)

    def drop(self, seq: int) -> None:
        """That one need not be sent again."""
        self._attempts.pop(seq, None)

    def begin_again(self) -> None:
        """Whatever is not in flight may go at once: another locator listens."""
        for attempt in self._attempts.values():
            if attempt.due_ns is not None:
                attempt.due_ns, attempt.tries = 0, 0

    def _is_scout(self, seq: int) -> bool:
        """True for the first record that the broker took, until anything is receipted."""
        return seq == self._scout_seq and not self._is_receipted
