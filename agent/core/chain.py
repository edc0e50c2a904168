"""Numbering and linking: every record names its place and the digest of the one before.

Tampering breaks the digest, loss breaks the sequence. This module links and checks; storing
both in one transaction is the outbox's duty.
"""

from dataclasses import dataclass

from agent.core import envelope
from agent.core.records import GENESIS_PREV, PAYLOAD_TYPE, Body, Draft, Identity, compose
from agent.errors import ForgedRecord


@dataclass(frozen=True, slots=True)
class Head:
    """The last link: `seq` 0 and GENESIS_PREV for a chain with no record yet."""

    chain: str
    seq: int = 0
    digest: str = GENESIS_PREV


@dataclass(frozen=True, slots=True)
class Sealed:
    """A signed record, its place in the chain and its place in the queue."""

    head: Head
    kind: str
    priority: int
    envelope: bytes


class Sealer:
    """Turns drafts into signed links for one identity."""

    def __init__(self, identity: Identity, signer: envelope.SignsBytes) -> None:
        self.identity = identity
        self._signer = signer

    def seal(self, draft: Draft, head: Head) -> Sealed:
        """The record after `head`. Nothing is remembered here: the caller stores the result."""
        seq = head.seq + 1
        body = compose(self.identity, draft, head.chain, seq, head.digest)
        new_head = Head(head.chain, seq, envelope.digest(PAYLOAD_TYPE, body))
        raw = envelope.seal(PAYLOAD_TYPE, body, self._signer)
        tag = draft.data.__struct_config__.tag
        return Sealed(new_head, str(tag), draft.priority, raw)


def check_link(body: Body, before: Head) -> None:
    """Check that `body` follows `before`. Raises ForgedRecord with the broken promise."""
    if body.chain != before.chain:
        raise ForgedRecord(f"record {body.id} is not of chain {before.chain}")
    if body.seq != before.seq + 1:
        raise ForgedRecord(f"record {body.id} does not follow seq {before.seq}")
    if body.prev != before.digest:
        raise ForgedRecord(f"record {body.id} does not hold the digest of the one before")
