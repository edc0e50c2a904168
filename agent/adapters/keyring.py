"""The nodes' public keys from a registry file: the same JSON rows that the locator reads.

Only who speaks with which key, and until when, is taken; where the nodes hang is the locator's
matter.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.core.records.envelope import load_registered_key
from agent.core.records.fields import NodeId, UtcText, source_of
from agent.errors import KeyFileError


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """One node; what else the row holds is left alone."""

    site: NodeId
    cell: NodeId
    node: NodeId
    key: str
    revoked_at: UtcText | None = None

    @property
    def source(self) -> str:
        return source_of(self.site, self.cell, self.node)


@dataclass(frozen=True, slots=True)
class Keyring:
    """Public keys, and since when some count no more, by source of a record ("urn:earshot:...")."""

    keys: dict[str, Ed25519PublicKey]
    revoked_at: dict[str, str]


def load_keyring(path: Path) -> Keyring:
    """What the registry in `path` says of keys. Raises KeyFileError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        rows = msgspec.json.decode(content, type=list[_Row])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise KeyFileError(f"{path}: is no registry: {error}") from None
    if not rows:
        raise KeyFileError(f"{path}: is a registry without nodes")
    return Keyring(
        {row.source: _key(path, row) for row in rows},
        {row.source: row.revoked_at for row in rows if row.revoked_at},
    )


def _key(path: Path, row: _Row) -> Ed25519PublicKey:
    try:
        return load_registered_key(row.key)
    except KeyFileError as error:
        raise KeyFileError(f"{path}: key of node {row.node}: {error}") from None
