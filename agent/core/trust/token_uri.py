"""The name of a key in a security token: the part of RFC 7512 that Earshot takes, strictly.

`pkcs11:token=NAME;object=LABEL?module-path=FILE&pin-source=FILE`, and `serial=` where two tokens
have one name. A PIN never stands in it. What a token holds, and whether it is there, is for the
adapters.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from agent.errors import TokenError

SCHEME = "pkcs11:"
FORM = "pkcs11:token=NAME;object=LABEL?module-path=FILE&pin-source=FILE"
MAX_LETTERS = 1024

_PATH_NAMES = frozenset({"token", "object", "serial"})
_QUERY_NAMES = frozenset({"module-path", "pin-source"})
_PLAIN = r"(?:[A-Za-z0-9._~:\[\]@!$'()*+,={}-]|%[0-9A-Fa-f]{{2}})+"
_PATH_VALUE = re.compile(_PLAIN.format("&"))
_QUERY_VALUE = re.compile(_PLAIN.format("/?|"))


@dataclass(frozen=True, slots=True)
class TokenUri:
    """Which key in which token, the module that knows the token, and the file of its PIN."""

    token: str
    object: str
    module_path: str
    pin_source: str
    serial: str | None = None


def is_token_uri(text: str) -> bool:
    """Whether `text` names a key in a token rather than a file."""
    return text.lower().startswith(SCHEME)


def parse_token_uri(text: str) -> TokenUri:
    """The key that `text` names. Raises TokenError with one sentence, which never holds a value."""
    if len(text) > MAX_LETTERS:
        raise TokenError(f"pkcs11: URI of {len(text)} letters is over {MAX_LETTERS}")
    path, _, query = text[len(SCHEME) :].partition("?")
    found = dict(_parts(path.split(";"), _PATH_NAMES, _PATH_VALUE))
    for name, value in _parts(query.split("&") if query else [], _QUERY_NAMES, _QUERY_VALUE):
        if name == "pin-source":
            value = value.removeprefix("file://").removeprefix("file:")
        found[name] = _absolute(name, value)
    missing = [name for name in ("token", "object", *sorted(_QUERY_NAMES)) if name not in found]
    if missing:
        raise TokenError(f"pkcs11: URI lacks {missing[0]}=: write {FORM}")
    return TokenUri(
        token=found["token"],
        object=found["object"],
        module_path=found["module-path"],
        pin_source=found["pin-source"],
        serial=found.get("serial"),
    )


def _parts(
    parts: list[str], known: frozenset[str], plain: re.Pattern[str]
) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for part in parts:
        name, _, value = part.partition("=")
        if name == "pin-value":
            raise TokenError(
                "pkcs11: URI holds a PIN: write it into a file of mode 0600, and pin-source=FILE"
            )
        if name not in known:
            shown = name if re.fullmatch("[a-z-]{1,32}", name) else "something"
            raise TokenError(f"pkcs11: URI holds {shown} that is not understood: write {FORM}")
        if name in seen:
            raise TokenError(f"pkcs11: URI says {name}= twice: once will do")
        if not plain.fullmatch(value):
            raise TokenError(f"pkcs11: URI has an empty {name}=, or letters to be written %XX")
        seen.add(name)
        yield name, _decoded(name, value)


def _decoded(name: str, value: str) -> str:
    try:
        text = unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise TokenError(f"pkcs11: URI has a {name}= that is not UTF-8") from None
    if not text.isprintable():
        raise TokenError(f"pkcs11: URI has a {name}= with letters that cannot be shown")
    return text


def _absolute(name: str, path: str) -> str:
    if not path.startswith("/"):
        raise TokenError(f"pkcs11: URI has a {name}= that is no file from / on: give its full path")
    return path
