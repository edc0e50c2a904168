"""What every signer promises, run over a key in a file and one in a token; and how keys change."""

import base64
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.app.evidence import EvidenceKey, evidence_key
from agent.core.records.envelope import open_envelope, pae, seal
from agent.errors import EarshotError

Open = Callable[..., AbstractContextManager[EvidenceKey]]

MESSAGES = [b"", b"shot", bytes(range(256)) * 64]


@pytest.fixture(params=["file", pytest.param("token", marks=pytest.mark.system)])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the one evidence key of a test; "there" unless said otherwise."""
    is_token = request.param == "token"
    where = request.getfixturevalue("token").uri() if is_token else str(tmp_path / "evidence.pem")
    return partial(evidence_key, where)


def public_of(key: EvidenceKey) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(key.signer.public_key())


def test_a_signature_is_one_of_the_key_that_is_named(opening: Open) -> None:
    """64 bytes that verify for the 32 of the public key, whose digest is the key id."""
    with opening("new") as key:
        public = public_of(key)
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert key.signer.keyid == hashlib.sha256(spki).hexdigest()[:16]
        for message in MESSAGES:
            signature = key.signer.sign(message)
            assert len(signature) == 64
            public.verify(signature, message)
            with pytest.raises(InvalidSignature):
                public.verify(signature, message + b"!")


@pytest.mark.system
def test_an_envelope_verifies_with_openssl_alone(opening: Open, tmp_path: Path) -> None:
    """Anyone can check a record, wherever its key was kept."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    with opening("new") as key:
        raw = seal("text/plain", b"shot", key.signer)
        (tmp_path / "pub").write_text(key.signer.public_pem())
        assert open_envelope(raw, {key.signer.keyid: public_of(key)}).payload == b"shot"
    (signed,) = json.loads(raw)["signatures"]
    (tmp_path / "sig").write_bytes(base64.b64decode(signed["sig"]))
    (tmp_path / "pae").write_bytes(pae("text/plain", b"shot"))
    words = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "pub", "-rawin", "-in", "pae"]
    told = subprocess.run(
        [*words, "-sigfile", "sig"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "Signature Verified Successfully" in told.stdout, told.stderr


def test_any_thread_may_sign(opening: Open) -> None:
    """The node seals records while the uplink seals what it says of itself."""
    with opening("new") as key, ThreadPoolExecutor(4) as threads:
        messages = [b"%d" % number for number in range(200)]
        signatures = list(threads.map(key.signer.sign, messages))
        for message, signature in zip(messages, signatures, strict=True):
            public_of(key).verify(signature, message)


def test_a_key_is_made_once_and_is_the_same_ever_after(opening: Open) -> None:
    """Making it again is refused; "either" makes one only where there is none."""
    with pytest.raises(EarshotError), opening():
        pass
    with opening("either") as key:
        made = key.signer.public_key()
    with pytest.raises(EarshotError, match="a key is never overwritten"), opening("new"):
        pass
    for which in ("there", "either"):
        with opening(which) as key:
            assert key.signer.public_key() == made
            public_of(key).verify(key.signer.sign(b"shot"), b"shot")


def test_an_heir_waits_until_it_is_called(opening: Open) -> None:
    """The same one however often it is asked for, also after a restart; the old key signs on."""
    with opening("new") as key:
        old, heir = key.signer.keyid, key.heir()
        assert key.heir().keyid == heir.keyid != old
        Ed25519PublicKey.from_public_bytes(heir.public_key()).verify(heir.sign(b"yes"), b"yes")
        public_of(key).verify(key.signer.sign(b"shot"), b"shot")
    with opening() as key:
        assert key.signer.keyid == old
        assert key.heir().keyid == heir.keyid


def test_a_key_that_took_over_is_the_only_one(opening: Open) -> None:
    """At once and after a restart; of the old one nothing is left, and the next may follow."""
    with opening("new") as key:
        old, heir = key.signer.keyid, key.heir()
        assert key.turn_to("0" * 16) is None
        assert key.turn_to(old) is key.signer
        turned = key.turn_to(heir.keyid)
        assert turned is key.signer
        assert key.signer.keyid == heir.keyid
        public_of(key).verify(key.signer.sign(b"shot"), b"shot")
    with opening() as key:
        assert key.signer.keyid == heir.keyid
        assert key.turn_to(old) is None
        third = key.heir()
        assert third.keyid not in (old, heir.keyid)
        assert key.turn_to(third.keyid)
    with opening() as key:
        assert key.signer.keyid == third.keyid


def test_a_start_can_turn_to_an_heir_that_was_made_before(opening: Open) -> None:
    """The store may name it: a power cut came between the record and the change."""
    with opening("new") as key:
        heir = key.heir().keyid
    with opening() as key:
        assert key.turn_to(heir) is key.signer
    with opening() as key:
        assert key.signer.keyid == heir
