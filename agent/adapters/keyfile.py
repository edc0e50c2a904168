"""The evidence key on disk, and public keys beside it: PEM in, the Signer port out.

Private keys are PKCS#8, public ones SubjectPublicKeyInfo, as `openssl` reads and writes them.
Keys in hardware and the TLS key are not here.
"""

import os
import stat
from pathlib import Path
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from agent.core.envelope import key_id, load_public_key, raw_public_key
from agent.errors import KeyFileError


class Ed25519FileSigner:
    """Signs with an Ed25519 key that came from a file (Signer port)."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = key.public_key()
        self._keyid = key_id(self._public)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key in a PKCS#8 PEM file that only its owner may touch. Raises KeyFileError."""
        pem, mode = _read(path)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyFileError(
                f"{path}: private key open to others (mode {mode:04o}): run chmod 600 {path}"
            )
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise KeyFileError(f"{path}: no unencrypted private key in PEM format") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(f"{path}: private key is not Ed25519: make one for evidence")
        return cls(key)

    @classmethod
    def create(cls, path: Path) -> Self:
        """A fresh key in a new file of mode 0600, on disk on return. Raises KeyFileError."""
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            _write_new(path, pem)
        except FileExistsError:
            raise KeyFileError(f"{path}: exists already; a key is never overwritten") from None
        except OSError as error:
            raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None
        return cls(key)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The key of a 32-byte seed, in memory only: for simulation and tests."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def keyid(self) -> str:
        """First 16 hex digits of SHA-256 over the DER SubjectPublicKeyInfo."""
        return self._keyid

    def public_key(self) -> bytes:
        """The 32 raw bytes of the Ed25519 public key."""
        return raw_public_key(self._public)

    def public_pem(self) -> str:
        """The public key as SubjectPublicKeyInfo in PEM, for `load_public_key_file`."""
        return self._public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, message: bytes) -> bytes:
        """64-byte Ed25519 signature over `message`."""
        return self._key.sign(message)


def load_public_key_file(path: Path) -> Ed25519PublicKey:
    """The Ed25519 key in a SubjectPublicKeyInfo PEM file. Raises KeyFileError."""
    pem, _ = _read(path)
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path}: no public key in PEM format") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path}: public key is not Ed25519")
    try:
        return load_public_key(raw_public_key(key))
    except KeyFileError as error:
        raise KeyFileError(f"{path}: {error}") from None


def _read(path: Path) -> tuple[bytes, int]:
    """Content and permission bits of one and the same file."""
    try:
        with path.open("rb") as file:
            return file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from None


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError:
        path.unlink()
        raise
