"""Certificates and the list of the revoked, as OpenSSL judges them."""

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from simulator.centre.registrar.authority import NODE_LASTS, Authority, Revoked

NOW = datetime.now(UTC).replace(microsecond=0)


def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.found(key(), "town", NOW)


def verify(folder: Path, *words: str) -> str:
    """What `openssl verify -x509_strict` says of leaf.pem, by ca.pem and ca.crl."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    told = subprocess.run(
        [program, "verify", "-x509_strict", *words, "leaf.pem"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout + told.stderr


@pytest.mark.system
def test_openssl_takes_what_is_issued_and_not_what_is_revoked(
    authority: Authority, tmp_path: Path
) -> None:
    """By its strictest rules, each for its own purpose; and a city with no list lets nobody in."""
    node = authority.for_client("town/north/n1", key().public_key(), NOW, NODE_LASTS)
    broker = authority.for_server(("broker.town", "10.0.0.1"), key().public_key(), NOW)
    (tmp_path / "ca.pem").write_text(authority.pem)
    (tmp_path / "ca.crl").write_text(authority.revocations([], NOW))
    listed = ("-CAfile", "ca.pem", "-CRLfile", "ca.crl", "-crl_check")
    for leaf, words in (
        (node, ("-purpose", "sslclient")),
        (broker, ("-purpose", "sslserver", "-verify_hostname", "broker.town")),
        (broker, ("-purpose", "sslserver", "-verify_ip", "10.0.0.1")),
    ):
        (tmp_path / "leaf.pem").write_text(leaf.pem)
        assert verify(tmp_path, *listed, *words) == "leaf.pem: OK\n"
    assert "purpose" in verify(tmp_path, *listed, "-purpose", "sslclient")
    (tmp_path / "leaf.pem").write_text(node.pem)
    assert "purpose" in verify(tmp_path, *listed, "-purpose", "sslserver")
    revoked = [Revoked(node.serial, NOW), Revoked(77, NOW)]
    (tmp_path / "ca.crl").write_text(authority.revocations(revoked, NOW))
    assert "certificate revoked" in verify(tmp_path, *listed)


def test_a_restored_authority_is_the_same() -> None:
    """It signs on with the key and certificate that it was founded with."""
    own = key()
    founded = Authority.found(own, "town", NOW)
    restored = Authority.restore(own, founded.pem)
    leaf = x509.load_pem_x509_certificate(
        restored.for_client("n1", key().public_key(), NOW, NODE_LASTS).pem.encode()
    )
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(founded.pem.encode()))


def test_what_is_told_of_a_certificate_is_in_it(authority: Authority) -> None:
    """Serial number, last moment, name with slashes, and nothing that lets it sign others."""
    holder = key().public_key()
    issued = authority.for_client("town/north/n1", holder, NOW, NODE_LASTS)
    leaf = x509.load_pem_x509_certificate(issued.pem.encode())
    assert (leaf.serial_number, leaf.not_valid_after_utc) == (issued.serial, NOW + NODE_LASTS)
    assert issued.until == NOW + NODE_LASTS
    assert leaf.not_valid_before_utc < NOW
    assert leaf.public_key() == holder
    assert leaf.subject.rfc4514_string() == "CN=town/north/n1"
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
