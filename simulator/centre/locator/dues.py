"""Which chains are owed a receipt, and when they get it: seldom enough for the thinnest line.

A chain that nobody told of for a second gets it at once. Else what comes is gathered, until
the second is over, the node has sent so much that it will soon have to wait, or it is urgent.
"""

from collections.abc import Iterable

from agent.core.units import NS_PER_S
from simulator.centre.locator.ledger import Chain

RECEIPT_NS = NS_PER_S
MANY = 128  # a quarter of what a node sends without a receipt


class Dues:
    """The chains that grew, or were sent again, since their last receipt."""

    def __init__(self) -> None:
        self._due: dict[int, Chain] = {}  # by row id
        self._urgent: set[int] = set()

    def add(self, chains: Iterable[Chain], *, is_urgent: bool = False) -> None:
        """These are owed one."""
        for chain in chains:
            self._due[chain.row_id] = chain
            if is_urgent:
                self._urgent.add(chain.row_id)

    def take(self, now_ns: int | None) -> list[Chain]:
        """Those whose turn it is at monotonic `now_ns`; all of them if that is None."""
        ready = [one for one in self._due.values() if now_ns is None or self._is_time(one, now_ns)]
        for chain in ready:
            del self._due[chain.row_id]
            self._urgent.discard(chain.row_id)
            chain.told_ns = now_ns
        return ready

    def clear(self) -> None:
        """Nobody is owed anything."""
        self._due, self._urgent = {}, set()

    def _is_time(self, chain: Chain, now_ns: int) -> bool:
        is_long_ago = chain.told_ns is None or now_ns - chain.told_ns >= RECEIPT_NS
        return is_long_ago or len(chain.asked) >= MANY or chain.row_id in self._urgent
