"""Numbering and linking: every record names its place and the digest of the one before.

Tampering breaks the digest, loss breaks the sequence. Over records that were shed a chain is
crossed by the digests that a `Shed` record holds of them. This module links and checks; storing
both in one transaction is the outbox's duty.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec
from msgspec.structs import replace

from agent.core.records import envelope
from agent.core.records.foreign import Foreign
from agent.core.records.kinds import (
    GENESIS_PREV,
    PAYLOAD_TYPE,
    Body,
    Draft,
    Identity,
    compose,
    kind_of,
    parse,
)
from agent.core.records.store_records import Shed
from agent.core.units import parse_rfc3339_ns
from agent.errors import ForgedRecord, MalformedRecord

RecordKey = tuple[str, int]  # chain and seq: numbers begin anew with each chain


@dataclass(frozen=True, slots=True)
class Head:
    """The last link: `seq` 0 and GENESIS_PREV for a chain with no record yet."""

    chain: str
    seq: int = 0
    digest: str = GENESIS_PREV

    @property
    def key(self) -> RecordKey:
        """What names the record among all of its node."""
        return self.chain, self.seq


@dataclass(frozen=True, slots=True)
class Sealed:
    """A signed record, its place in the chain and its place in the queue."""

    head: Head
    kind: str
    priority: int
    envelope: bytes


class Succession(Protocol):
    """Where a new key may take over."""

    def turn_to(self, keyid: str) -> envelope.SignsBytes | None:
        """The key of that id, from now on the only one; None if there is no such key."""


class Sealer:
    """One identity's voice: what it says is signed by the key in force, which may change."""

    def __init__(
        self, identity: Identity, signer: envelope.SignsBytes, succession: Succession | None = None
    ) -> None:
        self._voice = identity, signer
        self._succession = succession

    @property
    def identity(self) -> Identity:
        """Who speaks, with the key that signs now."""
        return self._voice[0]

    def seal(self, draft: Draft, head: Head) -> Sealed:
        """The record after `head`. Nothing is remembered here: the caller stores the result."""
        identity, signer = self._voice
        seq = head.seq + 1
        body = compose(identity, draft, head.chain, seq, head.digest)
        new_head = Head(head.chain, seq, envelope.digest(PAYLOAD_TYPE, body))
        raw = envelope.seal(PAYLOAD_TYPE, body, signer)
        return Sealed(new_head, kind_of(draft.data), draft.priority, raw)

    def seal_message(self, payload_type: str, payload: bytes) -> bytes:
        """Something said outside the chain. Raises MalformedRecord if oversized."""
        return envelope.seal(payload_type, payload, self._voice[1])

    def turn_to(self, keyid: str) -> bool:
        """Sign with the key of that id from now on; False if it is not there."""
        identity, _ = self._voice
        if keyid == identity.keyid:
            return True
        signer = self._succession.turn_to(keyid) if self._succession else None
        if signer is not None:
            self._voice = replace(identity, keyid=keyid), signer
        return signer is not None


def draft_of(raw: bytes) -> Draft:
    """What one of our own envelopes says, to be said again elsewhere. Verifies nothing.

    Raises MalformedRecord, or ValueError and KeyError for bytes that are no envelope at all.
    """
    body = parse(base64.b64decode(msgspec.json.decode(raw)["payload"]), Body)
    if isinstance(body.data, Foreign):
        raise MalformedRecord(f"record {body.id} is of a kind that this version does not know")
    utc_ns = None if body.time is msgspec.UNSET else parse_rfc3339_ns(body.time)
    return Draft(data=body.data, clock=body.clock, host_ns=int(body.host_ns), utc_ns=utc_ns)


def digest_of(raw: bytes) -> str:
    """What an envelope of a record is linked by. Verifies nothing.

    Raises ValueError and KeyError for bytes that are no envelope at all.
    """
    return envelope.digest(PAYLOAD_TYPE, base64.b64decode(msgspec.json.decode(raw)["payload"]))


def shed_by(body: Body) -> dict[int, str]:
    """Digests by seq of the records before `body`, of the same chain, that it says were shed."""
    if not isinstance(body.data, Shed):
        return {}
    return {link.seq: link.digest for link in body.data.links if link.seq < body.seq}


def cross(before: Head, seq: int, shed: Mapping[int, str]) -> Head:
    """The head that record `seq` must follow: `before`, moved on over what was shed in between.

    Where something else is missing the result stays in front of it, and `check_link` will tell.
    """
    while before.seq + 1 < seq and (digest := shed.get(before.seq + 1)):
        before = Head(before.chain, before.seq + 1, digest)
    return before


def check_link(body: Body, before: Head) -> None:
    """Check that `body` follows `before`. Raises ForgedRecord with the broken promise."""
    if body.chain != before.chain:
        raise ForgedRecord(f"record {body.id} is not of chain {before.chain}")
    if body.seq != before.seq + 1:
        raise ForgedRecord(f"record {body.id} does not follow seq {before.seq}")
    if body.prev != before.digest:
        raise ForgedRecord(f"record {body.id} does not hold the digest of the one before")
