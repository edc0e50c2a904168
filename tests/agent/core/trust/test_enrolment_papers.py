"""Requests and answers: what is taken, and what is refused however it is signed."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from agent.adapters.keyfile import Ed25519FileSigner, TlsFileKey
from agent.core.records.envelope import seal
from agent.core.trust.enrolment import (
    REQUEST_TYPE,
    Earliest,
    EnrolmentRequest,
    EnrolmentResponse,
    check_name,
    check_response,
    open_request,
    open_response,
    seal_request,
    seal_response,
    tls_key,
)
from agent.core.units import NS_PER_S
from agent.errors import EarshotError, EnrolmentError, ForgedRecord, MalformedRecord
from simulator.centre.registrar.authority import NODE_LASTS, Authority, Revoked
from tests.support.drafts import signer_of
from tests.support.enrolled import DAY_NS, NOW_NS, Hut, Office

NOW = datetime.fromtimestamp(NOW_NS // NS_PER_S, UTC)
THIEF = signer_of("thief")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Hut, EnrolmentRequest, bytes]:
    """A node that has asked, its request and the file."""
    hut = Hut(tmp_path_factory.mktemp("node"))
    request, raw = hut.ask()
    return hut, request.request, raw


@pytest.fixture(scope="module")
def answered(
    asked: tuple[Hut, EnrolmentRequest, bytes], tmp_path_factory: pytest.TempPathFactory
) -> EnrolmentResponse:
    """The registrar's answer to it."""
    office = Office(tmp_path_factory.mktemp("registrar") / "town")
    return open_response(office.sign(asked[2]).sealed)


def of(hut: Hut) -> tuple[Ed25519FileSigner, TlsFileKey]:
    store = hut.folder / "store"
    return Ed25519FileSigner.load(store / "evidence.pem"), TlsFileKey.load(store / "node.key")


def csr(
    name: str = "town/north/n1",
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | None = None,
) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    key = key or ec.generate_private_key(ec.SECP256R1())
    digest = hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None
    signed = x509.CertificateSigningRequestBuilder(subject).sign(key, digest)
    return signed.public_bytes(Encoding.PEM).decode()


def unsigned_csr() -> str:
    """One whose last bits were changed after signing."""
    der = bytearray(x509.load_pem_x509_csr(csr().encode()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM).decode()


def test_a_request_proves_both_keys(asked: tuple[Hut, EnrolmentRequest, bytes]) -> None:
    """What was sealed opens, a newline at its end or not, and holds the node's very keys."""
    hut, request, raw = asked
    evidence, tls = of(hut)
    assert open_request(raw)[0] == request
    assert open_request(raw.strip()) == open_request(raw)
    assert request.evidence_key().public_bytes_raw() == evidence.public_key()
    assert tls_key(request) == tls.public_key()


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (csr("town/north/n2"), r"is for \['town/north/n2'\], not town/north/n1"),
        (csr("town.north.n1"), "not town/north/n1"),
        (csr(key=ec.generate_private_key(ec.SECP384R1())), "not for a P-256 key"),
        (csr(key=ed25519.Ed25519PrivateKey.generate()), "not for a P-256 key"),
        (unsigned_csr(), "not signed by the key in it"),
        ("", "malformed"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", "malfor"),
    ],
)
def test_a_bad_certificate_request_is_refused(
    asked: tuple[Hut, EnrolmentRequest, bytes], bad: str, told: str
) -> None:
    """Even in a request that the right evidence key has signed."""
    evidence, _ = of(asked[0])
    sealed = seal_request(msgspec.structs.replace(asked[1], csr=bad), evidence)
    with pytest.raises(EnrolmentError, match=told):
        open_request(sealed)


def test_a_request_in_anothers_name_is_refused(
    asked: tuple[Hut, EnrolmentRequest, bytes],
) -> None:
    """Signed by any other key than the evidence key it brings, or of another type."""
    with pytest.raises(ForgedRecord):
        open_request(seal_request(asked[1], THIEF))
    record = seal("application/vnd.earshot.record.v1+json", b"{}", THIEF)
    for raw in (record, b"", b"{}", b"\xff" * 99, b"[" * 100_000, b"x" * 300_000):
        with pytest.raises(MalformedRecord):
            open_request(raw)


@pytest.mark.parametrize(
    "key", ["", "AAAA", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "\u00e9" * 44]
)
def test_a_weak_or_broken_evidence_key_is_refused(
    asked: tuple[Hut, EnrolmentRequest, bytes], key: str
) -> None:
    """A small-order key verifies anything; it must not even be asked for."""
    sealed = seal_request(msgspec.structs.replace(asked[1], key=key), THIEF)
    with pytest.raises(EarshotError):
        open_request(sealed)


@pytest.mark.parametrize("bit", range(0, 8 * 40, 7))
def test_no_bit_of_a_request_can_be_flipped(
    asked: tuple[Hut, EnrolmentRequest, bytes], bit: int
) -> None:
    """Wherever it is."""
    raw = bytearray(asked[2].strip())
    raw[len(raw) * bit // (8 * 40)] ^= 1 << bit % 8
    with pytest.raises(EarshotError):
        open_request(bytes(raw))


def test_a_name_that_no_certificate_can_hold_is_refused() -> None:
    """RFC 5280 allows 64 letters; the line says what to shorten."""
    check_name("a" * 64)
    with pytest.raises(EnrolmentError, match=r"at most 64 letters: shorten node\.site"):
        check_name("a" * 65)


def check(
    asked: tuple[Hut, EnrolmentRequest, bytes], response: EnrolmentResponse, utc_ns: int = NOW_NS
) -> None:
    key = of(asked[0])[1].public_key()
    check_response(response, asked[1], key, Earliest(utc_ns, "this host's clock"))


def test_the_answer_to_our_request_is_good(
    asked: tuple[Hut, EnrolmentRequest, bytes], answered: EnrolmentResponse
) -> None:
    """From long before it was made, by a clock that is behind, up to its last second."""
    check(asked, answered)
    check(asked, answered, 0)
    check(asked, answered, NOW_NS + 366 * DAY_NS - NS_PER_S)


def authority() -> tuple[Authority, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    return Authority.found(key, "another", NOW), key


def changed(
    asked: tuple[Hut, EnrolmentRequest, bytes], answered: EnrolmentResponse, how: str
) -> EnrolmentResponse:
    """The answer, wrong in one way."""
    other, _ = authority()
    ours = of(asked[0])[1].public_key()
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    leaf = other.for_client("town/north/n1", ours, NOW, NODE_LASTS)
    own = {"authority": other.pem, "revoked": other.revocations([], NOW)}
    changes = {
        "another node": {"node": "n2"},
        "another nonce": {"nonce": "0" * 32},
        "another evidence key": {"keyid": THIEF.keyid},
        "rogue certificate": {"certificate": leaf.pem},
        "rogue list": {"revoked": own["revoked"]},
        "another key": {
            **own,
            "certificate": other.for_client("town/north/n1", stranger, NOW, NODE_LASTS).pem,
        },
        "another name": {
            **own,
            "certificate": other.for_client("town/north/n2", ours, NOW, NODE_LASTS).pem,
        },
        "a broker's": {**own, "certificate": other.for_server(["town"], ours, NOW).pem},
        "revoked": {
            **own,
            "certificate": leaf.pem,
            "revoked": other.revocations([Revoked(leaf.serial, NOW)], NOW),
        },
        "no certificate": {"certificate": "town/north/n1"},
        "no authority": {"authority": ""},
        "no list": {"revoked": answered.authority},
        "no key": {"locators": ("key",)},
        "a weak key": {"operators": (weak_pem(),)},
    }
    return msgspec.structs.replace(answered, **changes[how])


def weak_pem() -> str:
    key = ed25519.Ed25519PublicKey.from_public_bytes(b"\1" + bytes(31))
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("another node", "answers another request"),
        ("another nonce", "answers another request"),
        ("another evidence key", "registers another evidence key"),
        ("rogue certificate", "not from the authority beside it"),
        ("rogue list", "list of revoked certificates is not from the authority"),
        ("another key", "is for another key or another name"),
        ("another name", "is for another key or another name"),
        ("a broker's", "is for another key or another name"),
        ("revoked", "certificate was revoked"),
        ("no certificate", "certificate that cannot be used"),
        ("no authority", "certificate that cannot be used"),
        ("no list", "certificate that cannot be used"),
        ("no key", "no public key"),
        ("a weak key", "small order"),
    ],
)
def test_a_wrong_answer_is_refused(
    asked: tuple[Hut, EnrolmentRequest, bytes],
    answered: EnrolmentResponse,
    how: str,
    told: str,
) -> None:
    """Even if the registrar itself had signed it."""
    with pytest.raises(EarshotError, match=told):
        check(asked, changed(asked, answered, how))


def test_a_certificate_that_has_ended_names_the_clock(
    asked: tuple[Hut, EnrolmentRequest, bytes], answered: EnrolmentResponse
) -> None:
    """It may be the clock that is wrong."""
    late_ns = NOW_NS + 400 * DAY_NS
    told = f"{NOW + timedelta(days=400):%Y-%m-%d %H:%M} by this host's clock"
    with pytest.raises(EnrolmentError, match=f"its certificate ended at .* UTC.* {told}"):
        check(asked, answered, late_ns)


def test_an_answer_opens_with_the_key_inside_it_alone(answered: EnrolmentResponse) -> None:
    """Another's signature, another type, or a registrar without a key."""
    with pytest.raises(ForgedRecord):
        open_response(seal_response(answered, THIEF))
    with pytest.raises(MalformedRecord, match=f"is of type {REQUEST_TYPE.replace('+', '.')}"):
        open_response(seal(REQUEST_TYPE, b"{}", THIEF))
    with pytest.raises(EarshotError, match="no public key"):
        open_response(seal_response(msgspec.structs.replace(answered, registrar=""), THIEF))


def test_an_answer_for_a_server_alone_is_no_clients(
    asked: tuple[Hut, EnrolmentRequest, bytes], answered: EnrolmentResponse
) -> None:
    """Name and key may fit: what the certificate is for counts too."""
    other, key = authority()
    ours = of(asked[0])[1].public_key()
    builder = x509.CertificateBuilder(
        x509.load_pem_x509_certificate(other.pem.encode()).subject,
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "town/north/n1")]),
        ours,
        1,
        NOW,
        NOW + NODE_LASTS,
    )
    server = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
    for built, told in (
        (builder.add_extension(server, critical=False), "is not one for clients"),
        (builder, "cannot be used"),
    ):
        pem = built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
        response = msgspec.structs.replace(
            answered,
            certificate=pem,
            authority=other.pem,
            revoked=other.revocations([], NOW),
        )
        with pytest.raises(EnrolmentError, match=told):
            check(asked, response)
