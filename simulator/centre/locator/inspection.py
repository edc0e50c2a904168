"""What a look at the store's rows can tell: a quick one at the start, a thorough one on demand.

The quick one looks where a mistake would do harm, at the record that each receipt rests on, and
counts the others: a file that was cut off, or a number that was changed, shows there. Every
signature and link is `chain_faults`' matter. Nothing is mended here.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from agent.core.records import Body, envelope
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
        except Exception as error:
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


def heads(db: sqlite3.Connection) -> dict[int, tuple[str, bytes | None]]:
    """Digest and envelope, if it is held, of the record that receipts rest on, by chain."""
    query = (
        "SELECT chain.id, coalesce(event.digest, shed.digest), envelope FROM chain "
        "LEFT JOIN event ON event.chain_id = chain.id AND event.seq = upto_seq "
        "LEFT JOIN shed ON shed.chain_id = chain.id AND shed.seq = upto_seq WHERE upto_seq > 0"
    )
    return {row_id: (digest, raw) for row_id, digest, raw in db.execute(query)}


def is_head_held(chain: Chain, held: tuple[str | None, bytes | None] | None) -> bool:
    """True if what `heads` found for `chain` is there, and is what was receipted.

    By its digest alone: thousands of signatures would take longer than a start may.
    """
    if chain.upto_seq == 0:
        return True
    if held is None or held[0] != chain.head:
        return False
    if held[1] is None:
        return True
    try:
        return envelope.digest(*envelope.peek(held[1])) == chain.head
    except RecordError:
        return False


def missing(db: sqlite3.Connection) -> dict[int, int]:
    """How many records are gone of those that receipts cover, by chain, where any are."""
    query = (
        "SELECT id, upto_seq - (SELECT count(*) FROM event WHERE chain_id = id "
        "AND seq <= upto_seq) - (SELECT count(*) FROM shed WHERE chain_id = id "
        "AND seq <= upto_seq AND NOT EXISTS (SELECT 1 FROM event "
        "WHERE event.chain_id = shed.chain_id AND event.seq = shed.seq)) FROM chain"
    )
    return {row_id: gone for row_id, gone in db.execute(query) if gone}
