"""DSSE v1 envelopes: seal exact bytes, and open only what verifies.

Source: https://github.com/secure-systems-lab/dsse (protocol.md v1.0.2). Verify first, parse
second: `open_envelope` returns the payload only after the signature held. It does not look
inside the payload, does not know records, and does not decide which key belongs to whom.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from agent.errors import ForgedRecord, KeyFileError, MalformedRecord

MAX_ENVELOPE_BYTES = 16 * 1024
_P = 2**255 - 19


class SignsBytes(Protocol):
    """The part of the Signer port that sealing needs."""

    @property
    def keyid(self) -> str: ...

    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A payload whose signature held, the key that made it, and the digest of its PAE."""

    payload_type: str
    payload: bytes
    keyid: str
    digest: str


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE pre-authentication encoding, the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def digest(payload_type: str, payload: bytes) -> str:
    """SHA-256 of the PAE in hex: what the next record of a chain holds as `prev`."""
    return hashlib.sha256(pae(payload_type, payload)).hexdigest()


def key_id(key: Ed25519PublicKey) -> str:
    """First 16 hex digits of SHA-256 over the DER SubjectPublicKeyInfo."""
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()[:16]


def seal(
    payload_type: str, payload: bytes, signer: SignsBytes, limit: int = MAX_ENVELOPE_BYTES
) -> bytes:
    """One envelope as compact JSON, without a newline. Raises MalformedRecord if oversized."""
    signature = signer.sign(pae(payload_type, payload))
    signed = {"keyid": signer.keyid, "sig": _encode(signature)}
    fields = {"payloadType": payload_type, "payload": _encode(payload), "signatures": [signed]}
    raw = json.dumps(fields, separators=(",", ":")).encode()
    _check_size(raw, limit)
    return raw


def peek(raw: bytes, limit: int = MAX_ENVELOPE_BYTES) -> tuple[str, bytes]:
    """Type and payload, not verified: only to find the key that a self-signed envelope claims.

    Raises MalformedRecord.
    """
    return _fields(_strict_object(raw, limit))[:2]


def open_envelope(
    raw: bytes, keys: Mapping[str, Ed25519PublicKey], limit: int = MAX_ENVELOPE_BYTES
) -> Opened:
    """Verify `raw` against `keys` (key id -> key) and return what was signed.

    Raises MalformedRecord for bytes that are no strict envelope, ForgedRecord for an unknown
    key or a signature that does not hold.
    """
    fields = _strict_object(raw, limit)
    payload_type, payload, keyid, signature = _fields(fields)
    key = keys.get(keyid)
    if key is None:
        raise ForgedRecord(f"signed by unknown key {keyid!r}")
    message = pae(payload_type, payload)
    try:
        key.verify(signature, message)
    except InvalidSignature:
        raise ForgedRecord(f"signature by key {keyid} does not hold") from None
    return Opened(payload_type, payload, keyid, hashlib.sha256(message).hexdigest())


def load_public_key(raw: bytes) -> Ed25519PublicKey:
    """A 32-byte Ed25519 public key, refused when non-canonical or of small order.

    `cryptography` accepts such keys, and one constant signature then verifies any message.
    Raises KeyFileError.
    """
    if len(raw) != 32:
        raise KeyFileError(f"an Ed25519 public key has 32 bytes, not {len(raw)}")
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= _P or _has_small_order(y):
        raise KeyFileError("Ed25519 public key is non-canonical or of small order: refuse it")
    return Ed25519PublicKey.from_public_bytes(raw)


def load_public_pem(pem: bytes, wanted: str = "the key that signs") -> Ed25519PublicKey:
    """The key in a SubjectPublicKeyInfo PEM, strong enough. Raises KeyFileError, told `wanted`."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError("holds no public key in PEM format") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"is not an Ed25519 key: give {wanted}")
    return load_public_key(raw_public_key(key))


def load_registered_key(text: str) -> Ed25519PublicKey:
    """A node's key as registries hold it: PEM, or base64 of its 32 bytes. Raises KeyFileError."""
    if text.lstrip().startswith("-----"):
        return load_public_pem(text.encode(), "the node's evidence key")
    try:
        return load_public_key(base64.b64decode(text.strip(), validate=True))
    except (binascii.Error, ValueError):
        raise KeyFileError("is neither PEM nor base64 of an Ed25519 public key") from None


def raw_public_key(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _has_small_order(y: int) -> bool:
    """True when a point with this y lies in the 8-torsion (RFC 8032 curve).

    Torsion points have y in {1, -1, 0} or order 8, where the doubling of P has y = 0.
    """
    if y in (0, 1, _P - 1):
        return True
    d = -121665 * pow(121666, _P - 2, _P) % _P
    x2 = (y * y - 1) * pow(d * y * y + 1, _P - 2, _P) % _P
    # y(2P) = (y^2 + x^2) / (2 - y^2 + x^2) on -x^2 + y^2 = 1 + d x^2 y^2
    return (y * y + x2) % _P == 0


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decode(text: Any, name: str) -> bytes:
    if not isinstance(text, str):
        raise MalformedRecord(f"{name} is not a string")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedRecord(f"{name} is not base64: {error}") from error
    if _encode(raw) != text:
        raise MalformedRecord(f"{name} is not canonical base64")
    return raw


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise MalformedRecord("a name occurs twice in one object")
    return dict(pairs)


def _check_size(raw: bytes, limit: int) -> None:
    if len(raw) > limit:
        raise MalformedRecord(f"envelope of {len(raw)} bytes is over {limit}")


def _strict_object(raw: bytes, limit: int) -> dict[str, Any]:
    _check_size(raw, limit)
    try:
        parsed = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise MalformedRecord(f"envelope is not JSON: {error}") from error
    if not isinstance(parsed, dict) or parsed.keys() != {"payloadType", "payload", "signatures"}:
        raise MalformedRecord("envelope must hold payloadType, payload and signatures only")
    return parsed


def _fields(fields: dict[str, Any]) -> tuple[str, bytes, str, bytes]:
    signatures = fields["signatures"]
    if not (isinstance(signatures, list) and len(signatures) == 1):
        raise MalformedRecord("envelope must hold exactly one signature")
    entry = signatures[0]
    if not isinstance(entry, dict) or entry.keys() != {"keyid", "sig"}:
        raise MalformedRecord("a signature must hold keyid and sig only")
    if not isinstance(fields["payloadType"], str) or not isinstance(entry["keyid"], str):
        raise MalformedRecord("payloadType and keyid must be strings")
    try:
        fields["payloadType"].encode()
    except UnicodeEncodeError:
        raise MalformedRecord("payloadType is no text") from None  # half a surrogate pair
    payload = _decode(fields["payload"], "payload")
    return fields["payloadType"], payload, entry["keyid"], _decode(entry["sig"], "sig")
