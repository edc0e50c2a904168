"""Stores of node and locator go up by themselves, and down by one version with a command."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.cli.main import main
from simulator.centre.locator.store import EventStore
from simulator.cli.main import main as sim
from tests.support.drafts import LOCATOR, draft, outbox_of, registry_of

FIRST = Path(__file__).parent / "golden" / "0.1.0"


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A copy of the golden set that may be written to."""
    return Path(shutil.copytree(FIRST, tmp_path / "0.1.0"))


@pytest.mark.parametrize("which", ["outbox", "locator"])
def test_a_store_goes_up_by_itself_and_down_by_a_command(first: Path, which: str) -> None:
    """By one version, so that yesterday's software can be put back; and up again."""
    path = first / f"{which}.sqlite"

    def use() -> int:
        if which == "outbox":
            outbox_of("n1", path).close()
        else:
            EventStore(path, registry_of("n1", "n2"), LOCATOR).close()
        with closing(sqlite3.connect(path)) as db:
            return int(db.execute("PRAGMA user_version").fetchone()[0])

    def rows() -> list[object]:
        table = "record" if which == "outbox" else "event"
        with closing(sqlite3.connect(path)) as db:
            return db.execute(f"SELECT * FROM {table}").fetchall()

    with closing(sqlite3.connect(path)) as db:
        (before,) = db.execute("PRAGMA user_version").fetchone()
    held = rows()
    assert use() == before + 1
    assert (main if which == "outbox" else sim)(["store", "down", str(path)]) == 0
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (before,)
    assert rows() == held
    assert use() == before + 1


def test_a_store_that_cannot_go_down_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No store, or one of a version that is not ours."""
    assert main(["store", "down", str(tmp_path / "none")]) == 2
    assert "no such file" in capsys.readouterr().err
    (tmp_path / "text").write_text("hello" * 500)
    assert main(["store", "down", str(tmp_path / "text")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_was_set_aside_is_not_lost_on_the_way_down(tmp_path: Path) -> None:
    """Older software knows no dead letters: what nothing bridges yet waits again, to be sent."""
    path = tmp_path / "o.db"
    with closing(outbox_of("n1", path)) as outbox:
        for number in range(3):
            outbox.append(draft(host_ns=number))
        second = outbox.head().chain, 2
        assert outbox.set_aside(second, "never")
        assert not outbox.set_aside(second, "again")
        assert not outbox.set_aside(("e" * 32, 1), "a record of that name was never here")
        assert outbox.backlog() == 2
    assert main(["store", "down", str(path)]) == 0
    with closing(outbox_of("n1", path)) as outbox:
        assert [one.head.seq for one in outbox.pending(9, frozenset())] == [1, 2, 3]
