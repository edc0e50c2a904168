"""A store that was rolled back says again what no receipt covers: delivery must not wait for it."""

from agent.app.feed import MAX_UNRECEIPTED
from agent.core.records.chain import Head
from agent.core.records.envelope import open_envelope
from agent.core.records.kinds import Body, parse
from agent.core.records.store_records import Rollback
from tests.support.drafts import heartbeat, receipt
from tests.support.uplinked import NODE_KEYS, Pole


def bodies(pole: Pole) -> list[Body]:
    return [parse(open_envelope(raw, NODE_KEYS).payload, Body) for raw in pole.heard()]


def roll_back(pole: Pole) -> None:
    """A receipt knows more than the store: the next record begins a new chain."""
    pole.answer(receipt("n1", Head("c" * 32, 99, "d" * 64)))
    pole.answer(receipt("n1", Head(pole.outbox.head().chain, 99, "d" * 64)))


def test_shots_that_are_said_again_go_out_at_once(pole: Pole) -> None:
    """Their numbers were used before, in the chain that was left; that delays none of them."""
    pole.append(5)
    pole.run(1)
    old = {body.chain for body in bodies(pole)}
    roll_back(pole)
    pole.append(1)
    pole.run(0.5)
    heard = [body for body in bodies(pole) if body.chain not in old]
    assert {body.seq for body in heard} == {1, 2, 3, 4, 5, 6, 7}
    assert any(isinstance(body.data, Rollback) for body in heard)


def test_a_receipt_of_the_old_chain_settles_nothing_of_the_new_one(pole: Pole) -> None:
    """It may come late. What it names is another record of the same number."""
    old = pole.append(5)
    pole.run(1)
    roll_back(pole)
    pole.append(1)
    pole.run(1)
    pole.answer(receipt("n1", old[-1]))
    assert pole.outbox.backlog() == 7
    pole.heard()
    pole.run(100)
    assert {body.seq for body in bodies(pole)} == {1, 2, 3, 4, 5, 6, 7}


def test_what_the_old_chain_left_unanswered_does_not_count(pole: Pole) -> None:
    """With all the room for statistics taken by the chain that was left, the new one is sent."""
    pole.append(MAX_UNRECEIPTED + 50, heartbeat())
    pole.run(20)
    pole.heard()
    roll_back(pole)
    pole.append(1, heartbeat())
    pole.run(20)
    assert len({body.seq for body in bodies(pole)}) == MAX_UNRECEIPTED
