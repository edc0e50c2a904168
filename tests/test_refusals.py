"""What no key can ever make a record is named to its node, which keeps it aside and goes on."""

import base64
import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from agent.adapters.outbox import SqliteOutbox
from agent.app.presence import seal_status
from agent.app.uplink import Uplink
from agent.cli.main import main
from agent.core.records.kinds import Receipt
from agent.core.units import NS_PER_S
from simulator.centre.locator.registry import Registry
from simulator.centre.locator.service import SUBSCRIPTIONS, LocatorService
from simulator.centre.locator.store import EventStore
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from tests.support.drafts import (
    LOCATOR,
    LOCATOR_KEYS,
    NOW,
    draft,
    heartbeat,
    identity_of,
    outbox_of,
    receipt,
    sealer_of,
)
from tests.support.located import stations

TOPIC = identity_of("n1").topic
Change = Callable[[bytes], bytes]


class Town:
    """A node and a locator that may know it, in virtual time."""

    def __init__(self, directory: Path, known: str = "n1") -> None:
        self.path = directory / "o.db"
        self.outbox: SqliteOutbox = outbox_of("n1", self.path)
        self._broker, self.now_ns = VirtualBroker(), 5 * NS_PER_S
        self.registry = Registry(stations("north", "town", {known: (0.0, 0.0, 5.0)}), None)
        self.store = EventStore(directory / "l", self.registry.keys, LOCATOR)
        link = VirtualPublisher(self._broker, "locator", SUBSCRIPTIONS)
        self.service = LocatorService(self.store, link, self.registry, rng=random.Random(1))

    def start(self, takes: bool = True) -> None:
        """Start the node's uplink, of this version or of 0.1.0."""
        status = partial(seal_status, sealer_of("n1"), True)
        if not takes:
            from tests.support.drafts import sealed_status

            status = partial(sealed_status, "n1")
        link = VirtualPublisher(self._broker, "n1", (f"{TOPIC}/receipt",))
        self.uplink = Uplink(
            identity_of("n1"), self.outbox, link, LOCATOR_KEYS, status, random.Random(1)
        )

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 5)):
            self.service.step(self.now_ns, lambda: NOW)
            self.uplink.step(self.now_ns)
            self.now_ns += NS_PER_S // 5

    def close(self) -> None:
        self.outbox.close()
        self.store.close()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.close()


def spoil(path: Path, seq: int, change: Change) -> bytes:
    """As a card does: other bytes stand where a record was; they are returned."""
    at = "WHERE id % 281474976710656 = ?"
    with closing(sqlite3.connect(path)) as db:
        (raw,) = db.execute(f"SELECT envelope FROM record {at}", (seq,)).fetchone()
        db.execute(f"UPDATE record SET envelope = ? {at}", (change(raw), seq))
        db.commit()
    return change(raw)


def reopened(town: Town, seq: int, change: Change) -> bytes:
    """The same node after a restart that found record `seq` spoilt, to these bytes."""
    town.outbox.close()
    raw = spoil(town.path, seq, change)
    town.outbox = outbox_of("n1", town.path)
    return raw


def unsigned(raw: bytes) -> bytes:
    """What the record says is untouched, and so is its digest: only who says it is gone."""
    return json.dumps(json.loads(raw) | {"signatures": []}).encode()


def padded(raw: bytes) -> bytes:
    return raw + b" " * 20_000


@pytest.mark.parametrize("change", [unsigned, padded])
def test_a_malformed_record_is_set_aside_and_the_chain_is_bridged(
    town: Town, change: Change, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its digest stands in a signed `shed`; its bytes stay with the node, and can be listed."""
    for number in range(5):
        town.outbox.append(draft(heartbeat(), number))
    raw = reopened(town, 3, change)
    town.start()
    town.run(30)
    assert town.outbox.backlog() == 0
    town.outbox.append(draft(heartbeat(), 9))
    town.run(30)
    assert town.uplink.idle
    assert town.store.chain_faults() == []
    assert [body.seq for body in town.store.bodies()] == [1, 2, 4, 5, 6, 7]
    town.outbox.close()
    assert main(["store", "letters", str(town.path), "--json"]) == 0
    (letter,) = json.loads(capsys.readouterr().out)
    assert (letter["seq"], letter["kind"]) == (3, "heartbeat")
    assert base64.b64decode(letter["envelope"]) == raw
    assert letter["reason"]
    town.outbox = outbox_of("n1", town.path)


SPOILT: list[Change] = [
    lambda raw: b"\xff\xfe",
    lambda raw: b"{}",
    lambda raw: b"x" * 20_000,
    lambda raw: raw[:60] + bytes([raw[60] ^ 1]) + raw[61:],
]


@pytest.mark.parametrize("change", SPOILT, ids=["bytes", "json", "large", "bit"])
def test_what_does_not_match_its_digest_is_never_offered(town: Town, change: Change) -> None:
    """Nobody needs to refuse it: the node sets it aside, and its chain is bridged."""
    for number in range(5):
        town.outbox.append(draft(heartbeat(), number))
    reopened(town, 3, change)
    town.start(takes=False)
    town.run(30)
    assert (town.outbox.backlog(), town.service.counters.rejected) == (0, {})
    town.outbox.append(draft(heartbeat(), 9))
    town.run(30)
    assert town.uplink.idle
    assert town.store.chain_faults() == []
    assert [body.seq for body in town.store.bodies()] == [1, 2, 4, 5, 6, 7]


def test_a_node_of_0_1_0_is_told_nothing(town: Town) -> None:
    """It would take the word for a bad receipt."""
    town.outbox.append(draft(heartbeat()))
    reopened(town, 1, unsigned)
    town.start(takes=False)
    town.run(30)
    assert town.outbox.backlog() == 1
    assert town.uplink.counters.bad_receipts == 0


def test_an_unknown_key_means_not_yet(tmp_path: Path) -> None:
    """Registered a day late, the node's records are still there, and are taken."""
    town = Town(tmp_path, known="n2")
    town.outbox.append(draft(heartbeat()))
    town.start()
    town.run(60)
    assert town.outbox.backlog() == 1
    town.close()
    with closing(sqlite3.connect(town.path)) as db:
        assert db.execute("SELECT count(*) FROM dead").fetchone() == (0,)


def test_a_stranger_names_nothing(town: Town) -> None:
    """A refusal counts by a pinned key only, and only for what was sent."""
    from agent.core.records.envelope import seal
    from agent.core.records.kinds import REFUSAL_TYPE
    from tests.support.drafts import signer_of

    town.outbox.append(draft(heartbeat()))
    town.start()
    mallory = VirtualPublisher(town._broker, "mallory")
    mallory.connect()
    for _ in range(3):
        town.uplink.step(town.now_ns)
        town.now_ns += NS_PER_S
    for signer in (signer_of("mallory"), LOCATOR):
        words = {"source": identity_of("n1").source, "at": NOW, "refused": [["0" * 64, "no"]]}
        mallory.publish(f"{TOPIC}/receipt", seal(REFUSAL_TYPE, json.dumps(words).encode(), signer))
    town.uplink.step(town.now_ns)
    assert town.outbox.backlog() == 1


def test_what_cannot_be_said_again_is_set_aside(town: Town) -> None:
    """A store that was rolled back says all again; a spoilt record does not end the node."""
    heads = [town.outbox.append(draft(heartbeat(), number)).head for number in range(4)]
    reopened(town, 2, lambda raw: b"\xff\xfe")
    beyond: Receipt = receipt("n1", heads[3], [(9, 9)])
    with pytest.raises(Exception, match="rolled back"):
        town.outbox.release(beyond)
    town.outbox.append(draft(heartbeat(), 9))
    assert town.outbox.backlog() == 1 + 3 + 1
    town.outbox.close()
    with closing(sqlite3.connect(town.path)) as db:
        assert db.execute("SELECT seq FROM dead").fetchall() == [(2,)]
    town.outbox = outbox_of("n1", town.path)
