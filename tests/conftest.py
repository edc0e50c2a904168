"""Fixtures that several rooms share."""

from pathlib import Path

import pytest

from tests.support.enrolled import Hut, Office
from tests.support.softtoken import SoftToken


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """A registrar with nobody enrolled yet."""
    return Office(tmp_path / "registrar")


@pytest.fixture
def hut(tmp_path: Path) -> Hut:
    """A node that has not asked yet."""
    return Hut(tmp_path / "n1")


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    """A security token that this process, and those it starts, can use; or a skip."""
    made = SoftToken(tmp_path / "token")
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def stern_token(token: SoftToken, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    """One that counts wrong PINs and then locks itself, and that can be told to lie or to die."""
    token.stand_in_front()
    for name, value in token.env.items():
        monkeypatch.setenv(name, value)
    return token
