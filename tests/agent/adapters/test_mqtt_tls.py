"""The paho link over TLS: whom it trusts, and what it refuses to speak."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from agent.ports import Connected, Lost
from tests.support.pki import Authority
from tests.support.tiny_broker import WELCOME


def certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = directory / "cert.pem", directory / "key.pem"
    cert_path.write_bytes(signed.public_bytes(Encoding.PEM))
    key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return cert_path, key_path


def test_tls_trusts_only_the_named_authority(serve, link_to, tmp_path: Path) -> None:
    """With its authority the broker is met over TLS; without it, or without TLS, it is refused."""
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    secure = serve(WELCOME, context)
    trusting = link_to(secure.port, "mqtts", ca=cert)
    trusting.wait(Connected)
    trusting.publisher.close()
    (lost,) = link_to(secure.port, "mqtts").wait(Lost)
    assert lost.reason.startswith(f"certificate of 127.0.0.1:{secure.port} is not to be trusted:")


def test_a_broker_on_the_list_of_revoked_is_refused(serve, link_to, tmp_path: Path) -> None:
    """The list stands in the authority's file, as enrolment leaves it there; others get on."""
    authority = Authority(tmp_path)
    stolen, good = authority.issue("broker", revoked=True), authority.issue("broker")
    ports = []
    for broker in (stolen, good):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(broker["cert"], broker["key"])
        ports.append(serve(WELCOME, context).port)
    listed = tmp_path / "ca.crt"
    listed.write_bytes(authority.ca.read_bytes() + authority.crl.read_bytes())
    (lost,) = link_to(ports[0], "mqtts", ca=listed).wait(Lost)
    assert lost.reason.endswith("it was revoked: give the broker a new one")
    link_to(ports[1], "mqtts", ca=listed).wait(Connected)


def test_tls_below_1_2_is_refused(serve, link_to, tmp_path: Path) -> None:
    """A broker that offers only TLS 1.1 is not spoken to."""
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    (lost,) = link_to(serve(WELCOME, context).port, "mqtts", ca=cert).wait(Lost)
    assert lost.reason.startswith("no TLS with 127.0.0.1:")
