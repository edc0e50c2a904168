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
_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """Writes all its files to `directory`, which need not exist; `ca` and `crl` are two of them.

    All lasts from two days before `now` to a day after it, unless it is told otherwise.
    """

    def __init__(self, directory: Path, now: datetime | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"authority {directory.name}")
        self._now = now or datetime.now(UTC)
        self._revoked: list[int] = []
        self.ca = self.renew(self._now + DAY)
        self.crl = directory / "crl.pem"
        self.publish_list()

    def renew(self, until: datetime, since: datetime | None = None) -> Path:
        """Another certificate of its own, for the same name and key."""
        return self._vouch_for(self._name, self._key, until, since)

    def deputy(self, name: str, until: datetime) -> "Authority":
        """An authority below this one; its `ca` is for brokers to send along."""
        made = Authority(self._directory / name, self._now)
        made.ca = self._vouch_for(made._name, made._key, until)
        return made

    def issue(
        self,
        name: str,
        *,
        expired: bool = False,
        revoked: bool = False,
        early: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        host: str = "127.0.0.1",
    ) -> dict[str, Path]:
        """A certificate for `name` at `host` and its key: {"cert": ..., "key": ...}."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = until or (self._now - DAY if expired else self._now + DAY)
        address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(host))])
        since = since or (self._now + DAY / 2 if early else self._now - 2 * DAY)
        built = self._build(_name(name), key, until, since).add_extension(address, critical=False)
        signed = built.sign(self._key, hashes.SHA256())
        serial = signed.serial_number
        if revoked:
            self._revoked.append(serial)
            self.publish_list()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        stem = f"{name.replace('/', '-')}-{serial}"
        return {
            "cert": self._write(f"{stem}.pem", signed.public_bytes(Encoding.PEM)),
            "key": self._write(f"{stem}.key", pem),
        }

    def _vouch_for(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        until: datetime,
        since: datetime | None = None,
    ) -> Path:
        own = self._build(name, key, until, since)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        own = own.add_extension(basic, critical=True).add_extension(_SIGNS, critical=True)
        signed = own.sign(self._key, hashes.SHA256())
        return self._write(f"ca-{signed.serial_number}.pem", signed.public_bytes(Encoding.PEM))

    def _build(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        until: datetime,
        since: datetime | None = None,
    ) -> x509.CertificateBuilder:
        serial = x509.random_serial_number()
        builder = x509.CertificateBuilder(self._name, name, key.public_key(), serial)
        builder = builder.not_valid_before(since or self._now - 2 * DAY).not_valid_after(until)
        subject = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(subject, critical=False)
        return builder.add_extension(self._identifier(), critical=False)

    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())

    def publish_list(self, until: datetime | None = None, since: datetime | None = None) -> None:
        """Write the list of revoked certificates, good until then."""
        builder = x509.CertificateRevocationListBuilder(
            self._name, since or self._now, until or self._now + DAY
        )
        for serial in self._revoked:
            entry = x509.RevokedCertificateBuilder(serial, self._now - DAY).build()
            builder = builder.add_revoked_certificate(entry)
        number = x509.CRLNumber(len(self._revoked) + 1)
        builder = builder.add_extension(number, critical=False)
        builder = builder.add_extension(self._identifier(), critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        self._write("crl.pem", signed.public_bytes(Encoding.PEM))

    def _write(self, name: str, content: bytes) -> Path:
        path = self._directory / name
        path.write_bytes(content)
        return path


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
