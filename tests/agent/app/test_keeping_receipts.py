"""Receipts wait for the store, which alone knows whether they are true."""

from pathlib import Path

from agent.app.keeping import Keeping
from agent.core.records.chain import Head
from agent.core.records.kinds import Receipt
from tests.support.drafts import draft, outbox_of, receipt


def test_only_a_receipt_that_the_store_agrees_with_is_passed_on(tmp_path: Path) -> None:
    """One for another chain, or for records that were never said, witnesses nothing."""
    outbox, heard = outbox_of("n1", tmp_path / "o.db"), list[Receipt]()
    keeping = Keeping(outbox, on_receipt=heard.append)
    keeping.append(draft())
    while keeping.step(1):
        pass
    head = outbox.head()
    good = receipt("n1", head)
    for one in (receipt("n1", Head("e" * 32, 1, "d" * 64)), good, receipt("n1", head, [(9, 9)])):
        keeping.release(one)
        while keeping.step(1):
            pass
    assert heard == [good]
    outbox.close()
