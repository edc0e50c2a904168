"""A directory without a disk below it, for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.disk import in_memory


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory whose syncs cost nothing."""
    with in_memory() as directory:
        yield directory
