"""A role's key and certificate, renewed together: whenever the power fails, one whole pair is left.

The next key lies beside the one in force until its certificate is there. What a crash left
half-done is ended by whoever opens the registrar next: forwards if the certificate is the next
key's, else backwards.
"""

from contextlib import suppress
from pathlib import Path

from cryptography import x509

from agent.adapters.keyfile import TlsFileKey
from agent.durable import sync_directory
from agent.errors import EnrolmentError, KeyFileError


def next_key(directory: Path, role: str) -> TlsFileKey:
    """A fresh key for `role`, not in force yet. Raises KeyFileError, EnrolmentError."""
    settle(directory, role)
    return TlsFileKey.create(_next(directory, role))


def settle(directory: Path, role: str) -> None:
    """Make the key of the certificate in force the role's, or forget it. Raises EnrolmentError."""
    fresh = _next(directory, role)
    if not fresh.exists():
        return
    try:
        if _is_certified(directory / f"{role}.crt", fresh):
            fresh.replace(directory / f"{role}.key")
        else:
            fresh.unlink()
        sync_directory(directory)
    except OSError as error:
        raise EnrolmentError(f"{fresh}: cannot be put in force: {error.strerror}") from None


def _is_certified(certificate: Path, key: Path) -> bool:
    with suppress(OSError, ValueError, KeyFileError):
        certified = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
        return bool(certified == TlsFileKey.load(key).public_key())
    return False


def _next(directory: Path, role: str) -> Path:
    return directory / f"{role}.key.next"
