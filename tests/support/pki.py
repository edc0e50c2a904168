"""A small authority for tests: broker and node certificates, good, expired, revoked and strange."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Authority:
    """Writes all its files to `directory`, which need not exist; `ca` and `crl` are two of them."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"authority {directory.name}")
        self._now = datetime.now(UTC)
        self._revoked: list[int] = []
        own = self._build(self._name, self._key, self._now + DAY)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        signed = own.add_extension(basic, critical=True).sign(self._key, hashes.SHA256())
        self.ca = self._write("ca.pem", signed.public_bytes(Encoding.PEM))
        self.crl = directory / "crl.pem"
        self._publish_crl()

    def issue(
        self, name: str, *, expired: bool = False, revoked: bool = False, early: bool = False
    ) -> dict[str, Path]:
        """A certificate for `name` at 127.0.0.1 and its key: {"cert": ..., "key": ...}."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = self._now - DAY if expired else self._now + DAY
        address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
        since = self._now + DAY / 2 if early else self._now - 2 * DAY
        built = self._build(_name(name), key, until, since).add_extension(address, critical=False)
        signed = built.sign(self._key, hashes.SHA256())
        serial = signed.serial_number
        if revoked:
            self._revoked.append(serial)
            self._publish_crl()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        stem = f"{name.replace('/', '-')}-{serial}"
        return {
            "cert": self._write(f"{stem}.pem", signed.public_bytes(Encoding.PEM)),
            "key": self._write(f"{stem}.key", pem),
        }

    def _build(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        until: datetime,
        since: datetime | None = None,
    ) -> x509.CertificateBuilder:
        serial = x509.random_serial_number()
        builder = x509.CertificateBuilder(self._name, name, key.public_key(), serial)
        return builder.not_valid_before(since or self._now - 2 * DAY).not_valid_after(until)

    def _publish_crl(self) -> None:
        builder = x509.CertificateRevocationListBuilder(self._name, self._now, self._now + DAY)
        for serial in self._revoked:
            entry = x509.RevokedCertificateBuilder(serial, self._now - DAY).build()
            builder = builder.add_revoked_certificate(entry)
        signed = builder.sign(self._key, hashes.SHA256())
        self._write("crl.pem", signed.public_bytes(Encoding.PEM))

    def _write(self, name: str, content: bytes) -> Path:
        path = self._directory / name
        path.write_bytes(content)
        return path


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
