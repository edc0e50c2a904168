"""Keys on disk."""

import base64
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from agent.adapters.keyfile import Ed25519FileSigner, TlsFileKey, load_public_key_file
from agent.core.records.envelope import key_id
from agent.errors import KeyFileError


def write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_created_key_signs_after_loading(tmp_path: Path) -> None:
    """The file holds the very key, and its public half verifies what it signs."""
    made = Ed25519FileSigner.create(tmp_path / "key.pem")
    loaded = Ed25519FileSigner.load(tmp_path / "key.pem")
    public = load_public_key_file(write(tmp_path / "pub.pem", loaded.public_pem().encode(), 0o644))
    public.verify(made.sign(b"shot"), b"shot")
    assert made.keyid == loaded.keyid == key_id(public)
    assert made.public_key() == loaded.public_key()


def test_a_created_key_is_private_and_never_overwritten(tmp_path: Path) -> None:
    """Mode 0600 from the first moment; a second `create` leaves the first key alone."""
    path = tmp_path / "key.pem"
    made = Ed25519FileSigner.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(KeyFileError, match="never overwritten"):
        Ed25519FileSigner.create(path)
    assert Ed25519FileSigner.load(path).keyid == made.keyid


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o666])
def test_a_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """Any bit for group or others is named, with the command that cures it."""
    path = tmp_path / "key.pem"
    Ed25519FileSigner.create(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:04o}.*run chmod 600 {path}"):
        Ed25519FileSigner.load(path)


ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(32))
P256 = ec.generate_private_key(ec.SECP256R1())
WRONG_PRIVATE = {
    "no unencrypted private key": ED25519.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    ),
    "not Ed25519": P256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "no unencrypted private": b"not a key",
}


@pytest.mark.parametrize("told", WRONG_PRIVATE)
def test_another_kind_of_private_key_is_refused(tmp_path: Path, told: str) -> None:
    """Encrypted, of another algorithm, or no key at all: one line that names the file."""
    path = write(tmp_path / "key.pem", WRONG_PRIVATE[told])
    with pytest.raises(KeyFileError, match=f"^{path}: .*{told}"):
        Ed25519FileSigner.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The path and the system's reason, for both halves of a key, and for a directory."""
    for open_key in (Ed25519FileSigner.load, load_public_key_file):
        with pytest.raises(KeyFileError, match=r"none.pem: cannot be read: No such file"):
            open_key(tmp_path / "none.pem")
        with pytest.raises(KeyFileError, match=r"cannot be read: Is a directory"):
            open_key(tmp_path)
    with pytest.raises(KeyFileError, match=r"cannot be written: No such file"):
        Ed25519FileSigner.create(tmp_path / "none" / "key.pem")


def test_another_kind_of_public_key_is_refused(tmp_path: Path) -> None:
    """A P-256 key, a private key and text are no locator keys."""
    private = ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    other = P256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for pem in (private, other, b"text"):
        path = write(tmp_path / "pub.pem", pem)
        with pytest.raises(KeyFileError, match=f"^{path}: "):
            load_public_key_file(path)


def test_a_small_order_key_in_a_file_is_refused(tmp_path: Path) -> None:
    """The file is named, so that the technician knows which one to replace."""
    spki = ED25519.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    identity = spki[:-32] + (1).to_bytes(32, "little")
    pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(identity)
    path = write(tmp_path / "pub.pem", pem + b"\n-----END PUBLIC KEY-----\n")
    with pytest.raises(KeyFileError, match=f"^{path}: .*small order"):
        load_public_key_file(path)


def test_a_tls_key_is_private_and_asks_for_a_certificate(tmp_path: Path) -> None:
    """0600, never overwritten, the same after loading; its request is its own."""
    path = tmp_path / "node.key"
    made = TlsFileKey.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(KeyFileError, match="never overwritten"):
        TlsFileKey.create(path)
    loaded = TlsFileKey.load(path)
    assert loaded.public_key() == made.public_key()
    request = x509.load_pem_x509_csr(loaded.csr("town/north/n1").encode())
    assert request.is_signature_valid
    assert request.public_key() == made.public_key()
    assert request.subject.rfc4514_string() == "CN=town/north/n1"


def test_another_kind_of_tls_key_is_refused(tmp_path: Path) -> None:
    """An evidence key, another curve, and a key that others may read."""
    path = tmp_path / "key.pem"
    Ed25519FileSigner.create(path)
    with pytest.raises(KeyFileError, match=f"^{path}: private key is not P-256"):
        TlsFileKey.load(path)
    other = ec.generate_private_key(ec.SECP384R1())
    write(path, other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyFileError, match="is not P-256"):
        TlsFileKey.load(path)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="open to others"):
        TlsFileKey.load(path)


def test_a_seed_always_makes_the_same_key() -> None:
    """A simulated node signs the same bytes in every run."""
    once, again = (Ed25519FileSigner.from_seed(bytes(range(32))) for _ in "ab")
    assert once.sign(b"shot") == again.sign(b"shot")
