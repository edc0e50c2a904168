"""DSSE envelopes: what others verify, and what is refused."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from agent.core.records import envelope
from agent.core.records.kinds import PAYLOAD_TYPE
from agent.errors import ForgedRecord, KeyFileError, MalformedRecord
from tests.support.drafts import LOCATOR, LOCATOR_KEYS, chain_of, signer_of

SIGNER = signer_of("n1")
KEYS = {SIGNER.keyid: envelope.load_public_key(SIGNER.public_key())}
PAYLOAD = b'{"hello":"street"}'
RAW = envelope.seal(PAYLOAD_TYPE, PAYLOAD, SIGNER)


def test_the_encoding_is_the_one_of_the_specification() -> None:
    """PAE agrees with the example in DSSE's protocol.md."""
    encoded = envelope.pae("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@given(st.text(max_size=40), st.binary(max_size=2_000))
def test_what_was_sealed_opens(payload_type: str, payload: bytes) -> None:
    """Any type and any bytes come back exactly, with the digest that the next record will hold."""
    opened = envelope.open_envelope(envelope.seal(payload_type, payload, SIGNER), KEYS)
    assert (opened.payload_type, opened.payload) == (payload_type, payload)
    assert (opened.keyid, opened.digest) == (
        SIGNER.keyid,
        envelope.digest(payload_type, payload),
    )


def test_a_limit_of_its_own_holds_at_either_end() -> None:
    """Sealing, opening and peeking agree on what is too large."""
    for limit in (len(RAW), len(RAW) - 1):
        for act in (
            lambda limit=limit: envelope.seal(PAYLOAD_TYPE, PAYLOAD, SIGNER, limit) == RAW,
            lambda limit=limit: envelope.open_envelope(RAW, KEYS, limit).payload == PAYLOAD,
            lambda limit=limit: envelope.peek(RAW, limit) == (PAYLOAD_TYPE, PAYLOAD),
        ):
            if limit == len(RAW):
                assert act()
            else:
                with pytest.raises(MalformedRecord, match=f"of {len(RAW)} bytes is over {limit}"):
                    act()


def test_securesystemslib_agrees() -> None:
    """An implementation that nobody here wrote verifies our envelope and reads the same bytes."""
    theirs = Envelope.from_dict(json.loads(RAW))
    public = {"public": SIGNER.public_key().hex()}
    key = SSlibKey(SIGNER.keyid, "ed25519", "ed25519", public)
    assert list(theirs.verify([key], 1)) == [SIGNER.keyid]
    assert (theirs.payload, theirs.pae()) == (PAYLOAD, envelope.pae(PAYLOAD_TYPE, PAYLOAD))


@pytest.mark.system
@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")
def test_openssl_agrees(tmp_path: Path) -> None:
    """A court needs nothing of ours: openssl verifies a record, and refuses it when altered."""
    fields = json.loads(chain_of("n1", 1)[0].envelope)
    body = base64.b64decode(fields["payload"])
    (tmp_path / "key.pem").write_text(SIGNER.public_pem())
    (tmp_path / "sig").write_bytes(base64.b64decode(fields["signatures"][0]["sig"]))
    command = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "key.pem",
        "-rawin",
        "-in",
        "pae",
        "-sigfile",
        "sig",
    ]
    for message, status in ((body, 0), (body.replace(b"0.9", b"0.8"), 1)):
        (tmp_path / "pae").write_bytes(envelope.pae(fields["payloadType"], message))
        told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert told.returncode == status, told.stderr


def test_no_single_bit_can_change() -> None:
    """Every one-bit change of an envelope is refused: forged, or not even an envelope."""
    for bit in range(8 * len(RAW)):
        altered = bytearray(RAW)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises((MalformedRecord, ForgedRecord)):
            envelope.open_envelope(bytes(altered), KEYS)


def test_an_unknown_key_is_refused() -> None:
    """A perfect signature by someone else is a forgery."""
    with pytest.raises(ForgedRecord, match=f"unknown key '{SIGNER.keyid}'"):
        envelope.open_envelope(RAW, LOCATOR_KEYS)
    with pytest.raises(ForgedRecord, match="does not hold"):
        envelope.open_envelope(RAW, {SIGNER.keyid: LOCATOR_KEYS[LOCATOR.keyid]})


FIELDS = json.loads(RAW)
SIGNATURE = FIELDS["signatures"][0]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 16_000,
        b"9" * 5_000,
        b" " * (envelope.MAX_ENVELOPE_BYTES + 1),
        RAW.replace(b'{"payloadType"', b'{"payloadType":"x","payloadType"'),
        RAW.replace(b'{"keyid"', b'{"keyid":"x","keyid"'),
        json.dumps(FIELDS | {"more": 1}).encode(),
        json.dumps(FIELDS | {"signatures": []}).encode(),
        json.dumps(FIELDS | {"signatures": [SIGNATURE, SIGNATURE]}).encode(),
        json.dumps(FIELDS | {"signatures": [SIGNATURE | {"cert": ""}]}).encode(),
        json.dumps(FIELDS | {"signatures": [SIGNATURE | {"sig": 7}]}).encode(),
        json.dumps(FIELDS | {"payloadType": 7}).encode(),
        json.dumps(FIELDS | {"payload": FIELDS["payload"] + "\n"}).encode(),
        json.dumps(FIELDS | {"payload": FIELDS["payload"].rstrip("=") + "!"}).encode(),
        json.dumps(FIELDS | {"payload": "é"}).encode(),
        json.dumps(FIELDS | {"signatures": [SIGNATURE | {"sig": "QUJ="}]}).encode(),
    ],
)
def test_what_is_no_strict_envelope_is_refused(raw: bytes) -> None:
    """Doubled names, extra fields, lax base64, bombs and oversize never reach the verifier."""
    with pytest.raises(MalformedRecord):
        envelope.open_envelope(raw, KEYS)


def test_an_oversized_record_is_not_sealed() -> None:
    """A node does not sign what the locator would have to refuse."""
    with pytest.raises(MalformedRecord, match=r"envelope of \d+ bytes is over 16384"):
        envelope.seal(PAYLOAD_TYPE, bytes(13_000), SIGNER)


_P = 2**255 - 19
_ORDER_8_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7


@pytest.mark.parametrize("sign", [0, 1 << 255])
@pytest.mark.parametrize("y", [0, 1, _P - 1, _P, _P + 1, _ORDER_8_Y, _P - _ORDER_8_Y, 2**255 - 1])
def test_keys_that_verify_anything_are_refused(y: int, sign: int) -> None:
    """Every encoding of a small-order or non-canonical point is refused as a public key."""
    with pytest.raises(KeyFileError, match="small order"):
        envelope.load_public_key((y | sign).to_bytes(32, "little"))


def test_the_small_order_guard_is_needed() -> None:
    """The library alone accepts the identity as a key, and one signature then fits all messages."""
    identity = (1).to_bytes(32, "little")
    key = Ed25519PublicKey.from_public_bytes(identity)
    key.verify(identity + bytes(32), b"any message")
    key.verify(identity + bytes(32), b"any other message")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    """The length is told, so that a truncated file is recognised."""
    with pytest.raises(KeyFileError, match=f"32 bytes, not {length}"):
        envelope.load_public_key(bytes(length))
