"""The durable line: records are numbered, linked, signed and stored in one SQLite transaction.

SQLite in WAL mode with synchronous=FULL: what `append` returned survives a power cut. One
connection in one process owns the file; a second one is refused, because side-car readers meet
SQLite's WAL-reset race. Shedding on a full disk and repair of a broken file are not here.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from agent.core.chain import Head, Sealed, Sealer
from agent.core.records import GENESIS_PREV, Draft, Receipt
from agent.errors import ForgedRecord, StoreError

PreviousRun = Literal["new-store", "clean", "unclean"]

_VERSION = 1
_SCHEMA = """
CREATE TABLE node (
    source TEXT NOT NULL, keyid TEXT NOT NULL, running INTEGER NOT NULL,
    chain TEXT NOT NULL, seq INTEGER NOT NULL, digest TEXT NOT NULL,
    receipted_seq INTEGER NOT NULL, receipted_digest TEXT NOT NULL
) STRICT;
CREATE TABLE record (
    seq INTEGER PRIMARY KEY, digest TEXT NOT NULL,
    kind TEXT NOT NULL, priority INTEGER NOT NULL, envelope BLOB
) STRICT;
CREATE INDEX queue ON record (priority, seq) WHERE envelope IS NOT NULL;
"""
# A record in an `extra` range loses its envelope but keeps its digest until the contiguous part
# of a later receipt covers it, so that the `head` of every receipt can be checked.


class SqliteOutbox:
    """Outbox port over one file; may be used from several threads, by one process.

    `new_chain` names the chain of a new store: 32 hex digits, never the same twice. `durable`
    False leaves the writing to the operating system (synchronous=OFF): a power cut then loses
    records. It is for virtual time only, where thousands of stores live in a temporary
    directory. Raises StoreError if the file cannot be owned or is another node's.
    """

    def __init__(
        self, path: Path, sealer: Sealer, new_chain: Callable[[], str], *, durable: bool = True
    ) -> None:
        self._path = path
        self._sealer = sealer
        self._lock = threading.Lock()
        self._backlog = 0
        self._db = open_database(path, _SCHEMA, _VERSION, durable=durable)
        try:
            with self._transaction() as db:
                self._previous_run = self._take_over(db, new_chain)
                query = "SELECT count(*) FROM record WHERE envelope IS NOT NULL"
                self._backlog = db.execute(query).fetchone()[0]
        except BaseException:
            self._db.close()
            raise

    @property
    def previous_run(self) -> PreviousRun:
        """How the run before this one ended, as seen when the store was opened."""
        return self._previous_run

    def append(self, draft: Draft) -> Sealed:
        """Number, link, sign and store in one transaction; durable on return. StoreError."""
        with self._transaction() as db:
            sealed = self._sealer.seal(draft, _head(db))
            head = sealed.head
            db.execute("UPDATE node SET seq = ?, digest = ?", (head.seq, head.digest))
            db.execute(
                "INSERT INTO record VALUES (?, ?, ?, ?, ?)",
                (head.seq, head.digest, sealed.kind, sealed.priority, sealed.envelope),
            )
            self._backlog += 1
        return sealed

    def pending(self, limit: int, skip: frozenset[int]) -> list[Sealed]:
        """Up to `limit` unreceipted records not in `skip` (seqs), by priority then seq."""
        with self._transaction() as db:
            chain = _head(db).chain
            queue = db.execute(
                "SELECT seq FROM record WHERE envelope IS NOT NULL ORDER BY priority, seq LIMIT ?",
                (limit + len(skip),),
            ).fetchall()
            chosen = [seq for (seq,) in queue if seq not in skip][:limit]
            query = "SELECT digest, kind, priority, envelope FROM record WHERE seq = ?"
            rows = [(seq, *db.execute(query, (seq,)).fetchone()) for seq in chosen]
        return [Sealed(Head(chain, seq, digest), *rest) for seq, digest, *rest in rows]

    def release(self, receipt: Receipt) -> int:
        """Forget what `receipt` covers; how many went. ForgedRecord if it contradicts us."""
        covered, freed = (receipt.upto_seq,), 0
        with self._transaction() as db:
            if self._is_news(db, receipt):
                freed += db.execute(
                    "DELETE FROM record WHERE seq <= ? AND envelope IS NOT NULL", covered
                ).rowcount
                db.execute("DELETE FROM record WHERE seq <= ?", covered)
                db.execute(
                    "UPDATE node SET receipted_seq = ?, receipted_digest = ?",
                    (receipt.upto_seq, receipt.head),
                )
            for seqs in receipt.extra:
                freed += db.execute(
                    "UPDATE record SET envelope = NULL "
                    "WHERE seq BETWEEN ? AND ? AND envelope IS NOT NULL",
                    seqs,
                ).rowcount
            self._backlog -= freed
        return freed

    def head(self) -> Head:
        """The last link that was stored."""
        with self._transaction() as db:
            return _head(db)

    def backlog(self) -> int:
        """How many records wait for a receipt."""
        with self._lock:
            return self._backlog

    def close(self, *, clean: bool = True) -> None:
        """Free the file; `clean` says that this run ended in order. Closing twice is harmless."""
        with suppress(sqlite3.ProgrammingError), self._lock:
            try:
                if clean:
                    self._db.execute("UPDATE node SET running = 0")
            except sqlite3.OperationalError as error:
                raise StoreError(f"{self._path}: cannot be closed: {error}") from error
            finally:
                self._db.close()

    def _take_over(self, db: sqlite3.Connection, new_chain: Callable[[], str]) -> PreviousRun:
        """Make the store ours, or begin it; tells how the last run ended. Raises StoreError."""
        identity = self._sealer.identity
        ours = (identity.source, identity.keyid)
        row = db.execute("SELECT source, keyid, running FROM node").fetchone()
        if row is None:
            db.execute(
                "INSERT INTO node VALUES (?, ?, 1, ?, 0, ?, 0, ?)",
                (*ours, new_chain(), GENESIS_PREV, GENESIS_PREV),
            )
            return "new-store"
        *theirs, was_running = row
        if tuple(theirs) != ours:
            raise StoreError(
                f"{self._path}: store of {theirs[0]} with key {theirs[1]}, not of {ours[0]} "
                f"with key {ours[1]}: give each node and key a directory of its own"
            )
        db.execute("UPDATE node SET running = 1")
        return "unclean" if was_running else "clean"

    def _is_news(self, db: sqlite3.Connection, receipt: Receipt) -> bool:
        """True if the contiguous part covers more than before. Raises ForgedRecord."""
        source, chain, seq, receipted_seq, digest = db.execute(
            "SELECT source, chain, seq, receipted_seq, receipted_digest FROM node"
        ).fetchone()
        if (receipt.source, receipt.chain) != (source, chain):
            raise ForgedRecord(f"receipt is for chain {receipt.chain} of {receipt.source}")
        last = max([receipt.upto_seq, *(last for _, last in receipt.extra)])
        if last > seq:
            raise ForgedRecord(f"receipt covers seq {last}, but this store ends at {seq}")
        if receipt.upto_seq < receipted_seq:
            return False
        if receipt.upto_seq > receipted_seq:
            query = "SELECT digest FROM record WHERE seq = ?"
            (digest,) = db.execute(query, (receipt.upto_seq,)).fetchone()
        if receipt.head != digest:
            raise ForgedRecord(f"receipt holds another digest for seq {receipt.upto_seq}")
        return bool(receipt.upto_seq > receipted_seq)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, on disk at the end, one thread at a time. Raises StoreError."""
        with self._lock:
            backlog = self._backlog
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as error:
                self._backlog = backlog
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise StoreError(f"{self._path}: {error}") from error
                raise


def open_database(
    path: Path, schema: str, version: int, *, durable: bool = True
) -> sqlite3.Connection:
    """The one connection to the SQLite file at `path`, made with `schema` where it is new.

    WAL, locked against every other process, in autocommit; synchronous=FULL if `durable`, else
    OFF. Raises StoreError if the file cannot be owned or is not of this `version`.
    """
    try:
        db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be opened: {error}") from error
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        db.execute("BEGIN EXCLUSIVE")
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found == 0 and not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in schema.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {version}")
        elif found != version:
            raise StoreError(f"{path}: store of version {found}; this software reads {version}")
        db.execute("COMMIT")
    except BaseException as error:
        db.close()
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            raise StoreError(f"{path}: in use by another process") from error
        if isinstance(error, sqlite3.Error):
            raise StoreError(f"{path}: cannot be opened: {error}") from error
        raise
    return db


def _head(db: sqlite3.Connection) -> Head:
    return Head(*db.execute("SELECT chain, seq, digest FROM node").fetchone())
