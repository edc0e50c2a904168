"""Where the chains stand: whole up to a number, and single records above it.

A chain is whole as far as each record holds the digest of the one before; over what the node shed
it goes on by the digests that a signed `Shed` record tells. Keeping all this is `store`'s.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.core.records.kinds import GENESIS_PREV, Receipt

MAX_EXTRA_RANGES = 128
ANY_PREV = ""  # of a record that was shed: only what follows it tells its digest


@dataclass(frozen=True, slots=True)
class Entry:
    """One record, or the trace of one that was shed, as a chain is built of them."""

    seq: int
    digest: str
    prev: str


@dataclass(slots=True)
class Chain:
    """One chain of one node; `row_id` is its place on disk.

    `began_with` is the key of its first record that came, where known. `asked` are the seqs that
    the node has sent since the last receipt: it waits for these.
    """

    row_id: int
    source: str
    name: str
    upto_seq: int = 0
    head: str = GENESIS_PREV
    began_with: str | None = None
    above: dict[int, Entry] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)

    def extend(self, entry: Entry) -> None:
        """Take in one more; what does not link to the one before it stays above, in the open."""
        if entry.seq <= self.upto_seq:
            return
        self.above[entry.seq] = entry
        while (following := self.above.get(self.upto_seq + 1)) and (
            following.prev in (ANY_PREV, self.head)
        ):
            self.upto_seq, self.head = following.seq, following.digest
            del self.above[following.seq]

    def receipts(self, received_at: str) -> list[Receipt]:
        """What is held of it, at least all that was asked for; `received_at` is RFC 3339.

        One receipt has no room for every range of a long backlog. Were it always the same ones,
        a node whose alerts overtook it would wait for the others for ever.
        """
        ranges = list(_ranges(sorted(self.above)))
        ranges.sort(key=lambda one: not self._is_asked(*one))
        asked = sum(self._is_asked(*one) for one in ranges)
        self.asked.clear()
        starts = range(0, max(1, asked), MAX_EXTRA_RANGES)
        return [
            Receipt(
                source=self.source,
                chain=self.name,
                upto_seq=self.upto_seq,
                head=self.head,
                extra=tuple(sorted(ranges[start : start + MAX_EXTRA_RANGES])),
                received_at=received_at,
            )
            for start in starts
        ]

    def _is_asked(self, first: int, last: int) -> bool:
        return any(seq in self.asked for seq in range(first, last + 1))


def _ranges(seqs: list[int]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive numbers in ascending `seqs`, as (first, last)."""
    start = 0
    for end in range(1, len(seqs) + 1):
        if end == len(seqs) or seqs[end] != seqs[end - 1] + 1:
            yield seqs[start], seqs[end - 1]
            start = end
