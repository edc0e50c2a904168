"""Where the chains stand: whole up to a number, and runs of records above it.

A chain is whole as far as each record holds the digest of the one before; over what the node shed
it goes on by the digests that a signed `Shed` record tells. What is above a hole is kept as runs
whose records link to each other, so that a hole costs memory, and a record does not. Keeping all
this is `chains`'.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.core.records.kinds import GENESIS_PREV, Receipt

MAX_EXTRA_RANGES = 128
MAX_FILL = 16  # ranges in a receipt that need not hold all that was asked for
ANY_PREV = ""  # of a record that was shed: only what follows it tells its digest


@dataclass(frozen=True, slots=True)
class Entry:
    """One record, or the trace of one that was shed, as a chain is built of them."""

    seq: int
    digest: str
    prev: str


@dataclass(frozen=True, slots=True)
class Words:
    """What a receipt says beyond what 0.1.0 knew, of what its node takes; see `Receipt`."""

    software: str = ""
    clock: str = ""
    bound_ms: int | None = None
    is_brief: bool = False


@dataclass(slots=True)
class Run:
    """Records `first` to `last`, each linked to the one before; `prev` is what the first holds."""

    first: int
    prev: str
    last: int
    digest: str

    def is_followed_by(self, seq: int, prev: str) -> bool:
        """Whether a record of that number, holding that digest, is the next one."""
        return seq == self.last + 1 and prev in (ANY_PREV, self.digest)


@dataclass(slots=True)
class Chain:
    """One chain of one node; `row_id` is its place on disk.

    `began_with` is the key of its first record that came, where known. `asked` are the seqs that
    the node has sent since the last receipt, at `told_ns`: it waits for these.
    """

    row_id: int
    source: str
    name: str
    upto_seq: int = 0
    head: str = GENESIS_PREV
    began_with: str | None = None
    above: list[Run] = field(default_factory=list)
    asked: set[int] = field(default_factory=set)
    told_ns: int | None = None

    @property
    def top(self) -> int:
        """The highest number that is held."""
        return self.above[-1].last if self.above else self.upto_seq

    def is_missing(self, seq: int) -> bool:
        """True for a hole: below the highest number that is held, and not held itself."""
        at = self._at(seq)
        return self.upto_seq < seq < self.top and not (at and self.above[at - 1].last >= seq)

    def joins(self, seq: int) -> bool:
        """True if that number stands beside what is held, so that it makes no new hole."""
        at = self._at(seq)
        before = self.above[at - 1].last if at else self.upto_seq
        return seq <= before + 1 or (at < len(self.above) and self.above[at].first == seq + 1)

    def extend(self, entry: Entry) -> None:
        """Take in one more; what does not link to the one before it stays above, in the open."""
        if entry.seq <= self.upto_seq:
            return
        at = self._at(entry.seq)
        before = self.above[at - 1] if at else None
        if before and before.last >= entry.seq:
            return
        after = self.above[at] if at < len(self.above) else None
        run = Run(entry.seq, entry.prev, entry.seq, entry.digest)
        if after and run.is_followed_by(after.first, after.prev):
            run.last, run.digest = after.last, after.digest
            del self.above[at]
        if before and before.is_followed_by(run.first, run.prev):
            before.last, before.digest = run.last, run.digest
        else:
            self.above.insert(at, run)
        while self.above and self._is_whole_with(self.above[0]):
            first = self.above.pop(0)
            self.upto_seq, self.head = first.last, first.digest

    def receipts(self, received_at: str, words: Words = Words()) -> list[Receipt]:
        """What is held of it: all that was asked for, and little more; `received_at` is RFC 3339.

        One receipt has no room for every range of a long backlog, and the node had a receipt for
        the others before. Were it always the same ones, a node whose alerts overtook it would
        wait for the others for ever.
        """
        asked = self._asked_ranges()
        self.asked.clear()
        starts = range(0, max(1, len(asked)), MAX_EXTRA_RANGES)
        ranges = list(asked)
        known = set(asked)
        for one in self._ranges():
            if len(ranges) >= MAX_FILL:
                break
            if one not in known:
                ranges.append(one)
        return [
            Receipt(
                source=self.source,
                chain=self.name,
                upto_seq=self.upto_seq,
                head=self.head,
                extra=tuple(sorted(ranges[start : start + MAX_EXTRA_RANGES])),
                received_at=received_at,
                software=words.software,
                clock=words.clock,
                bound_ms=words.bound_ms,
            )
            for start in starts
        ]

    def _at(self, seq: int) -> int:
        """How many runs begin at `seq` or before."""
        return bisect_right(self.above, seq, key=lambda run: run.first)

    def _is_whole_with(self, run: Run) -> bool:
        return run.first == self.upto_seq + 1 and run.prev in (ANY_PREV, self.head)

    def _asked_ranges(self) -> list[tuple[int, int]]:
        """The ranges of consecutive numbers in which something was asked for."""
        found: list[tuple[int, int]] = []
        for seq in sorted(self.asked):
            at = self._at(seq)
            is_told = found and seq <= found[-1][1]
            if at and self.above[at - 1].last >= seq and not is_told:
                start = at - 1
                while start and self.above[start - 1].last + 1 == self.above[start].first:
                    start -= 1
                found.append(next(self._ranges(start)))
        return found

    def _ranges(self, start: int = 0) -> Iterator[tuple[int, int]]:
        """Consecutive numbers above, as (first, last), from the run `start` on."""
        while start < len(self.above):
            first, last = self.above[start].first, self.above[start].last
            start += 1
            while start < len(self.above) and self.above[start].first == last + 1:
                last = self.above[start].last
                start += 1
            yield first, last
