"""The evidence key in a security token, by PKCS#11 (Signer port).

`session` reaches the token and reaches it again, `keys` says which key in it is the node's. Needs
python-pkcs11, the extra "hsm", and the token's own module. The URI is `core.trust.token_uri`'s.
"""

from agent.adapters.hsm.keys import EvidenceToken, TokenSigner

__all__ = ["EvidenceToken", "TokenSigner"]
