"""What a broker takes and loses, or refuses: the uplink finds out, and sends it again."""

from agent.app.feed import MAX_UNRECEIPTED
from agent.core.records.chain import Head
from agent.core.records.envelope import open_envelope
from agent.core.records.kinds import Body, parse
from tests.support.drafts import heartbeat, receipt
from tests.support.uplinked import NODE_KEYS, Pole


def test_what_is_acknowledged_and_lost_is_sent_again(pole: Pole) -> None:
    """A broker that forgets what it acknowledged costs half a minute, not a record."""
    (first,) = pole.append(1)
    pole.run(1)
    pole.answer(receipt("n1", first))
    pole.heard()
    pole.broker.forget()
    pole.append(3)
    pole.run(29)
    assert pole.heard() == []
    pole.broker.forget(forgetting=False)
    pole.run(3)
    assert len(pole.heard()) == 3


def test_a_scout_finds_out_when_the_locator_comes(pole: Pole) -> None:
    """A broker that takes everything while nobody listens: seconds, and one record repeated."""
    pole.broker.forget()
    heads = pole.append(100)
    nothing = Head(heads[0].chain)
    pole.run(7)
    pole.broker.forget(forgetting=False)
    published = pole.counters.published
    assert published == 100 + 2
    pole.run(8)
    (scout,) = pole.heard()
    seq = parse(open_envelope(scout, NODE_KEYS).payload, Body).seq
    pole.answer(receipt("n1", nothing, extra=[(seq, seq)]))
    pole.run(1)
    others = pole.heard()
    assert len(others) == len(set(others)) == 99
    assert scout not in others
    assert pole.counters.published == published + 1 + 99


def test_a_receipt_tells_what_was_lost_before_it(pole: Pole) -> None:
    """Records overtaken by one that is receipted go out again at once, but only once."""
    (first,) = pole.append(1)
    pole.run(1)
    pole.answer(receipt("n1", first))
    pole.broker.forget()
    pole.append(3)
    pole.run(1)
    pole.broker.forget(forgetting=False)
    (last,) = pole.append(1)
    pole.run(1)
    pole.heard()
    pole.answer(receipt("n1", first, extra=[(last.seq, last.seq)]))
    assert len(pole.heard()) == 3
    pole.answer(receipt("n1", first, extra=[(last.seq, last.seq)]))
    pole.run(10)
    assert pole.heard() == []


def test_patience_doubles_while_no_receipt_comes(pole: Pole) -> None:
    """A locator that is away for a day costs a handful of repetitions, not thousands."""
    pole.append(1)
    pole.run(86_400, step_ms=1_000)
    assert 50 <= len(pole.heard()) <= 60


def test_refusals_are_probed_ever_more_seldom_and_then_forgotten(pole: Pole) -> None:
    """A broker that refuses for an hour sees few messages; when it accepts, all go out."""
    pole.append(100)
    pole.broker.refuse("Quota exceeded")
    pole.run(3_600, step_ms=500)
    assert 250 <= pole.counters.published <= 500
    assert pole.uplink.trouble == "broker refused a record: Quota exceeded"
    pole.broker.refuse()
    pole.run(125)
    assert len(set(pole.heard())) == 100
    assert pole.uplink.trouble == ""


def test_any_receipt_ends_the_waiting_for_a_locator(pole: Pole) -> None:
    """Where the broker knew no reader: the locator's first word lets everything go at once."""
    (first,) = pole.append(1)
    pole.run(1)
    pole.answer(receipt("n1", first))
    pole.broker.refuse("No matching subscribers")
    pole.append(100)
    pole.run(600, step_ms=500)
    pole.broker.refuse()
    pole.heard()
    pole.answer(receipt("n1", first))
    pole.run(1)
    assert len(set(pole.heard())) == 100


def test_alerts_that_no_receipt_has_room_for_hold_up_nothing(pole: Pole) -> None:
    """Alerts leave gaps, of which a receipt tells few: what is in the gaps goes out anyway."""
    for _ in range(2 * MAX_UNRECEIPTED):
        pole.append(1, heartbeat())
        pole.append(1)
    pole.run(20)
    assert len(set(pole.heard())) == 2 * MAX_UNRECEIPTED + MAX_UNRECEIPTED
