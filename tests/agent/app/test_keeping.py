"""Detection goes on while the store cannot keep: what waits, what goes, what is told of it."""

import logging
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.adapters.outbox import SqliteOutbox
from agent.adapters.outbox.room import WAL_BYTES
from agent.app.keeping import RETRY_NS, Keeping
from agent.app.waiting import BATCH, MAX_WAITING
from agent.core.records import Draft
from agent.core.records.chain import draft_of
from agent.core.records.kinds import Data
from agent.core.records.remote_records import KeyChange
from agent.core.records.store_records import Shed
from agent.errors import FullStore, StoreError
from tests.support.disk import in_memory
from tests.support.drafts import draft, heartbeat, impulse, receipt, sealer_of, start

SMALL = WAL_BYTES + 200 * 4096
NONE: frozenset[tuple[str, int]] = frozenset()


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


def keep(keeping: Keeping, host_ns: int) -> None:
    """Turns of the keeper until nothing more is to be done by then."""
    while keeping.step(host_ns):
        pass


def fill(keeping: Keeping) -> int:
    """Say impulses until the first one waits; how many were said."""
    for number in count(1):
        keeping.append(said(number))
        keep(keeping, said(number).host_ns)
        if keeping.waiting:
            return number
    raise AssertionError


def fill_at_once(outbox: SqliteOutbox) -> int:
    """Keep impulses until there is no room for the next; its number."""
    for number in count(1):
        try:
            outbox.append(said(number))
        except FullStore:
            return number
    raise AssertionError


def drafts_in(outbox: SqliteOutbox) -> list[Draft]:
    """All that waits for a receipt, in the order of the chain; then they are receipted."""
    records = sorted(outbox.pending(100_000, NONE), key=lambda one: one.head.seq)
    outbox.release(receipt("n1", outbox.head()))
    return [draft_of(one.envelope) for one in records]


def test_what_was_said_is_durable_after_a_turn(outbox: SqliteOutbox, keeping: Keeping) -> None:
    """Said in one moment, kept in one transaction, in order; saying itself touches no disk."""
    for number in range(1, 4):
        keeping.append(said(number))
    assert (keeping.waiting, outbox.head().seq, keeping.has_work) == (3, 0, True)
    assert not keeping.step(said(3).host_ns)
    assert (keeping.waiting, keeping.backlog(), keeping.has_work) == (0, 3, False)
    keeping.release(receipt("n1", outbox.head()))
    assert keeping.pending(9, NONE) == []
    keep(keeping, said(4).host_ns)
    assert (keeping.backlog(), outbox.backlog()) == (0, 0)


def test_what_waits_is_one_transaction(outbox: SqliteOutbox, keeping: Keeping) -> None:
    """A burst costs one sync for each BATCH of records, and the chain is that of single ones."""
    changes: list[str] = []
    with outbox._file.transaction() as db:
        db.set_trace_callback(changes.append)
    for number in range(2 * BATCH):
        keeping.append(said(number))
    keep(keeping, said(2 * BATCH).host_ns)
    assert changes.count("COMMIT") == 1 + 2  # the first is of the transaction above
    assert drafts_in(outbox) == [said(number) for number in range(2 * BATCH)]


def test_what_found_no_room_follows_in_order(
    outbox: SqliteOutbox, keeping: Keeping, caplog: pytest.LogCaptureFixture
) -> None:
    """No impulse is lost while up to MAX_WAITING wait; one line tells, and one when it is over."""
    caplog.set_level(logging.INFO, "earshot")
    number = fill(keeping)
    last = number + MAX_WAITING - 1
    for later in range(number + 1, last + 1):
        keeping.append(said(later))
    assert keeping.waiting == MAX_WAITING
    kept = []
    while keeping.waiting:
        kept += drafts_in(outbox)
        keep(keeping, (last + len(kept)) * RETRY_NS)
    kept += drafts_in(outbox)
    assert kept == [said(number) for number in range(1, last + 1)]
    assert [line.message.partition(",")[0] for line in caplog.records] == [
        "store fails",
        "store keeps again",
    ]
    assert keeping.state(0).lost == 0


def test_beyond_that_a_counted_signed_gap(outbox: SqliteOutbox, keeping: Keeping) -> None:
    """Statistics go first, then state, then the newest impulses; the chain tells how many when."""
    number = fill(keeping)
    things = [heartbeat(), start(), *[impulse()] * (MAX_WAITING + 30)]
    spoken = [said(number + at, data) for at, data in enumerate(things, 1)]
    for one in spoken:
        keeping.append(one)
    assert (keeping.waiting, keeping.state(0).lost) == (MAX_WAITING, 33)
    kept: list[Draft] = []
    at_ns = spoken[-1].host_ns
    while keeping.has_work or not kept:
        kept += drafts_in(outbox)
        keep(keeping, at_ns := at_ns + RETRY_NS)
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
        keep(keeping, at_ns := at_ns + RETRY_NS)
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
        assert not keeping.step(first + after_ns)
        assert keeping.waiting == 1
    keep(keeping, first + RETRY_NS)
    assert keeping.waiting == 0


def test_a_receipt_makes_the_room_that_is_missing(keeping: Keeping, outbox: SqliteOutbox) -> None:
    """On a full store what waits does not wait for ever before the receipt that would free it."""
    first = said(fill(keeping)).host_ns
    keeping.release(receipt("n1", outbox.head()))
    keep(keeping, first + RETRY_NS)
    assert (keeping.waiting, keeping.backlog()) == (0, 1)


def test_a_statistic_without_room_does_not_stand_before_an_alert(
    keeping: Keeping, outbox: SqliteOutbox
) -> None:
    """On a store that is full of alerts it goes, counted, and the alert is the next to be kept."""
    number = fill_at_once(outbox)
    for one in (said(number), said(number + 1, heartbeat()), said(number + 2)):
        keeping.append(one)
    keeping.release(receipt("n1", outbox.head()))
    keep(keeping, said(number + 2).host_ns)
    assert drafts_in(outbox) == [said(number), said(number + 1, heartbeat()), said(number + 2)]
    number = fill_at_once(outbox)
    keeping.append(said(number, heartbeat()))
    keeping.append(said(number + 1))
    keep(keeping, said(number + 1).host_ns)
    assert (keeping.waiting, keeping.state(0).lost) == (1, 1)
    assert "the store is full" in keeping.state(0).trouble
    drafts_in(outbox)
    keep(keeping, said(number + 1).host_ns + RETRY_NS)
    kept, told = drafts_in(outbox)
    assert kept == said(number + 1)
    assert isinstance(told.data, Shed)
    assert [(one.kind, one.count) for one in told.data.unsaid] == [("heartbeat", 1)]


def test_last_words_that_cannot_be_kept_are_an_error(keeping: Keeping) -> None:
    """The next start must read 'unclean'."""
    fill(keeping)
    with pytest.raises(StoreError, match="the store is full"):
        keeping.flush()


def test_a_store_that_fails_delivers_what_it_had_kept(tmp_path: Path) -> None:
    """The uplink goes on: it gets what is known to be durable, and no receipt is lost."""
    outbox = SqliteOutbox(tmp_path / "o.db", sealer_of("n1"), lambda: "c" * 32)
    keeping = Keeping(outbox)
    keeping.append(said(1))
    keeping.step(1)
    outbox.close()
    (kept,) = keeping.pending(9, NONE)
    assert keeping.pending(9, frozenset([kept.head.key])) == []
    assert keeping.release(receipt("n1", kept.head)) == 0
    assert not keeping.step(RETRY_NS)
    assert (keeping.backlog(), keeping.has_work) == (1, True)
    assert "closed database" in keeping.state(0).trouble


def test_what_is_receipted_or_set_aside_is_not_offered_again(
    keeping: Keeping, outbox: SqliteOutbox
) -> None:
    """Not even while the disk has not heard of it yet."""
    for number in range(1, 6):
        keeping.append(said(number))
    keeping.step(said(5).host_ns)
    heads = [one.head for one in keeping.pending(9, NONE)]
    keeping.release(receipt("n1", heads[1], [(4, 4)]))
    assert keeping.set_aside(heads[2].key, "never")
    assert [one.head.seq for one in keeping.pending(9, NONE)] == [5]
    assert outbox.backlog() == 5
    keep(keeping, said(6).host_ns)
    assert outbox.backlog() == 1


def test_what_hangs_on_a_record_waits_for_it(keeping: Keeping) -> None:
    """A reply goes out when all that was said before it is durable, and at once if it is."""
    done: list[int] = []
    keeping.append(said(1))
    keeping.when_kept(lambda: done.append(1))
    keeping.append(said(2))
    keeping.when_kept(lambda: done.append(2))
    assert done == []
    keep(keeping, said(2).host_ns)
    assert done == [1, 2]
    keeping.when_kept(lambda: done.append(3))
    keep(keeping, said(2).host_ns)
    assert done == [1, 2, 3]


def test_a_key_that_does_not_come_has_the_change_said_once(
    keeping: Keeping, outbox: SqliteOutbox
) -> None:
    """The change is kept, and is not said again each second; what follows waits for the key."""
    change = KeyChange(keyid="f" * 16, key="A" * 43 + "=", proof="A" * 86 + "==")
    keeping.append(said(1, change))
    keeping.append(said(2))
    for second in range(1, 6):
        keep(keeping, second * RETRY_NS)
    assert (outbox.head().seq, keeping.waiting) == (1, 1)
    assert "which follows, is not there" in keeping.state(0).trouble
