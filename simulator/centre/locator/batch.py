"""What was admitted since the last commit: it is held by no chain yet, and counts for quotas."""

from collections import Counter
from collections.abc import Iterable

from simulator.centre.locator.chains import Chains
from simulator.centre.locator.ledger import Chain, Entry
from simulator.centre.locator.quota import OverQuota

_JOINED = 4  # times as many holes for what joins on: it may split one in two


class Batch:
    """One open transaction's records; each node's chains have at most `max_holes` holes."""

    def __init__(self, max_holes: int) -> None:
        self._max_holes = max_holes
        self.clear()

    def clear(self) -> None:
        """All of it is held, or none."""
        self.entries: list[tuple[Chain, Entry]] = []
        self.asked_again: dict[int, Chain] = {}
        self.forked: dict[int, Chain] = {}
        self._places: set[tuple[int, int]] = set()  # row id of the chain, and number
        self._opening: Counter[str] = Counter()

    def add(self, chain: Chain, entries: Iterable[Entry]) -> None:
        """A record, and the traces that it tells of."""
        for entry in entries:
            self.entries.append((chain, entry))
            self._places.add((chain.row_id, entry.seq))

    def touched(self) -> dict[int, Chain]:
        """The chains that grow, by row id."""
        return {chain.row_id: chain for chain, _ in self.entries}

    def limit_holes(self, chains: Chains, chain: Chain, seqs: list[int]) -> None:
        """What joins on to what is held may come, within reason; what opens a hole only so often.

        The next record of a chain always may, so that every hole can be filled. Raises OverQuota.
        """
        if chain.upto_seq + 1 in seqs:
            return
        beside = ((chain.row_id, seq + step) in self._places for seq in seqs for step in (-1, 1))
        joins = any(beside) or any(map(chain.joins, seqs))
        holes = chains.holes[chain.source] + self._opening[chain.source]
        if holes >= self._max_holes * (_JOINED if joins else 1):
            raise OverQuota(f"{chain.source} leaves more holes in its chains than its quota")
        if not joins:
            self._opening[chain.source] += 1
