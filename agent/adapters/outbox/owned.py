"""The open file of an outbox: one owner, one thread at a time, and what to do when the disk fails.

After a failed read, write or sync the file is let go of, and opened again at the next use. What
its rows mean is `rows`', what is written to them `writing`'s.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from pathlib import Path

from agent.adapters.outbox import rows
from agent.adapters.outbox.damage import DamagedStore, is_damage, is_gone, salvaged, set_aside
from agent.adapters.outbox.database import open_database
from agent.adapters.outbox.room import Room, is_failing, is_full, prepare
from agent.adapters.outbox.schema import STEPS
from agent.core.records import Draft
from agent.errors import FullStore, StoreError

TIDY_AFTER = 16  # transactions


@dataclass(slots=True)
class Tally:
    """What is known of the rows without a look at them: changed within transactions only."""

    backlog: int = 0
    is_unbridged: bool = False
    key_changes: tuple[int, ...] = ()  # numbers of those that may wait


class OwnedFile:
    """The file at `path`, opened by the first transaction; all methods raise StoreError.

    `check` is called whenever the file was opened, within a transaction. A file that is damaged is
    set aside; `salvaged` is then what could be read of it, and `check` finds an empty one, with a
    row in `damage`.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        check: Callable[[sqlite3.Connection], None],
        *,
        durable: bool,
    ) -> None:
        self.path, self.tally = path, Tally()
        self.room: Room | None = None
        self._max_bytes, self._durable, self._check = max_bytes, durable, check
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._is_closed = False
        self._written = TIDY_AFTER
        self._damage: tuple[str, str] | None = None
        self.salvaged: list[Draft] = []

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, on disk at the end, one thread at a time."""
        with self._lock, self._owned() as db, self._all_or_nothing(db):
            yield db

    @contextmanager
    def transaction_if_idle(self) -> Iterator[sqlite3.Connection | None]:
        """The same, or None where another thread is at it, for the disk may be slow, and where the
        file is not open."""
        if not self._lock.acquire(blocking=False):
            yield None
            return
        try:
            if self._db is None:
                yield None
                return
            with self._owned() as db, self._all_or_nothing(db):
                yield db
        finally:
            self._lock.release()

    def grow(self) -> bool:
        """Take more of the disk; False where there is no more to be had."""
        with self._lock, self._owned():
            return self.room is not None and self.room.grow()

    def tidy(self) -> None:
        """Put in order what waits for a quiet moment, if TIDY_AFTER were written since.

        To be called when there is nothing else to do, and the disk is quick.
        """
        if self.room and self._written >= TIDY_AFTER:
            with self._lock, self._owned():
                if self.room:
                    self.room.tidy()
                self._written = 0

    def close(self, last_words: str, at_most_s: float) -> None:
        """Free the file after one more statement, if any; it is not opened again.

        Where another thread is not back from the disk within `at_most_s`, it keeps the file.
        """
        if not self._lock.acquire(timeout=at_most_s):
            raise StoreError(f"{self.path}: cannot be closed: the disk does not answer")
        try:
            if last_words and self._db and not self._is_closed:
                self._db.execute(last_words)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be closed: {error}") from error
        finally:
            self._is_closed = True
            self.let_go()
            self._lock.release()

    def let_go(self) -> None:
        """Close the file; the next use opens it again."""
        with suppress(sqlite3.Error):
            if self._db:
                self._db.close()
        if self.room:
            self.room.close()
        self._db = self.room = None

    @contextmanager
    def _owned(self) -> Iterator[sqlite3.Connection]:
        """The connection; a failing disk ends it."""
        try:
            yield self._db or self._open()
        except DamagedStore as error:
            self._set_aside(str(error))
            raise StoreError(f"{self.path}: {error}: set aside") from error
        except sqlite3.Error as error:
            if is_damage(error):
                self._set_aside(str(error))
            if is_failing(error):
                self.let_go()
            kind = FullStore if is_full(error) else StoreError
            raise kind(f"{self.path}: {error}") from error

    @contextmanager
    def _all_or_nothing(self, db: sqlite3.Connection) -> Iterator[None]:
        before = copy(self.tally)
        try:
            db.execute("BEGIN IMMEDIATE")
            changes = db.total_changes
            yield
            db.execute("COMMIT")
            self._written += db.total_changes > changes
        except BaseException:
            self.tally = before
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise

    def _open(self) -> sqlite3.Connection:
        """Own the file, for the first time or after a failure; what it holds is then on disk."""
        if self._is_closed:
            raise StoreError(f"{self.path}: a closed database cannot be used")
        if is_gone(self.path):
            self._set_aside("the database is gone")
        try:
            return self._open_once()
        except (StoreError, sqlite3.Error) as error:
            if not is_damage(error):
                raise
            self._set_aside(str(error.__cause__ or error))
            return self._open_once()

    def _set_aside(self, reason: str) -> None:
        """What is in the file is no store: it becomes evidence, and a new one is begun."""
        if self._db:
            self.salvaged = salvaged(self._db)
        self.let_go()
        self._damage = reason, set_aside(self.path, reason)

    def _open_once(self) -> sqlite3.Connection:
        if self._durable:
            prepare(self.path)
        self._db = db = open_database(self.path, STEPS, durable=self._durable)
        try:
            # First of all: what the WAL held after a failed sync may be in memory only.
            db.execute("PRAGMA wal_checkpoint(RESTART)")
            if self._durable:
                self.room = Room(self.path, db, self._max_bytes)
            self.tally = Tally(rows.waiting(db), bool(rows.unbridged(db, 1)), rows.key_changes(db))
            db.execute("BEGIN IMMEDIATE")
            if self._damage:
                db.execute("INSERT INTO damage VALUES (?, ?)", self._damage)
            self._check(db)
            db.execute("COMMIT")
            self._damage = None
        except BaseException as error:
            if not is_damage(error):
                self.let_go()  # else what can be read is read first
            raise
        return db
