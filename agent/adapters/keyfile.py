"""Keys on disk: the evidence key (Signer port), the TLS key, and public keys beside them.

Private keys are PKCS#8, public ones SubjectPublicKeyInfo, as `openssl` reads and writes them.
A private key is made here, in a file of its owner alone, and never overwritten, printed or
handed out. Keys in hardware are not here.
"""

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from agent import durable
from agent.core.records.envelope import key_id, load_public_pem, raw_public_key
from agent.errors import KeyFileError

log = logging.getLogger("earshot")


class Ed25519FileSigner:
    """Signs with an Ed25519 key that came from a file (Signer port)."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = key.public_key()
        self._keyid = key_id(self._public)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key in a PKCS#8 PEM file that only its owner may touch. Raises KeyFileError."""
        key = _load_private(path)
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(f"{path}: private key is not Ed25519: make one for evidence")
        return cls(key)

    @classmethod
    def create(cls, path: Path) -> Self:
        """A fresh key in a new file of mode 0600, on disk on return. Raises KeyFileError."""
        key = Ed25519PrivateKey.generate()
        _create_private(path, key)
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


class EvidenceKeyFile:
    """The evidence key of a node in `path`, and beside it, for a while, the one that follows.

    Neither is ever lost: the new key is on disk before anyone hears of it, and takes the place of
    the old one in a single step.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._heir_path = path, path.with_name(f"{path.name}.next")
        self.signer = Ed25519FileSigner.load(path)

    def heir(self) -> Ed25519FileSigner:
        """The key that will follow, on disk on return. Raises KeyFileError."""
        with suppress(KeyFileError):  # half a file, from a power cut: nobody has heard of it
            return Ed25519FileSigner.load(self._heir_path)
        self._heir_path.unlink(missing_ok=True)
        return Ed25519FileSigner.create(self._heir_path)

    def turn_to(self, keyid: str) -> Ed25519FileSigner | None:
        """The key of that id, from now on the only one; None if there is no such key.

        Raises KeyFileError for a file beside that cannot be read: it may be this very key. Where
        the disk fails the heir signs all the same, and this is called again at the start.
        """
        if keyid == self.signer.keyid:
            return self.signer
        if not self._heir_path.exists():
            return None
        heir = Ed25519FileSigner.load(self._heir_path)
        if heir.keyid != keyid:
            return None
        try:
            self._heir_path.replace(self._path)
            durable.sync_directory(self._path.parent)
        except OSError as error:
            log.error("%s: not yet replaced by the key %s: %s", self._path, keyid, error.strerror)
        self.signer = heir
        return heir


class TlsFileKey:
    """The P-256 key of a certificate: all it can do here is ask for one."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key in a PKCS#8 PEM file that only its owner may touch. Raises KeyFileError."""
        return cls(load_p256_key(path))

    @classmethod
    def create(cls, path: Path) -> Self:
        """A fresh key in a new file of mode 0600, on disk on return. Raises KeyFileError."""
        key = ec.generate_private_key(ec.SECP256R1())
        _create_private(path, key)
        return cls(key)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The half that may be known."""
        return self._key.public_key()

    def csr(self, common_name: str) -> str:
        """A PKCS#10 request for a certificate in that name, in PEM."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = x509.CertificateSigningRequestBuilder(subject)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def load_p256_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key in a PKCS#8 PEM file that only its owner may touch. Raises KeyFileError."""
    key = _load_private(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise KeyFileError(f"{path}: private key is not P-256: make one for TLS")
    return key


def load_public_key_file(path: Path) -> Ed25519PublicKey:
    """The Ed25519 key in a SubjectPublicKeyInfo PEM file. Raises KeyFileError."""
    pem, _ = _read(path)
    try:
        return load_public_pem(pem)
    except KeyFileError as error:
        raise KeyFileError(f"{path}: {error}") from None


def _load_private(path: Path) -> PrivateKeyTypes:
    pem, mode = _read(path)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(
            f"{path}: private key open to others (mode {mode:04o}): run chmod 600 {path}"
        )
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path}: no unencrypted private key in PEM format") from None


def _create_private(path: Path, key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        durable.write_new(path, pem, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path}: exists already; a key is never overwritten") from None
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None


def _read(path: Path) -> tuple[bytes, int]:
    """Content and permission bits of one and the same file."""
    try:
        with path.open("rb") as file:
            return file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from None
