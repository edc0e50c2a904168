"""The disk space that a store holds before it needs it.

On a full disk SQLite cannot even delete: a transaction needs room in the WAL, and a checkpoint
room in the file. So both are allocated ahead. The WAL gets its greatest size at once; the file
grows by whole steps, each on disk before SQLite may use it, up to a limit; and RESERVE_PAGES of it
are for those who make room. What others do to the disk then stops growth only: what the store
took it can always fill, drain and fill again. Between two runs, when SQLite removes the WAL, a
reserve file keeps its place. Which records to give up is not known here.
"""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

PAGE_BYTES = 4096
STEP_PAGES = 128
RESERVE_PAGES = 32
CHECKPOINT_PAGES = 256
WAL_BYTES = 2 * 1024 * 1024  # CHECKPOINT_PAGES, and the largest transaction on top of them
WIDE_BYTES = 16 * 1024 * 1024  # a store of this size has a WAL of twice that, for a slow spell
AHEAD_PAGES = 64
_USABLE_BYTES = PAGE_BYTES - 4  # of an overflow page


class Room:
    """Space for the open store `db` at `path`, which has a table `room`; at most `max_bytes`.

    All methods want `db` outside of a transaction and raise sqlite3.Error.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, max_bytes: int) -> None:
        self._db = db
        self._wal, self._reserve = _names(path)
        width = 2 if max_bytes >= WIDE_BYTES else 1
        self._wal_bytes = width * WAL_BYTES
        self._max_pages = (max_bytes - self._wal_bytes) // PAGE_BYTES
        self.free_share = 1.0  # of what it may take, as last seen
        _allocate_file(self._wal, self._wal_bytes)
        self._db.execute(f"PRAGMA wal_autocheckpoint = {width * CHECKPOINT_PAGES}")
        self._db.execute("DELETE FROM room")
        self._forbid_growth()
        # Closing this would drop the locks of SQLite too: it stays open as long as `db` does.
        self._file = os.open(path, os.O_RDWR)

    def is_short(self) -> bool:
        """True when only the reserve is left. May be asked within a transaction."""
        free, pages = self._pragma("freelist_count"), self._pragma("page_count")
        self.free_share = max(0.0, 1 - (pages - free + RESERVE_PAGES) / self._max_pages)
        return free < RESERVE_PAGES

    def grow(self) -> bool:
        """Take one more step of disk; False at the limit or when the disk has none."""
        pages = self._pragma("page_count")
        step = min(STEP_PAGES, self._max_pages - pages)
        if step < RESERVE_PAGES:
            return False
        filler_pages = self._pragma("freelist_count") + step
        try:
            os.posix_fallocate(self._file, 0, (pages + step) * PAGE_BYTES)
            self._db.execute(f"PRAGMA max_page_count = {pages + step}")
            self._db.execute(
                "INSERT INTO room VALUES (zeroblob(?))", (filler_pages * _USABLE_BYTES,)
            )
            self._db.execute("PRAGMA wal_checkpoint")  # into the blocks that were just allocated
            self._db.execute("DELETE FROM room")
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, sqlite3.Error) and not is_full(error):
                raise
            return False
        finally:
            self._forbid_growth()
        return True

    def tidy(self) -> None:
        """While there is time: what would else be due in the middle of a commit, sync by sync.

        Room for what comes next; an empty WAL, with its head on the disk.
        """
        if self._pragma("freelist_count") < RESERVE_PAGES + AHEAD_PAGES:
            self.grow()
        self._db.execute("PRAGMA wal_checkpoint")
        self._db.execute("UPDATE node SET running = 1")

    def close(self) -> None:
        """To be called after `db` was closed: keep the room of the WAL that is gone."""
        os.close(self._file)
        if not self._wal.exists():
            _allocate_file(self._reserve, self._wal_bytes)

    def _forbid_growth(self) -> None:
        self._db.execute(f"PRAGMA max_page_count = {self._pragma('page_count')}")

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])


def prepare(path: Path) -> None:
    """Before the store at `path` is opened: what a clean end put aside becomes the new WAL.

    SQLite takes a WAL of zeros for an empty one.
    """
    wal, reserve = _names(path)
    with suppress(OSError):
        if wal.exists():
            reserve.unlink()
        else:
            reserve.rename(wal)


def is_full(error: sqlite3.Error) -> bool:
    """True when `error` says that there is no room, in the store or on the disk."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def is_failing(error: sqlite3.Error) -> bool:
    """True when `error` says that the disk failed to read, write or sync."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR


def _names(path: Path) -> tuple[Path, Path]:
    return Path(f"{path}-wal"), Path(f"{path}-reserve")


def _allocate_file(path: Path, size: int) -> None:
    """Best effort: on a disk without room the store begins with what it has."""
    with suppress(OSError):
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(file, 0, size)
        finally:
            os.close(file)
