"""What a look at the store's rows can tell: a quick one at the start, a thorough one on demand.

The quick one looks where a mistake would do harm, at the record that each receipt rests on, and
counts the others: a file that was cut off, or a number that was changed, shows there. Every
signature and link is `chain_faults`' matter. Nothing is mended here.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from agent.core.records import Body
from agent.core.records.chain import Head, check_link, cross
from agent.errors import RecordError
from simulator.centre.locator.ledger import Chain
from simulator.centre.locator.trust import Row

Verify = Callable[[Row], Body]


def chain_faults(
    rows: Iterable[Row], shed: Mapping[tuple[str, str], Mapping[int, str]], verify: Verify
) -> list[str]:
    """One sentence for each signature, link or gap that is wrong in `rows`, by chain and seq.

    `shed` holds the digests, by seq, of what each (source, chain) crosses without holding it.
    """
    faults: list[str] = []
    heads: dict[tuple[str, str], Head] = {}
    for row in rows:
        source, name, seq, digest, _ = row
        before = cross(heads.get((source, name), Head(name)), seq, shed.get((source, name), {}))
        heads[source, name] = Head(name, seq, digest)
        try:
            body = verify(row)
            if seq == before.seq + 1:
                check_link(body, before)
            else:
                faults.append(f"{source}: chain {name} lacks {before.seq + 1} to {seq - 1}")
        except RecordError as error:
            faults.append(f"{source}: {error}")
    return faults


def is_cut_off(db: sqlite3.Connection, path: Path) -> bool:
    """True if the file at `path` ends before its last page does, once the WAL is written back.

    SQLite itself refuses a file that lacks whole pages, and takes half a page for zeros.
    """
    is_busy, in_wal, written = db.execute("PRAGMA wal_checkpoint").fetchone()
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (page_bytes,) = db.execute("PRAGMA page_size").fetchone()
    return not is_busy and in_wal == written and path.stat().st_size < pages * page_bytes


def is_head_held(db: sqlite3.Connection, chain: Chain, verify: Verify) -> bool:
    """True if the record that receipts for `chain` rest on is there, and is what it was."""
    where = (chain.row_id, chain.upto_seq)
    found = db.execute(
        "SELECT digest, envelope FROM event WHERE chain_id = ? AND seq = ?", where
    ).fetchone()
    if found is None:
        query = "SELECT 1 FROM shed WHERE chain_id = ? AND seq = ? AND digest = ?"
        is_shed = db.execute(query, (*where, chain.head)).fetchone() is not None
        return is_shed or chain.upto_seq == 0
    try:
        verify((chain.source, chain.name, chain.upto_seq, *found))
    except RecordError:
        return False
    return bool(found[0] == chain.head)


def missing(db: sqlite3.Connection, chain: Chain) -> int:
    """How many records are gone of those that receipts for `chain` cover."""
    (held,) = db.execute(
        "SELECT (SELECT count(*) FROM event WHERE chain_id = ?1 AND seq <= ?2) "
        "+ (SELECT count(*) FROM shed WHERE chain_id = ?1 AND seq <= ?2 AND NOT EXISTS "
        "(SELECT 1 FROM event WHERE event.chain_id = ?1 AND event.seq = shed.seq))",
        (chain.row_id, chain.upto_seq),
    ).fetchone()
    return chain.upto_seq - int(held)
