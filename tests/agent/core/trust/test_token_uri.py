"""pkcs11: URIs: what names a key, and one sentence for whatever does not."""

import pytest

from agent import settings
from agent.core.trust.token_uri import TokenUri, is_token_uri, parse_token_uri
from agent.errors import SettingsError, TokenError
from tests.agent.test_settings import SMALLEST

GOOD = "pkcs11:token=NAME;object=LABEL?module-path=/usr/lib/m.so&pin-source=/etc/earshot/pin"


def test_a_uri_names_token_key_module_and_pin_file() -> None:
    """In any order, percent-encoded where letters have a meaning, with a serial number or not."""
    plain = TokenUri("NAME", "LABEL", "/usr/lib/m.so", "/etc/earshot/pin")
    assert parse_token_uri(GOOD) == plain
    assert parse_token_uri(
        "pkcs11:serial=DENK01%3B7;object=my%20key%2F%C3%A9;token=a+b&c?"
        "pin-source=file:///run/pin%201&module-path=/m%3F.so"
    ) == TokenUri("a+b&c", "my key/é", "/m?.so", "/run/pin 1", "DENK01;7")
    assert parse_token_uri(GOOD.replace("/etc", "file:/etc")) == plain


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pkcs11:", "not understood: write pkcs11:token=NAME;object=LABEL"),
        ("pkcs11:token=a", "lacks object="),
        ("pkcs11:object=a", "lacks token="),
        ("pkcs11:token=a;object=b", "lacks module-path="),
        ("pkcs11:token=a;object=b?module-path=/m", "lacks pin-source="),
        (GOOD.replace("NAME", ""), "empty token="),
        (GOOD.replace("NAME", "two words"), "letters to be written %XX"),
        (GOOD.replace("NAME", "%zz"), "letters to be written %XX"),
        (GOOD.replace("NAME", "é"), "letters to be written %XX"),
        (GOOD.replace("NAME", "%FF"), "token= that is not UTF-8"),
        (GOOD.replace("NAME", "%0A"), "token= with letters that cannot be shown"),
        (GOOD.replace("NAME", "%00"), "token= with letters that cannot be shown"),
        (GOOD.replace(";object", ";token=b;object"), "says token= twice"),
        (GOOD.replace(";object", ";objekt"), "holds objekt that is not understood"),
        (GOOD.replace(";object", ";;object"), "holds something that is not understood"),
        (GOOD.replace(";object", ";id=%01;object"), "holds id that is not understood"),
        (GOOD.replace("module-path", "module-name"), "holds module-name that is not"),
        (GOOD.replace("/usr/lib/m.so", "m.so"), "module-path= that is no file from / on"),
        (GOOD.replace("/etc/earshot/pin", "|/bin/getpin"), "pin-source= that is no file from"),
        (GOOD.replace("/etc", "file://host/etc"), "pin-source= that is no file from / on"),
        (GOOD.replace("pin-source", "module-path"), "says module-path= twice"),
        (GOOD + "&pin-value=493817", "holds a PIN: write it into a file of mode 0600"),
        (GOOD.replace(";object", ";pin-value=493817;object"), "holds a PIN: write it into"),
        (GOOD + "x" * 1024, "letters is over 1024"),
    ],
)
def test_whatever_is_no_name_of_a_key_is_one_sentence(text: str, told: str) -> None:
    """It says what is wrong, never a value: there may be a PIN in it. Settings say the same."""
    with pytest.raises(TokenError) as caught:
        parse_token_uri(text)
    line = str(caught.value)
    assert line.startswith("pkcs11: URI ")
    assert told in line
    assert "\n" not in line
    assert "493817" not in line
    quoted = text.replace("\\", "")
    with pytest.raises(SettingsError) as refused:
        settings.parse(f'{SMALLEST}evidence = "{quoted}"\n', "node.toml")
    assert refused.value.faults == [f"keys.evidence: {line}"]


def test_a_good_uri_is_a_good_setting() -> None:
    """And a file stays a file, whatever its name."""
    assert settings.parse(f'{SMALLEST}evidence = "{GOOD}"\n', "n").keys.evidence == GOOD
    assert is_token_uri("PKCS11:token=a")
    assert not is_token_uri("/etc/pkcs11:token")
