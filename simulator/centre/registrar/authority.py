"""The certificate authority of one city: it signs certificates, and the list of revoked ones.

X.509 only (RFC 5280). Who is to get a certificate, and what is kept of it, is `registrar`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LASTS = timedelta(days=20 * 365)
ROLE_LASTS = timedelta(days=3 * 365)
NODE_LASTS = timedelta(days=366)
LIST_LASTS = timedelta(days=3 * 365)  # a broker with an outdated list lets nobody in
BACKDATED = timedelta(hours=1)  # for clocks that are a little behind


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate in PEM, its serial number and its last moment."""

    pem: str
    serial: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Revoked:
    """The serial number of a certificate that counts no more, and since when."""

    serial: int
    since: datetime


class Authority:
    """Signs with `key`, in the name of its own `certificate`."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key, self._certificate = key, certificate

    @classmethod
    def found(cls, key: ec.EllipticCurvePrivateKey, name: str, now: datetime) -> Self:
        """A new authority of that name, which vouches for itself."""
        subject = _subject(name)
        builder = _builder(subject, subject, key.public_key(), now, AUTHORITY_LASTS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        builder = builder.add_extension(_usage(signs_certificates=True), True)
        return cls(key, builder.sign(key, hashes.SHA256()))

    @classmethod
    def restore(cls, key: ec.EllipticCurvePrivateKey, pem: str) -> Self:
        """The authority that `found` made. Raises ValueError."""
        return cls(key, x509.load_pem_x509_certificate(pem.encode()))

    @property
    def pem(self) -> str:
        """Its certificate, which all others are checked with."""
        return self._certificate.public_bytes(Encoding.PEM).decode()

    def for_client(
        self, name: str, key: ec.EllipticCurvePublicKey, now: datetime, lasts: timedelta
    ) -> Issued:
        """A certificate by which the holder of `key` is `name` at the broker."""
        builder = self._leaf(name, key, now, lasts, ExtendedKeyUsageOID.CLIENT_AUTH)
        return self._sign(builder)

    def for_server(
        self, hosts: Iterable[str], key: ec.EllipticCurvePublicKey, now: datetime
    ) -> Issued:
        """A certificate by which the holder of `key` is the broker at any of `hosts`."""
        builder = self._leaf("broker", key, now, ROLE_LASTS, ExtendedKeyUsageOID.SERVER_AUTH)
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        return self._sign(builder.add_extension(names, critical=False))

    def revocations(self, revoked: Iterable[Revoked], now: datetime) -> str:
        """The signed list (CRL) in PEM."""
        since = now - BACKDATED
        builder = x509.CertificateRevocationListBuilder(
            self._certificate.subject, since, now + LIST_LASTS
        )
        for one in revoked:
            entry = x509.RevokedCertificateBuilder(one.serial, one.since).build()
            builder = builder.add_revoked_certificate(entry)
        number = x509.CRLNumber(int(now.timestamp() * 1e6))
        builder = builder.add_extension(number, critical=False)
        builder = builder.add_extension(self._key_identifier(), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def _leaf(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey,
        now: datetime,
        lasts: timedelta,
        purpose: x509.ObjectIdentifier,
    ) -> x509.CertificateBuilder:
        builder = _builder(self._certificate.subject, _subject(name), key, now, lasts)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(_usage(signs_certificates=False), True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        return builder.add_extension(self._key_identifier(), critical=False)

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())

    def _sign(self, builder: x509.CertificateBuilder) -> Issued:
        signed = builder.sign(self._key, hashes.SHA256())
        pem = signed.public_bytes(Encoding.PEM).decode()
        return Issued(pem, signed.serial_number, signed.not_valid_after_utc)


def _builder(
    issuer: x509.Name,
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    lasts: timedelta,
) -> x509.CertificateBuilder:
    now = now.astimezone(UTC)
    serial = x509.random_serial_number()
    builder = x509.CertificateBuilder(issuer, subject, key, serial, now - BACKDATED, now + lasts)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    return builder.add_extension(identifier, critical=False)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
