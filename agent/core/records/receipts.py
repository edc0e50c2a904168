"""The locator's word to a node: receipts and refusals, sealed and opened.

A receipt has two forms. One is the envelope that everything else has; the brief one, for nodes
whose status takes it, is a third of that: MARK, 8 octets of key id, 64 of signature, and the
payload as a MessagePack array. The same is signed, the DSSE pre-authentication encoding.
"""

from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.core.records.envelope import (
    MAX_ENVELOPE_BYTES,
    SignsBytes,
    open_envelope,
    pae,
    seal,
)
from agent.core.records.kinds import RECEIPT_TYPE, REFUSAL_TYPE, parse
from agent.core.records.messages import Receipt, Refusal
from agent.errors import ForgedRecord, MalformedRecord

BRIEF_TYPE = "application/vnd.earshot.receipt.v1+msgpack"
MARK = b"\x01"  # no JSON begins so
_KEYID = slice(1, 9)
_SIGNATURE = slice(9, 73)
_PAYLOAD = slice(73, None)


class Brief(msgspec.Struct, frozen=True, array_like=True):
    """A Receipt whose digests are octets; what later versions add comes at the end."""

    source: str
    chain: bytes
    upto_seq: int
    head: bytes
    extra: tuple[tuple[int, int], ...]
    received_at: str
    software: str = ""
    clock: str = ""
    bound_ms: int | None = None


def seal_receipt(receipt: Receipt, signer: SignsBytes, *, is_brief: bool = False) -> bytes:
    """What is published. Raises MalformedRecord if oversized."""
    if not is_brief:
        return seal(RECEIPT_TYPE, msgspec.json.encode(receipt), signer)
    brief = Brief(
        receipt.source,
        bytes.fromhex(receipt.chain),
        receipt.upto_seq,
        bytes.fromhex(receipt.head),
        receipt.extra,
        receipt.received_at,
        receipt.software,
        receipt.clock,
        receipt.bound_ms,
    )
    payload = msgspec.msgpack.encode(brief)
    return MARK + bytes.fromhex(signer.keyid) + signer.sign(pae(BRIEF_TYPE, payload)) + payload


def open_word(raw: bytes, keys: Mapping[str, Ed25519PublicKey]) -> Receipt | Refusal:
    """What a locator of `keys` said. Raises MalformedRecord or ForgedRecord."""
    if raw[:1] == MARK:
        return _open_brief(raw, keys)
    opened = open_envelope(raw, keys)
    if opened.payload_type == REFUSAL_TYPE:
        return parse(opened.payload, Refusal)
    if opened.payload_type != RECEIPT_TYPE:
        raise MalformedRecord(f"{opened.payload_type} is no receipt")
    return parse(opened.payload, Receipt)


def _open_brief(raw: bytes, keys: Mapping[str, Ed25519PublicKey]) -> Receipt:
    """Verify first, parse second, and hold it to the same types as the long form."""
    if len(raw) > MAX_ENVELOPE_BYTES:
        raise MalformedRecord(f"{len(raw)} bytes, over {MAX_ENVELOPE_BYTES}")
    keyid, payload = raw[_KEYID].hex(), raw[_PAYLOAD]
    if not (key := keys.get(keyid)):
        raise ForgedRecord(f"signed by unknown key {keyid!r}")
    try:
        key.verify(raw[_SIGNATURE], pae(BRIEF_TYPE, payload))
    except InvalidSignature:
        raise ForgedRecord(f"signature by key {keyid} does not hold") from None
    try:
        brief = msgspec.msgpack.decode(payload, type=Brief)
        fields = msgspec.structs.asdict(brief)
        fields |= {"chain": brief.chain.hex(), "head": brief.head.hex()}
        return msgspec.convert(fields, Receipt)
    except (msgspec.MsgspecError, ValueError) as error:
        raise MalformedRecord(f"a brief receipt makes no sense: {error}") from None
