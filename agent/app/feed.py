"""What goes to the broker next on one connection: young alerts, the newest first, then the rest.

How much of it goes at a time is `window`'s, and when it may go again `attempts`'.
"""

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from agent.app.attempts import Attempts
from agent.app.window import Budget, Window
from agent.core.records.chain import RecordKey, Sealed
from agent.core.units import NS_PER_S

MAX_UNRECEIPTED = 512
YOUNG_NS = 60 * NS_PER_S
_LOOK_NS = 5 * NS_PER_S


class Waiting(Protocol):
    """The queue of an outbox."""

    def backlog(self) -> int: ...

    def pending(
        self, limit: int, skip: frozenset[RecordKey], young_above: int | None = None
    ) -> list[Sealed]: ...


class Youth:
    """Which alerts of one chain are young: those first seen within YOUNG_NS on this connection.

    What waited when the connection began is young in order alone: its newest go first for
    YOUNG_NS, but it is no more urgent than a backlog.
    """

    def __init__(self, now_ns: int) -> None:
        self._seen: deque[tuple[int, int]] = deque([(now_ns, 0)])  # since when, above which number
        self._newest = 0
        self._waited: int | None = None

    def above(self, now_ns: int) -> int:
        """Alerts with a higher number go newest first."""
        while self._seen and now_ns - self._seen[0][0] > YOUNG_NS:
            self._seen.popleft()
        return self._seen[0][1] if self._seen else self._newest

    def look(self, alerts: list[int], now_ns: int) -> None:
        """These numbers wait, the newest among them."""
        newest = max([self._newest, *alerts])
        if self._waited is None:
            self._waited = newest
        is_first_look = not self._seen or now_ns - self._seen[-1][0] >= _LOOK_NS
        if newest > self._newest and is_first_look:
            self._seen.append((now_ns, self._newest))
        self._newest = newest

    def is_urgent(self, sealed: Sealed, now_ns: int) -> bool:
        """Whether nothing but the line may hold up that record."""
        return sealed.priority == 0 and sealed.head.seq > max(self.above(now_ns), self._waited or 0)


class Feed:
    """Feeds one connection that began at `now_ns`: at most `most` messages without an answer."""

    def __init__(self, most: int, budget: Budget, now_ns: int) -> None:
        self.attempts = Attempts()
        self.in_flight: dict[int, RecordKey] = {}
        self.window = Window(most)
        self._budget = budget
        self._youth, self._chain, self._begun_ns = Youth(now_ns), "", now_ns

    def next(self, outbox: Waiting, most: int, now_ns: int) -> Iterator[Sealed]:
        """What goes now, one after another, `hand_over` after each; at most `most`."""
        limit = min(most - len(self.in_flight), self.window.room(now_ns))
        if outbox.backlog() == 0:
            self._youth.look([], now_ns)
            return
        if limit <= 0:
            return
        above = self._youth.above(now_ns)
        waiting = outbox.pending(limit, self.attempts.waiting(now_ns), above)
        if waiting:
            self._follow(waiting[0].head.chain, now_ns)
        self._youth.look([one.head.seq for one in waiting if one.priority == 0], now_ns)
        left = MAX_UNRECEIPTED - self.attempts.ordinary()
        for sealed in waiting:
            is_urgent = self._youth.is_urgent(sealed, now_ns)
            if not self.window.is_open(now_ns, is_urgent=is_urgent):
                continue
            if not (is_urgent or self._budget.has_room(now_ns)):
                continue
            if sealed.priority > 0 and sealed.head.key not in self.attempts:
                if left <= 0:
                    continue
                left -= 1
            yield sealed

    def hand_over(self, token: int, sealed: Sealed, octets: int, now_ns: int) -> None:
        """The broker was given `sealed` under `token`: so many octets on the wire."""
        self.attempts.hand_over(sealed.head.key, sealed.envelope, is_alert=sealed.priority == 0)
        self.in_flight[token] = sealed.head.key
        self.window.hand_over(token, octets, now_ns)
        self._budget.spend(octets)

    def answered(self, token: int, now_ns: int) -> RecordKey | None:
        """The broker has answered; the record, if `token` was one's that is still in flight."""
        self.window.answered(token, now_ns)
        return self.in_flight.pop(token, None)

    def land(self, keys: set[RecordKey], now_ns: int) -> None:
        """These are not in flight any more, though the broker has not answered."""
        for token in [one for one, key in self.in_flight.items() if key in keys]:
            self.answered(token, now_ns)

    def _follow(self, chain: str, now_ns: int) -> None:
        self.attempts.follow(chain)
        if chain != self._chain:
            if self._chain:
                self._youth = Youth(now_ns)
            self._chain = chain
