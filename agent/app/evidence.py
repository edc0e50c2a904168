"""The node's evidence key, wherever `keys.evidence` says it is: in a file or in a token.

What a key can do is the same in both; how each keeps it is the adapters' matter.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, Protocol

from agent.adapters.hsm import EvidenceToken
from agent.adapters.keyfile import Ed25519FileSigner, EvidenceKeyFile
from agent.core.records.succession import Heir
from agent.core.trust.token_uri import is_token_uri, parse_token_uri

Which = Literal["there", "new", "either"]


class EvidenceSigner(Heir, Protocol):
    """A Signer that shows its public half to people."""

    def public_pem(self) -> str:
        """The public key as SubjectPublicKeyInfo in PEM."""


class EvidenceKey(Protocol):
    """The key that signs, and the one that may take over; see `core.records.succession`."""

    @property
    def signer(self) -> EvidenceSigner:
        """The key in force."""

    def heir(self) -> EvidenceSigner:
        """The key that will follow, safe on return. Raises KeyFileError or TokenError."""

    def turn_to(self, keyid: str) -> EvidenceSigner | None:
        """The key of that id, from now on the only one; None if there is no such key."""


@contextmanager
def evidence_key(where: str, which: Which = "there") -> Iterator[EvidenceKey]:
    """The key in the file `where`, or in the token of that pkcs11: URI, until the context ends.

    `which` says whether the key must be there, must be new, or is made where there is none.
    Raises KeyFileError or TokenError.
    """
    if is_token_uri(where):
        with closing(EvidenceToken(parse_token_uri(where), which)) as token:
            yield token
    else:
        path = Path(where)
        if which == "new" or (which == "either" and not path.exists()):
            Ed25519FileSigner.create(path)
        yield EvidenceKeyFile(path)
