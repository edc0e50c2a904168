"""What the rows of the outbox mean, as plain functions over a connection with an open transaction.

Locks, commits and room on the disk are `store`'s. All raise sqlite3.Error.
"""

import sqlite3
from collections.abc import Callable

from agent.adapters.outbox import settled
from agent.adapters.outbox.schema import PRIORITIES, place, priority_and_seq
from agent.core.records.chain import Head, RecordKey, Sealed
from agent.core.records.kinds import GENESIS_PREV, Identity, Receipt
from agent.core.records.store_records import Link
from agent.errors import ForgedRecord

_AT = "SELECT id FROM record"
Row = tuple[int, str]  # id and digest of a record


def take_over(
    db: sqlite3.Connection, identity: Identity, new_chain: Callable[[], str]
) -> tuple[str, str, int] | None:
    """Source and key of the owner so far, and whether its run is unended; None in a new store.

    The store is then marked as running; a new one is begun for `identity`.
    """
    owner: tuple[str, str, int] | None = db.execute(
        "SELECT source, keyid, running FROM node"
    ).fetchone()
    if owner is None:
        db.execute(
            "INSERT INTO node VALUES (?, ?, 1, ?, 0, ?, 0, ?, NULL)",
            (identity.source, identity.keyid, new_chain(), GENESIS_PREV, GENESIS_PREV),
        )
    db.execute("UPDATE node SET running = 1")
    return owner


def is_nobodys(db: sqlite3.Connection) -> bool:
    """True where there are records, but not whose they are."""
    query = "SELECT 1 FROM record WHERE NOT EXISTS (SELECT 1 FROM node) LIMIT 1"
    return db.execute(query).fetchone() is not None


def head(db: sqlite3.Connection) -> Head:
    """The last link that was stored."""
    return Head(*db.execute("SELECT chain, seq, digest FROM node").fetchone())


def is_tail_whole(db: sqlite3.Connection) -> bool:
    """True if the head is the last record held, or the last that was receipted."""
    return _digest_of(db, head(db).seq) == head(db).digest


def waiting(db: sqlite3.Connection) -> int:
    """How many records wait for a receipt."""
    return int(db.execute("SELECT count(*) FROM record").fetchone()[0])


def add(db: sqlite3.Connection, sealed: Sealed) -> None:
    """Put a record at the end of its priority, and make it the head."""
    seq, digest = sealed.head.seq, sealed.head.digest
    db.execute("UPDATE node SET seq = ?, digest = ?", (seq, digest))
    db.execute(
        "INSERT INTO record VALUES (?, ?, ?, ?)",
        (place(sealed.priority, seq), digest, sealed.kind, sealed.envelope),
    )


def hand_over(db: sqlite3.Connection, keyid: str) -> None:
    """The store is of another key from now on."""
    db.execute("UPDATE node SET keyid = ?", (keyid,))


def first(
    db: sqlite3.Connection,
    limit: int,
    skip: frozenset[RecordKey],
    young_above: int | None,
    key_changes: tuple[int, ...],
) -> list[Sealed]:
    """Up to `limit` records without those in `skip`, in the order of the port `Outbox`.

    `key_changes` are the numbers of those that may wait: they go before what the new key signed.
    """
    if why_rolled_back(db):
        return []
    chain, reach = head(db).chain, limit + len(skip)
    changes = [place(0, seq) for seq in key_changes]
    ids = [one for one in changes if db.execute(f"{_AT} WHERE id = ?", (one,)).fetchone()]
    if young_above is not None:
        newest_first = f"{_AT} WHERE id > ? AND id < ? ORDER BY id DESC LIMIT ?"
        young = db.execute(newest_first, (place(0, young_above), place(1, 0), reach))
        ids += [one for (one,) in young]
    ids += [one for (one,) in db.execute(f"{_AT} ORDER BY id LIMIT ?", (reach,))]
    found: dict[int, Sealed] = {}
    for row_id in ids:
        priority, seq = priority_and_seq(row_id)
        if len(found) == limit:
            break
        if row_id not in found and (chain, seq) not in skip:
            query = "SELECT digest, kind, envelope FROM record WHERE id = ?"
            digest, kind, raw = db.execute(query, (row_id,)).fetchone()
            found[row_id] = Sealed(Head(chain, seq, digest), kind, priority, raw)
    return list(found.values())


def key_changes(db: sqlite3.Connection) -> tuple[int, ...]:
    """The numbers of the key changes that wait."""
    query = f"{_AT} WHERE id < ? AND kind = 'key' ORDER BY id"
    return tuple(priority_and_seq(row_id)[1] for (row_id,) in db.execute(query, (place(1, 0),)))


def contradiction(db: sqlite3.Connection, receipt: Receipt) -> str:
    """What `receipt` knows of our chain and this store does not; empty if they agree.

    Raises ForgedRecord for a receipt that is not ours at all.
    """
    source, chain, seq, receipted_seq = db.execute(
        "SELECT source, chain, seq, receipted_seq FROM node"
    ).fetchone()
    if (receipt.source, receipt.chain) != (source, chain):
        raise ForgedRecord(f"receipt is for chain {receipt.chain} of {receipt.source}")
    if receipt.upto_seq == 0 and receipt.head != GENESIS_PREV:
        raise ForgedRecord("receipt for nothing holds a digest of something")
    last = max([receipt.upto_seq, *(last for _, last in receipt.extra)])
    if last > seq:
        return f"receipt covers seq {last}, but this store ends at {seq}"
    is_within = settled.whole_until(db, receipt.upto_seq) > receipt.upto_seq  # digest forgotten
    if receipt.upto_seq < receipted_seq or is_within:
        return ""
    if _digest_of(db, receipt.upto_seq) != receipt.head:
        return f"receipt holds another digest for seq {receipt.upto_seq}"
    return ""


def forget_some(db: sqlite3.Connection, receipt: Receipt, limit: int) -> tuple[int, bool]:
    """Forget up to `limit` records that `receipt` covers; how many, and whether to call again."""
    (since,) = db.execute("SELECT receipted_seq FROM node").fetchone()
    if (last := _step(db, since, limit, receipt.upto_seq)) > since:
        return _forget_upto(db, since, last), last < receipt.upto_seq or bool(receipt.extra)
    for seqs in receipt.extra:
        if found := _covered(db, seqs, limit):
            return len(settle(db, found)), True
    return 0, False


def settle(db: sqlite3.Connection, rows: list[Row]) -> tuple[Link, ...]:
    """Keep no more than the digests of these records: first delete, for there may be no room."""
    links = [Link(seq=priority_and_seq(row_id)[1], digest=digest) for row_id, digest in rows]
    db.executemany("DELETE FROM record WHERE id = ?", [(row_id,) for row_id, _ in rows])
    settled.settle(db, links)
    return tuple(links)


def bury(db: sqlite3.Connection, rows: list[Row], reason: str, *, is_told: bool = False) -> None:
    """Copy these records, with why, to where nothing is sent from; they are not yet taken out."""
    chain = head(db).chain
    for row_id, _ in rows:
        seq = priority_and_seq(row_id)[1]
        db.execute(
            "INSERT OR REPLACE INTO dead SELECT ?, ?, id, digest, kind, envelope, ?, ? "
            "FROM record WHERE id = ?",
            (seq, chain, reason, is_told, row_id),
        )


def at(db: sqlite3.Connection, key: RecordKey) -> list[Row]:
    """The record of that name, if it waits."""
    chain, seq = key
    if chain != head(db).chain:
        return []
    places = [place(priority, seq) for priority in PRIORITIES]
    return db.execute("SELECT id, digest FROM record WHERE id IN (?, ?, ?)", places).fetchall()


def unbridged(db: sqlite3.Connection, limit: int) -> tuple[Link, ...]:
    """Up to `limit` buried records of our chain that no `Shed` record tells of yet."""
    query = (
        "SELECT seq, digest FROM dead WHERE is_told = 0 AND chain = (SELECT chain FROM node) "
        "ORDER BY seq LIMIT ?"
    )
    found = db.execute(query, (limit,))
    return tuple(Link(seq=seq, digest=digest) for seq, digest in found)


def mark_bridged(db: sqlite3.Connection, links: tuple[Link, ...]) -> None:
    """A `Shed` record tells of these."""
    chain = head(db).chain
    marks = [(chain, link.seq) for link in links]
    db.executemany("UPDATE dead SET is_told = 1 WHERE chain = ? AND seq = ?", marks)


def mark_rolled_back(db: sqlite3.Connection, reason: str) -> None:
    """The chain must be left, and nothing more be delivered of it."""
    db.execute("UPDATE node SET rolled_back = ?", (reason,))


def why_rolled_back(db: sqlite3.Connection) -> str | None:
    """The reason given to `mark_rolled_back` since the chain began."""
    reason: str | None = db.execute("SELECT rolled_back FROM node").fetchone()[0]
    return reason


def damage(db: sqlite3.Connection) -> tuple[str, str] | None:
    """What was wrong with the store before this one, and its name now; None once that is told."""
    row: tuple[str, str] | None = db.execute("SELECT reason, set_aside FROM damage").fetchone()
    return row


def held(db: sqlite3.Connection) -> list[tuple[Row, bytes]]:
    """All records that wait, with their envelopes, by seq."""
    found = db.execute("SELECT id, digest, envelope FROM record").fetchall()
    found.sort(key=lambda row: priority_and_seq(row[0])[1])
    return [((row_id, digest), raw) for row_id, digest, raw in found]


def empty_into(db: sqlite3.Connection, new_chain: str) -> None:
    """Begin `new_chain` with nothing in it."""
    db.execute("DELETE FROM record")
    db.execute("DELETE FROM settled")
    db.execute(
        "UPDATE node SET chain = ?, seq = 0, digest = ?, receipted_seq = 0, receipted_digest = ?, "
        "rolled_back = NULL",
        (new_chain, GENESIS_PREV, GENESIS_PREV),
    )


def _digest_of(db: sqlite3.Connection, seq: int) -> str | None:
    """The digest of a record at or above the last contiguous receipt."""
    receipted: tuple[int, str] = db.execute(
        "SELECT receipted_seq, receipted_digest FROM node"
    ).fetchone()
    if seq == receipted[0]:
        return receipted[1]
    places = [place(priority, seq) for priority in PRIORITIES]
    query = "SELECT digest FROM record WHERE id IN (?, ?, ?)"
    if row := db.execute(query, places).fetchone():
        return str(row[0])
    return settled.digest_at(db, seq)


def _step(db: sqlite3.Connection, since: int, limit: int, upto: int) -> int:
    """How far to go from `since` towards `upto` at once: to a number whose digest is known."""
    last = min(since + limit, upto)
    end = settled.whole_until(db, last)
    return end if end <= upto else settled.begins_at(db, last) - 1


def _forget_upto(db: sqlite3.Connection, since: int, last: int) -> int:
    """Forget the contiguous records after `since`; how many of them had waited."""
    digest = _digest_of(db, last)
    freed = sum(
        db.execute(
            "DELETE FROM record WHERE id BETWEEN ? AND ?",
            (place(priority, since), place(priority, last)),
        ).rowcount
        for priority in PRIORITIES
    )
    settled.forget_upto(db, last)
    db.execute("UPDATE node SET receipted_seq = ?, receipted_digest = ?", (last, digest))
    return freed


def _covered(db: sqlite3.Connection, seqs: tuple[int, int], limit: int) -> list[Row]:
    """Up to `limit` records with a seq in the closed range `seqs`."""
    found: list[Row] = []
    for priority in PRIORITIES:
        query = "SELECT id, digest FROM record WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
        bounds = (place(priority, seqs[0]), place(priority, seqs[1]))
        found += db.execute(query, (*bounds, limit - len(found))).fetchall()
    return found
