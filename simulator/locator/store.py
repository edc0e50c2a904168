"""The locator's durable store: verify, dedupe, keep, and sign receipts for what is on disk.

A record counts only if the key registered for its node signed it and it says the same about its
origin as the topic did. Raw envelopes are kept, so that anyone can verify them again. Where the
chains stand is `ledger`; what the records mean is for the rest of the locator.
"""

import logging
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.adapters.outbox import open_database
from agent.core.chain import Head, check_link, cross, shed_by
from agent.core.changes import KeyChange
from agent.core.envelope import Opened, SignsBytes, open_envelope, seal
from agent.core.records import (
    GENESIS_PREV,
    PAYLOAD_TYPE,
    RECEIPT_TYPE,
    Body,
    kind_of,
    parse,
)
from agent.core.succession import KeyLine
from agent.core.units import parse_rfc3339_ns
from agent.errors import ForgedRecord, MalformedRecord, RecordError, StoreError
from simulator.locator.ledger import ANY_PREV, Chain, Entry
from simulator.locator.schema import STEPS

_NAME = "([A-Za-z0-9-]{1,32})"
_EVENT_TOPIC = re.compile(rf"earshot/v1/{_NAME}/{_NAME}/{_NAME}/event/([a-z]+)")

_Row = tuple[str, str, int, str, bytes]

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
        self._registry = registry
        self._signer = signer
        self._batch: list[tuple[Chain, Entry]] = []
        self._asked_again: dict[int, Chain] = {}
        self._due: dict[int, Chain] = {}
        self._db = open_database(path, STEPS)
        self._load()

    def admit(self, topic: str, raw: bytes) -> Admitted | Duplicate:
        """Verify one message and take it into the open batch.

        Raises MalformedRecord or ForgedRecord for what must not be kept; the batch is unharmed.
        """
        match = _EVENT_TOPIC.fullmatch(topic)
        if not match:
            raise MalformedRecord(f"{topic!r} is no topic of an event")
        *place, kind = match.groups()
        body, opened = self._verify(":".join(["urn:earshot", *place]), raw)
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
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
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
        for row in self._rows():
            try:
                yield self._verify_row(row)
            except RecordError as error:
                log.warning("a record held is left out: %s", error)

    def chain_faults(self) -> list[str]:
        """One sentence for each signature, link or gap that is wrong in what is held."""
        faults: list[str] = []
        heads: dict[tuple[str, str], Head] = {}
        shed = self._shed()
        for row in self._rows():
            source, name, seq, digest, _ = row
            before = cross(heads.get((source, name), Head(name)), seq, shed.get((source, name), {}))
            heads[source, name] = Head(name, seq, digest)
            try:
                body = self._verify_row(row)
                if seq == before.seq + 1:
                    check_link(body, before)
                else:
                    faults.append(f"{source}: chain {name} lacks {before.seq + 1} to {seq - 1}")
            except RecordError as error:
                faults.append(f"{source}: {error}")
        return faults

    def close(self) -> None:
        """Free the file; what was not committed is lost."""
        self._db.close()

    def _verify_row(self, row: _Row) -> Body:
        source, name, seq, digest, raw = row
        body, opened = self._verify(source, raw)
        if (body.chain, body.seq, opened.digest) != (name, seq, digest):
            raise ForgedRecord(f"record {name}/{seq} was altered in the store")
        return body

    def _verify(self, source: str, raw: bytes) -> tuple[Body, Opened]:
        line = self._lines.get(source)
        if line is None:
            raise ForgedRecord(f"{source} is not registered")
        opened = open_envelope(raw, line.keys)
        if opened.payload_type != PAYLOAD_TYPE:
            raise MalformedRecord(f"{opened.payload_type} is no record")
        body = parse(opened.payload, Body)
        claims = (body.source, body.keyid, body.id, body.type)
        kind, name = kind_of(body.data), f"{body.chain}/{body.seq}"
        truth = (source, opened.keyid, name, f"earshot.{kind}.v1")
        if claims != truth:
            raise ForgedRecord(f"record {body.id} of {source} claims {claims}, but is {truth}")
        try:
            _ = body.time is msgspec.UNSET or parse_rfc3339_ns(body.time)
        except ValueError as error:
            raise MalformedRecord(f"record {body.id} of {source}: {error}") from None
        line.check(body)
        return body, opened

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
        ).rowcount
        if not inserted:
            self._asked_again[chain.row_id] = chain
            chain.asked.add(body.seq)
            return Duplicate(body)
        self._db.executemany(
            "INSERT INTO shed VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [(chain.row_id, one.seq, one.digest) for one in shed],
        )
        self._batch += [(chain, one) for one in (entry, *shed)]
        self._lines[body.source].follow(body)
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
        chain = Chain(row_id, body.source, body.chain)
        self._chains[body.source, body.chain] = chain
        return chain

    def _load(self) -> None:
        """Read where the chains stand; forget the open batch."""
        self._batch, self._asked_again, self._due = [], {}, {}
        try:
            self._load_keys()
            rows = self._db.execute("SELECT id, source, chain, upto_seq, head FROM chain")
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

    def _load_keys(self) -> None:
        """Follow each node's keys from the registered one on."""
        self._lines = {source: KeyLine(key) for source, key in self._registry.items()}
        handovers = self._db.execute(
            "SELECT source, envelope FROM handover JOIN event USING (chain_id, seq) "
            "JOIN chain ON chain_id = id ORDER BY handover.rowid"
        )
        for source, raw in handovers:
            with suppress(RecordError):  # of another registry: the node was enrolled again
                self._lines[source].follow(self._verify(source, raw)[0])
        for source, chain, keyid in self._db.execute("SELECT source, chain, began_with FROM chain"):
            if source in self._lines and keyid in self._lines[source].keys:
                self._lines[source].begin(chain, keyid)

    def _shed(self) -> dict[tuple[str, str], dict[int, str]]:
        """Digests by seq of what each chain crosses without holding it."""
        found: dict[tuple[str, str], dict[int, str]] = {}
        query = "SELECT source, chain, seq, digest FROM shed JOIN chain ON chain_id = id"
        for source, name, seq, digest in self._select(query):
            found.setdefault((source, name), {})[seq] = digest
        return found

    def _rows(self, source: str | None = None) -> Iterator[_Row]:
        yield from self._select(
            "SELECT source, chain, seq, event.digest, envelope FROM event "
            "JOIN chain ON chain_id = id WHERE ?1 IS NULL OR source = ?1 "
            "ORDER BY source, chain, seq",
            source,
        )

    def _select(self, query: str, *values: str | None) -> Iterator[Any]:
        try:
            yield from self._db.execute(query, values)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error
