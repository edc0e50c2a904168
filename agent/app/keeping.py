"""Detection goes on while the store cannot keep: drafts wait in memory and are tried again.

What the outbox could not keep waits, in order, up to MAX_WAITING. Beyond that the newest of the
least urgent go, counted; once the store keeps again, a signed `Shed` record says how many of
which kind went, and between which host times. What waits is not durable: it has no number yet,
and a power cut loses it. Delivery waits in the same way. Room on the disk is the outbox's.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace

from agent.app.node import Item
from agent.app.uplink import CountedOutbox
from agent.core.records import Draft
from agent.core.records.chain import RecordKey, Sealed
from agent.core.records.kinds import Receipt, kind_of
from agent.core.records.store_records import Shed, Unsaid
from agent.core.units import NS_PER_S
from agent.errors import StoreError
from agent.ports import Outbox

MAX_WAITING = 2048
RETRY_NS = NS_PER_S

log = logging.getLogger("earshot")


class FailingOutbox(Outbox, CountedOutbox, Protocol):
    """An outbox whose disk may be full or fail; whatever it does then raises StoreError."""


class Steps(Protocol):
    """The node, as the daemon calls it."""

    def step(self, item: Item) -> None: ...

    def stop(self, host_ns: int, reason: str) -> None: ...


class Keeping:
    """An outbox that never fails: Recorder port for one thread, and delivery for another.

    It takes every draft and hands it to `outbox` as soon as that keeps it.
    """

    def __init__(self, outbox: FailingOutbox) -> None:
        self._outbox = outbox
        self._waiting: list[Draft] = []
        self._unsaid: dict[str, Unsaid] = {}
        self._last_dropped: Draft | None = None
        self._retry_at_ns = 0

    @property
    def waiting(self) -> int:
        """How many drafts are in memory only."""
        return len(self._waiting)

    def append(self, draft: Draft) -> Sealed | None:
        """The record, durable; or None where `draft` waits, or was dropped and counted."""
        if self._waiting:
            self._enqueue(draft)
            self.retry(draft.host_ns)
            return None
        try:
            return self._outbox.append(draft)
        except StoreError as error:
            log.error("store fails, records wait in memory: %s", error)
            self._enqueue(draft)
            self._retry_at_ns = draft.host_ns + RETRY_NS
            return None

    def retry(self, host_ns: int) -> None:
        """Try to keep what waits; while that fails, once per RETRY_NS."""
        if self._waiting and host_ns >= self._retry_at_ns:
            try:
                self.flush()
                log.info("store keeps again, no record waits")
            except StoreError:
                self._retry_at_ns = host_ns + RETRY_NS

    def flush(self) -> None:
        """Keep all that waits, and tell what went. Raises StoreError; the rest still waits."""
        while self._waiting or self._unsaid:
            if not self._waiting:
                self._waiting.append(self._account())
            self._outbox.append(self._waiting[0])
            del self._waiting[0]

    def pending(
        self, limit: int, skip: frozenset[RecordKey], young_above: int | None = None
    ) -> list[Sealed]:
        """What the outbox has to deliver; nothing while it fails."""
        try:
            return self._outbox.pending(limit, skip, young_above)
        except StoreError:
            return []

    def release(self, receipt: Receipt) -> int:
        """How many records `receipt` freed; none while the outbox fails, for they come again."""
        try:
            return self._outbox.release(receipt)
        except StoreError:
            return 0

    def set_aside(self, key: RecordKey, reason: str) -> bool:
        """Whether the outbox has set a record aside; not while it fails, for it is named again."""
        try:
            return self._outbox.set_aside(key, reason)
        except StoreError:
            return False

    def backlog(self) -> int:
        """How many records are durable and wait for a receipt."""
        return self._outbox.backlog()

    def _enqueue(self, draft: Draft) -> None:
        self._waiting.append(draft)
        if len(self._waiting) > MAX_WAITING:
            order = range(len(self._waiting))
            newest_least_urgent = max(order, key=lambda at: (self._waiting[at].priority, at))
            self._drop(self._waiting.pop(newest_least_urgent))

    def _drop(self, draft: Draft) -> None:
        """Count a draft that goes; where it is itself such a count, add it to the new one."""
        if isinstance(draft.data, Shed):
            lost = draft.data.unsaid
        else:
            at, kind = str(draft.host_ns), kind_of(draft.data)
            lost = (Unsaid(kind=kind, count=1, first_host_ns=at, last_host_ns=at),)
        for one in lost:
            known = self._unsaid.get(one.kind, one)
            self._unsaid[one.kind] = Unsaid(
                kind=one.kind,
                count=one.count + (0 if known is one else known.count),
                first_host_ns=min(known.first_host_ns, one.first_host_ns, key=int),
                last_host_ns=max(known.last_host_ns, one.last_host_ns, key=int),
            )
        self._last_dropped = draft

    def _account(self) -> Draft:
        """What went since the last account, told with the clock of the last that went."""
        assert self._last_dropped  # noqa: S101 - it is set wherever something is counted
        unsaid = tuple(self._unsaid.values())
        self._unsaid = {}
        told = Shed(reason="the store could not keep them", links=(), unsaid=unsaid)
        return replace(self._last_dropped, data=told)


class KeptNode:
    """The steps of `node`, which records into `keeping`; each gives what waits another try.

    `on_turn` is called whenever the store has come through a turn, with or without success.
    """

    def __init__(
        self, node: Steps, keeping: Keeping, on_turn: Callable[[], None] = lambda: None
    ) -> None:
        self._node, self._keeping, self._on_turn = node, keeping, on_turn

    def step(self, item: Item) -> None:
        """One step of the node; its records are durable, or wait and are tried again."""
        self._node.step(item)
        self._keeping.retry(item.host_ns)
        self._on_turn()

    def stop(self, host_ns: int, reason: str) -> None:
        """End the run. Raises StoreError if its last words could not be kept."""
        self._node.stop(host_ns, reason)
        self._keeping.flush()
