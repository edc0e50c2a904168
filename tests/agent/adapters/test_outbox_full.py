"""The SQLite outbox where room is short: what goes, what stays, and the way back."""

import os
import random
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import pytest

from agent.adapters.outbox import SqliteOutbox
from agent.adapters.outbox.room import WAL_BYTES
from agent.core.records.chain import Head, RecordKey
from agent.core.records.envelope import open_envelope
from agent.core.records.kinds import Receipt, parse
from agent.errors import ForgedRecord, FullStore
from simulator.centre.locator.store import EventStore
from tests.support.disk import hog, mounted
from tests.support.drafts import (
    LOCATOR,
    LOCATOR_KEYS,
    NOW,
    draft,
    heartbeat,
    identity_of,
    receipt,
    registry_of,
    sealer_of,
    start,
)

NONE: frozenset[RecordKey] = frozenset()
SMALL = WAL_BYTES + 300 * 4096
DISK_MB = 8


def outbox_at(path: Path, max_bytes: int = SMALL) -> SqliteOutbox:
    return SqliteOutbox(path, sealer_of("n1"), lambda: "c" * 32, max_bytes=max_bytes)


def kinds(outbox: SqliteOutbox) -> list[str]:
    return [one.kind for one in outbox.pending(100_000, NONE)]


def fill(outbox: SqliteOutbox, *said: object) -> int:
    """Say these in turn until there is no room for an impulse; how many impulses were kept."""
    for things in (said, (None,)):
        with suppress(FullStore):
            for data in cycle(things):
                outbox.append(draft(data))
    return kinds(outbox).count("impulse")


def head_of(outbox: SqliteOutbox, seq: int) -> Head:
    (found,) = [one.head for one in outbox.pending(100_000, NONE) if one.head.seq == seq]
    return found


@pytest.fixture
def small_disk(memory: Path) -> Iterator[Path]:
    with mounted(memory, DISK_MB) as disk:
        yield disk


def test_statistics_go_first_and_impulses_never(memory: Path) -> None:
    """On a full store heartbeats make room for all else; at the end only alerts and state wait.

    What there is no room for costs no number.
    """
    outbox = outbox_at(memory / "o.db")
    for said in (heartbeat(), None, heartbeat(), start(), heartbeat()) * 60:
        outbox.append(draft(said))
    assert (kinds(outbox).count("shed"), kinds(outbox).count("heartbeat")) == (0, 180)
    impulses = fill(outbox, None, heartbeat(), start())
    left = kinds(outbox)
    assert left.count("impulse") == impulses > 200
    assert left.count("heartbeat") == 0
    assert left.count("shed") >= 3
    last = outbox.head()
    with pytest.raises(FullStore, match=r"o.db: the store is full$"):
        outbox.append(draft())
    assert outbox.head() == last
    assert sum(file.stat().st_size for file in memory.iterdir()) <= SMALL
    outbox.close()


def test_the_locator_crosses_what_was_shed(memory: Path) -> None:
    """All that a full store still has is delivered, and makes one whole, receipted chain."""
    outbox = outbox_at(memory / "o.db")
    fill(outbox, heartbeat(), None, heartbeat(), start())
    locator = EventStore(memory / "locator", registry_of("n1"), LOCATOR)
    for one in outbox.pending(100_000, NONE):
        locator.admit(f"{identity_of('n1').topic}/event/{one.kind}", one.envelope)
    locator.commit()
    assert locator.chain_faults() == []
    ((_, raw),) = locator.receipts(NOW)
    told = parse(open_envelope(raw, LOCATOR_KEYS).payload, Receipt)
    assert (told.upto_seq, told.head, told.extra) == (outbox.head().seq, outbox.head().digest, ())
    outbox.release(told)
    assert outbox.backlog() == 0
    assert outbox.append(draft()).head.seq == told.upto_seq + 1
    locator.close()
    outbox.close()


@pytest.mark.parametrize("way", ["from the front", "from the back", "here and there"])
def test_a_full_store_can_always_be_drained(memory: Path, way: str) -> None:
    """Receipts free a store without a free page, in whatever order, and it fills again."""
    outbox, rng = outbox_at(memory / "o.db"), random.Random(2)
    room = fill(outbox, None)
    seqs = [one.head.seq for one in outbox.pending(100_000, NONE)]
    genesis = Head("c" * 32)
    if way == "from the front":
        for seq in seqs[::7]:
            outbox.release(receipt("n1", head_of(outbox, seq)))
    else:
        order = seqs[::-1] if way == "from the back" else rng.sample(seqs, len(seqs))
        for seq in order:
            assert outbox.release(receipt("n1", genesis, [(seq, seq)])) == 1
    outbox.release(receipt("n1", outbox.head()))
    assert outbox.backlog() == 0
    assert fill(outbox, None) >= room - 4
    outbox.close()


def test_a_full_disk_stops_growth_and_nothing_else(small_disk: Path) -> None:
    """What the store took before others filled the disk it fills, drains and fills again.

    Also after a clean end and a new start, when SQLite has to make a new WAL.
    """
    path = small_disk / "o.db"
    outbox = outbox_at(path, 64 << 20)
    outbox.append(draft())
    hog(small_disk)
    room = fill(outbox, heartbeat(), None)
    assert room > 100
    outbox.release(receipt("n1", head_of(outbox, outbox.head().seq)))
    for _ in range(3):
        assert fill(outbox, None) >= room - 4
        outbox.close()
        hog(small_disk)
        outbox = outbox_at(path, 64 << 20)
        assert outbox.previous_run == "clean"
        outbox.release(receipt("n1", outbox.head()))
        assert outbox.backlog() == 0
    (small_disk / "hog").unlink()
    assert fill(outbox, None) > 2 * room
    outbox.close()


def test_a_disk_smaller_than_allowed_is_filled_to_the_end(small_disk: Path) -> None:
    """`max_bytes` is a limit, not a wish: a smaller disk is used, and grown into with time."""
    outbox = outbox_at(small_disk / "o.db", 64 << 20)
    impulses = fill(outbox, heartbeat(), None)
    assert impulses > 1500
    left = os.statvfs(small_disk)
    assert left.f_bavail * left.f_frsize < 1 << 20
    outbox.close(clean=False)
    outbox = outbox_at(small_disk / "o.db", 64 << 20)
    assert kinds(outbox).count("impulse") == impulses
    assert outbox.release(receipt("n1", outbox.head())) >= impulses
    assert outbox.backlog() == 0
    outbox.close()


def test_a_full_store_that_was_rolled_back_begins_again(memory: Path) -> None:
    """It takes no more room than it had, and what it held can be delivered in the new chain."""
    chains = iter("cd")
    outbox = SqliteOutbox(
        memory / "o.db", sealer_of("n1"), lambda: next(chains) * 32, max_bytes=SMALL
    )
    room, head = fill(outbox, None), outbox.head()
    with pytest.raises(ForgedRecord, match="it was rolled back"):
        outbox.release(receipt("n1", Head(head.chain, head.seq, "e" * 64)))
    assert outbox.append(draft()).head == outbox.head()
    assert (outbox.head().chain, outbox.backlog()) == ("d" * 32, room + 2)
    assert outbox.release(receipt("n1", outbox.head())) == room + 2
    outbox.close()
