"""The locator's durable store: verify, dedupe, keep, and sign receipts for what is on disk.

A record counts only if the key registered for its node signed it and it says the same about its
origin as the topic did. Raw envelopes are kept, so that anyone can verify them again. What the
records mean is for the rest of the locator.
"""

import logging
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.adapters.outbox import open_database
from agent.core.chain import Head, check_link
from agent.core.envelope import Opened, SignsBytes, key_id, open_envelope, seal
from agent.core.records import (
    GENESIS_PREV,
    PAYLOAD_TYPE,
    RECEIPT_TYPE,
    Body,
    Receipt,
    kind_of,
    parse,
)
from agent.core.units import parse_rfc3339_ns
from agent.errors import ForgedRecord, MalformedRecord, RecordError, StoreError

MAX_EXTRA_RANGES = 128

_VERSION = 1
_SCHEMA = """
CREATE TABLE chain (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, chain TEXT NOT NULL,
    upto_seq INTEGER NOT NULL, head TEXT NOT NULL, UNIQUE (source, chain)
) STRICT;
CREATE TABLE event (
    chain_id INTEGER NOT NULL REFERENCES chain (id), seq INTEGER NOT NULL,
    digest TEXT NOT NULL, envelope BLOB NOT NULL, PRIMARY KEY (chain_id, seq)
) STRICT;
"""
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


@dataclass(slots=True)
class _Chain:
    """Where one chain stands on disk: whole up to a seq, and single digests above it."""

    row_id: int
    source: str
    name: str
    upto_seq: int = 0
    head: str = GENESIS_PREV
    above: dict[int, str] = field(default_factory=dict)

    def extend(self, seq: int, digest: str) -> None:
        self.above[seq] = digest
        while (following := self.above.pop(self.upto_seq + 1, None)) is not None:
            self.upto_seq, self.head = self.upto_seq + 1, following

    def receipt(self, received_at: str) -> Receipt:
        return Receipt(
            source=self.source,
            chain=self.name,
            upto_seq=self.upto_seq,
            head=self.head,
            extra=tuple(_ranges(sorted(self.above)))[:MAX_EXTRA_RANGES],
            received_at=received_at,
        )


class EventStore:
    """Every record of every node in `registry`, durable, once. One process owns the file.

    `registry` maps a node's source (`urn:earshot:SITE:CELL:NODE`) to its public key; `signer` is
    the locator's own key. Raises StoreError.
    """

    def __init__(
        self, path: Path, registry: Mapping[str, Ed25519PublicKey], signer: SignsBytes
    ) -> None:
        self._path = path
        self._keys = {source: {key_id(key): key} for source, key in registry.items()}
        self._signer = signer
        self._batch: list[tuple[_Chain, int, str]] = []
        self._asked_again: dict[int, _Chain] = {}
        self._due: dict[int, _Chain] = {}
        self._db = open_database(path, _SCHEMA, _VERSION)
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
        touched = {id(chain): chain for chain, _, _ in self._batch}.values()
        try:
            for chain, seq, digest in self._batch:
                chain.extend(seq, digest)
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
                seal(RECEIPT_TYPE, msgspec.json.encode(chain.receipt(received_at)), self._signer),
            )
            for chain in due.values()
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
        for row in self._rows():
            source, name, seq, digest, _ = row
            before = heads.get((source, name), Head(name))
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
        keys = self._keys.get(source)
        if keys is None:
            raise ForgedRecord(f"{source} is not registered")
        opened = open_envelope(raw, keys)
        if opened.payload_type != PAYLOAD_TYPE:
            raise MalformedRecord(f"{opened.payload_type} is no record")
        body = parse(opened.payload, Body)
        claims = (body.source, body.keyid, body.id, body.type)
        truth = (
            source,
            opened.keyid,
            f"{body.chain}/{body.seq}",
            f"earshot.{kind_of(body.data)}.v1",
        )
        if claims != truth:
            raise ForgedRecord(f"record {body.id} of {source} claims {claims}, but is {truth}")
        try:
            _ = body.time is msgspec.UNSET or parse_rfc3339_ns(body.time)
        except ValueError as error:
            raise MalformedRecord(f"record {body.id} of {source}: {error}") from None
        return body, opened

    def _insert(self, body: Body, opened: Opened, raw: bytes) -> Admitted | Duplicate:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")
        chain = self._chains.get((body.source, body.chain)) or self._new_chain(body)
        inserted = self._db.execute(
            "INSERT INTO event VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (chain.row_id, body.seq, opened.digest, raw),
        ).rowcount
        if inserted:
            self._batch.append((chain, body.seq, opened.digest))
            return Admitted(body)
        query = "SELECT digest FROM event WHERE chain_id = ? AND seq = ?"
        (held,) = self._db.execute(query, (chain.row_id, body.seq)).fetchone()
        if held != opened.digest:
            raise ForgedRecord(f"fork: {body.source} signed two different records {body.id}")
        self._asked_again[chain.row_id] = chain
        return Duplicate(body)

    def _new_chain(self, body: Body) -> _Chain:
        row_id = self._db.execute(
            "INSERT INTO chain (source, chain, upto_seq, head) VALUES (?, ?, 0, ?)",
            (body.source, body.chain, GENESIS_PREV),
        ).lastrowid
        assert row_id is not None  # noqa: S101 - an INSERT that did not raise has one
        chain = _Chain(row_id, body.source, body.chain)
        self._chains[body.source, body.chain] = chain
        return chain

    def _load(self) -> None:
        """Read where the chains stand; forget the open batch."""
        self._batch, self._asked_again, self._due = [], {}, {}
        try:
            rows = self._db.execute("SELECT id, source, chain, upto_seq, head FROM chain")
            chains = {row[0]: _Chain(*row) for row in rows}
            above = self._db.execute(
                "SELECT chain_id, seq, event.digest FROM event JOIN chain ON chain_id = id "
                "WHERE seq > upto_seq"
            )
            for row_id, seq, digest in above:
                chains[row_id].extend(seq, digest)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error
        self._chains = {(chain.source, chain.name): chain for chain in chains.values()}

    def _rows(self, source: str | None = None) -> Iterator[_Row]:
        query = (
            "SELECT source, chain, seq, event.digest, envelope FROM event "
            "JOIN chain ON chain_id = id WHERE ?1 IS NULL OR source = ?1 "
            "ORDER BY source, chain, seq"
        )
        try:
            yield from self._db.execute(query, (source,))
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error


def _ranges(seqs: list[int]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive numbers in ascending `seqs`, as (first, last)."""
    start = 0
    for end in range(1, len(seqs) + 1):
        if end == len(seqs) or seqs[end] != seqs[end - 1] + 1:
            yield seqs[start], seqs[end - 1]
            start = end
