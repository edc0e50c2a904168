"""What is gone though an earlier record waits is kept as ranges; a receipt still finds its way."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.adapters.outbox import SqliteOutbox, open_database, settled, step_down
from agent.adapters.outbox.schema import DOWNS, STEPS
from agent.core.records.chain import Head
from agent.core.records.store_records import Link
from agent.errors import ForgedRecord
from tests.support.drafts import draft, outbox_of, receipt

NONE: frozenset[tuple[str, int]] = frozenset()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[SqliteOutbox]:
    opened = outbox_of("n1", tmp_path / "o.db")
    yield opened
    opened.close()


def ranges(outbox: SqliteOutbox) -> list[tuple[int, int]]:
    with outbox._file.transaction() as db:
        return db.execute("SELECT first, last FROM settled ORDER BY first").fetchall()


def waiting(outbox: SqliteOutbox) -> list[int]:
    return sorted(one.head.seq for one in outbox.pending(99, NONE))


def test_neighbours_become_one_range(outbox: SqliteOutbox) -> None:
    """In whatever order they go."""
    heads = [outbox.append(draft()).head for _ in range(10)]
    nothing = Head(heads[0].chain)
    for extra in ((3, 3), (5, 5), (9, 10), (4, 4), (7, 7)):
        outbox.release(receipt("n1", nothing, [extra]))
    assert ranges(outbox) == [(3, 5), (7, 7), (9, 10)]
    assert waiting(outbox) == [1, 2, 6, 8]
    outbox.release(receipt("n1", heads[4]))
    assert (ranges(outbox), waiting(outbox)) == ([(7, 7), (9, 10)], [6, 8])
    outbox.release(receipt("n1", heads[9]))
    assert (ranges(outbox), waiting(outbox), outbox.backlog()) == ([], [], 0)


def test_a_receipt_that_ends_within_a_range_frees_what_is_below(outbox: SqliteOutbox) -> None:
    """Its digest is forgotten there, so it is neither believed further nor called a lie."""
    heads = [outbox.append(draft()).head for _ in range(10)]
    outbox.release(receipt("n1", Head(heads[0].chain), [(4, 8)]))
    outbox.release(receipt("n1", heads[5]))
    assert (ranges(outbox), waiting(outbox)) == ([(4, 8)], [9, 10])
    outbox.release(receipt("n1", heads[9]))
    assert (ranges(outbox), waiting(outbox)) == ([], [])


def test_the_end_of_a_range_is_still_checked(outbox: SqliteOutbox) -> None:
    """Another digest there shows that the store was rolled back."""
    heads = [outbox.append(draft()).head for _ in range(6)]
    outbox.release(receipt("n1", Head(heads[0].chain), [(2, 5)]))
    with pytest.raises(ForgedRecord, match="another digest for seq 5"):
        outbox.release(receipt("n1", Head(heads[0].chain, 5, "e" * 64)))


def test_single_ones_of_older_stores_become_ranges_and_go_back(tmp_path: Path) -> None:
    """Up by itself, down by the command: the end of each range is kept."""
    path = tmp_path / "o.db"
    with closing(open_database(path, STEPS[:2])) as db:
        for seq in (2, 3, 4, 8, 10, 11):
            db.execute("INSERT INTO settled VALUES (?, ?)", (seq, f"{seq:064}"))
    with closing(open_database(path, STEPS)) as db:
        found = db.execute("SELECT * FROM settled").fetchall()
        assert found == [(2, 4, f"{4:064}"), (8, 8, f"{8:064}"), (10, 11, f"{11:064}")]
        settled.settle(db, [Link(seq=9, digest="9" * 64)])
        assert db.execute("SELECT first, last FROM settled").fetchall() == [(2, 4), (8, 11)]
    assert step_down(path, STEPS, DOWNS) == 2
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT seq FROM settled").fetchall() == [(4,), (11,)]


def test_who_does_not_want_to_wait_is_told_that_the_disk_is_at_work(outbox: SqliteOutbox) -> None:
    """Delivery goes on with what it has in memory."""
    outbox.append(draft())
    with outbox._file.transaction():
        assert outbox.try_pending(9, NONE) is None
        assert outbox.backlog() == 1
    assert outbox.try_pending(9, NONE) == outbox.pending(9, NONE)
    outbox._file.let_go()
    assert outbox.try_pending(9, NONE) is None
