"""A node and a locator of another version: what they do not know of each other does no harm."""

import json

import msgspec
import pytest

from agent.core.records.envelope import seal
from agent.core.records.kinds import RECEIPT_TYPE
from tests.support.drafts import LOCATOR, heartbeat, receipt
from tests.support.uplinked import RECEIPTS, Pole


def test_a_receipt_with_more_in_it_is_a_receipt(pole: Pole) -> None:
    """Yesterday's node must not fill up because tomorrow's locator says more."""
    pole.append(2)
    pole.run(1)
    fields = msgspec.to_builtins(receipt("n1", pole.outbox.head())) | {"of_tomorrow": [1, {}]}
    raw = seal(RECEIPT_TYPE, json.dumps(fields).encode(), LOCATOR)
    pole.listener.publish(RECEIPTS, raw)
    pole.run(0.2)
    assert (pole.uplink.idle, pole.counters.bad_receipts) == (True, 0)


def test_a_node_says_that_its_locator_is_older_and_sends_again_when_it_is_not(
    pole: Pole, caplog: pytest.LogCaptureFixture
) -> None:
    """Alerts first meanwhile; what the older one did not take goes out as soon as it may."""
    heads = pole.append(1)
    pole.append(600, heartbeat())
    pole.run(20)
    pole.answer(receipt("n1", heads[0]))
    pole.run(90)
    pole.answer(receipt("n1", heads[0]))
    assert pole.uplink.counters.is_locator_older
    assert sum("the locator is older" in one.getMessage() for one in caplog.records) == 1
    pole.heard()
    pole.append(1)
    pole.run(1)
    assert pole.outbox.pending(1, frozenset())[0].envelope in pole.heard()
    pole.answer(msgspec.structs.replace(receipt("n1", heads[0]), software="0.2.0"))
    pole.run(1)
    assert len(pole.heard()) >= 100
    assert not pole.uplink.counters.is_locator_older
