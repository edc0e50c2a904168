"""What delivery can have without the disk: the records that were kept last, and what receipts and
refusals have said of the rest before the store has heard of it. Locks are `keeping`'s.
"""

from collections import deque
from collections.abc import Sequence

from agent.core.records.chain import RecordKey, Sealed
from agent.core.records.kinds import Receipt

FRESH = 256  # records
RECEIPTS = 8  # a later one tells all that an earlier one did


class Fresh:
    """Records in memory, and the words on records that the store has yet to act upon."""

    def __init__(self) -> None:
        self._records: dict[RecordKey, Sealed] = {}
        self.receipts: deque[Receipt] = deque(maxlen=RECEIPTS)
        self.asides: deque[tuple[RecordKey, str]] = deque()

    def remember(self, kept: Sequence[Sealed]) -> None:
        """These are durable; only the chain that goes on is of use."""
        chain = kept[-1].head.chain
        before = [one for one in self._records.values() if one.head.chain == chain]
        self._records = {one.head.key: one for one in [*before, *kept][-FRESH:]}

    def first(self, skip: frozenset[RecordKey], young_above: int | None) -> list[Sealed]:
        """Those not in `skip`, in the order of the port `Outbox`."""
        found = [one for key, one in self._records.items() if key not in skip]
        return sorted(found, key=lambda one: _urgency(one, young_above))

    def still_wanted(self, found: Sequence[Sealed]) -> list[Sealed]:
        """Without those that are receipted or refused."""
        leaving = {key for key, _ in self.asides}
        return [
            one
            for one in found
            if one.head.key not in leaving
            and not any(_covers(receipt, one.head.key) for receipt in self.receipts)
        ]

    def obeyed(self, receipt: Receipt) -> None:
        """The store has done all that the oldest receipt, this one, asks for."""
        if self.receipts and self.receipts[0] is receipt:
            self.receipts.popleft()
        found = self._records.items()
        self._records = {key: one for key, one in found if not _covers(receipt, key)}


def _urgency(one: Sealed, young_above: int | None) -> tuple[int, int]:
    """To sort by: what the new key signed comes after its change."""
    seq = one.head.seq
    if one.kind == "key":
        return -2, seq
    is_young = young_above is not None and one.priority == 0 and seq > young_above
    return (-1, -seq) if is_young else (one.priority, seq)


def _covers(receipt: Receipt, key: RecordKey) -> bool:
    chain, seq = key
    ranges = ((1, receipt.upto_seq), *receipt.extra)
    return chain == receipt.chain and any(first <= seq <= last for first, last in ranges)
