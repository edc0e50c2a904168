"""Whose word counts as a node's: every key by the record of the one before, and no other."""

import random
from pathlib import Path

import pytest

from agent.core.records.chain import Head
from agent.core.records.envelope import seal
from agent.errors import RecordError, StoreError
from simulator.centre.operator.node_keys import Voice, keep, lines_of
from tests.support.drafts import chain_of, receipt, sealed_receipt, signer_of
from tests.support.ordered import SOURCE, change_of_keys, key_of

KEYS = ("n1", "second", "third", "fourth")


def voice() -> Voice:
    return Voice(SOURCE, key_of("n1"))


def changes() -> list[bytes]:
    """Three changes of keys: two in one chain, one in the chain after it."""
    first = change_of_keys("n1", "second")
    second = change_of_keys("second", "third", first.head)
    third = change_of_keys("third", "fourth", Head("d" * 32))
    return [first.envelope, second.envelope, third.envelope]


@pytest.mark.parametrize("seed", range(20))
def test_keys_are_followed_in_whatever_order_an_export_stands(seed: int) -> None:
    """Among records, receipts, other nodes' changes, noise and lines that were cut off."""
    chain = chain_of("n1", 3)
    lines = [
        *changes(),
        *(sealed.envelope for sealed in chain),
        sealed_receipt(receipt("n1", chain[-1].head)),
        change_of_keys("n2", "heir of n2", node="n2").envelope,
        change_of_keys("thief", "heir of thief").envelope,
        changes()[0][:200],
        b"",
        b"noise",
    ]
    random.Random(seed).shuffle(lines)
    one = voice()
    one.follow_all(lines)
    assert one.keyid == signer_of("fourth").keyid


def test_only_the_latest_key_speaks() -> None:
    """The one before it may be stolen: it was changed for a reason."""
    one = voice()
    said = {name: seal("text/plain", b"hello", signer_of(name)) for name in KEYS}
    for number, change in enumerate(changes()):
        assert one.open(said[KEYS[number]]).payload == b"hello"
        assert one.follow(change)
        for name in set(KEYS) - {KEYS[number + 1]}:
            with pytest.raises(RecordError):
                one.open(said[name])
    assert not one.follow(changes()[0])


@pytest.mark.parametrize(
    "raw",
    [
        b"noise",
        change_of_keys("thief", "heir of thief").envelope,
        change_of_keys("n1", "heir of n2", node="n2").envelope,
        sealed_receipt(receipt("n1", Head("c" * 32))),
        seal("text/plain", b"{}", signer_of("n1")),
    ],
)
def test_nobody_else_names_an_heir(raw: bytes) -> None:
    """Neither a stranger, nor our key in another node's name, nor something that is no record."""
    one = voice()
    with pytest.raises(RecordError):
        one.follow(raw)
    assert one.keyid == signer_of("n1").keyid


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    """Record by record, also after a line that was cut off; no file is no record."""
    path = tmp_path / "kept.jsonl"
    assert lines_of(path) == []
    path.write_bytes(b'{"half":')
    for change in changes():
        keep(path, [change])
    one = voice()
    one.follow_all(lines_of(path))
    assert one.keyid == signer_of("fourth").keyid


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    for use in (lines_of, lambda path: keep(path, [b"x"])):
        with pytest.raises(StoreError, match=f"{tmp_path}: cannot be"):
            use(tmp_path)
