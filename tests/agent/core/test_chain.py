"""Numbering and linking."""

import pytest

from agent.core import envelope
from agent.core.chain import Head, Sealer, check_link
from agent.core.records import GENESIS_PREV, Body, parse
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
