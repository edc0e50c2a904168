"""Whose word counts as a node's: its registered key, and the keys that followed it.

A key is followed only by the node's own record that names its heir. Such records are public;
what was heard of them is kept in a file of JSON Lines, and verified each time it is read.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.core.records.envelope import Opened, open_envelope, peek
from agent.core.records.kinds import PAYLOAD_TYPE, parse
from agent.core.records.reading import read_body
from agent.core.records.remote_records import KeyChange
from agent.core.records.succession import KeyLine
from agent.errors import ForgedRecord, MalformedRecord, RecordError, StoreError


class _Glance(msgspec.Struct):
    """What a record says of itself, before anything is verified."""

    source: str
    type: str


class Voice:
    """The keys of the node `source`, from the registered one on; only the latest counts."""

    def __init__(self, source: str, registered: Ed25519PublicKey) -> None:
        self._source, self._line = source, KeyLine(registered)

    @property
    def keyid(self) -> str:
        """Of the latest key."""
        return list(self._line.keys)[-1]

    def open(self, raw: bytes) -> Opened:
        """What the node said, signed by its latest key. Raises RecordError."""
        return open_envelope(raw, {self.keyid: self._line.keys[self.keyid]})

    def follow(self, raw: bytes) -> bool:
        """Take in a record that names an heir; False if it makes none. Raises RecordError."""
        opened = open_envelope(raw, self._line.keys)
        if opened.payload_type != PAYLOAD_TYPE:
            raise MalformedRecord(f"{opened.payload_type} is no record")
        body = read_body(opened.payload)
        if (body.source, body.keyid) != (self._source, opened.keyid):
            raise ForgedRecord(f"record {body.id} is not of {self._source}")
        if not isinstance(body.data, KeyChange) or body.data.keyid in self._line.keys:
            return False
        self._line.check(body)
        self._line.follow(body)
        return True

    def follow_all(self, lines: Iterable[bytes]) -> None:
        """Take in what belongs here of an export, in whatever order its chains stand."""
        waiting = [raw for line in lines if (raw := line.strip()) and self._is_change(raw)]
        followed = True
        while followed:
            followed = False
            for raw in waiting:
                with suppress(RecordError):  # of a key that is not known, or not known yet
                    followed = self.follow(raw) or followed

    def _is_change(self, raw: bytes) -> bool:
        try:
            payload_type, payload = peek(raw)
            glance = parse(payload, _Glance) if payload_type == PAYLOAD_TYPE else None
        except RecordError:
            return False
        return glance == _Glance(self._source, "earshot.key.v1")


def lines_of(path: Path) -> list[bytes]:
    """What was kept in `path`, line by line; nothing if there is no such file. StoreError."""
    try:
        return path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from None


def keep(path: Path, records: Iterable[bytes]) -> None:
    """Add records to `path`, on disk on return. Raises StoreError."""
    try:
        with path.open("ab") as file:
            file.writelines(b"\n" + raw + b"\n" for raw in records)  # whatever ends the last line
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from None
