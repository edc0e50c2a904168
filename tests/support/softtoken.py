"""Security tokens without hardware: SoftHSM2, and `token.c` before it where that is too kind."""

import importlib.util
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PLACES = ("/usr/lib/softhsm", "/usr/lib64/pkcs11", "/usr/lib/pkcs11", "/usr/local/lib/softhsm")
FOUND = [module for place in PLACES if (module := Path(place) / "libsofthsm2.so").exists()]
MODULE = FOUND[0] if FOUND else Path(PLACES[0]) / "libsofthsm2.so"
SOURCE = Path(__file__).with_name("token.c")
PIN = "493817"


def missing() -> str:
    """Why there can be no token here; empty where there can."""
    if importlib.util.find_spec("pkcs11") is None:
        return "python-pkcs11 is not installed"
    if not FOUND or not shutil.which("softhsm2-util"):
        return "softhsm2 is not installed"
    return ""


class SoftToken:
    """A token of its own name in `directory`, and the file of its PIN.

    A process with `env` sees it, or this one, once `env` is in its environment.
    """

    def __init__(self, directory: Path) -> None:
        if why := missing():
            pytest.skip(why)
        self.directory, self.name = directory, f"pole {secrets.token_hex(4)}"
        self.module = MODULE
        self._tokens, self._away = directory / "tokens", directory / "tokens-away"
        self._tokens.mkdir(parents=True)
        self.pin = directory / "pin"
        self.write_pin(PIN)
        conf = directory / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {self._tokens}\nlog.level = ERROR\n")
        self.env = {"SOFTHSM2_CONF": str(conf)}
        self.make(self.name)

    def make(self, name: str) -> None:
        """One more token, here."""
        words = ["softhsm2-util", "--init-token", "--free", "--label", name]
        subprocess.run(
            [*words, "--pin", PIN, "--so-pin", "12345678"],
            env={**os.environ, **self.env},
            check=True,
            capture_output=True,
        )

    def write_pin(self, pin: str) -> None:
        self.pin.write_text(f"{pin}\n")
        self.pin.chmod(0o600)

    def uri(self, label: str = "evidence", **more: str) -> str:
        """The name of its key `label`; `more` are parts of the path."""
        path = {"token": self.name.replace(" ", "%20"), "object": label, **more}
        parts = ";".join(f"{key}={value}" for key, value in path.items())
        return f"pkcs11:{parts}?module-path={self.module}&pin-source={self.pin}"

    def unplug(self) -> None:
        self._tokens.rename(self._away)

    def plug_in(self) -> None:
        self._away.rename(self._tokens)

    def stand_in_front(self) -> None:
        """From now on by `token.c`, and a SoftHSM2 of its own: this process may have one open."""
        if not shutil.which("gcc"):
            pytest.skip("gcc is not installed")
        self.module = self.directory / "token.so"
        words = ["gcc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", self.module, SOURCE]
        subprocess.run([*words, "-ldl"], check=True)
        own = shutil.copy(MODULE, self.directory)
        self.env |= {"TOKEN_MODULE": str(own), "TOKEN_WORLD": str(self.directory)}

    def begin_anew(self) -> Any:
        """SoftHSM2 looks what tokens there are when it begins; its library."""
        import pkcs11

        library = pkcs11.lib(str(self.module))
        library.reinitialize()
        return library

    @contextmanager
    def session(self) -> Iterator[Any]:
        """The token by python-pkcs11 alone, logged in."""
        found = self.begin_anew().get_token(token_label=self.name)
        with found.open(rw=True, user_pin=PIN) as session:
            yield session

    def objects(self) -> list[tuple[str, str]]:
        """All that is in it: private or public, and the label."""
        with self.session() as session:
            return sorted((type(one).__name__, one.label) for one in session.get_objects())
