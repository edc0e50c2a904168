"""One security token, logged in when it is needed, and again after it was away.

The PIN is read from its file each time and kept nowhere. One that was refused is not tried again
before the file is written anew, and none when one try is left: tokens lock themselves. Which keys
matter is `keys`' concern.
"""

import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from agent.core.trust.token_uri import TokenUri
from agent.errors import TokenError

if TYPE_CHECKING:
    import pkcs11

MAX_PIN_BYTES = 256

# PKCS11Error, or plainly this where a module was not begun: each a return value of the module.
Failure = RuntimeError

_Made = TypeVar("_Made")
_Version = tuple[int, int]

# Modules are told of no threads (C_Initialize without arguments): one call at a time, whoever
# calls, also where two tokens have one module.
_ONE_AT_A_TIME = threading.Lock()


class Token:
    """The token of `uri`; any thread may use it. Opened by the first use."""

    def __init__(self, uri: TokenUri) -> None:
        self._uri = uri
        self._session: pkcs11.Session | None = None
        self._was_lost = False
        self._refused: _Version | None = None

    def __str__(self) -> str:
        return f"token {self._uri.token}"

    def use(self, work: Callable[["pkcs11.Session"], _Made]) -> _Made:
        """What `work` makes of a session; it runs again where an open one turns out to be dead.

        Raises TokenError: where `work` does, with the token's name before it.
        """
        with _ONE_AT_A_TIME:
            if self._session is not None:
                with suppress(Failure, TokenError):
                    return work(self._session)
                self._drop()  # unplugged meanwhile, or logged out by another
            return self._use_fresh(work)

    def close(self) -> None:
        """Log out. The next use would log in again."""
        with _ONE_AT_A_TIME:
            self._drop()

    def _use_fresh(self, work: Callable[["pkcs11.Session"], _Made]) -> _Made:
        try:
            self._session = self._open()
            try:
                return work(self._session)
            except TokenError as error:
                raise TokenError(f"{self} {error}") from None
        except Failure as error:
            self._drop()
            detail = " ".join(f"{type(error).__name__} {error}".split())
            raise TokenError(
                f"{self} fails ({detail}): see that it is plugged in and what serves it runs"
            ) from None

    def _drop(self) -> None:
        if self._session is not None:
            with suppress(Failure):  # there may be nobody to say good-bye to
                self._session.close()
            self._session, self._was_lost = None, True

    def _open(self) -> "pkcs11.Session":
        token = self._find()  # first: it tells a person where the binding is missing
        import pkcs11

        locked = TokenError(f"{self} is locked by wrong PINs: unlock it with its SO PIN")
        if token.flags & pkcs11.TokenFlag.USER_PIN_LOCKED:
            raise locked
        if token.flags & pkcs11.TokenFlag.USER_PIN_FINAL_TRY:
            raise TokenError(
                f"{self} takes one more PIN before it locks itself: log in by hand with the right "
                "one (pkcs11-tool --login), then start again"
            )
        pin, version = _pin(Path(self._uri.pin_source))
        if version == self._refused:
            self._refuse()
        try:
            return token.open(rw=True, user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:  # by this process
            return token.open(rw=True)
        except pkcs11.PinLocked:
            raise locked from None
        except (pkcs11.PinIncorrect, pkcs11.PinLenRange, pkcs11.PinInvalid):
            self._refused = version
            self._refuse()

    def _refuse(self) -> NoReturn:
        raise TokenError(
            f"{self} refuses the PIN in {self._uri.pin_source}: correct it before another try, "
            "for a token locks itself after a few"
        )

    def _find(self) -> "pkcs11.Token":
        """The token in its slot. A module may have to begin anew to see what was plugged in."""
        library = _module(self._uri.module_path)
        found: list[pkcs11.Token] = []
        if not self._was_lost:
            with suppress(Failure):
                found = self._seen(library)
        if not found:
            library.reinitialize()
            found = self._seen(library)
        if not found:
            raise TokenError(f"{self} is not there: plug it in, or correct the URI of the key")
        if len(found) > 1:
            raise TokenError(f"{self}: {len(found)} have that name: add serial= to the URI")
        return found[0]

    def _seen(self, library: Any) -> list["pkcs11.Token"]:
        serial = self._uri.serial
        return [
            token
            for token in library.get_tokens(token_label=self._uri.token)
            if serial is None or token.serial.decode(errors="replace").rstrip() == serial
        ]


def _module(path: str) -> Any:
    try:
        import pkcs11
    except ImportError:
        raise TokenError(
            "a key in a token needs python-pkcs11: install Earshot with the extra hsm"
        ) from None
    try:
        return pkcs11.lib(path)
    except Failure as error:
        detail = str(error).rpartition(f"{path}: ")[2] or type(error).__name__
        raise TokenError(
            f"{path}: no PKCS#11 module that works ({detail}): install and configure it, or "
            "correct module-path"
        ) from None


def _pin(path: Path) -> tuple[str, _Version]:
    """What stands in the file, and which writing of it that was. Raises TokenError."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            about = os.fstat(file.fileno())
            mode = stat.S_IMODE(about.st_mode)
            if not stat.S_ISREG(about.st_mode):
                raise TokenError(f"{path}: is no file: write the PIN into one")
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise TokenError(f"{path}: PIN open to others (mode {mode:04o}): chmod 600 {path}")
            raw = file.read(MAX_PIN_BYTES + 1)
    except OSError as error:
        raise TokenError(f"{path}: PIN cannot be read: {error.strerror}") from None
    with suppress(UnicodeDecodeError):
        pin = raw.decode().removesuffix("\n").removesuffix("\r")
        if pin and pin.isprintable() and len(raw) <= MAX_PIN_BYTES:
            return pin, (about.st_ino, about.st_mtime_ns)
    raise TokenError(f"{path}: holds no PIN: write it there, alone on one line")
