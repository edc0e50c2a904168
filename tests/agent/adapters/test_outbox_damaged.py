"""A store that is damaged or gone: it becomes evidence, the chain says so, and keeping goes on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.adapters.outbox import SqliteOutbox
from agent.adapters.outbox.damage import MOST_EVIDENCE
from agent.app.keeping import RETRY_NS, Keeping
from agent.core.records.chain import draft_of
from agent.core.records.store_records import Damaged
from tests.support import spoilt
from tests.support.drafts import draft, heartbeat, outbox_of, receipt

NONE: frozenset[tuple[str, int]] = frozenset()
RECORDS = 300


def lived(path: Path) -> str:
    """A store with a past, as a power cut leaves it; its chain."""
    outbox = outbox_of("n1", path)
    heads = [outbox.append(draft(heartbeat() if n % 3 else None, n)).head for n in range(RECORDS)]
    outbox.release(receipt("n1", heads[99]))
    outbox.close(clean=False)
    return heads[0].chain


def kept(outbox: SqliteOutbox) -> list[object]:
    """What the chain says from its beginning."""
    records = sorted(outbox.pending(10_000, NONE), key=lambda one: one.head.seq)
    assert [one.head.seq for one in records] == list(range(1, len(records) + 1))
    return [draft_of(one.envelope).data for one in records]


@pytest.mark.parametrize("damage", spoilt.WAYS)
def test_a_damaged_store_is_set_aside_and_a_new_chain_says_so(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Its bytes stay beside the new store; what was still to be read of it is said again."""
    path = tmp_path / "o.db"
    chain = lived(path)
    damage(path)
    outbox = outbox_of("n1", path)
    keeping = Keeping(outbox)
    for number in range(3):
        keeping.append(draft(host_ns=1_000 + number))
    for second in range(1, 5):
        keeping.step(second * RETRY_NS)
    assert (keeping.waiting, outbox.head().chain == chain) == (0, False)
    told, *rest = kept(outbox)
    assert isinstance(told, Damaged)
    assert told.reason
    assert (tmp_path / told.set_aside).exists()
    assert len(rest) == told.said_again + 3
    if damage in (spoilt.lose_the_tail, spoilt.lose_the_owner):
        assert told.said_again == RECORDS - 100 - (damage is spoilt.lose_the_tail)
    outbox.close()
    again = outbox_of("n1", path)
    assert again.previous_run == "clean"
    assert len(kept(again)) == 1 + len(rest)
    again.close()


def test_damage_that_shows_later_ends_nothing(tmp_path: Path) -> None:
    """A page goes bad while the node runs: the next second it keeps again, in a new chain."""
    path = tmp_path / "o.db"
    chain = lived(path)
    outbox = outbox_of("n1", path)
    keeping = Keeping(outbox)
    outbox._file.let_go()  # so that nothing of it is in memory
    spoilt.scribble_over_pages(path)
    for second in range(1, 6):
        keeping.append(draft(host_ns=second * RETRY_NS))
        keeping.step(second * RETRY_NS)
        assert keeping.pending(9, NONE) is not None
    assert keeping.waiting == 0
    told, *rest = kept(outbox)
    assert isinstance(told, Damaged)
    assert len(rest) == told.said_again + 5
    assert outbox.head().chain != chain
    outbox.close()


def test_evidence_does_not_fill_the_card(tmp_path: Path) -> None:
    """The first of it and the latest stay."""
    path = tmp_path / "o.db"
    for _ in range(MOST_EVIDENCE + 3):
        lived(path)
        spoilt.scribble(path)
    outbox_of("n1", path).close()
    left = sorted(one.name for one in tmp_path.glob("o.db.damaged-*") if "-wal" not in one.name)
    assert left == [f"o.db.damaged-{number}" for number in (1, 5, 6)]


def test_a_new_node_has_lost_nothing(tmp_path: Path) -> None:
    """An empty directory is no damage."""
    outbox = outbox_of("n1", tmp_path / "o.db")
    outbox.append(draft())
    assert (outbox.previous_run, len(kept(outbox))) == ("new-store", 1)
    outbox.close()
