"""Fixtures that several rooms share."""

from pathlib import Path

import pytest

from tests.support.enrolled import Hut, Office


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """A registrar with nobody enrolled yet."""
    return Office(tmp_path / "registrar")


@pytest.fixture
def hut(tmp_path: Path) -> Hut:
    """A node that has not asked yet."""
    return Hut(tmp_path / "n1")
