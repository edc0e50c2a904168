"""How a node becomes known: what it asks for, what a registrar answers, what a node refuses.

A request is signed by the evidence key it brings and holds a PKCS#10 request signed by the TLS
key, so both halves are proven to be in the node's hands. The answer is signed by the registrar
and bound to that one request by its nonce. Both are DSSE envelopes in files; no network and no
shared secret takes part. Files, people and the authority's own keys are not known here.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, NamedTuple, TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Meta

from agent.core.records.envelope import (
    Opened,
    SignsBytes,
    key_id,
    load_public_key,
    load_public_pem,
    open_envelope,
    peek,
    seal,
)
from agent.core.records.fields import EpochNs, Frozen, Hex16, Hex32, Named
from agent.core.records.kinds import parse
from agent.core.units import moment_of
from agent.errors import EnrolmentError, KeyFileError, MalformedRecord

REQUEST_TYPE = "application/vnd.earshot.enrolment-request.v1+json"
RESPONSE_TYPE = "application/vnd.earshot.enrolment-response.v1+json"
MAX_BYTES = 256 * 1024  # the list of revoked certificates grows with the city
MAX_COMMON_NAME = 64  # ub-common-name of RFC 5280

_Short = Annotated[str, Meta(max_length=200)]
_Pem = Annotated[str, Meta(max_length=MAX_BYTES)]


class Hardware(Frozen, frozen=True, kw_only=True):
    """What the host is; None where it does not tell. Shown to the registrar, never trusted."""

    machine_id: _Short | None
    model: _Short | None
    serial: _Short | None


class _Addressed(Named, frozen=True, kw_only=True):
    """Which node it is about; `nonce` binds an answer to one request."""

    nonce: Hex32


class EnrolmentRequest(_Addressed, frozen=True, kw_only=True):
    """`key` is the evidence key, base64 of its 32 bytes; `csr` a PKCS#10 request in PEM."""

    key: _Short
    csr: _Pem
    hardware: Hardware
    software: _Short

    def evidence_key(self) -> Ed25519PublicKey:
        """The key that will sign records. Raises KeyFileError."""
        try:
            return load_public_key(base64.b64decode(self.key, validate=True))
        except (binascii.Error, ValueError):
            raise KeyFileError("the evidence key is not base64") from None


class EnrolmentResponse(_Addressed, frozen=True, kw_only=True):
    """`certificate` is the node's; all keys and certificates are PEM.

    `keyid` is that of the evidence key now registered, `revoked` the authority's list of revoked
    certificates, `registrar` the key that signs this. Receipts are signed by one of `locators`,
    commands by one of `operators`.
    """

    keyid: Hex16
    certificate: _Pem
    authority: _Pem
    revoked: _Pem
    locators: Annotated[tuple[_Pem, ...], Meta(min_length=1, max_length=16)]
    operators: Annotated[tuple[_Pem, ...], Meta(max_length=16)]
    broker_url: _Short
    registrar: _Pem
    issued_utc_ns: EpochNs

    def registrar_key(self) -> Ed25519PublicKey:
        """Raises KeyFileError."""
        return load_public_pem(self.registrar.encode())

    @property
    def until(self) -> datetime:
        """When the certificate ends; ValueError if there is none."""
        return x509.load_pem_x509_certificate(self.certificate.encode()).not_valid_after_utc


class Earliest(NamedTuple):
    """The latest of what is known of the present, and which clock says so: it is not before."""

    utc_ns: int
    clock: str

    @property
    def utc(self) -> datetime:
        """To the second."""
        return moment_of(self.utc_ns)


def digest_of(key: Ed25519PublicKey) -> str:
    """SHA-256 in hex over the DER SubjectPublicKeyInfo, of which the key id is the beginning."""
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def check_name(common_name: str) -> None:
    """Raises EnrolmentError for a name that no certificate can hold."""
    if len(common_name) > MAX_COMMON_NAME:
        raise EnrolmentError(
            f"{common_name}: a certificate's name has at most {MAX_COMMON_NAME} letters: "
            "shorten node.site, node.cell or node.id"
        )


def seal_request(request: EnrolmentRequest, signer: SignsBytes) -> bytes:
    """The one line of a request file. Raises MalformedRecord if oversized."""
    return seal(REQUEST_TYPE, msgspec.json.encode(request), signer, MAX_BYTES)


def seal_response(response: EnrolmentResponse, signer: SignsBytes) -> bytes:
    """The one line of a response file. Raises MalformedRecord if oversized."""
    return seal(RESPONSE_TYPE, msgspec.json.encode(response), signer, MAX_BYTES)


def open_request(raw: bytes) -> tuple[EnrolmentRequest, str]:
    """A request whose both keys have signed, and the digest that its words are made of.

    Raises MalformedRecord, ForgedRecord, KeyFileError or EnrolmentError.
    """
    request, opened = _open(
        raw, REQUEST_TYPE, EnrolmentRequest, lambda claimed: claimed.evidence_key()
    )
    check_name(request.common_name)
    tls_key(request)
    return request, opened.digest


def open_response(raw: bytes) -> EnrolmentResponse:
    """A response that the key inside it has signed; whose key that is, the caller must judge.

    Raises MalformedRecord, ForgedRecord or KeyFileError.
    """
    response, _ = _open(
        raw, RESPONSE_TYPE, EnrolmentResponse, lambda claimed: claimed.registrar_key()
    )
    return response


_Kind = TypeVar("_Kind", EnrolmentRequest, EnrolmentResponse)


def _open(
    raw: bytes, payload_type: str, kind: type[_Kind], key_of: Callable[[_Kind], Ed25519PublicKey]
) -> tuple[_Kind, Opened]:
    raw = raw.strip()
    claimed_type, payload = peek(raw, MAX_BYTES)
    if claimed_type != payload_type:
        raise MalformedRecord(f"is of type {claimed_type}, not {payload_type}")
    key = key_of(parse(payload, kind))
    opened = open_envelope(raw, {key_id(key): key}, MAX_BYTES)
    return parse(opened.payload, kind), opened


def tls_key(request: EnrolmentRequest) -> ec.EllipticCurvePublicKey:
    """The P-256 key of the PKCS#10 request, which it has signed. Raises EnrolmentError.

    Nothing else of it counts: what a certificate says is the authority's to decide.
    """
    try:
        csr = x509.load_pem_x509_csr(request.csr.encode())
        is_signed, names = csr.is_signature_valid, _common_names(csr.subject)
        key = csr.public_key()
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        raise EnrolmentError("its certificate request (PKCS#10) is malformed") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise EnrolmentError("its certificate request is not for a P-256 key")
    if not is_signed:
        raise EnrolmentError("its certificate request is not signed by the key in it")
    if names != [request.common_name]:
        raise EnrolmentError(f"its certificate request is for {names}, not {request.common_name}")
    return key


def check_response(
    response: EnrolmentResponse,
    request: EnrolmentRequest,
    tls: ec.EllipticCurvePublicKey,
    earliest: Earliest,
    latest_utc_ns: int | None = None,
) -> None:
    """Whether `response` answers `request` of the node that holds `tls`.

    A certificate from the future is taken, unless it begins after `latest_utc_ns`: of the present
    only these are known, and the registrar vouches for the rest. Raises EnrolmentError or
    KeyFileError.
    """
    if (response.source, response.nonce) != (request.source, request.nonce):
        raise EnrolmentError(
            "answers another request than the last one made here: "
            "ask the registrar for the answer to that, or make a new request"
        )
    if response.keyid != key_id(request.evidence_key()):
        raise EnrolmentError("registers another evidence key than this node's: do not use it")
    for key in (*response.locators, *response.operators):
        load_public_pem(key.encode())
    try:
        _check_certificates(response, tls, earliest, latest_utc_ns)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
        raise EnrolmentError(f"holds a certificate that cannot be used: {error}") from None


def _check_certificates(
    response: EnrolmentResponse,
    tls: ec.EllipticCurvePublicKey,
    earliest: Earliest,
    latest_utc_ns: int | None,
) -> None:
    leaf = x509.load_pem_x509_certificate(response.certificate.encode())
    authority = x509.load_pem_x509_certificate(response.authority.encode())
    revoked = x509.load_pem_x509_crl(response.revoked.encode())
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    issuer_key = authority.public_key()
    if not isinstance(issuer_key, ec.EllipticCurvePublicKey):
        raise EnrolmentError("its authority has no elliptic-curve key")
    if leaf.public_key() != tls or _common_names(leaf.subject) != [response.common_name]:
        raise EnrolmentError("its certificate is for another key or another name than this node's")
    try:
        leaf.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError):
        raise EnrolmentError("its certificate is not from the authority beside it") from None
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise EnrolmentError("its certificate is not one for clients")
    if not revoked.is_signature_valid(issuer_key):
        raise EnrolmentError("its list of revoked certificates is not from the authority beside it")
    if revoked.get_revoked_certificate_by_serial_number(leaf.serial_number):
        raise EnrolmentError("its certificate was revoked: make a new request")
    for name, certificate in (("certificate", leaf), ("authority", authority)):
        begins, ended = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if latest_utc_ns is not None and begins > moment_of(latest_utc_ns):
            raise EnrolmentError(
                f"its {name} begins only {begins:%Y-%m-%d %H:%M} UTC, which is not yet: have it "
                "made anew on a computer whose clock is right"
            )
        if ended < earliest.utc:
            raise EnrolmentError(
                f"its {name} ended at {ended:%Y-%m-%d %H:%M} UTC, and it is "
                f"{earliest.utc:%Y-%m-%d %H:%M} by {earliest.clock}: make a new request, or set "
                "the clock if it is that which is wrong"
            )


def _common_names(name: x509.Name) -> list[str]:
    return [str(entry.value) for entry in name.get_attributes_for_oid(NameOID.COMMON_NAME)]
