"""Dead letters: messages that could not be taken, kept with the reason until newer ones need room.

One row for each message of a node, however often it came. Transactions are `store`'s; all methods
raise sqlite3.Error.
"""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.adapters.outbox import open_database
from agent.core.records.envelope import MAX_ENVELOPE_BYTES
from agent.errors import StoreError
from simulator.centre.locator.schema import STEPS

MAX_LETTERS = 10_000
_MAX_TEXT = 400
_COLUMNS = "source, digest, reason, topic, message, size, times, first_at, last_at"


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that came `times`; of one longer than an envelope may be only the beginning.

    `source` is empty where it came on no registered node's topic; `digest` is SHA-256 in hex.
    """

    source: str
    digest: str
    reason: str
    topic: str
    message: bytes
    size: int
    times: int
    first_at: str
    last_at: str


class Letters:
    """At most `limit` letters of each source, in `db`; the oldest go first."""

    def __init__(self, db: sqlite3.Connection, limit: int = MAX_LETTERS) -> None:
        self._db, self._limit = db, limit
        self.load()

    def load(self) -> None:
        """Count what is there; what was not committed is forgotten."""
        rows = self._db.execute("SELECT source, count(*) FROM letter GROUP BY source")
        self._held: Counter[str] = Counter(dict(rows))

    def add(self, source: str, topic: str, message: bytes, reason: str, at: str) -> None:
        """Set a message aside; `at` is RFC 3339."""
        digest = hashlib.sha256(message).hexdigest()
        again = self._db.execute(
            "UPDATE letter SET times = times + 1, last_at = ? WHERE source = ? AND digest = ?",
            (at, source, digest),
        )
        if again.rowcount:
            return
        if self._held[source] >= self._limit:
            excess = self._held[source] - self._limit + 1
            self._db.execute(
                "DELETE FROM letter WHERE id IN "
                "(SELECT id FROM letter WHERE source = ? ORDER BY id LIMIT ?)",
                (source, excess),
            )
            self._held[source] -= excess
        self._db.execute(
            f"INSERT INTO letter ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?)",  # noqa: S608
            (
                source,
                digest,
                printable(reason),
                printable(topic),
                message[:MAX_ENVELOPE_BYTES],
                len(message),
                at,
                at,
            ),
        )
        self._held[source] += 1

    def all(self) -> Iterator[Letter]:
        """Every letter, by source, the oldest first."""
        query = f"SELECT {_COLUMNS} FROM letter ORDER BY source, id"  # noqa: S608
        return (Letter(*row) for row in self._db.execute(query))


def letters_in(path: Path) -> list[Letter]:
    """What lies in the store of a locator that is stopped. Raises StoreError."""
    if not path.is_file():
        raise StoreError(f"{path}: no such file")
    db = open_database(path, STEPS)
    try:
        return list(Letters(db).all())
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    finally:
        db.close()


def printable(text: str) -> str:
    """`text` on one line, of characters that any file and terminal takes, not too long."""
    return text.encode("unicode_escape").decode("ascii")[:_MAX_TEXT]
