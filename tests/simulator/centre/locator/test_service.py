"""The locator as a whole over the virtual broker: receipts out, incidents out, nothing trusted."""

import base64
import dataclasses
import json
import logging
import math
import random

import msgspec
import pytest

from agent.core.records.envelope import open_envelope
from agent.core.records.kinds import Receipt, parse
from agent.core.units import NS_PER_S
from agent.errors import StoreError
from agent.ports import Message
from simulator.centre.locator.mishaps import MAX_REASONS, OTHER_REASONS
from simulator.centre.locator.service import EVENTS, LocatorService
from simulator.centre.locator.store import EventStore
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from tests.support.cells import SHOT, Cell
from tests.support.drafts import LOCATOR, LOCATOR_KEYS, NOW, impulse

ALL = ("n1", "n2", "n3", "n4", "n5")


class Centre:
    """A locator, its broker, someone who reads what it says, and virtual time in steps of 1 s."""

    def __init__(self, path, cell):
        self.path, self.cell, self.broker = path, cell, VirtualBroker()
        self.reader = VirtualPublisher(
            self.broker, "reader", ("earshot/v1/+/+/incident", "earshot/v1/+/+/+/receipt")
        )
        self.street = VirtualPublisher(self.broker, "street")
        for link in (self.reader, self.street):
            link.connect()
        self.now_ns = 0
        self.open()
        self.run(1)

    def open(self):
        """Start the locator; what it had not written is gone."""
        self.store = EventStore(self.path, self.cell.registry.keys, LOCATOR)
        link = VirtualPublisher(self.broker, "locator", (EVENTS,), persistent=True)
        rng = random.Random(1)
        self.service = LocatorService(self.store, link, self.cell.registry, rng=rng)

    def kill(self):
        """End the locator without a word: its socket and its file are gone."""
        self.broker.cut("locator")
        self.store.close()

    def run(self, seconds):
        for _ in range(seconds):
            self.service.step(self.now_ns, lambda: NOW)
            self.now_ns += NS_PER_S

    def tell(self, messages):
        for message in messages:
            self.street.publish(message.topic, message.payload)

    def said(self):
        """Features and receipts that were published since the last call."""
        messages = [event for event in self.reader.poll() if isinstance(event, Message)]
        features = [json.loads(one.payload) for one in messages if "/incident" in one.topic]
        receipts = [
            parse(open_envelope(one.payload, LOCATOR_KEYS).payload, Receipt)
            for one in messages
            if one.topic.endswith("/receipt")
        ]
        return features, receipts


@pytest.fixture
def centre(tmp_path):
    made = Centre(tmp_path / "locator.sqlite", Cell())
    yield made
    made.store.close()


def test_a_shot_becomes_receipts_and_one_incident(centre):
    """Receipts at once, the incident when it has settled, at the place of the shot."""
    centre.tell(centre.cell.shot(0.0))
    centre.run(1)
    features, receipts = centre.said()
    assert features == []
    assert sorted(receipt.source[-2:] for receipt in receipts) == sorted(ALL)
    assert {receipt.upto_seq for receipt in receipts} == {1}
    centre.run(6)
    ((feature,), _) = centre.said()
    (incident,) = centre.service.incidents
    assert (feature["type"], feature["id"]) == ("Feature", incident.id)
    assert incident.status == "located"
    assert math.dist(incident.enu_m[:2], SHOT[:2]) < 1.0
    centre.run(30)
    assert centre.said() == ([], [])
    assert centre.service.counters.admitted == 5


def test_receipts_are_retained(centre):
    """A node that was away reads its receipt as soon as it is back."""
    centre.tell(centre.cell.shot(0.0, ["n1"]))
    centre.run(1)
    node = VirtualPublisher(centre.broker, "n1", ("earshot/v1/lab/a/n1/receipt",))
    node.connect()
    assert any(isinstance(event, Message) for event in node.poll())


def test_what_comes_twice_is_located_once(centre):
    """Duplicates are counted and receipted again, and change nothing else."""
    shot = centre.cell.shot(0.0)
    centre.tell(shot)
    centre.run(10)
    centre.said()
    centre.tell(shot + shot)
    centre.run(10)
    features, receipts = centre.said()
    assert features == []
    assert len(receipts) == 5
    assert centre.service.counters.duplicates == 10
    assert len(centre.service.arrivals) == 5


def test_bad_records_are_counted_with_their_reason_and_harm_nothing(centre, caplog):
    """Unsigned, altered, unregistered, on another's topic: told once each, counted every time."""
    good = centre.cell.shot(0.0)
    signed = json.loads(good[0].payload)
    unsigned = json.dumps(signed | {"signatures": []}).encode()
    payload = base64.b64decode(signed["payload"]).replace(b'"1.0"', b'"1.1"')
    altered = json.dumps(signed | {"payload": base64.b64encode(payload).decode()}).encode()
    stranger = Cell(nodes={"n9": (0.0, 0.0, 0.0)}).shot(0.0, ["n9"])[0]
    bad = [
        Message(good[0].topic, unsigned),
        Message(good[0].topic, altered),
        Message(good[1].topic, good[0].payload),
        Message(good[0].topic, b"\xff\x00"),
        stranger,
    ]
    with caplog.at_level(logging.WARNING):
        centre.tell([*bad, *bad, *good])
        centre.run(10)
    rejected = centre.service.counters.rejected
    assert sum(rejected.values()) == 2 * len(bad)
    assert set(rejected.values()) == {2}
    for told in ("exactly one signature", "not hold", "unknown key", "not JSON", "n9 is not reg"):
        assert any(told in reason for reason in rejected), told
        assert sum(told in record.getMessage() for record in caplog.records) == 1
    assert [one.status for one in centre.service.incidents] == ["located"]


def test_reasons_do_not_fill_the_memory(centre):
    """Someone who invents a new fault every time is counted in one heap after a while."""
    centre.tell(Message(f"earshot/v1/a/b/c/event/{n}", b"") for n in range(MAX_REASONS + 50))
    centre.run(1)
    rejected = centre.service.counters.rejected
    assert len(rejected) == MAX_REASONS + 1
    assert rejected[OTHER_REASONS] == 50
    assert sum(rejected.values()) == MAX_REASONS + 50


@pytest.mark.parametrize(
    "lie",
    [
        {"toa_utc_ns": "99999999999999999999"},
        {"toa_utc_ns": "-99999999999999999999"},
        {"sigma_total_ns": 10**15},
        {"features": msgspec.structs.replace(impulse().features, snr_db=1e308)},
        {"features": msgspec.structs.replace(impulse().features, peak_dbfs=-1e308)},
    ],
)
def test_a_node_that_lies_does_not_stop_the_others(centre, lie):
    """Signed with its own key, but impossible: kept as evidence, counted, never located with."""
    centre.tell([centre.cell.say("n1", msgspec.structs.replace(impulse(), **lie))])
    centre.tell(centre.cell.warmth({"n2": -300.0}))
    centre.tell(centre.cell.shot(0.0))
    centre.run(10)
    assert [one.status for one in centre.service.incidents] == ["located"]
    assert len(centre.service.arrivals) == 5
    assert centre.service.counters.admitted == 7
    assert sum(centre.service.counters.rejected.values()) == 2


def test_late_records_reopen_a_window(centre):
    """Three nodes first; when the others come out of a dead spot, the incident is revised."""
    centre.tell(centre.cell.shot(0.0, ["n1", "n2", "n3"]))
    centre.run(10)
    ((early,), _) = centre.said()
    assert centre.service.incidents[0].status == "detected"
    centre.run(3600)
    centre.tell(centre.cell.shot(0.0, ["n4", "n5"]))
    centre.run(10)
    (revised, withdrawal), _ = centre.said()
    (incident,) = centre.service.incidents
    assert (revised["id"], incident.status) == (incident.id, "located")
    assert (withdrawal["id"], withdrawal["properties"]["status"]) == (early["id"], "withdrawn")
    assert withdrawal["geometry"] is None


def test_a_restart_knows_all_that_was_receipted(centre):
    """The store is left without a word; the next service believes what the one before did."""
    centre.tell(centre.cell.shot(0.0) + centre.cell.warmth({"n1": 21.0, "n2": 23.0}))
    centre.run(10)
    before = (centre.service.incidents, centre.service.arrivals)
    centre.tell(centre.cell.shot(30.0, ["n1", "n2"]))
    centre.run(1)
    centre.kill()
    centre.open()
    centre.tell(centre.cell.shot(30.0, ["n3", "n4", "n5"]))
    centre.run(10)
    assert centre.service.incidents[0] == before[0][0]
    assert centre.service.arrivals[:5] == before[1]
    assert [one.status for one in centre.service.incidents] == ["located", "located"]
    assert centre.service.incidents[1].heard_by == before[0][0].heard_by


def test_the_air_is_that_of_the_heartbeats(tmp_path):
    """At -20 C sound is 6 % slower than at 15 C: placed right only for whom the nodes told."""
    centre = Centre(tmp_path / "l.sqlite", Cell(air_c=-20.0))
    centre.tell(centre.cell.warmth({"n1": -19.5, "n2": -20.0, "n3": 35.0, "n4": -20.5}))
    centre.tell(centre.cell.shot(9.0))
    centre.run(10)
    (incident,) = centre.service.incidents
    assert math.dist(incident.enu_m[:2], SHOT[:2]) < 1.0
    centre.store.close()


@pytest.mark.parametrize("seed", range(3))
def test_a_broker_that_dies_costs_nothing(centre, seed):
    """Killed while incidents and receipts wait: all is said once it is back."""
    centre.tell(centre.cell.shot(0.0))
    centre.run(2 + seed)
    centre.broker.kill()
    centre.run(20)
    (incident,) = centre.service.incidents
    centre.broker.restart()
    centre.reader.connect()
    centre.run(70)
    features, _ = centre.said()
    assert incident.id in [feature["id"] for feature in features]
    assert centre.service.idle


def test_flush_locates_what_has_not_settled(centre):
    """At the end of a run nobody waits for late arrivals."""
    centre.tell(centre.cell.shot(0.0))
    centre.run(1)
    assert centre.service.incidents == []
    centre.service.flush()
    assert [one.status for one in centre.service.incidents] == ["located"]
    centre.run(1)
    assert len(centre.said()[0]) == 1


def test_a_broken_store_ends_the_service(centre):
    """No receipt for what is not on disk: the error reaches whoever runs the locator."""
    centre.store.close()
    centre.tell(centre.cell.shot(0.0))
    with pytest.raises(StoreError):
        centre.run(1)
    assert centre.said() == ([], [])


def test_a_revoked_node_is_heard_no_more(tmp_path):
    """Nothing of it is kept or receipted; the others are located without it."""
    cell = Cell()
    source = "urn:earshot:lab:a:n1"
    cell.stations[source] = dataclasses.replace(cell.stations[source], is_revoked=True)
    centre = Centre(tmp_path / "l.sqlite", cell)
    centre.tell(cell.shot(0.0))
    centre.run(1)
    assert source not in {receipt.source for receipt in centre.said()[1]}
    assert list(centre.service.counters.rejected) == [
        "earshot/v1/lab/a/n1/event/impulse: this node was revoked"
    ]
    centre.run(6)
    (incident,) = centre.service.incidents
    assert (incident.status, source in incident.heard_by) == ("located", False)
    centre.store.close()


def test_cells_are_located_apart(tmp_path):
    """The same names and times in two cells are two incidents, each in its own."""
    north, south = Cell("north"), Cell("south")
    both = Cell()
    both.stations = north.stations | south.stations
    centre = Centre(tmp_path / "l.sqlite", both)
    centre.tell(north.shot(0.0) + south.shot(0.2, enu_m=(60.0, 250.0, 1.5)))
    centre.run(10)
    places = {one.cell: one.enu_m for one in centre.service.incidents}
    assert math.dist(places["north"][:2], SHOT[:2]) < 1.0
    assert math.dist(places["south"][:2], (60.0, 250.0)) < 1.0
    centre.store.close()
