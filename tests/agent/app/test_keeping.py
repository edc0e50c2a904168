"""Detection goes on while the store cannot keep: what waits, what goes, what is told of it."""

import logging
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.adapters.outbox import SqliteOutbox
from agent.adapters.outbox.room import WAL_BYTES
from agent.app.keeping import MAX_WAITING, RETRY_NS, Keeping, KeptNode
from agent.app.node import Item, Tick
from agent.core.records import Draft
from agent.core.records.chain import draft_of
from agent.core.records.kinds import Data
from agent.core.records.store_records import Shed
from agent.errors import StoreError
from tests.support.disk import in_memory
from tests.support.drafts import draft, heartbeat, impulse, receipt, sealer_of, start

SMALL = WAL_BYTES + 200 * 4096


@pytest.fixture
def outbox() -> Iterator[SqliteOutbox]:
    """One with room for some hundred records."""
    with in_memory() as directory:
        opened = SqliteOutbox(
            directory / "o.db", sealer_of("n1"), lambda: "c" * 32, max_bytes=SMALL
        )
        yield opened
        opened.close()


@pytest.fixture
def keeping(outbox: SqliteOutbox) -> Keeping:
    return Keeping(outbox)


def said(number: int, data: Data | None = None) -> Draft:
    """The `number`th thing said, a millisecond after the one before."""
    return draft(data, host_ns=number * 1_000_000)


def fill(keeping: Keeping) -> int:
    """Say impulses until the first one waits; how many were said."""
    return next(number for number in count(1) if keeping.append(said(number)) is None)


def drafts_in(outbox: SqliteOutbox) -> list[Draft]:
    """All that waits for a receipt, in the order of the chain; then they are receipted."""
    records = sorted(outbox.pending(100_000, frozenset()), key=lambda one: one.head.seq)
    outbox.release(receipt("n1", outbox.head()))
    return [draft_of(one.envelope) for one in records]


def test_a_good_store_keeps_at_once(outbox: SqliteOutbox, keeping: Keeping) -> None:
    """What `append` returns is durable, and nothing waits."""
    record = keeping.append(said(1))
    assert record == outbox.pending(9, frozenset())[0] == keeping.pending(9, frozenset())[0]
    assert (keeping.waiting, keeping.backlog()) == (0, 1)
    assert record
    assert keeping.release(receipt("n1", record.head)) == 1


def test_what_found_no_room_follows_in_order(
    outbox: SqliteOutbox, keeping: Keeping, caplog: pytest.LogCaptureFixture
) -> None:
    """No impulse is lost while up to MAX_WAITING wait; one line tells, and one when it is over."""
    caplog.set_level(logging.INFO, "earshot")
    number = fill(keeping)
    last = number + MAX_WAITING - 1
    assert all(keeping.append(said(later)) is None for later in range(number + 1, last + 1))
    assert keeping.waiting == MAX_WAITING
    kept = []
    while keeping.waiting:
        kept += drafts_in(outbox)
        keeping.retry((last + len(kept)) * RETRY_NS)
    kept += drafts_in(outbox)
    assert kept == [said(number) for number in range(1, last + 1)]
    assert [line.message.partition(",")[0] for line in caplog.records] == [
        "store fails",
        "store keeps again",
    ]
    assert keeping.append(said(last + 1))


def test_beyond_that_a_counted_signed_gap(outbox: SqliteOutbox, keeping: Keeping) -> None:
    """Statistics go first, then state, then the newest impulses; the chain tells how many when."""
    number = fill(keeping)
    things = [heartbeat(), start(), *[impulse()] * (MAX_WAITING + 30)]
    spoken = [said(number + at, data) for at, data in enumerate(things, 1)]
    for one in spoken:
        keeping.append(one)
    assert keeping.waiting == MAX_WAITING
    kept: list[Draft] = []
    at_ns = spoken[-1].host_ns
    while keeping.waiting or not kept:
        kept += drafts_in(outbox)
        keeping.retry(at_ns := at_ns + RETRY_NS)
    kept += drafts_in(outbox)
    *records, told = kept
    assert records == [
        *(said(one) for one in range(1, number + 1)),
        *spoken[2 : MAX_WAITING + 1],
    ]
    assert isinstance(told.data, Shed)
    assert told == replace(spoken[-1], data=told.data)
    gone = {one.kind: one for one in told.data.unsaid}
    assert {kind: one.count for kind, one in gone.items()} == {
        "heartbeat": 1,
        "start": 1,
        "impulse": 31,
    }
    first_gone = spoken[MAX_WAITING + 1].host_ns
    assert gone["impulse"].first_host_ns == str(first_gone)
    assert gone["impulse"].last_host_ns == str(spoken[-1].host_ns)


def test_a_second_shortage_counts_on(outbox: SqliteOutbox, keeping: Keeping) -> None:
    """A count that finds no room itself is not forgotten: in the end every record is told of."""
    number, dropped = fill(keeping), 10
    for later in range(1, MAX_WAITING + dropped):
        keeping.append(said(number + later))
    last = number + MAX_WAITING + dropped - 1
    told, kept, at_ns = [], 0, said(last).host_ns
    for _ in range(200):
        for one in drafts_in(outbox)[:]:
            if isinstance(one.data, Shed):
                told += one.data.unsaid
            else:
                kept += 1
        keeping.retry(at_ns := at_ns + RETRY_NS)
        if 0 < keeping.waiting < 20 and last < number + 2 * MAX_WAITING:
            for later in range(last + 1, last + MAX_WAITING + dropped):
                keeping.append(draft(host_ns=at_ns + later))
            last += MAX_WAITING + dropped - 1
    assert keeping.waiting == 0
    assert kept + sum(one.count for one in told) == last


def test_an_early_retry_does_not_touch_the_disk(keeping: Keeping, outbox: SqliteOutbox) -> None:
    """A store that fails is tried once a second, not with every block of sound."""
    first = said(fill(keeping)).host_ns
    outbox.release(receipt("n1", outbox.head()))
    for after_ns in (0, RETRY_NS - 1):
        keeping.retry(first + after_ns)
        assert keeping.waiting == 1
    keeping.retry(first + RETRY_NS)
    assert keeping.waiting == 0


class Talker:
    """A node that says something at every step."""

    def __init__(self, keeping: Keeping) -> None:
        self._keeping = keeping

    def step(self, item: Item) -> None:
        self._keeping.append(draft(host_ns=item.host_ns))

    def stop(self, host_ns: int, reason: str) -> None:
        self._keeping.append(draft(host_ns=host_ns))


def test_every_step_is_another_try(keeping: Keeping, outbox: SqliteOutbox) -> None:
    """Room that comes back is used within a second of steps."""
    steps = KeptNode(Talker(keeping), keeping)
    for number in islice(count(1), 2000):
        steps.step(Tick(number * RETRY_NS // 4))
        if keeping.waiting == 8:
            outbox.release(receipt("n1", outbox.head()))
    assert keeping.waiting < 8
    assert outbox.head().seq + keeping.waiting == 2000


def test_a_run_that_could_not_keep_its_last_words_ends_in_error(keeping: Keeping) -> None:
    """The next start must read 'unclean'."""
    fill(keeping)
    with pytest.raises(StoreError, match="the store is full"):
        KeptNode(Talker(keeping), keeping).stop(10**12, "SIGTERM")


def test_a_store_that_fails_has_nothing_to_deliver(tmp_path: Path) -> None:
    """The uplink goes on too: it gets nothing, and no receipt counts."""
    outbox = SqliteOutbox(tmp_path / "o.db", sealer_of("n1"), lambda: "c" * 32)
    head = outbox.append(draft()).head
    keeping = Keeping(outbox)
    outbox.close()
    assert keeping.pending(9, frozenset()) == []
    assert keeping.release(receipt("n1", head)) == 0
    assert keeping.backlog() == 1
