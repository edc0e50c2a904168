"""No node takes from the others: what is over its quota is receipted later, and nothing is lost."""

import dataclasses
import logging
import math
import random
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.records.chain import Head
from agent.core.records.kinds import GENESIS_PREV
from agent.core.units import NS_PER_S
from agent.ports import Message
from simulator.centre.locator import associate
from simulator.centre.locator.ledger import Chain, Entry
from simulator.centre.locator.quota import OverQuota, Quota
from simulator.centre.locator.reception import Reception
from simulator.centre.locator.service import EVENTS, LocatorService
from simulator.centre.locator.store import EventStore
from simulator.grid.virtual_broker import VirtualPublisher
from tests.simulator.centre.locator.test_service import Centre as Plain
from tests.support.cells import Cell
from tests.support.drafts import (
    LOCATOR,
    NOW,
    chain_of,
    draft,
    heartbeat,
    identity_of,
    registry_of,
)
from tests.support.located import AIR_C, NODES_ENU_M, arrivals, fired, stations

N1, N2 = "urn:earshot:lab:a:n1", "urn:earshot:lab:a:n2"
TOPIC = f"{identity_of('n1').topic}/event/impulse"


class Centre(Plain):
    """A locator with a quota that a test can reach."""

    limits: dict[str, float] = {}  # noqa: RUF012 - set before it opens

    def open(self):

        quota = Quota(**self.limits)
        self.store = EventStore(self.path, self.cell.registry.keys, LOCATOR, max_holes=quota.holes)
        link = VirtualPublisher(self.broker, "locator", (EVENTS,), persistent=True)
        self.service = LocatorService(
            self.store, link, self.cell.registry, rng=random.Random(1), quota=quota
        )


@pytest.fixture
def made(tmp_path):
    opened = []

    def make(cell=None, **limits):
        Centre.limits = limits
        opened.append(Centre(tmp_path / "locator.sqlite", cell or Cell()))
        return opened[-1]

    yield make
    for one in opened:
        one.store.close()


def upto(centre):
    return {one.source: one.upto_seq for one in centre.said()[1]}


def test_what_is_over_quota_is_receipted_later(made, caplog):
    """The loud node is named and waits for its own; the others notice nothing."""
    centre = made(records=100, records_per_s=10.0)
    loud = [centre.cell.say("n1", heartbeat()) for _ in range(150)]
    with caplog.at_level(logging.WARNING):
        centre.tell([*loud, *centre.cell.shot(0.0, ["n2"])])
        centre.run(1)
    told = upto(centre)
    assert told[N2] == 1
    assert 100 <= told[N1] < 150
    assert centre.service.counters.late[N1] == 150 - told[N1]
    assert any(N1 in one.getMessage() and "later" in one.getMessage() for one in caplog.records)
    for _ in range(20):
        centre.tell(loud[told[N1] :])
        centre.run(1)
        told |= upto(centre)
    assert centre.service.counters.rejected == {}
    assert told[N1] == 150


def test_the_holes_of_a_known_chain_are_filled_for_free(made):
    """A backlog of three days drains though its alerts came first, and used up the quota."""
    centre = made(records=10, records_per_s=0.001)
    said = [centre.cell.say("n1", heartbeat()) for _ in range(300)]
    centre.tell(said[30::30])
    centre.run(1)
    centre.tell(said)
    centre.run(1)
    assert upto(centre)[N1] == 271


def test_new_chains_are_few(made):
    """A node begins a chain with a new store: not a hundred of them."""
    centre = made(chains=5, chains_per_s=0.1)
    sealer = centre.cell._sealers["n1"]
    said = [sealer.seal(draft(heartbeat()), Head(f"{n:032x}")) for n in range(50)]
    topic = "earshot/v1/lab/a/n1/event/heartbeat"
    centre.tell(Message(topic, one.envelope) for one in said)
    centre.run(1)
    assert centre.service.counters.admitted == 5
    assert centre.service.counters.late == {N1: 45}
    for _ in range(50):
        centre.now_ns += 10 * NS_PER_S
        centre.tell(Message(topic, one.envelope) for one in said)
        centre.run(1)
    assert centre.service.counters.admitted == 50


def test_holes_are_bounded_and_never_lock_a_chain(tmp_path):
    """Over the bound only what joins on to what is held is taken; so every hole can be filled."""

    links, late, told = chain_of("n1", 100), [], set()
    with closing(EventStore(tmp_path / "l", registry_of("n1"), LOCATOR, max_holes=10)) as store:
        for link in links[1::2]:
            try:
                store.admit(TOPIC, link.envelope)
            except OverQuota as over:
                late.append(link)
                told.add(str(over))
        assert len(late) == 40
        assert all(identity_of("n1").source in one for one in told)
        waiting = sorted([*links[::2], *late], key=lambda one: one.head.seq)
        while waiting:
            late = []
            for link in waiting:
                try:
                    store.admit(TOPIC, link.envelope)
                except OverQuota:
                    late.append(link)
            store.commit()
            assert len(late) < len(waiting)
            waiting = late
        store.receipts(NOW)
        assert store.chain_faults() == []
        assert len(list(store.bodies())) == 100


def test_topics_are_few(made):
    """Retained words on a thousand topics would come with every connection."""
    centre = made(topics=3)
    said = centre.cell.say("n1", heartbeat())
    centre.tell(Message(f"earshot/v1/lab/a/n1/event/{'x' * n}", said.payload) for n in range(1, 50))
    centre.run(1)
    assert sum(centre.service.counters.rejected.values()) == 3
    assert centre.service.counters.late == {N1: 46}


def test_live_is_located_before_old(made):
    """A cell that comes back with days of shots does not delay another cell's news."""
    north, south = Cell("north"), Cell("south")
    both = Cell()
    both.stations = north.stations | south.stations
    centre = made(both)
    centre.tell(one for n in range(120) for one in north.shot(60.0 * n))
    centre.run(6)
    centre.tell(south.shot(86_400.0))
    centre.run(7)
    located = [one.cell for one in centre.service.incidents]
    assert "south" in located
    assert located.count("north") < 120
    centre.run(60)
    assert [one.cell for one in centre.service.incidents].count("north") == 120


def whole(chain, said):
    """What the ledger must come to, by the plainest way there is."""
    held = {}
    for entry in said:
        held.setdefault(entry.seq, entry)
    seq, head = 0, GENESIS_PREV
    while (entry := held.get(seq + 1)) and entry.prev in ("", head):
        seq, head = entry.seq, entry.digest
    above = sorted(one for one in held if one > seq)
    ranges = []
    for one in above:
        if ranges and ranges[-1][1] == one - 1:
            ranges[-1] = (ranges[-1][0], one)
        else:
            ranges.append((one, one))
    return seq, head, tuple(ranges)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from(("", "right", "wrong")))))
def test_the_ledger_is_the_plain_one(said):
    """In any order, with records that link, that do not, and that were shed."""
    chain, taken, seen = Chain(1, N1, "c" * 32), [], set()
    for seq, link in said:
        if seq in seen:
            continue
        seen.add(seq)
        before = GENESIS_PREV if seq == 1 else f"digest {seq - 1}"
        prev = {"": "", "right": before, "wrong": "nothing"}[link]
        taken.append(Entry(seq, f"digest {seq}", prev))
        chain.extend(taken[-1])
    (told,) = chain.receipts(NOW)
    assert (told.upto_seq, told.head, told.extra) == whole(chain, taken)
    assert all(chain.is_missing(n) is (told.upto_seq < n < chain.top and n not in seen)
               for n in range(1, 14))  # fmt: skip


def test_the_memory_of_a_chain_goes_by_its_holes():
    """One record that never comes costs one hole, however long the chain goes on."""
    chain = Chain(1, N1, "c" * 32)
    for link in chain_of("n1", 400)[1:]:
        chain.extend(Entry(link.head.seq, link.head.digest, ""))
    assert len(chain.above) == 1
    assert (chain.upto_seq, chain.top) == (0, 400)


def test_a_window_full_of_one_node_is_located():
    """Thousands of its arrivals around one shot: the shot is found all the same."""
    shot, rng = fired(0.0), random.Random(1)
    heard = arrivals(shot, NODES_ENU_M)
    noise = [
        dataclasses.replace(
            heard[0],
            record_id=f"{'e' * 32}/{number}",
            toa_utc_ns=heard[0].toa_utc_ns + rng.randrange(-(10**9), 10**9),
            peak_dbfs=-40.0,
            snr_db=6.0,
        )
        for number in range(3_000)
    ]
    found = associate.locate([*heard, *noise], stations(), AIR_C)
    assert "located" in [one.status for one in found]
    place = next(one.enu_m for one in found if one.status == "located")
    assert math.dist(place[:2], (120.0, 165.0)) < 5.0


def test_each_node_has_its_turn():
    """However much one of them sends, also over the end of a step."""
    late = []
    reception = Reception(
        Quota(topics=1_000),
        lambda topic: topic[0],
        lambda *place: False,
        lambda *one: late.append(one),
    )
    for topic in ("a1", "a2", "a3", "a4", "b1", "c1", "c2"):
        reception.put(Message(topic, b""))
    turns = [[one.topic for one in reception.take(limit, 0)] for limit in (2, 2, 9)]
    assert turns == [["a1", "b1"], ["c1", "a2"], ["c2", "a3", "a4"]]
    assert (reception.is_waiting, late) == (False, [])
