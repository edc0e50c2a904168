"""Keys in a security token: what never leaves it, and one line for whatever is wrong with it."""

import contextlib
import os
import sys
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.adapters.hsm import EvidenceToken
from agent.core.trust.token_uri import parse_token_uri
from agent.errors import TokenError
from tests.support.softtoken import PIN, SoftToken

pytestmark = pytest.mark.system


def opened(uri: str, which: str = "there") -> contextlib.closing[EvidenceToken]:
    return contextlib.closing(EvidenceToken(parse_token_uri(uri), which))


def test_the_private_half_never_leaves_the_token(token: SoftToken) -> None:
    """Made inside, sensitive from the first moment; no call hands it out."""
    import pkcs11
    from pkcs11 import Attribute

    with opened(token.uri(), "new"):
        pass
    assert token.objects() == [("PrivateKey", "evidence"), ("PublicKey", "evidence")]
    with token.session() as logged_in:
        (private,) = logged_in.get_objects({Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY})
        for attribute in ("LOCAL", "SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "PRIVATE"):
            assert private[Attribute[attribute]], attribute
        assert not private[Attribute.EXTRACTABLE]
        with pytest.raises(pkcs11.AttributeSensitive):
            _ = private[Attribute.VALUE]


WRONG: dict[str, tuple[Callable[[SoftToken], object], str]] = {
    "no key": (lambda token: None, "holds no key evidence: make it with `earshot enrol request`"),
    "no token": (lambda token: token.unplug(), "token"),
    "another PIN": (lambda token: token.write_pin("1111"), "refuses the PIN in {pin}: correct it"),
    "an open PIN": (lambda token: token.pin.chmod(0o640), "(mode 0640): chmod 600 {pin}"),
    "no PIN file": (lambda token: token.pin.unlink(), "{pin}: PIN cannot be read: No such file"),
    "an empty PIN": (lambda token: token.write_pin(""), "{pin}: holds no PIN: write it there"),
    "two lines": (lambda token: token.write_pin("12\n34"), "{pin}: holds no PIN: write it there"),
    "a novel": (lambda token: token.write_pin("1" * 999), "{pin}: holds no PIN: write it there"),
    "bytes": (lambda token: token.pin.write_bytes(b"\xff\n"), "{pin}: holds no PIN: write it"),
    "a pipe": (
        lambda token: (token.pin.unlink(), os.mkfifo(token.pin, 0o600)),
        "{pin}: is no file: write the PIN into one",
    ),
    "no such module": (
        lambda token: setattr(token, "module", "/nowhere.so"),
        "/nowhere.so: no PKCS#11 module that works (cannot open shared object file: No such file",
    ),
    "no module": (
        lambda token: setattr(token, "module", token.pin),
        "{pin}: no PKCS#11 module that works (",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_whatever_is_wrong_is_one_line(token: SoftToken, name: str) -> None:
    """It names the thing and the remedy, and never the PIN."""
    break_it, told = WRONG[name]
    with opened(token.uri("another"), "new"):
        pass
    break_it(token)
    with pytest.raises(TokenError) as caught:
        EvidenceToken(parse_token_uri(token.uri()))
    line = str(caught.value)
    assert told.format(pin=token.pin) in line
    assert "\n" not in line
    assert PIN not in line


def test_a_token_of_another_name_is_not_there(token: SoftToken) -> None:
    """Nor one of another serial number; with its own, one of two is found."""
    with token.session() as logged_in:
        serial = logged_in.token.serial.decode()
    token.make(token.name)
    token.begin_anew()
    with pytest.raises(TokenError, match=f"{token.name}: 2 have that name: add serial= to the URI"):
        EvidenceToken(parse_token_uri(token.uri()))
    with opened(token.uri(serial=serial), "new") as made:
        keyid = made.signer.keyid
    with opened(token.uri(serial=serial)) as found:
        assert found.signer.keyid == keyid
    for uri in (token.uri(serial="0"), token.uri().replace("pole", "post")):
        with pytest.raises(TokenError, match="is not there: plug it in, or correct the URI"):
            EvidenceToken(parse_token_uri(uri))


def test_without_the_binding_one_line_tells_what_to_install(
    token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that needs no token does without python-pkcs11."""
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(TokenError, match="needs python-pkcs11: install Earshot with the extra hsm"):
        EvidenceToken(parse_token_uri(token.uri()))


def test_a_key_of_another_kind_is_refused(token: SoftToken) -> None:
    """Another curve, a private key without its public half, and two keys of one label."""
    from pkcs11 import Attribute, KeyType
    from pkcs11.util.ec import encode_named_curve_parameters

    with token.session() as logged_in:
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        parameters = logged_in.create_domain_parameters(KeyType.EC, curve, local=True)
        parameters.generate_keypair(store=True, label="curve", id=b"1")
        public, _ = parameters.generate_keypair(store=True, label="half", id=b"2")
        public.destroy()
        for id_in_token in (b"3", b"4"):
            parameters.generate_keypair(store=True, label="twice", id=id_in_token)
    for label, told in (
        ("curve", "holds a key curve that is not Ed25519: make one for evidence"),
        ("half", "holds 0 public halves of key half"),
        ("twice", "holds 2 keys twice: rename all but one"),
    ):
        for which in ("there", "new", "either"):
            with pytest.raises(TokenError, match=f"^token {token.name} {told}"):
                EvidenceToken(parse_token_uri(token.uri(label)), which)


def test_a_token_that_was_away_signs_again(token: SoftToken) -> None:
    """Each try in between is one line; no restart is needed once it is back."""
    with opened(token.uri(), "new") as key:
        public = Ed25519PublicKey.from_public_bytes(key.signer.public_key())
        for _ in range(2):
            public.verify(key.signer.sign(b"shot"), b"shot")
            token.unplug()
            for _ in range(3):
                with pytest.raises(TokenError, match=f"^token {token.name} |no PKCS#11 module"):
                    key.signer.sign(b"shot")
                with pytest.raises(TokenError):
                    key.heir()
            token.plug_in()
        public.verify(key.signer.sign(b"shot"), b"shot")


def test_a_token_logged_out_by_another_part_is_logged_in_again(token: SoftToken) -> None:
    """PKCS#11 logs out a whole process at once."""
    with opened(token.uri(), "new") as key, opened(token.uri()) as other:
        for _ in range(2):
            key.signer.sign(b"shot")
            other.signer.sign(b"shot")
            other.close()


def test_a_pin_that_was_refused_is_not_tried_again(token: SoftToken) -> None:
    """Until the file is written anew: a running node must not lock its token."""
    with opened(token.uri(), "new") as key:
        token.unplug()
        with pytest.raises(TokenError):
            key.signer.sign(b"shot")
        token.plug_in()
        token.write_pin("1111")
        for _ in range(3):
            with pytest.raises(TokenError, match="refuses the PIN"):
                key.signer.sign(b"shot")
        token.write_pin(PIN)
        key.signer.sign(b"shot")


def test_starts_with_a_wrong_pin_do_not_lock_the_token(stern_token: SoftToken) -> None:
    """A supervisor restarts a node for ever: the last try is left to a person."""
    uri, tries = parse_token_uri(stern_token.uri()), stern_token.directory / "tries"
    EvidenceToken(uri, "new").close()
    stern_token.write_pin("1111")
    for told in ("refuses the PIN", "refuses the PIN", *["one more PIN before it locks"] * 3):
        with pytest.raises(TokenError, match=told):
            EvidenceToken(uri)
    assert tries.read_text() == "2\n"
    tries.write_text("3\n")
    with pytest.raises(TokenError, match="locked by wrong PINs: unlock it with its SO PIN"):
        EvidenceToken(uri)
    tries.write_text("1\n")
    stern_token.write_pin(PIN)
    EvidenceToken(uri).close()
    assert tries.read_text() == "0\n"


def test_what_a_token_signs_is_verified(stern_token: SoftToken) -> None:
    """A broken token, or another in its place, ends in an error and not in the chain."""
    lies = stern_token.directory / "lies"
    with opened(stern_token.uri(), "new") as key:
        lies.touch()
        with pytest.raises(TokenError, match=r"signs wrongly for key .*: put the node.s own"):
            key.signer.sign(b"shot")
        lies.unlink()
        key.signer.sign(b"shot")
