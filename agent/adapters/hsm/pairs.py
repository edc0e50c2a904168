"""Key pairs as objects in one session: found by label, made, named and destroyed.

A private key and its public half have one CKA_ID. A pair is made under a name that is nobody's,
and gets its own when it is whole: a power cut leaves nothing that could be taken for a key. All
raise PKCS11Error where the token fails, TokenError where what it holds is not right.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.core.records.envelope import load_public_key
from agent.errors import KeyFileError, TokenError

if TYPE_CHECKING:
    from pkcs11 import Session

_CURVE = b"\x13\x0cedwards25519"  # EC_PARAMS: the curve's name as PrintableString (PKCS#11 3.0)
_POINT_HEADS = (b"", b"\x04\x20", b"\x03\x21\x00")  # bare, in an OCTET STRING, in a BIT STRING
_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class Pair:
    """A key pair of a token, by its CKA_ID and its public half."""

    id: bytes
    public: Ed25519PublicKey


def find(session: "Session", label: str) -> Pair | None:
    """The pair whose private key has that label, if there is one."""
    from pkcs11 import Attribute

    found = _objects(session, "PRIVATE_KEY", {Attribute.LABEL: label})
    if len(found) > 1:
        raise TokenError(f"holds {len(found)} keys {label}: rename all but one")
    if not found:
        return None
    halves = _publics(session, found[0].id) if found[0].id else []
    if len(halves) != 1:
        raise TokenError(
            f"holds {len(halves)} public halves of key {label}: one is needed, with its CKA_ID"
        )
    return Pair(found[0].id, _public_key(halves[0], label))


def make(session: "Session", label: str) -> Pair:
    """A fresh pair of that label, in the token on return; its private half never leaves that."""
    from pkcs11 import Attribute, KeyType, Mechanism

    fresh = f"{label}.new"
    _destroy(session, fresh)
    curve = {Attribute.EC_PARAMS: _CURVE}
    parameters = session.create_domain_parameters(KeyType.EC_EDWARDS, curve, local=True)
    public, private = parameters.generate_keypair(
        id=os.urandom(_ID_BYTES),
        label=fresh,
        store=True,
        mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
        public_template={Attribute.PRIVATE: False},
        private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
    )
    if not private[Attribute.SENSITIVE] or private[Attribute.EXTRACTABLE]:
        _destroy(session, fresh)
        raise TokenError("makes keys that can be taken out of it: use another")
    pair = Pair(public.id, _public_key(public, fresh))
    name(session, pair, label)
    _sync()
    return pair


def name(session: "Session", pair: Pair, label: str) -> None:
    """Both halves get `label`; the private one, which counts, last and in one step."""
    from pkcs11 import Attribute

    private = private_of(session, pair)
    for half in _publics(session, pair.id):
        half[Attribute.LABEL] = label
    private[Attribute.LABEL] = label


def take_over(session: "Session", pair: Pair, label: str) -> None:
    """`pair` has `label` to itself; whatever had it before is destroyed."""
    from pkcs11 import Attribute

    if private_of(session, pair)[Attribute.LABEL] == label:
        return
    _destroy(session, label)
    _sync()  # never two of one name, not even after a power cut
    name(session, pair, label)
    _sync()


def private_of(session: "Session", pair: Pair) -> Any:
    """The private half, to sign with."""
    from pkcs11 import Attribute

    found = _objects(session, "PRIVATE_KEY", {Attribute.ID: pair.id})
    if len(found) != 1:
        raise TokenError(
            f"holds {len(found)} keys of id {pair.id.hex()}, which signs: put the node's own back"
        )
    return found[0]


def _sync() -> None:
    """A token in software keeps its keys in files, and leaves syncing to others."""
    os.sync()


def _public_key(half: Any, label: str) -> Ed25519PublicKey:
    from pkcs11 import Attribute, KeyType

    if half.key_type is KeyType.EC_EDWARDS:
        point: bytes = half[Attribute.EC_POINT]
        for head in _POINT_HEADS:
            if point.startswith(head) and len(point) == len(head) + 32:
                with suppress(KeyFileError):
                    return load_public_key(point[len(head) :])
    raise TokenError(f"holds a key {label} that is not Ed25519: make one for evidence")


def _destroy(session: "Session", label: str) -> None:
    """All pairs of that label, and the public halves of it that a power cut left alone."""
    from pkcs11 import Attribute

    for private in _objects(session, "PRIVATE_KEY", {Attribute.LABEL: label}):
        halves = _publics(session, private.id)
        private.destroy()
        for half in halves:
            half.destroy()
    for half in _objects(session, "PUBLIC_KEY", {Attribute.LABEL: label}):
        if not _objects(session, "PRIVATE_KEY", {Attribute.ID: half.id}):
            half.destroy()


def _publics(session: "Session", id_in_token: bytes) -> list[Any]:
    from pkcs11 import Attribute

    return _objects(session, "PUBLIC_KEY", {Attribute.ID: id_in_token})


def _objects(session: "Session", kind: str, wanted: dict[Any, Any]) -> list[Any]:
    """All of that class, read to the end: a search left open would block the session."""
    from pkcs11 import Attribute, ObjectClass

    _check_alive(session)
    return list(session.get_objects({Attribute.CLASS: ObjectClass[kind], **wanted}))


def _check_alive(session: "Session") -> None:
    """PKCS11Error where token or session have gone: harmless here, while in a search the binding
    would complain a second time, from a destructor."""
    from pkcs11 import FunctionNotSupported, RandomNoRNG

    session.token.slot.get_token()
    with suppress(FunctionNotSupported, RandomNoRNG):
        session.generate_random(64)
