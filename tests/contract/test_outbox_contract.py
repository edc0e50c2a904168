"""What every outbox promises, run over the real one in both of its modes."""

import secrets
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.adapters.outbox import SqliteOutbox
from agent.core.records import Body, envelope
from agent.core.records.chain import Head, RecordKey, check_link
from agent.core.records.kinds import parse
from agent.core.records.store_records import Rollback
from agent.errors import ForgedRecord
from tests.support.drafts import (
    draft,
    heartbeat,
    identity_of,
    outbox_of,
    receipt,
    registry_of,
    sealer_of,
    signer_of,
    start,
)

NONE: frozenset[RecordKey] = frozenset()
KEYS = {signer_of("n1").keyid: registry_of("n1")[identity_of("n1").source]}

Reopen = Callable[[], SqliteOutbox]


@pytest.fixture(params=[True, False], ids=["durable", "virtual-time"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reopen]:
    """Opens the one store of a test, closing it first where it is open."""
    opened: list[SqliteOutbox] = []

    def open_again() -> SqliteOutbox:
        for outbox in opened:
            outbox.close()
        new_chain = partial(secrets.token_hex, 16)
        opened.append(
            SqliteOutbox(tmp_path / "o.db", sealer_of("n1"), new_chain, durable=request.param)
        )
        return opened[-1]

    yield open_again
    for outbox in opened:
        outbox.close()


def seqs(outbox: SqliteOutbox, limit: int = 99, skip: Iterable[int] = ()) -> list[int]:
    chain = outbox.head().chain
    known = frozenset((chain, seq) for seq in skip)
    return [sealed.head.seq for sealed in outbox.pending(limit, known)]


def test_appended_records_form_one_chain_across_restarts(reopen: Reopen) -> None:
    """Numbers have no gaps, links hold and signatures verify, whenever the agent restarted."""
    records = [reopen().append(draft(host_ns=number)) for number in range(4)]
    assert len({record.head.chain for record in records}) == 1
    bodies = [
        parse(envelope.open_envelope(record.envelope, KEYS).payload, Body) for record in records
    ]
    check_link(bodies[0], Head(records[0].head.chain))
    for before, body in pairwise(zip(records, bodies, strict=True)):
        check_link(body[1], before[0].head)
    assert reopen().head() == records[-1].head


def test_a_new_store_has_an_empty_chain(reopen: Reopen) -> None:
    """Before the first record the head is the genesis of a fresh chain."""
    head = reopen().head()
    assert head == Head(head.chain)
    assert len(head.chain) == 32


def test_pending_is_what_was_appended(reopen: Reopen) -> None:
    """What goes on the wire is, byte for byte, what was signed, also after a restart."""
    records = [reopen().append(draft(host_ns=number)) for number in range(3)]
    assert reopen().pending(99, NONE) == records


def test_alerts_overtake_state_overtakes_statistics(reopen: Reopen) -> None:
    """Order is by priority, then as spoken; limit and skip cut it without changing it."""
    outbox = reopen()
    for data in (heartbeat(), start(), None, heartbeat(), None, start()):
        outbox.append(draft(data))
    assert seqs(outbox) == [3, 5, 2, 6, 1, 4]
    assert seqs(outbox, limit=2) == [3, 5]
    assert seqs(outbox, limit=3, skip=(3, 2)) == [5, 6, 1]
    assert seqs(outbox, skip=range(1, 7)) == []
    assert len(outbox.pending(9, frozenset(("another chain", seq) for seq in range(1, 7)))) == 6


def test_a_receipt_frees_what_it_covers_and_no_more(reopen: Reopen) -> None:
    """The contiguous part and the ranges above it go, once, and stay gone after a restart."""
    outbox = reopen()
    heads = [outbox.append(draft()).head for _ in range(10)]
    covering = receipt("n1", heads[2], [(5, 6), (9, 9)])
    assert outbox.release(covering) == 6
    assert (seqs(outbox), outbox.backlog()) == ([4, 7, 8, 10], 4)
    assert outbox.release(covering) == 0
    outbox = reopen()
    assert (seqs(outbox), outbox.backlog()) == ([4, 7, 8, 10], 4)
    assert outbox.release(receipt("n1", heads[8])) == 3
    assert seqs(outbox) == [10]


def test_an_empty_receipt_and_an_older_one_are_harmless(reopen: Reopen) -> None:
    """Receipts may arrive late, twice and out of order."""
    outbox = reopen()
    genesis = outbox.head()
    heads = [outbox.append(draft()).head for _ in range(4)]
    assert outbox.release(receipt("n1", genesis)) == 0
    assert outbox.release(receipt("n1", heads[2])) == 3
    assert outbox.release(receipt("n1", heads[0])) == 0
    assert outbox.release(receipt("n1", genesis)) == 0
    assert seqs(outbox) == [4]
    assert outbox.append(draft()).head.seq == 5


NOT_OURS = {
    "another chain": lambda heads: receipt("n1", Head("e" * 32, 2, heads[1].digest)),
    "another node": lambda heads: receipt("n1", heads[1], source=identity_of("n2").source),
    "digest at genesis with a range": lambda heads: receipt(
        "n1", Head(heads[1].chain, 0, "e" * 64), [(2, 9)]
    ),
}
MORE_THAN_WE_KNOW = {
    "another digest": lambda heads: receipt("n1", Head(heads[1].chain, 2, "e" * 64)),
    "digest of another seq": lambda heads: receipt("n1", Head(heads[1].chain, 2, heads[2].digest)),
    "digest of a record freed out of order": lambda heads: receipt(
        "n1", Head(heads[1].chain, 4, "e" * 64)
    ),
    "digest of the last receipt": lambda heads: receipt("n1", Head(heads[1].chain, 1, "e" * 64)),
    "a seq never made": lambda heads: receipt("n1", Head(heads[1].chain, 6, heads[4].digest)),
    "a range never made": lambda heads: receipt("n1", heads[1], [(4, 6)]),
}


def partly_released(outbox: SqliteOutbox) -> list[Head]:
    """Five records, the first and the fourth of them receipted."""
    heads = [outbox.append(draft(host_ns=number)).head for number in range(5)]
    outbox.release(receipt("n1", heads[0], [(4, 4)]))
    return heads


@pytest.mark.parametrize("name", NOT_OURS)
def test_a_receipt_that_is_not_ours_changes_nothing(reopen: Reopen, name: str) -> None:
    """Another's receipt, or one of an earlier chain, raises and leaves all as it was."""
    outbox = reopen()
    heads = partly_released(outbox)
    with pytest.raises(ForgedRecord):
        outbox.release(NOT_OURS[name](heads))
    assert (seqs(outbox), outbox.backlog()) == ([2, 3, 5], 3)
    assert outbox.head() == heads[4]
    assert outbox.append(draft()).head.seq == 6


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("name", MORE_THAN_WE_KNOW)
def test_a_store_that_was_rolled_back_begins_a_new_chain(
    reopen: Reopen, name: str, restart: bool
) -> None:
    """The locator knows more of our chain than we do: nothing is freed or sent of it any more.

    With the next record a new chain begins, says why, and repeats all that had no receipt.
    """
    outbox = reopen()
    heads = partly_released(outbox)
    with pytest.raises(ForgedRecord, match="it was rolled back, a new chain begins"):
        outbox.release(MORE_THAN_WE_KNOW[name](heads))
    assert (seqs(outbox), outbox.backlog(), outbox.head()) == ([], 3, heads[4])
    outbox = reopen() if restart else outbox
    last = outbox.append(draft(host_ns=99)).head
    assert last.chain != heads[0].chain
    by_seq = sorted(outbox.pending(99, NONE), key=lambda one: one.head.seq)
    bodies = [parse(envelope.open_envelope(one.envelope, KEYS).payload, Body) for one in by_seq]
    before = Head(last.chain)
    for sealed, body in zip(by_seq, bodies, strict=True):
        check_link(body, before)
        before = sealed.head
    told = bodies[0].data
    assert isinstance(told, Rollback)
    assert (told.chain, told.seq, told.digest) == (heads[4].chain, 5, heads[4].digest)
    assert told.said_again == 3
    assert [int(body.host_ns) for body in bodies[1:]] == [1, 2, 4, 99]
    assert [body.data for body in bodies[1:]] == [draft().data] * 4
    assert outbox.release(receipt("n1", last)) == 5
    assert outbox.append(draft()).head.seq == 6


@settings(max_examples=60, deadline=None)
@given(
    priorities=st.lists(st.sampled_from([heartbeat(), start(), None]), max_size=12),
    receipts=st.lists(
        st.tuples(st.integers(0, 12), st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)))),
        max_size=5,
    ),
)
def test_any_honest_receipts_free_exactly_their_union(
    tmp_path_factory: pytest.TempPathFactory, priorities: list, receipts: list
) -> None:
    """Whatever the order and overlap of receipts, the rest is the appended minus the covered."""
    outbox = outbox_of("n1", tmp_path_factory.mktemp("o") / "o.db")
    heads = [outbox.head(), *(outbox.append(draft(data)).head for data in priorities)]
    last, left = len(priorities), set(range(1, len(priorities) + 1))
    for upto, ranges in receipts:
        upto = min(upto, last)
        honest = [(first, end) for first, end in ranges if first <= end <= last]
        covered = {seq for first, end in [(1, upto), *honest] for seq in range(first, end + 1)}
        assert outbox.release(receipt("n1", heads[upto], honest)) == len(left & covered)
        left -= covered
        assert (set(seqs(outbox)), outbox.backlog()) == (left, len(left))
    outbox.close()
