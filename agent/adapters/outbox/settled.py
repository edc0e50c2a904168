"""Which records of the chain are gone though an earlier one still waits: unbroken ranges.

Plain functions over a connection with an open transaction; all raise sqlite3.Error. They went
because a receipt with gaps covers them, or because they were shed or set aside.
"""

import sqlite3
from collections.abc import Sequence

from agent.core.records.store_records import Link


def settle(db: sqlite3.Connection, links: Sequence[Link]) -> None:
    """These are gone; their neighbours may be already."""
    for link in sorted(links, key=lambda one: one.seq):
        _settle(db, link)


def digest_at(db: sqlite3.Connection, seq: int) -> str | None:
    """The digest of the last of a range; None if no range ends at `seq`."""
    found = _range_with(db, seq)
    return found[2] if found and found[1] == seq else None


def whole_until(db: sqlite3.Connection, seq: int) -> int:
    """The last of the range that holds `seq`; `seq` itself if none does."""
    found = _range_with(db, seq)
    return found[1] if found else seq


def begins_at(db: sqlite3.Connection, seq: int) -> int:
    """The first of the range that holds `seq`; the one after `seq` if none does."""
    found = _range_with(db, seq)
    return found[0] if found else seq + 1


def forget_upto(db: sqlite3.Connection, last: int) -> None:
    """All up to `last` is receipted without a gap; no range goes beyond it that began before."""
    db.execute("DELETE FROM settled WHERE last <= ?", (last,))


def _settle(db: sqlite3.Connection, link: Link) -> None:
    first, last, digest = link.seq, link.seq, link.digest
    if before := _range_with(db, link.seq - 1):
        first = before[0]
    if after := _range_with(db, link.seq + 1):
        last, digest = after[1], after[2]
        db.execute("DELETE FROM settled WHERE first = ?", (after[0],))
    db.execute("INSERT OR REPLACE INTO settled VALUES (?, ?, ?)", (first, last, digest))


def _range_with(db: sqlite3.Connection, seq: int) -> tuple[int, int, str] | None:
    query = "SELECT first, last, digest FROM settled WHERE first <= ? ORDER BY first DESC LIMIT 1"
    found: tuple[int, int, str] | None = db.execute(query, (seq,)).fetchone()
    return found if found and found[1] >= seq else None
