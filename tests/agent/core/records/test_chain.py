"""Numbering and linking."""

import pytest
from msgspec.structs import replace

from agent.core.records import Body, Sealer, envelope
from agent.core.records.chain import Head, check_link, cross, draft_of, shed_by
from agent.core.records.kinds import GENESIS_PREV, parse
from agent.core.records.store_records import Link, Shed
from agent.errors import ForgedRecord
from tests.support.drafts import (
    chain_of,
    draft,
    heartbeat,
    identity_of,
    registry_of,
    sealer_of,
    signer_of,
    start,
)

KEYS = {signer_of("n1").keyid: registry_of("n1")[identity_of("n1").source]}


def body_of(raw: bytes) -> Body:
    return parse(envelope.open_envelope(raw, KEYS).payload, Body)


def test_records_follow_each_other_from_genesis() -> None:
    """Record n names n, its chain and the digest of n - 1; the first one names the genesis."""
    before = Head("c" * 32)
    assert (before.seq, before.digest) == (0, GENESIS_PREV)
    for link in chain_of("n1", 4):
        body = body_of(link.envelope)
        check_link(body, before)
        assert body.id == f"{'c' * 32}/{before.seq + 1}"
        assert link.head.digest == envelope.open_envelope(link.envelope, KEYS).digest
        before = link.head


@pytest.mark.parametrize(
    ("data", "kind", "priority"),
    [(None, "impulse", 0), (start(), "start", 1), (heartbeat(), "heartbeat", 2)],
)
def test_alerts_come_before_state_before_statistics(data, kind: str, priority: int) -> None:
    """The queue is told what a record is and how urgent."""
    link = sealer_of("n1").seal(draft(data), Head("c" * 32))
    assert (link.kind, link.priority) == (kind, priority)


def test_the_same_words_make_the_same_bytes() -> None:
    """A record depends on what is said, by whom and where in the chain, on nothing else."""
    twice = [Sealer(identity_of("n1"), signer_of("n1")).seal(draft(), Head("c" * 32)) for _ in "ab"]
    assert twice[0] == twice[1]


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (Head("d" * 32, 1, "e" * 64), "is not of chain dddd"),
        (Head("c" * 32, 2, "e" * 64), "does not follow seq 2"),
        (Head("c" * 32, 0, "e" * 64), "does not follow seq 0"),
        (Head("c" * 32, 1, "e" * 64), "does not hold the digest"),
    ],
)
def test_a_broken_link_is_seen(before: Head, told: str) -> None:
    """Another chain, a loss, a repetition and tampering are told apart."""
    second = body_of(chain_of("n1", 2)[1].envelope)
    with pytest.raises(ForgedRecord, match=told):
        check_link(second, before)


def test_what_was_said_can_be_said_again() -> None:
    """From an envelope comes back the draft that it was made of, known time or not."""
    unknown = replace(draft(heartbeat(), host_ns=5), utc_ns=None)
    for said in (draft(host_ns=2**62), unknown):
        assert draft_of(sealer_of("n1").seal(said, Head("c" * 32)).envelope) == said


def test_a_chain_is_crossed_by_the_digests_of_what_was_shed() -> None:
    """As far as they reach, and not a step further."""
    links = chain_of("n1", 6)
    shed = {one.head.seq: one.head.digest for one in links[1:4]}
    for seq, reached in ((2, 1), (3, 2), (5, 4), (6, 4)):
        assert cross(links[0].head, seq, shed) == links[reached - 1].head
    check_link(body_of(links[4].envelope), cross(links[0].head, 5, shed))
    told = Shed(reason="full", links=(Link(seq=2, digest="e" * 64),), unsaid=())
    record = sealer_of("n1").seal(draft(told), links[5].head)
    assert shed_by(body_of(record.envelope)) == {2: "e" * 64}
    assert shed_by(body_of(links[0].envelope)) == {}
