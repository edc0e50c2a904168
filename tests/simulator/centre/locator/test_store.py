"""What the locator keeps: only what verifies, once, for good, and a signed word about it."""

import base64
import json
import sqlite3
from contextlib import closing

import pytest

from agent.adapters.outbox import open_database
from agent.core.records import Sealer
from agent.core.records.chain import Head, Sealed
from agent.core.records.envelope import MAX_ENVELOPE_BYTES, open_envelope, seal
from agent.core.records.kinds import PAYLOAD_TYPE, RECEIPT_TYPE, Identity, Receipt, parse
from agent.errors import ForgedRecord, MalformedRecord, StoreError
from simulator.centre.locator.ledger import MAX_FILL
from simulator.centre.locator.schema import STEPS
from simulator.centre.locator.store import Admitted, Duplicate, EventStore
from tests.support.drafts import (
    LOCATOR,
    LOCATOR_KEYS,
    NOW,
    chain_of,
    draft,
    identity_of,
    registry_of,
    sealed_status,
    sealer_of,
    signer_of,
)

TOPIC = f"{identity_of('n1').topic}/event/impulse"
RECEIPTS = f"{identity_of('n1').topic}/receipt"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "locator.sqlite"


@pytest.fixture
def store(path):
    opened = store_at(path)
    yield opened
    opened.close()


def store_at(path):
    return EventStore(path, registry_of("n1", "n2"), LOCATOR)


def admit(store, links, commit=True):
    outcomes = [store.admit(TOPIC, link.envelope) for link in links]
    if commit:
        store.commit()
    return outcomes


def receipt_in(store):
    ((topic, raw),) = store.receipts(NOW)
    assert topic == RECEIPTS
    opened = open_envelope(raw, LOCATOR_KEYS)
    assert opened.payload_type == RECEIPT_TYPE
    return parse(opened.payload, Receipt)


def altered(link: Sealed) -> bytes:
    """The record with one digit of its payload changed."""
    fields = json.loads(link.envelope)
    payload = base64.b64decode(fields["payload"]).replace(b'"seq":1', b'"seq":7')
    fields["payload"] = base64.b64encode(payload).decode()
    return json.dumps(fields).encode()


def test_receipts_follow_what_is_on_disk(store):
    """Contiguous part and ranges above it; nothing uncommitted, and each growth told once."""
    links = chain_of("n1", 6)
    admit(store, [links[0], links[1], links[3], links[5]], commit=False)
    assert store.receipts(NOW) == []
    store.commit()
    receipt = receipt_in(store)
    assert (receipt.upto_seq, receipt.head) == (2, links[1].head.digest)
    assert receipt.extra == ((4, 4), (6, 6))
    assert store.receipts(NOW) == []
    admit(store, [links[2]])
    assert receipt_in(store).upto_seq == 4


def test_what_comes_again_is_not_kept_twice_but_receipted_again(store):
    """The node asks because it had no receipt."""
    links = chain_of("n1", 2)
    assert all(isinstance(one, Admitted) for one in admit(store, links))
    store.receipts(NOW)
    assert all(isinstance(one, Duplicate) for one in admit(store, links))
    assert receipt_in(store).upto_seq == 2
    assert list(store.envelopes()) == [link.envelope for link in links]


def test_a_restart_forgets_only_what_was_not_committed(path):
    """Dedupe and receipts go on where they were, also above a gap."""
    links = chain_of("n1", 5)
    before = store_at(path)
    admit(before, [links[0], links[2]])
    admit(before, [links[1]], commit=False)
    before.close()
    after = store_at(path)
    assert isinstance(admit(after, [links[2]])[0], Duplicate)
    assert receipt_in(after).extra == ((3, 3),)
    assert isinstance(admit(after, [links[1]])[0], Admitted)
    assert receipt_in(after).upto_seq == 3
    assert after.chain_faults() == []
    assert [body.seq for body in after.bodies()] == [1, 2, 3]
    after.close()


@pytest.mark.parametrize(
    ("topic", "raw", "error", "told"),
    [
        (TOPIC, b"{}", MalformedRecord, "envelope must hold"),
        (TOPIC, b"x" * 20_000, MalformedRecord, "over 16384"),
        (TOPIC, chain_of("n2", 1)[0].envelope, ForgedRecord, "unknown key"),
        (TOPIC, altered(chain_of("n1", 1)[0]), ForgedRecord, "does not hold"),
        (TOPIC, sealed_status("n1", 0, 0), MalformedRecord, "is no record"),
        (TOPIC, seal(PAYLOAD_TYPE, b"[]", signer_of("n1")), MalformedRecord, "payload is no Body"),
        ("earshot/v1/x/event/impulse", b"", MalformedRecord, "no topic of an event"),
        (
            "earshot/v1/town/north/n9/event/impulse",
            chain_of("n1", 1)[0].envelope,
            ForgedRecord,
            "urn:earshot:town:north:n9 is not registered",
        ),
        (
            f"{identity_of('n1').topic}/event/gap",
            chain_of("n1", 1)[0].envelope,
            ForgedRecord,
            "of kind impulse came as gap",
        ),
    ],
)
def test_what_does_not_verify_is_refused(store, topic, raw, error, told):
    """With one line of reason, and nothing of it is kept."""
    with pytest.raises(error, match=told):
        store.admit(topic, raw)
    store.commit()
    assert list(store.envelopes()) == []


def test_a_record_cannot_claim_another_origin(store):
    """Signed by n1, but in the name of n2."""
    claimed = Identity(
        site="town", cell="north", node="n2", keyid=signer_of("n1").keyid, boot="b" * 32
    )
    link = Sealer(claimed, signer_of("n1")).seal(draft(), Head("c" * 32))
    with pytest.raises(ForgedRecord, match="claims"):
        store.admit(TOPIC, link.envelope)


def test_a_time_that_is_none_is_refused(store):
    """A registered node with a broken build must not reach those who read times."""
    link = sealer_of("n1").seal(draft(), Head("c" * 32))
    payload = base64.b64decode(json.loads(link.envelope)["payload"])
    fields = json.loads(payload) | {"time": "noon"}
    raw = seal(PAYLOAD_TYPE, json.dumps(fields).encode(), signer_of("n1"))
    with pytest.raises(MalformedRecord, match="'noon' is not a UTC time"):
        store.admit(TOPIC, raw)


def test_two_records_of_one_number_are_a_fork(store):
    """The first is kept, the second refused."""
    first = chain_of("n1", 1)[0]
    second = sealer_of("n1").seal(draft(host_ns=99), Head("c" * 32))
    admit(store, [first])
    with pytest.raises(ForgedRecord, match=r"fork: .* signed two different records"):
        store.admit(TOPIC, second.envelope)
    assert list(store.envelopes()) == [first.envelope]


def test_tampering_with_the_store_is_seen(path):
    """A record taken out, one altered, and one put in the place of another."""
    links = chain_of("n1", 6)
    before = store_at(path)
    admit(before, links)
    before.close()
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM event WHERE seq = 2")
        db.execute("UPDATE event SET envelope = ? WHERE seq = 4", (altered(links[0]),))
        db.execute("UPDATE event SET envelope = ? WHERE seq = 6", (links[0].envelope,))
    db.close()
    after = store_at(path)
    faults = after.chain_faults()
    assert "lacks 2 to 2" in faults[0]
    assert "does not hold" in faults[1]
    assert "was altered in the store" in faults[2]
    assert len(faults) == 3
    assert [body.seq for body in after.bodies()] == [1, 3, 5]
    after.close()


def test_envelopes_of_one_node(store):
    """An export of one node holds its records and no others."""
    ours, theirs = chain_of("n1", 2), chain_of("n2", 1, chain="d" * 32)
    admit(store, ours)
    store.admit(TOPIC.replace("n1", "n2"), theirs[0].envelope)
    store.commit()
    assert list(store.envelopes(identity_of("n2").source)) == [theirs[0].envelope]
    assert len(list(store.envelopes())) == 3


def test_a_store_has_one_owner(store, path):
    """A second locator on the same file is told so."""
    with pytest.raises(StoreError, match="in use by another process"):
        store_at(path)


def test_records_of_a_rolled_back_store_do_not_extend_the_chain(store):
    """The node reused numbers: what follows them is held, but no receipt says that it links."""
    links = chain_of("n1", 3)
    admit(store, links[:2])
    store.receipts(NOW)
    again = sealer_of("n1").seal(draft(host_ns=77), links[0].head)
    follower = sealer_of("n1").seal(draft(host_ns=78), again.head)
    with pytest.raises(ForgedRecord, match="fork"):
        admit(store, [again])
    admit(store, [follower])
    receipt = receipt_in(store)
    assert (receipt.upto_seq, receipt.head) == (2, links[1].head.digest)
    assert receipt.extra == ((3, 3),)


def test_a_store_of_the_first_schema_is_taken_over(path):
    """Chains go on where they were, with what is above a gap."""
    links = chain_of("n1", 4)
    with closing(open_database(path, STEPS[:1])) as old:
        values = (identity_of("n1").source, links[0].head.chain, links[0].head.digest)
        old.execute("INSERT INTO chain VALUES (1, ?, ?, 1, ?)", values)
        for link in (links[0], links[2], links[3]):
            values = (link.head.seq, link.head.digest, link.envelope)
            old.execute("INSERT INTO event VALUES (1, ?, ?, ?)", values)
    store = store_at(path)
    admit(store, [links[1]])
    assert receipt_in(store).upto_seq == 4
    assert store.chain_faults() == []
    store.close()


def test_every_record_that_was_sent_is_receipted_however_many_gaps(store):
    """Alerts may overtake a long backlog: each of them is told of, with what was asked last."""
    links, asked = chain_of("n1", 1200), set()
    for first in range(1, 1200, 300):
        admit(store, links[first : first + 300 : 2])
        for _, raw in store.receipts(NOW):
            assert len(raw) <= MAX_ENVELOPE_BYTES
            extra = parse(open_envelope(raw, LOCATOR_KEYS).payload, Receipt).extra
            asked |= {seq for low, high in extra for seq in range(low, high + 1)}
    assert asked == {one.head.seq for one in links[1::2]}
    admit(store, [links[1199]])
    extra = receipt_in(store).extra
    assert len(extra) == MAX_FILL
    assert extra[-1] == (1200, 1200)
