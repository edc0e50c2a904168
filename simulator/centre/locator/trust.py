"""Whom the locator believes: each node's keys, and whether a record is what it claims to be.

Nothing is kept here, and what a record means is for others.
"""

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.core.records import Body
from agent.core.records.envelope import Opened, open_envelope
from agent.core.records.kinds import PAYLOAD_TYPE, STATUS_TYPE, Status, kind_of, parse
from agent.core.records.reading import read_body, type_fits
from agent.core.records.succession import KeyLine
from agent.core.units import parse_rfc3339_ns
from agent.errors import ForgedRecord, MalformedRecord

Row = tuple[str, str, int, str, bytes]  # source, chain, seq, digest, envelope

log = logging.getLogger("earshot.locator")


class Trust:
    """The keys of every node in `registry` (source to first key), and of their heirs."""

    def __init__(self, registry: Mapping[str, Ed25519PublicKey]) -> None:
        self._registry = registry
        self._lines: dict[str, KeyLine] = {}

    def load(self, db: sqlite3.Connection) -> None:
        """Follow each node's keys from the registered one on. Raises sqlite3.Error."""
        self._lines = {source: KeyLine(key) for source, key in self._registry.items()}
        handovers = db.execute(
            "SELECT source, envelope FROM handover JOIN event USING (chain_id, seq) "
            "JOIN chain ON chain_id = id ORDER BY handover.rowid"
        )
        for source, raw in handovers:
            with suppress(Exception):  # of another registry, or spoilt: then its heir is unknown
                self._lines[source].follow(self.verify(source, raw)[0])
        for source, chain, keyid in db.execute("SELECT source, chain, began_with FROM chain"):
            if source in self._lines and keyid in self._lines[source].keys:
                self._lines[source].begin(chain, keyid)

    def follow(self, body: Body) -> None:
        """A record that verified may hand over to another key."""
        self._lines[body.source].follow(body)

    def knows(self, source: str, keyid: str | None) -> bool:
        """False where the node has been enrolled anew: its old chain is for exports only."""
        return source in self._lines and keyid in self._lines[source].keys

    def verify(self, source: str, raw: bytes) -> tuple[Body, Opened]:
        """What `source` said in an envelope. Raises MalformedRecord or ForgedRecord."""
        line = self._lines.get(source)
        if line is None:
            raise ForgedRecord(f"{source} is not registered")
        opened = open_envelope(raw, line.keys)
        if opened.payload_type != PAYLOAD_TYPE:
            raise MalformedRecord(f"{opened.payload_type} is no record")
        body = read_body(opened.payload)
        claims = (body.source, body.keyid, body.id, body.type)
        kind, name = kind_of(body.data), f"{body.chain}/{body.seq}"
        truth = (source, opened.keyid, name, f"earshot.{kind}.v1")
        if claims[:3] != truth[:3] or not type_fits(body, kind):
            raise ForgedRecord(f"record {body.id} of {source} claims {claims}, but is {truth}")
        try:
            _ = body.time is msgspec.UNSET or parse_rfc3339_ns(body.time)
        except ValueError as error:
            raise MalformedRecord(f"record {body.id} of {source}: {error}") from None
        line.check(body)
        return body, opened

    def status(self, source: str, raw: bytes) -> Status:
        """What `source` said of itself in an envelope. Raises MalformedRecord or ForgedRecord."""
        line = self._lines.get(source)
        if line is None:
            raise ForgedRecord(f"{source} is not registered")
        opened = open_envelope(raw, line.keys)
        if opened.payload_type != STATUS_TYPE:
            raise MalformedRecord(f"{opened.payload_type} is no status")
        status = parse(opened.payload, Status)
        if status.source != source:
            raise ForgedRecord(f"a status of {source} claims to be of {status.source}")
        return status

    def verify_row(self, row: Row) -> Body:
        """What a row of the store holds. Raises MalformedRecord or ForgedRecord."""
        source, name, seq, digest, raw = row
        body, opened = self.verify(source, raw)
        if (body.chain, body.seq, opened.digest) != (name, seq, digest):
            raise ForgedRecord(f"record {name}/{seq} was altered in the store")
        return body

    def good(self, rows: Iterable[Row]) -> Iterator[Body]:
        """Of these rows, what verifies; the log tells of the others."""
        left_out, first = 0, ""
        for row in rows:
            try:
                body = self.verify_row(row)
            except Exception as error:
                left_out += 1
                said = f"{type(error).__name__}: {error}"
                log.debug("record %s/%s of %s: %s", row[1], row[2], row[0], said)
                first = first or said
                continue
            yield body
        if left_out:
            log.warning("%d records held are left out; the first: %s", left_out, first)
