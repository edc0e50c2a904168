"""Which key of a token signs, and which one follows.

The private key labelled LABEL signs; the one labelled LABEL.next will, once the store says so.
How pairs are made and renamed is `pairs`' matter, and reaching the token is `session`'s.
"""

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.adapters.hsm import pairs
from agent.adapters.hsm.pairs import Pair
from agent.adapters.hsm.session import Token
from agent.core.records.envelope import key_id, raw_public_key
from agent.core.trust.token_uri import TokenUri
from agent.errors import TokenError

if TYPE_CHECKING:
    from pkcs11 import Session

Which = Literal["there", "new", "either"]

log = logging.getLogger("earshot")


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
        """64-byte Ed25519 signature over `message`, verified. Raises TokenError.

        A token that is broken, or another one of the same name, must not put into the chain what
        nobody can verify.
        """
        signature = self._token.use(partial(self._sign, message))
        try:
            self.pair.public.verify(signature, message)
        except InvalidSignature:
            raise TokenError(
                f"{self._token} signs wrongly for key {self._keyid}: put the node's own back"
            ) from None
        return signature

    def _sign(self, message: bytes, session: "Session") -> bytes:
        from pkcs11 import Mechanism

        if self._held is None or self._held[0] is not session:
            self._held = session, pairs.private_of(session, self.pair)
        signature: bytes = self._held[1].sign(message, mechanism=Mechanism.EDDSA)
        return signature


class EvidenceToken:
    """The evidence key of a node in a token, and beside it, for a while, the one that follows.

    `which` says whether the key must be there, must be new, or is made where there is none.
    Raises TokenError.
    """

    def __init__(self, uri: TokenUri, which: Which = "there") -> None:
        self._token, self._label, self._next = Token(uri), uri.object, f"{uri.object}.next"
        self._heir: TokenSigner | None = None
        try:
            self.signer = TokenSigner(self._token, self._token.use(partial(self._take, which)))
        except BaseException:
            self._token.close()
            raise

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
        heir = self._heir or self._found_heir()
        if heir is None or heir.keyid != keyid:
            return None
        self.signer, self._heir = heir, None
        try:
            self._token.use(self._settle)
        except TokenError as error:
            log.error("not yet replaced by the key %s: %s", keyid, error)
        return heir

    def _found_heir(self) -> TokenSigner | None:
        pair = self._token.use(lambda session: pairs.find(session, self._next))
        return TokenSigner(self._token, pair) if pair else None

    def _take(self, which: Which, session: "Session") -> Pair:
        pair = pairs.find(session, self._label)
        if pair is None and (pair := pairs.find(session, self._next)):
            pairs.take_over(session, pair, self._label)  # a power cut came into that
        if pair and which == "new":
            raise TokenError(f"holds a key {self._label} already; a key is never overwritten")
        if pair is None and which == "there":
            raise TokenError(
                f"holds no key {self._label}: make it with `earshot enrol request` or "
                "`earshot key new`"
            )
        return pair or pairs.make(session, self._label)

    def _take_heir(self, session: "Session") -> Pair:
        self._settle(session)
        return pairs.find(session, self._next) or pairs.make(session, self._next)

    def _settle(self, session: "Session") -> None:
        pairs.take_over(session, self.signer.pair, self._label)
