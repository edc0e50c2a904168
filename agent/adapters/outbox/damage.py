"""A store that cannot be believed any more: what can still be read of it, and where it is put.

It is never repaired and never thrown away: it becomes evidence beside the new store, under a name
of its own, at most MOST_EVIDENCE of them. What is told of it is `writing`'s.
"""

import logging
import sqlite3
from contextlib import suppress
from pathlib import Path

from agent.core.records import Draft
from agent.core.records.chain import digest_of, draft_of
from agent.durable import sync_directory
from agent.errors import StoreError

MOST_EVIDENCE = 3
MOST_SALVAGED = 2048  # records; they are in memory until the new store has them
_PARTS = ("", "-wal", "-reserve", "-journal")
_WAITING = "SELECT id, digest, envelope FROM record ORDER BY id"
_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

log = logging.getLogger("earshot")


class DamagedStore(StoreError):
    """What is in the file is not what was written to it."""


def is_damage(error: BaseException | None) -> bool:
    """True when `error`, or what caused it, says that the bytes of the file make no sense."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    is_ours = isinstance(error, DamagedStore) or code in _CODES
    return is_ours or (error is not None and is_damage(error.__cause__))


def is_whole(raw: bytes, digest: str) -> bool:
    """True when the envelope `raw` still is what its chain is linked by."""
    try:
        return digest_of(raw) == digest
    except Exception:  # whatever its bytes have become
        return False


def is_gone(path: Path) -> bool:
    """True when there was a store at `path`, and now there are only the files beside it."""
    beside = (Path(f"{path}{part}") for part in _PARTS[1:])
    with suppress(OSError):  # of another's folder: who opens the store will tell
        return not path.exists() and any(one.exists() for one in beside)
    return False


def salvaged(db: sqlite3.Connection) -> list[Draft]:
    """What waits for a receipt and can be read and believed, alerts first in doubt; by number."""
    found: list[tuple[int, Draft]] = []
    with suppress(Exception):  # whatever a damaged file does to who reads it
        for row_id, digest, raw in db.execute(_WAITING):
            with suppress(Exception):
                if is_whole(raw, digest):
                    found.append((row_id % (1 << 48), draft_of(raw)))
            if len(found) == MOST_SALVAGED:
                break
    return [draft for _, draft in sorted(found, key=lambda one: one[0])]


def set_aside(path: Path, reason: str) -> str:
    """Rename the store at `path` with all that is beside it; its new name. Raises StoreError."""
    fresh = path.with_name(f"{path.name}.damaged-{max([0, *_numbers(path)]) + 1}")
    try:
        for part in _PARTS:
            with suppress(FileNotFoundError):
                Path(f"{path}{part}").rename(f"{fresh}{part}")
        fresh.touch()  # where only the files beside it were left
        sync_directory(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: damaged ({reason}), cannot be set aside: {error}") from None
    log.error("%s: %s: set aside as %s, a new chain begins", path, reason, fresh.name)
    _let_go_of_older(path)
    return fresh.name


def _let_go_of_older(path: Path) -> None:
    """The first evidence and the latest stay."""
    known = _numbers(path)
    for number in known[1 : 1 + max(0, len(known) - MOST_EVIDENCE)]:
        old = f"{path.name}.damaged-{number}"
        log.warning("%s is deleted: newer evidence needs its room", old)
        for part in _PARTS:
            with suppress(OSError):
                path.with_name(f"{old}{part}").unlink()


def _numbers(path: Path) -> list[int]:
    """Of the evidence beside `path`, from the oldest on."""
    prefix = f"{path.name}.damaged-"
    numbers = [one.name.removeprefix(prefix) for one in path.parent.glob(f"{prefix}*")]
    return sorted(int(number) for number in numbers if number.isdecimal())
