"""The outbox: records are numbered, linked, signed and stored in one transaction.

On a full store statistics are shed, oldest first, and a signed `Shed` record bridges the chain.
After a failed read, write or sync the file is opened again and its tail verified before anything
is added. A receipt that knows more than the store shows that the store was rolled back: a new
chain begins with the next record. Waiting for better days is `app.keeping`'s.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from agent.adapters.outbox import rows
from agent.adapters.outbox.database import FullStore, open_database
from agent.adapters.outbox.room import Room, is_failing, is_full, prepare
from agent.adapters.outbox.schema import STEPS
from agent.core.records import Draft, Sealer
from agent.core.records.chain import Head, RecordKey, Sealed, draft_of
from agent.core.records.kinds import Receipt
from agent.core.records.remote_records import KeyChange
from agent.core.records.store_records import Rollback, Shed
from agent.errors import ForgedRecord, StoreError, TokenError

PreviousRun = Literal["new-store", "clean", "unclean"]

BATCH = 64  # records; more in one transaction would outgrow the WAL's room
DEFAULT_BYTES = 64 * 1024 * 1024


class SqliteOutbox:
    """Outbox port over one file; may be used from several threads, by one process.

    `new_chain` names a chain that begins: 32 hex digits, never the same twice. The store takes at
    most `max_bytes` of disk. `durable` False leaves the writing to the operating system and the
    size without a limit: a power cut then loses records. It is for virtual time only, where
    thousands of stores live in a temporary directory. Raises StoreError if the file cannot be
    owned or is another node's.
    """

    def __init__(
        self,
        path: Path,
        sealer: Sealer,
        new_chain: Callable[[], str],
        *,
        durable: bool = True,
        max_bytes: int = DEFAULT_BYTES,
    ) -> None:
        self._path, self._sealer, self._new_chain = path, sealer, new_chain
        self._durable, self._max_bytes = durable, max_bytes
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._room: Room | None = None
        self._backlog, self._is_unbridged, self._key_changes = 0, False, list[int]()
        self._last_kept: Head | None = None
        self._in_doubt: tuple[Draft, Sealed] | None = None
        try:
            with self._transaction() as db:
                self._previous_run, self._last_kept = self._take_over(db), self._tail(db)
        except BaseException:
            self._let_go()
            raise

    @property
    def previous_run(self) -> PreviousRun:
        """How the run before this one ended, as seen when the store was opened."""
        return self._previous_run

    def append(self, draft: Draft) -> Sealed:
        """Number, link, sign and store in one transaction; durable on return. StoreError."""
        while True:
            try:
                return self._append(draft)
            except FullStore:
                if not (self._grow() or self._shed(draft)):
                    raise

    def pending(
        self, limit: int, skip: frozenset[RecordKey], young_above: int | None = None
    ) -> list[Sealed]:
        """Up to `limit` unreceipted records not in `skip`: see the port."""
        with self._transaction() as db:
            return rows.first(db, limit, skip, young_above, self._key_changes)

    def release(self, receipt: Receipt) -> int:
        """Forget what `receipt` covers; how many went. ForgedRecord if it contradicts us."""
        freed, is_more = 0, True
        while is_more:
            with self._transaction() as db:
                if contradiction := rows.contradiction(db, receipt):
                    rows.mark_rolled_back(db, contradiction)
                    break
                count, is_more = rows.forget_some(db, receipt, BATCH)
                self._backlog -= count
            freed += count
        if contradiction:
            raise ForgedRecord(f"{contradiction}: it was rolled back, a new chain begins")
        return freed

    def set_aside(self, key: RecordKey, reason: str) -> bool:
        """Keep a waiting record as a dead letter; False if none of that name waits. StoreError.

        The next record that is appended comes after a `Shed` record that bridges the chain.
        """
        with self._transaction() as db:
            if found := rows.at(db, key):
                rows.bury(db, found, reason)
                rows.settle(db, found)
                self._backlog, self._is_unbridged = self._backlog - 1, True
        return bool(found)

    def head(self) -> Head:
        """The last link that was stored."""
        with self._transaction() as db:
            return rows.head(db)

    def backlog(self) -> int:
        """How many records wait for a receipt."""
        with self._lock:
            return self._backlog

    def close(self, *, clean: bool = True) -> None:
        """Free the file; `clean` says that this run ended in order. Closing twice is harmless."""
        with suppress(sqlite3.ProgrammingError), self._lock:
            try:
                if clean and self._db:
                    self._db.execute("UPDATE node SET running = 0")
            except sqlite3.OperationalError as error:
                raise StoreError(f"{self._path}: cannot be closed: {error}") from error
            finally:
                closed = self._db
                self._let_go()
                self._db = closed

    def _append(self, draft: Draft) -> Sealed:
        with self._transaction() as db:
            sealed = self._kept_after_all(db, draft)
            if sealed is None:
                if reason := rows.why_rolled_back(db):
                    self._begin_again(db, draft, reason)
                elif self._room and self._room.is_short():
                    raise FullStore(f"{self._path}: the store is full")
                if self._is_unbridged:
                    self._bridge(db, draft)
                sealed = self._add(db, draft)
                self._in_doubt = draft, sealed
        self._in_doubt, self._last_kept = None, sealed.head
        if isinstance(draft.data, KeyChange) and not self._sealer.turn_to(draft.data.keyid):
            raise StoreError(f"{self._path}: key {draft.data.keyid}, which follows, is not there")
        return sealed

    def _kept_after_all(self, db: sqlite3.Connection, draft: Draft) -> Sealed | None:
        """The record of `draft` where its commit failed, and yet it is on the disk."""
        said, sealed = self._in_doubt or (None, None)
        is_kept = said is draft and sealed is not None and sealed.head == rows.head(db)
        return sealed if is_kept else None

    def _add(self, db: sqlite3.Connection, draft: Draft) -> Sealed:
        try:
            sealed = self._sealer.seal(draft, rows.head(db))
        except TokenError as error:
            raise StoreError(f"{self._path}: nothing can be signed: {error}") from None
        rows.add(db, sealed)
        if isinstance(draft.data, KeyChange):
            rows.hand_over(db, draft.data.keyid)
            self._key_changes.append(sealed.head.seq)
        self._backlog += 1
        return sealed

    def _grow(self) -> bool:
        with self._owned():
            return self._room is not None and self._room.grow()

    def _shed(self, draft: Draft) -> bool:
        """Give up some statistics, told with the clock of `draft`; False if there are none."""
        with self._transaction() as db:
            links = rows.settle(db, rows.statistics(db, BATCH))
            if links:
                self._backlog -= len(links)
                told = Shed(reason="the store is full", links=links, unsaid=())
                self._add(db, replace(draft, data=told))
        return bool(links)

    def _begin_again(self, db: sqlite3.Connection, draft: Draft, reason: str) -> None:
        """Leave the chain, told with the clock of `draft`, and say again what was not receipted.

        What cannot be read, or was said by newer software, is kept as a dead letter.
        """
        old, waiting = rows.head(db), []
        for row, raw in rows.held(db):
            try:
                waiting.append(draft_of(raw))
            except Exception as error:
                why = f"cannot be said again: {type(error).__name__}: {error}"
                rows.bury(db, [row], why, is_told=True)
        rows.empty_into(db, self._new_chain())
        self._backlog, self._key_changes = 0, []
        told = Rollback(
            reason=reason, chain=old.chain, seq=old.seq, digest=old.digest, said_again=len(waiting)
        )
        for again in (replace(draft, data=told), *waiting):
            self._add(db, again)

    def _bridge(self, db: sqlite3.Connection, draft: Draft) -> None:
        """Tell of what was set aside, with the clock of `draft`."""
        while links := rows.unbridged(db, BATCH):
            rows.mark_bridged(db, links)
            told = Shed(reason="no locator can verify them: kept aside", links=links, unsaid=())
            self._add(db, replace(draft, data=told))
        self._is_unbridged = False

    def _take_over(self, db: sqlite3.Connection) -> PreviousRun:
        """Make the store ours, or begin it; tells how the last run ended. Raises StoreError.

        Where a power cut came between a change of keys and its end, that is ended here.
        """
        identity = self._sealer.identity
        owner = rows.take_over(db, identity, self._new_chain)
        if owner is None:
            return "new-store"
        source, keyid, was_running = owner
        if source != identity.source or not self._sealer.turn_to(keyid):
            raise StoreError(
                f"{self._path}: store of {source} with key {keyid}, not of {identity.source} "
                f"with key {identity.keyid}: give each node and key a directory of its own"
            )
        return "unclean" if was_running else "clean"

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, on disk at the end, one thread at a time. Raises StoreError."""
        with self._owned() as db:
            before = self._backlog, self._is_unbridged
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException:
                self._backlog, self._is_unbridged = before
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _owned(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread at a time; a failing disk ends it. Raises StoreError."""
        with self._lock:
            try:
                yield self._db or self._open()
            except sqlite3.Error as error:
                if is_failing(error):
                    self._let_go()
                kind = FullStore if is_full(error) else StoreError
                raise kind(f"{self._path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        """Own the file, for the first time or after a failure; what it holds is then on disk."""
        if self._durable:
            prepare(self._path)
        self._db = db = open_database(self._path, STEPS, durable=self._durable)
        try:
            # First of all: what the WAL held after a failed sync may be in memory only.
            db.execute("PRAGMA wal_checkpoint(RESTART)")
            if self._durable:
                self._room = Room(self._path, db, self._max_bytes)
            self._backlog, self._key_changes = rows.waiting(db), rows.key_changes(db)
            self._is_unbridged = bool(rows.unbridged(db, 1))
            if self._last_kept:
                self._verify(db, self._last_kept)
        except BaseException:
            self._let_go()
            raise
        return db

    def _verify(self, db: sqlite3.Connection, last_kept: Head) -> None:
        """What was acknowledged is there, or else its numbers must not be used again."""
        tail = self._tail(db)
        is_same_chain = tail.chain == last_kept.chain
        if is_same_chain and tail.seq <= last_kept.seq and tail != last_kept:
            told = f"the disk lost records after seq {tail.seq} that it had acknowledged"
            rows.mark_rolled_back(db, told)

    def _tail(self, db: sqlite3.Connection) -> Head:
        if not rows.is_tail_whole(db):
            raise StoreError(f"{self._path}: damaged, the last record is missing: move it away")
        return rows.head(db)

    def _let_go(self) -> None:
        """Close the file; the next use opens it again."""
        with suppress(sqlite3.Error):
            if self._db:
                self._db.close()
        if self._room:
            self._room.close()
        self._db = self._room = None
