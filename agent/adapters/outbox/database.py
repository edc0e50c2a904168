"""One SQLite file with one owner, and a schema that knows its version.

WAL and synchronous=FULL: what was committed survives a power cut. One connection in one process
owns the file; a second one is refused, because side-car readers meet SQLite's WAL-reset race.
What the tables hold is their user's; repair of a damaged file is nobody's.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.errors import StoreError


def open_database(path: Path, steps: Sequence[str], *, durable: bool = True) -> sqlite3.Connection:
    """The one connection to the SQLite file at `path`, with its schema brought up to date.

    `steps` are scripts: each one leads from version n to n + 1, the first from nothing, and all
    that are due run in one transaction. WAL, locked against every other process, autocommit;
    synchronous=FULL if `durable`, else OFF. Raises StoreError if the file cannot be owned, is no
    such store, or is one of newer software.
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
        _migrate(db, path, steps)
        db.execute("COMMIT")
    except BaseException as error:
        db.close()
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            raise StoreError(f"{path}: in use by another process") from error
        if isinstance(error, sqlite3.Error):
            raise StoreError(f"{path}: cannot be opened: {error}") from error
        raise
    return db


def step_down(path: Path, steps: Sequence[str], downs: Mapping[int, str]) -> int:
    """Lead the store at `path` one version down, for the software before; the new version.

    `downs` are scripts by the version that they leave. What the older software does not know stays
    where it is, and is found again when the store goes up. Raises StoreError.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such file")
    db = open_database(path, steps)
    try:
        db.execute("BEGIN EXCLUSIVE")
        if (version := len(steps)) not in downs:
            raise StoreError(f"{path}: there is no way down from version {version}")
        _run(db, downs[version])
        db.execute(f"PRAGMA user_version = {version - 1}")
        db.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be led down: {error}") from error
    finally:
        db.close()
    return version - 1


def _migrate(db: sqlite3.Connection, path: Path, steps: Sequence[str]) -> None:
    found = db.execute("PRAGMA user_version").fetchone()[0]
    is_empty = not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if found > len(steps) or (found == 0 and not is_empty):
        raise StoreError(f"{path}: store of version {found}; this software reads 1 to {len(steps)}")
    if found < len(steps):
        for script in steps[found:]:
            _run(db, script)
        db.execute(f"PRAGMA user_version = {len(steps)}")


def _run(db: sqlite3.Connection, script: str) -> None:
    for statement in script.split(";"):
        db.execute(statement)
