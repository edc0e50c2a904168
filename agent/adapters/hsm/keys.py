"""Which key of a token signs, and which one follows: labels, key pairs and their change.

The private key labelled LABEL signs; the one labelled LABEL.next will. Its public half is the
object with the same CKA_ID. A pair is made as LABEL.new and gets its name when it is whole, so
that a power cut leaves nothing that could be taken for a key. Private halves are made in the
token, sensitive and not extractable. Reaching the token is `session`'s matter.
"""

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.adapters.hsm.session import Token
from agent.core.envelope import key_id, load_public_key, raw_public_key
from agent.core.tokenuri import TokenUri
from agent.errors import KeyFileError, TokenError

if TYPE_CHECKING:
    from pkcs11 import Session

Which = Literal["there", "new", "either"]

log = logging.getLogger("earshot")

_CURVE = b"\x13\x0cedwards25519"  # EC_PARAMS: PrintableString, as PKCS#11 3.0 names it
_POINT_HEADS = (b"", b"\x04\x20", b"\x03\x21\x00")  # bare, OCTET STRING, BIT STRING


@dataclass(frozen=True, slots=True)
class Pair:
    """A key pair of the token, by its CKA_ID and its public half."""

    id: bytes
    public: Ed25519PublicKey


class TokenSigner:
    """Signs with an Ed25519 key that stays in its token (Signer port); any thread may use it."""

    def __init__(self, token: Token, pair: Pair) -> None:
        self._token, self.pair = token, pair
        self._keyid = key_id(pair.public)
        self._held: tuple[Session, Any] | None = None

    @property
    def keyid(self) -> str:
        """First 16 hex digits of SHA-256 over the DER SubjectPublicKeyInfo."""
        return self._keyid

    def public_key(self) -> bytes:
        """The 32 raw bytes of the Ed25519 public key."""
        return raw_public_key(self.pair.public)

    def public_pem(self) -> str:
        """The public key as SubjectPublicKeyInfo in PEM, for `load_public_key_file`."""
        spki = PublicFormat.SubjectPublicKeyInfo
        return self.pair.public.public_bytes(Encoding.PEM, spki).decode()

    def sign(self, message: bytes) -> bytes:
        """64-byte Ed25519 signature over `message`, which has been verified. Raises TokenError.

        A token that was changed for another, or is broken, must not put into the chain what
        nobody can verify.
        """
        signature = self._token.use(partial(self._sign, message))
        try:
            self.pair.public.verify(signature, message)
        except InvalidSignature:
            raise TokenError(
                f"{self._token} signs wrongly for key {self._keyid}: put the node's own token back"
            ) from None
        return signature

    def _sign(self, message: bytes, session: "Session") -> bytes:
        from pkcs11 import Mechanism

        if self._held is None or self._held[0] is not session:
            self._held = session, _private_of(session, self.pair.id, self._token)
        signature: bytes = self._held[1].sign(message, mechanism=Mechanism.EDDSA)
        return signature


class EvidenceToken:
    """The evidence key of a node in a token, and beside it, for a while, the one that follows.

    `which` says whether the key must be there, must be new, or is made where there is none.
    Raises TokenError.
    """

    def __init__(self, uri: TokenUri, which: Which = "there") -> None:
        self._token, self._label = Token(uri), uri.object
        self._heir: TokenSigner | None = None
        try:
            pair = self._token.use(partial(self._take, which))
        except BaseException:
            self._token.close()
            raise
        self.signer = TokenSigner(self._token, pair)

    def close(self) -> None:
        """Log out of the token."""
        self._token.close()

    def heir(self) -> TokenSigner:
        """The key that will follow, in the token on return. Raises TokenError."""
        self._heir = TokenSigner(self._token, self._token.use(self._take_heir))
        return self._heir

    def turn_to(self, keyid: str) -> TokenSigner | None:
        """The key of that id, from now on the only one; None if there is no such key.

        Raises TokenError where the token cannot be asked. Where it only fails to put the old key
        away, the heir signs all the same, and this is called again at the start.
        """
        if keyid == self.signer.keyid:
            return self.signer
        heir = self._heir
        if heir is None:
            pair = self._token.use(lambda session: self._find(session, self._next))
            heir = TokenSigner(self._token, pair) if pair else None
        if heir is None or heir.keyid != keyid:
            return None
        self.signer, self._heir = heir, None
        try:
            self._token.use(self._settle)
        except TokenError as error:
            log.error("%s: old key not yet replaced by the key %s: %s", self._token, keyid, error)
        return heir

    @property
    def _next(self) -> str:
        return f"{self._label}.next"

    def _take(self, which: Which, session: "Session") -> Pair:
        pair = self._find(session, self._label)
        if pair is None and (pair := self._find(session, self._next)):
            _name(session, pair, self._label, self._token)  # a change that a power cut left
        if pair and which == "new":
            raise TokenError(
                f"{self._token} holds a key {self._label} already; a key is never overwritten"
            )
        if pair is None and which == "there":
            raise TokenError(
                f"{self._token} holds no key {self._label}: make it with `earshot enrol request` "
                "or `earshot key new`"
            )
        return pair or self._make(session, self._label)

    def _take_heir(self, session: "Session") -> Pair:
        self._settle(session)
        return self._find(session, self._next) or self._make(session, self._next)

    def _settle(self, session: "Session") -> None:
        """The key that signs has LABEL to itself; whatever had it before is destroyed."""
        from pkcs11 import Attribute

        pair = self.signer.pair
        if _private_of(session, pair.id, self._token)[Attribute.LABEL] == self._label:
            return
        for old in _privates(session, {Attribute.LABEL: self._label}):
            old_id = old[Attribute.ID]
            old.destroy()
            for half in _publics(session, old_id):
                half.destroy()
        _name(session, pair, self._label, self._token)

    def _find(self, session: "Session", label: str) -> Pair | None:
        from pkcs11 import Attribute

        found = _privates(session, {Attribute.LABEL: label})
        if len(found) > 1:
            raise TokenError(f"{self._token} holds {len(found)} keys {label}: rename all but one")
        if not found:
            return None
        key_id_in_token = found[0][Attribute.ID]
        halves = _publics(session, key_id_in_token) if key_id_in_token else []
        if len(halves) != 1:
            raise TokenError(
                f"{self._token}: key {label} has {len(halves)} public halves with its CKA_ID: "
                "give it one, and an id of its own"
            )
        return Pair(key_id_in_token, self._public(halves[0], label))

    def _make(self, session: "Session", label: str) -> Pair:
        """A fresh pair of that label, in the token on return."""
        from pkcs11 import Attribute, KeyType, Mechanism

        fresh = f"{self._label}.new"
        _sweep(session, fresh)
        curve = {Attribute.EC_PARAMS: _CURVE}
        parameters = session.create_domain_parameters(KeyType.EC_EDWARDS, curve, local=True)
        public, _ = parameters.generate_keypair(
            id=os.urandom(8),
            label=fresh,
            store=True,
            mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
            public_template={Attribute.PRIVATE: False},
            private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
        )
        pair = Pair(public[Attribute.ID], self._public(public, fresh))
        _name(session, pair, label, self._token)
        os.sync()  # a token in software keeps its keys in files, and leaves syncing to others
        return pair

    def _public(self, half: Any, label: str) -> Ed25519PublicKey:
        from pkcs11 import Attribute, KeyType

        if half.key_type is KeyType.EC_EDWARDS:
            point: bytes = half[Attribute.EC_POINT]
            for head in _POINT_HEADS:
                if point.startswith(head) and len(point) == len(head) + 32:
                    with suppress(KeyFileError):
                        return load_public_key(point[len(head) :])
        raise TokenError(f"{self._token}: key {label} is not Ed25519: make one for evidence")


def _name(session: "Session", pair: Pair, label: str, token: Token) -> None:
    """Both halves get `label`; the private one, which counts, last and in one step."""
    from pkcs11 import Attribute

    private = _private_of(session, pair.id, token)
    for half in _publics(session, pair.id):
        half[Attribute.LABEL] = label
    private[Attribute.LABEL] = label


def _sweep(session: "Session", fresh: str) -> None:
    """Destroy what a power cut left of pairs that were never whole."""
    from pkcs11 import Attribute

    for private in _privates(session, {Attribute.LABEL: fresh}):
        for half in _publics(session, private[Attribute.ID]):
            half.destroy()
        private.destroy()
    for half in _objects(session, "PUBLIC_KEY", {Attribute.LABEL: fresh}):
        if not _privates(session, {Attribute.ID: half[Attribute.ID]}):
            half.destroy()


def _private_of(session: "Session", id_in_token: bytes, token: Token) -> Any:
    from pkcs11 import Attribute

    found = _privates(session, {Attribute.ID: id_in_token})
    if len(found) != 1:
        raise TokenError(
            f"{token} holds {len(found)} keys of id {id_in_token.hex()}, which signs: "
            "put the node's own token back"
        )
    return found[0]


def _privates(session: "Session", wanted: dict[Any, Any]) -> list[Any]:
    return _objects(session, "PRIVATE_KEY", wanted)


def _publics(session: "Session", id_in_token: bytes) -> list[Any]:
    from pkcs11 import Attribute

    return _objects(session, "PUBLIC_KEY", {Attribute.ID: id_in_token})


def _objects(session: "Session", kind: str, wanted: dict[Any, Any]) -> list[Any]:
    """All of that class, read to the end: a search left open would block the session."""
    from pkcs11 import Attribute, ObjectClass

    return list(session.get_objects({Attribute.CLASS: ObjectClass[kind], **wanted}))
