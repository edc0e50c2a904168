"""Messages in, records out: what is wrong with a message is that message's, and set aside.

An impulse's time is held against the present as it comes, in the transaction that keeps it.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from agent.core.records import Body
from agent.errors import MalformedRecord, StoreError
from agent.ports import Message
from simulator.centre.locator.arrival import arrival_of, is_possible
from simulator.centre.locator.letters import printable
from simulator.centre.locator.listed import first_of, listing_of
from simulator.centre.locator.mishaps import Mishaps, told_of
from simulator.centre.locator.presence import Presences
from simulator.centre.locator.quota import OverQuota
from simulator.centre.locator.refusals import Refusals
from simulator.centre.locator.store import Admitted, Duplicate, EventStore
from simulator.centre.locator.timebounds import Judged, TimeBounds


@dataclass(slots=True)
class ServiceCounters:
    """Records that came since the start; `rejected` counts by reason, at most MAX_REASONS.

    A record that verifies but holds impossible values is admitted, for it is evidence, and also
    rejected: nothing is located with it. `late` counts by node what came over its quota.
    """

    admitted: int = 0
    duplicates: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Fresh:
    """A record that is new, and of an impulse what its time was taken for."""

    body: Body
    judged: Judged | None


class Admission:
    """Takes messages into the store's open batch. `revoked` are topics of nodes that were;
    `postpone` is told of what is over a node's quota, `begin_chain` of a chain that is new."""

    def __init__(
        self,
        store: EventStore,
        bounds: TimeBounds,
        presences: Presences,
        mishaps: Mishaps,
        refusals: Refusals,
        counters: ServiceCounters,
        revoked: frozenset[str],
        postpone: Callable[[str, str], None],
        begin_chain: Callable[..., None],
    ) -> None:
        self._store, self._bounds, self._presences = store, bounds, presences
        self._mishaps, self._refusals, self._counters = mishaps, refusals, counters
        self._revoked, self._postpone, self._begin_chain = revoked, postpone, begin_chain

    def admit(self, messages: Iterable[Message], at: str, now_ns: int) -> list[Fresh]:
        """Records that are new; `at` dates what is set aside. Raises StoreError."""
        admitted = []
        for message in messages:
            topic, raw = message.topic, message.payload
            if topic.rpartition("/event/")[0] in self._revoked:
                self._mishaps.note(f"{topic}: this node was revoked", self._store.source_of(topic))
                continue
            try:
                outcome = self._take(topic, raw, now_ns)
            except StoreError:
                raise
            except OverQuota as error:
                self._postpone(self._store.source_of(topic), str(error))
                continue
            except Exception as error:
                self._set_aside(topic, raw, error, at)
                continue
            if isinstance(outcome, Admitted):
                admitted.append(Fresh(outcome.body, self._judge(outcome.body)))
                self._counters.admitted += 1
            elif isinstance(outcome, Duplicate):
                self._counters.duplicates += 1
        return admitted

    def _take(self, topic: str, raw: bytes, now_ns: int) -> Admitted | Duplicate | None:
        """A record, or a status: what a node takes from now on."""
        if not topic.endswith("/status"):
            begin_chain = partial(self._begin_chain, now_ns=now_ns)
            return self._store.admit(topic, raw, begin_chain)
        status = self._store.status(topic, raw)
        if self._presences.hear(status):
            self._store.tell_again(status.source)
        return None

    def _judge(self, body: Body) -> Judged | None:
        self._bounds.hear(body)
        claimed = arrival_of(body) or first_of(listing_of(body))
        if claimed is None or not is_possible(claimed):
            return None
        present = self._bounds.now()
        judged = self._bounds.judge(claimed, present)
        self._store.arrivals.keep(claimed, body, judged, present)
        return judged

    def _set_aside(self, topic: str, raw: bytes, error: Exception, at: str) -> None:
        source, reason = self._store.source_of(topic), printable(told_of(error))
        self._mishaps.note(reason, source)
        self._store.set_aside(topic, raw, reason, at)
        if isinstance(error, MalformedRecord) and self._store.is_event(topic):
            self._refusals.note(source, raw, reason)
