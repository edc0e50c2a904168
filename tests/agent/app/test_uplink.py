"""Delivery as a step function, in virtual time over the virtual broker."""

import random
from itertools import pairwise
from pathlib import Path

from agent.adapters.outbox import SqliteOutbox
from agent.app import uplink as module
from agent.app.feed import MAX_UNRECEIPTED
from agent.app.uplink import Uplink
from agent.core.records.chain import Head
from agent.core.records.envelope import open_envelope, seal
from agent.core.records.kinds import STATUS_TYPE, Status, parse
from agent.core.units import NS_PER_MS, NS_PER_S
from agent.errors import TokenError
from agent.ports import Message
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from tests.support.drafts import (
    LOCATOR,
    LOCATOR_KEYS,
    heartbeat,
    identity_of,
    receipt,
    sealed_receipt,
    sealed_status,
    sealer_of,
    signer_of,
)
from tests.support.uplinked import IDENTITY, NODE_KEYS, RECEIPTS, Pole


def test_records_go_out_under_their_kind_and_leave_with_the_receipt(pole: Pole) -> None:
    """The wire carries the stored bytes; a PUBACK frees nothing, the receipt frees all."""
    pole.append(2)
    pole.append(1, heartbeat())
    stored = [sealed.envelope for sealed in pole.outbox.pending(9, frozenset())]
    pole.run(1)
    topics = [event.topic for event in pole.listener.poll() if isinstance(event, Message)]
    assert sorted(topics) == [
        f"{IDENTITY.topic}/event/heartbeat",
        *[f"{IDENTITY.topic}/event/impulse"] * 2,
        f"{IDENTITY.topic}/status",
    ]
    assert [sealed.envelope for sealed in pole.outbox.pending(9, frozenset())] == stored
    assert not pole.uplink.idle
    pole.answer(receipt("n1", pole.outbox.head()))
    assert pole.uplink.idle
    assert (pole.counters.published, pole.counters.receipts) == (3, 1)


def test_a_lost_connection_starts_all_over(pole: Pole) -> None:
    """After a broker's death everything without a receipt goes out again, at once."""
    pole.append(40)
    pole.run(2)
    assert len(pole.heard()) == 40
    pole.broker.kill()
    pole.run(1)
    pole.broker.restart()
    pole.listener.connect()
    pole.run(10)
    assert len(set(pole.heard())) == 40
    assert pole.counters.connects == 2


def test_a_new_key_gets_a_connection_of_its_own(pole: Pole) -> None:
    """After the replies are out it is made afresh, so that the last will is signed by the key in
    force; nobody hears that the node is gone, and no record and no reply is lost."""
    pole.append(40)
    pole.run(0.3)
    pole.uplink.reply("1" * 32, b"obeyed")
    pole.voices.append("second key")
    pole.run(2)
    assert pole.counters.connects == 2
    assert not pole.uplink.trouble
    told = [event for event in pole.listener.poll() if isinstance(event, Message)]
    assert [one.payload for one in told if "/reply/" in one.topic] == [b"obeyed"]
    assert len({one.payload for one in told if "/event/" in one.topic}) == 40
    assert b"second key" not in [one.payload for one in told]
    pole.run(60)
    assert pole.counters.connects == 2
    pole.broker.cut(IDENTITY.source)
    assert b"second key" in pole.heard("/status")


def test_a_reply_that_the_broker_has_not_answered_keeps_the_connection(pole: Pole) -> None:
    """A new key waits for it, and so does the fresh connection."""
    pole.run(1)
    pole.broker.drop_pubacks()
    pole.uplink.reply("1" * 32, b"obeyed")
    pole.voices.append("second key")
    pole.run(5)
    assert (pole.counters.connects, pole.heard("/reply/")) == (1, [b"obeyed"])


def test_the_window_bounds_what_is_unanswered(pole: Pole) -> None:
    """Without PUBACKs no more than the window goes out, and the silence ends the connection."""
    pole.run(1)
    pole.broker.drop_pubacks()
    pole.append(50)
    pole.run(24)
    assert 0 < len(pole.heard()) <= 16
    pole.broker.drop_pubacks(dropping=False)
    pole.run(15)
    assert len(set(pole.heard())) == 50
    assert "no answer from the broker for 25 s" in pole.counters.last_reason


def test_statistics_wait_for_receipts_but_alerts_do_not(pole: Pole) -> None:
    """With the locator away the broker is not flooded, yet an alert still goes out at once."""
    pole.append(MAX_UNRECEIPTED + 100, heartbeat())
    pole.run(20)
    assert len(set(pole.heard())) == MAX_UNRECEIPTED
    pole.append(1)
    pole.run(0.3)
    (alert,) = pole.heard()
    assert b"impulse" in open_envelope(alert, NODE_KEYS).payload


def test_an_alert_overtakes_the_backlog(pole: Pole) -> None:
    """At most one window of older records is ahead of it."""
    pole.append(300, heartbeat())
    pole.run(0.5)
    before = len(pole.heard())
    pole.append(1)
    pole.run(0.3)
    payloads = [open_envelope(raw, NODE_KEYS).payload for raw in pole.heard()]
    place = next(i for i, payload in enumerate(payloads) if b"impulse" in payload)
    assert 0 < before < 200
    assert place <= 16


def test_attempts_to_connect_are_jittered_and_never_hurried(pole: Pole) -> None:
    """At least a second between attempts, at most a minute, however long the broker is away."""
    attempts_ns: list[int] = []
    connect = pole.uplink._publisher.connect

    def noted() -> None:
        attempts_ns.append(pole.now_ns)
        connect()

    pole.uplink._publisher.connect = noted
    pole.broker.kill()
    pole.run(3_600, step_ms=50)
    waits_ns = [after - before for before, after in pairwise(attempts_ns)]
    assert min(waits_ns) >= NS_PER_S
    assert max(waits_ns) <= 60 * NS_PER_S + 100 * NS_PER_MS
    assert len(set(waits_ns)) > len(waits_ns) / 2
    assert max(waits_ns) - min(waits_ns) > (max(waits_ns) + min(waits_ns)) / 2
    assert pole.counters.last_reason.endswith("is the broker running?")
    pole.broker.restart()
    pole.run(61)
    assert pole.counters.connects == 1


def test_no_lying_receipt_frees_anything(pole: Pole) -> None:
    """Forged, foreign, contradicting, replayed-as-receipt or broken: counted, and all stays."""
    heads = pole.append(5)
    pole.run(1)
    lie = receipt("n1", Head(heads[3].chain, 4, "e" * 64))
    pole.answer(receipt("n1", heads[3]), signer_of("n1"))
    pole.answer(lie)
    pole.answer(receipt("n1", Head("e" * 32, 4, heads[3].digest)))
    pole.answer(receipt("n1", heads[3], source=identity_of("n2").source))
    for raw in (b"", b"{}", sealed_receipt(lie)[:-9], sealed_status("n1", 0, 0), b"\xff" * 99):
        pole.listener.publish(RECEIPTS, raw)
    pole.run(0.2)
    assert (pole.counters.bad_receipts, pole.counters.receipts) == (9, 0)
    assert pole.outbox.backlog() == 5
    assert pole.counters.last_reason.startswith("receipt ignored: ")
    pole.answer(receipt("n1", heads[3]))
    assert (pole.counters.receipts, pole.outbox.backlog()) == (1, 1)


def test_the_locators_key_on_something_else_is_no_receipt(pole: Pole) -> None:
    """Type confusion: a status or record signed by the locator's own key frees nothing."""
    heads = pole.append(1)
    pole.run(1)
    honest = open_envelope(sealed_receipt(receipt("n1", heads[0])), LOCATOR_KEYS).payload
    pole.listener.publish(RECEIPTS, seal(STATUS_TYPE, honest, LOCATOR))
    pole.run(0.2)
    assert (pole.counters.bad_receipts, pole.outbox.backlog()) == (1, 1)


def test_the_status_is_signed_retained_and_rare(pole: Pole) -> None:
    """One on each connection, later only for a marked change of backlog, twice a minute at most."""

    def statuses() -> list[tuple[int, int]]:
        opened = [open_envelope(raw, NODE_KEYS) for raw in pole.heard("/status")]
        assert {one.payload_type for one in opened} <= {STATUS_TYPE}
        told = [parse(one.payload, Status) for one in opened]
        return [(status.backlog, status.connects) for status in told]

    pole.append(100)
    pole.run(5)
    assert statuses() == [(100, 1)]
    pole.append(10)
    pole.run(60)
    assert statuses() == []
    pole.answer(receipt("n1", pole.outbox.head()))
    pole.run(1)
    assert statuses() == [(0, 1)]
    late = VirtualPublisher(pole.broker, "late", (f"{IDENTITY.topic}/status",))
    late.connect()
    assert len([event for event in late.poll() if isinstance(event, Message)]) == 1


def test_two_runs_of_one_seed_are_the_same(tmp_path: Path) -> None:
    """The uplink itself is deterministic: same times and same seed, same events on the wire."""
    wires = []
    for run in ("a", "b"):
        broker = VirtualBroker()
        outbox = SqliteOutbox(
            tmp_path / run,
            sealer_of("n1"),
            lambda: "c" * 32,
            durable=False,
        )
        listener = VirtualPublisher(broker, "locator", ("#",), persistent=True)
        listener.connect()
        link = VirtualPublisher(broker, "n1", (RECEIPTS,))
        uplink = Uplink(IDENTITY, outbox, link, LOCATOR_KEYS, lambda *_: b"s", random.Random(7))
        pole = Pole(broker, outbox, uplink, listener)
        pole.append(20)
        pole.run(2)
        broker.kill()
        pole.run(20)
        broker.restart()
        listener.connect()
        pole.run(60)
        wires.append(([*listener.poll()], pole.counters))
        outbox.close()
    assert wires[0] == wires[1]


def test_a_status_that_cannot_be_signed_is_told_later(tmp_path: Path) -> None:
    """While the token of the key is away delivery goes on; the status follows, not in a hurry."""
    broker, tries = VirtualBroker(), []

    def status(backlog: int, connects: int) -> bytes:
        tries.append(backlog)
        if len(tries) < 3:
            raise TokenError("token x is not there: plug it in")
        return sealed_status("n1", backlog, connects)

    outbox = SqliteOutbox(tmp_path / "o.db", sealer_of("n1"), lambda: "c" * 32, durable=False)
    link = VirtualPublisher(broker, "n1", (RECEIPTS,))
    uplink = Uplink(IDENTITY, outbox, link, LOCATOR_KEYS, status, random.Random(1))
    listener = VirtualPublisher(broker, "locator", ("earshot/v1/#",), persistent=True)
    listener.connect()
    pole = Pole(broker, outbox, uplink, listener)
    pole.append(3)
    pole.run(module.STATUS_PERIOD_NS / NS_PER_S)
    told = [event.topic for event in listener.poll() if isinstance(event, Message)]
    assert set(told) == {f"{IDENTITY.topic}/event/impulse"}
    pole.run(2 * module.STATUS_PERIOD_NS / NS_PER_S)
    assert len(pole.heard("/status")) == 1
    assert len(tries) == 3
    outbox.close()
