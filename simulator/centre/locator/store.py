"""The locator's durable store: verify, dedupe, keep, and sign receipts for what is on disk.

A record counts only if the key registered for its node signed it and it says the same about its
origin as the topic did. Raw envelopes are kept, so that anyone can verify them again; a start
verifies only what receipts rest on. Where the chains stand is `ledger`, what is where in time
`past`; what the records mean is for the rest of the locator.
"""

import logging
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.adapters.outbox import open_database
from agent.core.records import Body
from agent.core.records.chain import shed_by
from agent.core.records.envelope import Opened, SignsBytes, seal
from agent.core.records.kinds import GENESIS_PREV, RECEIPT_TYPE, kind_of
from agent.core.records.remote_records import KeyChange
from agent.errors import ForgedRecord, MalformedRecord, StoreError
from simulator.centre.locator import inspection
from simulator.centre.locator.ledger import ANY_PREV, Chain, Entry
from simulator.centre.locator.past import CellPast, Index, place_of
from simulator.centre.locator.schema import STEPS
from simulator.centre.locator.trust import Row, Trust

_NAME = "([A-Za-z0-9-]{1,32})"
_EVENT_TOPIC = re.compile(rf"earshot/v1/{_NAME}/{_NAME}/{_NAME}/event/([a-z]+)")

_ROWS = (
    "SELECT source, chain, seq, event.digest, envelope FROM event "
    "JOIN chain ON chain_id = id WHERE "
)

log = logging.getLogger("earshot.locator")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A record that is new; durable after the next `commit`."""

    body: Body


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A record that is already held, byte for byte in what was signed."""

    body: Body


class EventStore:
    """Every record of every node in `registry`, durable, once. One process owns the file.

    `registry` maps a node's source (`urn:earshot:SITE:CELL:NODE`) to its public key; `signer` is
    the locator's own key. Raises StoreError.
    """

    def __init__(
        self, path: Path, registry: Mapping[str, Ed25519PublicKey], signer: SignsBytes
    ) -> None:
        self._path = path
        self._trust = Trust(registry)
        self._signer = signer
        self._batch: list[tuple[Chain, Entry]] = []
        self._asked_again: dict[int, Chain] = {}
        self._due: dict[int, Chain] = {}
        self._db = open_database(path, STEPS)
        try:
            self._index = Index(self._db)
            self._load()
            self._inspect()
        except sqlite3.Error as error:
            self._db.close()
            raise StoreError(f"{path}: cannot be read: {error}") from error
        except StoreError:
            self._db.close()
            raise

    def admit(self, topic: str, raw: bytes) -> Admitted | Duplicate:
        """Verify one message and take it into the open batch.

        Raises MalformedRecord or ForgedRecord for what must not be kept; the batch is unharmed.
        """
        match = _EVENT_TOPIC.fullmatch(topic)
        if not match:
            raise MalformedRecord(f"{topic!r} is no topic of an event")
        *place, kind = match.groups()
        body, opened = self._trust.verify(":".join(["urn:earshot", *place]), raw)
        if kind != kind_of(body.data):
            raise ForgedRecord(f"record {body.id} of kind {kind_of(body.data)} came as {kind}")
        try:
            return self._insert(body, opened, raw)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error

    def commit(self) -> None:
        """Make every admitted record durable. Raises StoreError; nothing then counts as held."""
        touched = {id(chain): chain for chain, _ in self._batch}.values()
        try:
            for chain, entry in self._batch:
                chain.extend(entry)
                chain.asked.add(entry.seq)
            self._db.executemany(
                "UPDATE chain SET upto_seq = ?, head = ? WHERE id = ?",
                [(chain.upto_seq, chain.head, chain.row_id) for chain in touched],
            )
            if self._db.in_transaction:
                self._index.write()
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._index.load()
            self._load()
            raise StoreError(f"{self._path}: {error}") from error
        self._due.update({chain.row_id: chain for chain in touched} | self._asked_again)
        self._batch, self._asked_again = [], {}

    def receipts(self, received_at: str) -> list[tuple[str, bytes]]:
        """Topic and signed receipt for every chain that grew, or was sent again, since last time.

        Only committed records are covered. `received_at` is RFC 3339. Publish them retained: a
        node that reconnects then learns at once what need not be sent again.
        """
        due, self._due = self._due, {}
        return [
            (
                "/".join(["earshot/v1", *chain.source.split(":")[2:], "receipt"]),
                seal(RECEIPT_TYPE, msgspec.json.encode(receipt), self._signer),
            )
            for chain in due.values()
            for receipt in chain.receipts(received_at)
        ]

    def envelopes(self, source: str | None = None) -> Iterator[bytes]:
        """Every envelope held (of one node), by source, chain and seq: lines of an export."""
        for _, _, _, _, raw in self._rows(source):
            yield raw

    def bodies(self) -> Iterator[Body]:
        """What every envelope held says, verified again; `chain_faults` tells of the others."""
        yield from self._trust.good(self._rows())

    def chain_faults(self) -> list[str]:
        """One sentence for each signature, link or gap that is wrong in what is held."""
        return inspection.chain_faults(self._rows(), self._shed(), self._trust.verify_row)

    def latest(self, at_least: int | None) -> Iterator[Body]:
        """What was not yet told, and the last `at_least` records or all, in the order of coming.

        Verified again, like `bodies`.
        """
        condition, values = self._index.latest(at_least)
        yield from self._trust.good(self._select(_ROWS + condition, *values))

    def mark_told(self) -> None:
        """What is committed has been located and told: `latest` need not bring it again."""
        self._index.mark_told()

    def past(self, site: str, cell: str) -> CellPast:
        """Where the cell's belief finds again what it has forgotten."""
        return CellPast(self._select, place_of(f"urn:earshot:{site}:{cell}:"), self._read)

    def close(self) -> None:
        """Free the file; what was not committed is lost."""
        self._db.close()

    def _read(self, source: str, name: str, seq: int) -> Body | None:
        condition = "source = ? AND chain = ? AND seq = ?"
        return next(self._trust.good(self._select(_ROWS + condition, source, name, seq)), None)

    def _insert(self, body: Body, opened: Opened, raw: bytes) -> Admitted | Duplicate:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")
        chain = self._chains.get((body.source, body.chain)) or self._new_chain(body)
        shed = [Entry(seq, digest, ANY_PREV) for seq, digest in shed_by(body).items()]
        entry = Entry(body.seq, opened.digest, body.prev)
        for one in (entry, *shed):
            self._refuse_fork(chain, one)
        inserted = self._db.execute(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (chain.row_id, entry.seq, entry.digest, raw, entry.prev),
        )
        if not inserted.rowcount:
            self._asked_again[chain.row_id] = chain
            chain.asked.add(body.seq)
            return Duplicate(body)
        self._db.executemany(
            "INSERT INTO shed VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [(chain.row_id, one.seq, one.digest) for one in shed],
        )
        self._index.note(inserted.lastrowid, chain.row_id, body)
        self._batch += [(chain, one) for one in (entry, *shed)]
        self._trust.follow(body)
        if isinstance(body.data, KeyChange):
            self._db.execute("INSERT INTO handover VALUES (?, ?)", (chain.row_id, body.seq))
        return Admitted(body)

    def _refuse_fork(self, chain: Chain, entry: Entry) -> None:
        """A number has one digest for ever, whether its record is held or was shed."""
        held = self._db.execute(
            "SELECT digest FROM event WHERE chain_id = ?1 AND seq = ?2 "
            "UNION SELECT digest FROM shed WHERE chain_id = ?1 AND seq = ?2",
            (chain.row_id, entry.seq),
        ).fetchall()
        if any(digest != entry.digest for (digest,) in held):
            self._asked_again[chain.row_id] = chain  # the receipt tells the node how we differ
            told = f"{chain.name}/{entry.seq}"
            raise ForgedRecord(f"fork: {chain.source} signed two different records {told}")

    def _new_chain(self, body: Body) -> Chain:
        row_id = self._db.execute(
            "INSERT INTO chain (source, chain, upto_seq, head, began_with) VALUES (?, ?, 0, ?, ?)",
            (body.source, body.chain, GENESIS_PREV, body.keyid),
        ).lastrowid
        assert row_id is not None  # noqa: S101 - an INSERT that did not raise has one
        chain = Chain(row_id, body.source, body.chain, began_with=body.keyid)
        self._chains[body.source, body.chain] = chain
        return chain

    def _load(self) -> None:
        """Read where the chains stand; forget the open batch."""
        self._batch, self._asked_again, self._due = [], {}, {}
        try:
            self._trust.load(self._db)
            query = "SELECT id, source, chain, upto_seq, head, began_with FROM chain"
            rows = self._db.execute(query)
            chains = {row[0]: Chain(*row) for row in rows}
            above = self._db.execute(
                "SELECT chain_id, seq, event.digest, prev FROM event JOIN chain ON chain_id = id "
                "WHERE seq > upto_seq "
                "UNION ALL SELECT chain_id, seq, shed.digest, ? FROM shed "
                "JOIN chain ON chain_id = id WHERE seq > upto_seq",
                (ANY_PREV,),
            )
            for row_id, *entry in above:
                chains[row_id].extend(Entry(*entry))
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error
        self._chains = {(chain.source, chain.name): chain for chain in chains.values()}

    def _inspect(self) -> None:
        """Look whether the file is what it was, where receipts rest on it; index an old one."""
        if inspection.is_cut_off(self._db, self._path):
            raise StoreError(f"{self._path}: was cut off: move it away and keep it as evidence")
        if self._index.is_missing:
            self._db.execute("BEGIN IMMEDIATE")
            for body in self._trust.good(self._rows()):
                self._index.note(None, self._chains[body.source, body.chain].row_id, body)
            self._index.begin()
            self._index.write()
            self._db.execute("COMMIT")
        for chain in self._chains.values():
            if not self._trust.knows(chain.source, chain.began_with):
                continue
            damage = f"{self._path}: damaged: chain {chain.name} of {chain.source} has lost"
            if not inspection.is_head_held(self._db, chain, self._trust.verify_row):
                log.error("%s its record %d, or it was altered", damage, chain.upto_seq)
                self._count_again(chain)
            elif gone := inspection.missing(self._db, chain):
                log.error("%s %d of %d records", damage, gone, chain.upto_seq)

    def _count_again(self, chain: Chain) -> None:
        """Receipts must not cover what is not there: begin with the first record that is."""
        chain.upto_seq, chain.head, chain.above = 0, GENESIS_PREV, {}
        rows = self._select(_ROWS + "chain_id = ? ORDER BY seq", chain.row_id)
        for body, digest in [(body, row[3]) for row in rows for body in self._trust.good([row])]:
            chain.extend(Entry(body.seq, digest, body.prev))
            for seq, shed in shed_by(body).items():
                chain.extend(Entry(seq, shed, ANY_PREV))

    def _shed(self) -> dict[tuple[str, str], dict[int, str]]:
        """Digests by seq of what each chain crosses without holding it."""
        found: dict[tuple[str, str], dict[int, str]] = {}
        query = "SELECT source, chain, seq, digest FROM shed JOIN chain ON chain_id = id"
        for source, name, seq, digest in self._select(query):
            found.setdefault((source, name), {})[seq] = digest
        return found

    def _rows(self, source: str | None = None) -> Iterator[Row]:
        condition = "?1 IS NULL OR source = ?1 ORDER BY source, chain, seq"
        yield from self._select(_ROWS + condition, source)

    def _select(self, query: str, *values: str | int | None) -> Iterator[Any]:
        try:
            yield from self._db.execute(query, values)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error
