"""The keeper: hearing and stamping never wait for the disk, and neither does delivery.

What the node says goes into a queue in memory (`waiting`); one turn of `step` makes what waits
durable as ONE transaction, numbered and linked in the order in which it was said. Receipts wait in
the same way, behind what was said. While the disk is at work, delivery gets what was kept
last from memory; only what is older waits for the disk. While the store fails, all that waits is
tried again once per RETRY_NS. No thread is here: on a node one calls `step`, beside others that
call the rest; the simulator calls it after each item. Room on the disk is the outbox's.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from agent.app.fresh import RECEIPTS, Fresh
from agent.app.waiting import Waiting
from agent.core.records import Draft
from agent.core.records.chain import RecordKey, Sealed
from agent.core.records.kinds import Receipt
from agent.core.units import NS_PER_S
from agent.errors import ForgedRecord, FullStore, StoreError

RETRY_NS = NS_PER_S
HANGS_NS = 10 * NS_PER_S  # what no card takes that is well
ERRAND_NS = 300 * NS_PER_S  # small files wait no longer for a quick disk
SLOW_NS, SLOW_TURNS, LATELY_NS = NS_PER_S // 20, 256, 60 * NS_PER_S
RECEIPT_NS = 300 * NS_PER_S  # no receipt waits longer, though what was said goes first

log = logging.getLogger("earshot")


class Store(Protocol):
    """An outbox whose disk may be slow, full or fail; whatever it does then raises StoreError."""

    def append_all(self, drafts: Sequence[Draft]) -> list[Sealed]:
        """Keep the first of `drafts` in one transaction, as many as there is room for, but one."""

    def try_pending(
        self, limit: int, skip: frozenset[RecordKey], young_above: int | None = None
    ) -> list[Sealed] | None:
        """`Outbox.pending`, or None where the disk is at work."""

    def release_some(self, receipt: Receipt) -> bool:
        """Forget a part of what `receipt` covers; True if there is more. ForgedRecord."""

    def set_aside(self, key: RecordKey, reason: str) -> bool: ...

    def tidy(self) -> None:
        """Do what costs a few syncs and can wait, if any of it is due."""

    def backlog(self) -> int:
        """How many records wait for a receipt; never waits."""

    def free_share(self) -> float:
        """How much of the store is free, 0 to 1; never waits."""


@dataclass(frozen=True, slots=True)
class StoreState:
    """How the durable line is. To be read at any time: nothing here waits for the disk.

    `waiting` drafts are in memory only, `lost` were given up since the start and counted.
    `busy_ns` is for how long the disk has been at its present work, 0 if it rests; `slowest_ns`
    the longest that one turn took within the last minute. At `advanced_ns`, host time, the keeper
    last got on or found nothing to do. `trouble` is why nothing is kept, for a person; empty while
    all is well.
    """

    waiting: int
    lost: int
    backlog: int
    free_share: float
    busy_ns: int
    slowest_ns: int
    advanced_ns: int
    trouble: str

    @property
    def hangs(self) -> bool:
        """True where the disk has not answered for longer than a good one ever takes."""
        return self.busy_ns >= HANGS_NS


class Keeping:
    """Recorder port for one thread, delivery for another, and `step` for the keeper's.

    `now_ns` is read around the work on the disk, to tell how long it takes. `on_receipt` is told
    each receipt that does not contradict the store, on the thread that keeps.
    """

    def __init__(
        self,
        store: Store,
        now_ns: Callable[[], int] = lambda: 0,
        on_receipt: Callable[[Receipt], None] = lambda receipt: None,
    ) -> None:
        self._store, self._now_ns, self._on_receipt = store, now_ns, on_receipt
        self._lock = threading.Lock()  # held for moments, never while the disk is at work
        self._waiting = Waiting()
        self._fresh = Fresh()
        self._errands: dict[str, Callable[[], None]] = {}
        self._acts: deque[tuple[int, Callable[[], None]]] = deque()
        self._retry_at_ns = self._cleared_ns = self._took_ns = self._errand_ns = 0
        self._begun_ns: int | None = None
        self._advanced_ns = 0
        self._slow: deque[tuple[int, int]] = deque(maxlen=SLOW_TURNS)
        self._trouble, self._is_hang_told = "", False

    @property
    def waiting(self) -> int:
        """How many drafts are in memory only."""
        return len(self._waiting)

    @property
    def has_work(self) -> bool:
        """True where a step may get something done."""
        words = self._fresh.receipts, self._fresh.asides, self._acts
        return not self._waiting.is_settled or any(words)

    def append(self, draft: Draft) -> None:
        """Take `draft`; it is durable after a step. Where too many wait, one is counted instead."""
        with self._lock:
            self._waiting.put(draft)

    def when_kept(self, act: Callable[[], None]) -> None:
        """Call `act` when all that was said so far is durable, on the thread that keeps."""
        with self._lock:
            self._acts.append((self._waiting.said, act))

    def errand(self, name: str, act: Callable[[], None]) -> None:
        """Call `act`, which may wait for the disk, when there is nothing else to keep; one that is
        still to be done under the same name is forgotten. It must not raise."""
        with self._lock:
            self._errands[name] = act

    def step(self, host_ns: int) -> bool:
        """One turn: some of what waits is durable on return. True if there may be more to do."""
        if self._trouble and host_ns < self._retry_at_ns:
            return False
        self._begun_ns = began_ns = self._now_ns()
        try:
            self._turn(host_ns)
        except StoreError as error:
            self._retry_at_ns = host_ns + RETRY_NS
            if not self._trouble:
                log.error("store fails, records wait in memory: %s", error)
            self._trouble = str(error)
            return False
        finally:
            self._begun_ns = None
            self._took_ns = self._now_ns() - began_ns
            if self._took_ns > SLOW_NS:
                with self._lock:
                    self._slow.append((began_ns + self._took_ns, self._took_ns))
        self._advanced_ns = host_ns
        if self._trouble and not self._waiting:
            self._trouble = ""
            log.info("store keeps again, no record waits")
        self._act()
        return self.has_work

    def flush(self) -> None:
        """Keep all that waits, and tell what was lost. Raises StoreError; the rest still waits."""
        while not self._waiting.is_settled:
            self._keep()
        self._act()

    def state(self, now_ns: int) -> StoreState:
        """How things are at host time `now_ns`."""
        begun_ns = self._begun_ns
        busy_ns = 0 if begun_ns is None else max(0, now_ns - begun_ns)
        with self._lock:
            slow = [took_ns for at_ns, took_ns in self._slow if at_ns > now_ns - LATELY_NS]
        return StoreState(
            waiting=len(self._waiting),
            lost=self._waiting.lost,
            backlog=self._store.backlog(),
            free_share=self._store.free_share(),
            busy_ns=busy_ns,
            slowest_ns=max([*slow, busy_ns]),
            advanced_ns=self._advanced_ns,
            trouble=self._trouble,
        )

    def watch(self, now_ns: int) -> None:
        """Log where the disk hangs, and when it no longer does: one line each. Never waits."""
        begun_ns = self._begun_ns
        hangs = begun_ns is not None and now_ns - begun_ns >= HANGS_NS
        if hangs and not self._is_hang_told:
            told = "the disk has not answered for %d s: %d records wait in memory; replace the card"
            log.error(told, (now_ns - (begun_ns or 0)) // NS_PER_S, len(self._waiting))
        elif self._is_hang_told and not hangs:
            log.info("the disk answers again, %d records wait", len(self._waiting))
        self._is_hang_told = hangs

    def pending(
        self, limit: int, skip: frozenset[RecordKey], young_above: int | None = None
    ) -> list[Sealed]:
        """What there is to deliver; what was kept last while the disk is at work or fails."""
        found: list[Sealed] | None = None
        with suppress(StoreError):
            spare = RECEIPTS * limit if self._fresh.receipts else 0  # receipted ones are found too
            found = self._store.try_pending(limit + spare, skip, young_above)
        with self._lock:
            if found is None:
                found = self._fresh.first(skip, young_above)
            return self._fresh.still_wanted(found)[:limit]

    def release(self, receipt: Receipt) -> int:
        """Take a receipt, which frees records at a later step; 0, for none is free yet."""
        with self._lock:
            self._fresh.receipts.append(receipt)
        return 0

    def set_aside(self, key: RecordKey, reason: str) -> bool:
        """The record is never offered again, and is a dead letter after a later step."""
        with self._lock:
            self._fresh.asides.append((key, reason))
        return True

    def backlog(self) -> int:
        """How many records are durable and wait for a receipt."""
        return self._store.backlog()

    def _turn(self, host_ns: int) -> None:
        """What is due: what was said, before what is only cleared away, before what can wait."""
        is_receipt_due = self._fresh.receipts and host_ns - self._cleared_ns > RECEIPT_NS
        if not self._waiting.is_settled and not is_receipt_due:
            try:
                self._keep()
            except FullStore:
                if not (self._clear() or self._refused()):
                    raise
        else:
            self._cleared_ns = host_ns
            if not self._clear():
                self._idle(host_ns)

    def _keep(self) -> None:
        with self._lock:
            batch = self._waiting.batch()
        kept = self._store.append_all(batch)
        with self._lock:
            self._waiting.kept(len(kept))
            self._fresh.remember(kept)

    def _refused(self) -> bool:
        """There is no room for the next one, which goes if an alert is behind it."""
        with self._lock:
            return self._waiting.refused()

    def _clear(self) -> bool:
        """Forget a part of what is receipted, or set a record aside; False if there was nothing."""
        if self._fresh.asides:
            self._store.set_aside(*self._fresh.asides[0])
            with self._lock:
                self._fresh.asides.popleft()
            return True
        if not self._fresh.receipts:
            return False
        receipt, is_more = self._fresh.receipts[0], False
        try:
            is_more = self._store.release_some(receipt)
            self._on_receipt(receipt)
        except ForgedRecord as error:
            log.warning("receipt ignored: %s", error)
        if not is_more:
            with self._lock:
                self._fresh.obeyed(receipt)
        return True

    def _idle(self, host_ns: int) -> None:
        """Small files first, one a turn; a slow disk is spared them for a while."""
        is_quick = self._took_ns <= SLOW_NS
        if self._errands and (is_quick or host_ns - self._errand_ns > ERRAND_NS):
            with self._lock:
                act = self._errands.pop(next(iter(self._errands)))
            self._errand_ns = host_ns
            act()
        if is_quick:
            self._store.tidy()

    def _act(self) -> None:
        """What was to be done when that was durable which now is."""
        while self._acts and self._acts[0][0] <= self._waiting.settled:
            self._acts.popleft()[1]()
