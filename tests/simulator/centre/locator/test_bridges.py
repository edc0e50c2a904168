"""What the locator makes of a chain with records that the node shed."""

import shutil

import pytest

from agent.core.records.chain import Head
from agent.core.records.envelope import open_envelope
from agent.core.records.kinds import Impulse, Receipt, parse
from agent.core.records.store_records import Link, Rollback, Shed
from agent.errors import ForgedRecord
from simulator.centre.locator.store import EventStore
from tests.support.drafts import (
    LOCATOR,
    LOCATOR_KEYS,
    NOW,
    draft,
    heartbeat,
    identity_of,
    outbox_of,
    registry_of,
    sealer_of,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "locator.sqlite"


@pytest.fixture
def store(path):
    opened = EventStore(path, registry_of("n1"), LOCATOR)
    yield opened
    opened.close()


def receipt_of(store):
    ((_, raw),) = store.receipts(NOW)
    return parse(open_envelope(raw, LOCATOR_KEYS).payload, Receipt)


def shedding_chain(told=(2, 3, 4), digest_of_4=None):
    """Six records: 2 to 4 are statistics, and the sixth says that some of them were shed."""
    links, head = [], Head("c" * 32)
    for number in range(1, 6):
        links.append(sealer_of("n1").seal(draft(heartbeat() if 1 < number < 5 else None), head))
        head = links[-1].head
    digests = {one.head.seq: one.head.digest for one in links}
    digests[4] = digest_of_4 or digests[4]
    gone = tuple(Link(seq=seq, digest=digests[seq]) for seq in told)
    said = draft(Shed(reason="the store is full", links=gone, unsaid=()))
    return [*links, sealer_of("n1").seal(said, head)]


def admit(store, links):
    for link in links:
        store.admit(f"{identity_of('n1').topic}/event/{link.kind}", link.envelope)
    store.commit()


@pytest.mark.parametrize("order", [(0, 4, 5), (5, 4, 0), (4, 5, 0)])
def test_a_chain_is_crossed_over_what_was_shed(path, order):
    """The signed digests of what went bridge it, whatever comes first, also after a restart."""
    links = shedding_chain()
    before = EventStore(path, registry_of("n1"), LOCATOR)
    admit(before, [links[at] for at in order])
    receipt = receipt_of(before)
    assert (receipt.upto_seq, receipt.head, receipt.extra) == (6, links[5].head.digest, ())
    before.close()
    after = EventStore(path, registry_of("n1"), LOCATOR)
    assert after.chain_faults() == []
    admit(after, [links[2]])  # it had been on its way when it was shed
    assert receipt_of(after).upto_seq == 6
    assert after.chain_faults() == []
    after.close()


def test_a_bridge_reaches_as_far_as_its_digests_hold(store):
    """A wrong digest, and a record that no one speaks of, end the chain where it is broken."""
    links = shedding_chain(digest_of_4="e" * 64)
    admit(store, [links[0], links[4], links[5]])
    assert receipt_of(store).upto_seq == 4
    assert "does not hold the digest of the one before" in store.chain_faults()[0]


def test_what_is_missing_and_was_not_shed_is_a_gap(store):
    """A bridge with a hole leads to the hole."""
    links = shedding_chain(told=(2, 4))
    admit(store, [links[0], links[4], links[5]])
    receipt = receipt_of(store)
    assert (receipt.upto_seq, receipt.extra) == (2, ((4, 6),))
    (fault,) = store.chain_faults()
    assert "lacks 3 to 4" in fault


def test_a_record_that_contradicts_a_bridge_is_a_fork(store):
    """Shed or not, a number has one digest; and so has it when the bridge comes later."""
    links = shedding_chain()
    other = sealer_of("n1").seal(draft(heartbeat(), host_ns=7), links[1].head)
    admit(store, [links[0], links[5]])
    with pytest.raises(ForgedRecord, match="fork: "):
        admit(store, [other])
    admit(store, [links[1], links[2], links[4]])
    assert receipt_of(store).upto_seq == 6


def deliver(outbox, store):
    """All that waits goes to the locator, and its receipts come back; what each refused."""
    refused = []
    for link in outbox.pending(99, frozenset()):
        try:
            admit(store, [link])
        except ForgedRecord as error:
            refused.append(str(error).partition(":")[0])
    store.commit()
    for _, raw in store.receipts(NOW):
        try:
            outbox.release(parse(open_envelope(raw, LOCATOR_KEYS).payload, Receipt))
        except ForgedRecord as error:
            refused.append(str(error).partition(",")[0].partition(":")[0])
    return refused


@pytest.mark.parametrize("offline", [2, 9], ids=["short of the receipt", "past the receipt"])
def test_what_a_rolled_back_node_says_arrives(store, tmp_path, offline):
    """An old copy of the store is put back: its numbers are used twice, and nothing is lost.

    The locator refuses or does not cross the second ones, its receipt tells the node, and all
    that was said since comes again in a new chain.
    """
    path = tmp_path / "o.db"
    outbox = outbox_of("n1", path)
    for number in range(3):
        outbox.append(draft(host_ns=number))
    assert deliver(outbox, store) == []
    outbox.close()
    shutil.copy(path, tmp_path / "copy")
    outbox = outbox_of("n1", path)
    for number in range(3, 7):
        outbox.append(draft(host_ns=number))
    assert deliver(outbox, store) == []
    outbox.close()
    shutil.copy(tmp_path / "copy", path)
    outbox = outbox_of("n1", path)
    for number in range(offline):
        outbox.append(draft(host_ns=100 + number))
    refused = deliver(outbox, store)
    assert refused.count("fork") == min(offline, 4)
    assert any(told.startswith("receipt ") for told in refused)
    outbox.append(draft(host_ns=999))
    assert deliver(outbox, store) == []
    assert outbox.backlog() == 0
    outbox.close()
    (begun,) = [body.chain for body in store.bodies() if isinstance(body.data, Rollback)]
    bodies = [body for body in store.bodies() if body.chain == begun]
    assert [body.data.__class__ for body in bodies] == [Rollback, *[Impulse] * (offline + 1)]
    assert [int(body.host_ns) for body in bodies[1:]] == [*range(100, 100 + offline), 999]
