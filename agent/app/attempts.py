"""What was handed to the broker on one connection, and when each of it may be handed over again.

Pure bookkeeping by chain and number of record. When to hand over what is `uplink`'s.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.records.chain import RecordKey
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
        self._attempts: dict[RecordKey, Attempt] = {}
        self._chain = ""
        self._is_receipted, self._scout = False, ("", 0)
        self._handed_over = 0

    def __contains__(self, key: RecordKey) -> bool:
        return key in self._attempts

    def waiting(self, now_ns: int) -> frozenset[RecordKey]:
        """What must not be handed over yet."""
        found = self._attempts.items()
        return frozenset(key for key, one in found if one.due_ns is None or one.due_ns > now_ns)

    def ordinary(self) -> int:
        """How many are without a receipt and no alerts."""
        return sum(not one.is_alert for one in self._attempts.values())

    def follow(self, chain: str) -> None:
        """Records of `chain` are sent from now on; those of one that was left are forgotten."""
        if chain != self._chain:
            self._attempts, self._chain = {}, chain

    def hand_over(self, key: RecordKey, message: bytes, *, is_alert: bool) -> None:
        """Record `key` goes to the broker as `message`."""
        if key not in self._attempts:
            self._attempts[key] = Attempt(is_alert, hashlib.sha256(message).hexdigest())
        attempt = self._attempts[key]
        self._handed_over += 1
        attempt.tries, attempt.order, attempt.due_ns = attempt.tries + 1, self._handed_over, None

    def taken(self, key: RecordKey, now_ns: int) -> None:
        """The broker took it; nothing for a record of a chain that was left."""
        if attempt := self._attempts.get(key):
            self._scout = self._scout if self._scout[1] else key
            patience_ns = HASTY_NS if self._is_scout(key) else PATIENCE_NS
            attempt.due_ns = now_ns + doubling(patience_ns, attempt.tries, MAX_PATIENCE_NS)

    def refused(self, key: RecordKey, now_ns: int) -> None:
        """The broker did not take it."""
        if attempt := self._attempts.get(key):
            attempt.due_ns = now_ns + doubling(REFUSED_NS, attempt.tries, MAX_REFUSED_NS)

    def settle(
        self, chain: str, ranges: Sequence[tuple[int, int]], *, was_refused: bool
    ) -> set[RecordKey]:
        """Forget what is receipted of `chain`, and tell it.

        What the broker took before that, and no receipt covers, is lost: it is due.
        A receipt also tells that the locator is there: what was refused, and the scout, may go.
        """
        covered = {
            key: self._attempts.pop(key)
            for key in list(self._attempts)
            if key[0] == chain and any(first <= key[1] <= last for first, last in ranges)
        }
        self._is_receipted = self._is_receipted or bool(covered)
        newest = max((one.order for one in covered.values()), default=0)
        if len(ranges) > MAX_TRUSTED_RANGES:
            newest = 0
        for key, attempt in self._attempts.items():
            is_overtaken = attempt.order < newest and attempt.tries == 1
            is_worth_a_try = was_refused or self._is_scout(key) or is_overtaken
            if is_worth_a_try and attempt.due_ns is not None:
                attempt.due_ns = 0
        return set(covered)

    def find(self, sha256: str) -> RecordKey | None:
        """The record whose message has that digest, if it was handed over and waits."""
        found = (key for key, one in self._attempts.items() if one.sha256 == sha256)
        return next(found, None)

    def drop(self, key: RecordKey) -> None:
        """That one need not be sent again."""
        self._attempts.pop(key, None)

    def begin_again(self) -> None:
        """Whatever is not in flight may go at once: another locator listens."""
        for attempt in self._attempts.values():
            if attempt.due_ns is not None:
                attempt.due_ns, attempt.tries = 0, 0

    def _is_scout(self, key: RecordKey) -> bool:
        """True for the first record that the broker took, until anything is receipted."""
        return key == self._scout and not self._is_receipted
