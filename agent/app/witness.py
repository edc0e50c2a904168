"""When this run began, by the locator's word: its receipts, which no clock or disk of ours made.

A receipt of a record of this run was signed after the run had begun; one of what lies before shows
that it was at least so late already. Any thread may ask.
"""

from collections.abc import Callable

from agent.core.records.chain import Head
from agent.core.records.messages import Receipt
from agent.core.units import NS_PER_MS, parse_rfc3339_ns


class Witness:
    """`last` tells the end of the chain as the run before left it, None while that is not known;
    `known_utc_ns` is what that run knew.

    Where there is neither, this is the first run of a node, and what it need not doubt.
    """

    def __init__(self, last: Callable[[], Head | None], known_utc_ns: int | None) -> None:
        self._last, self._known_ns = last, known_utc_ns or 0
        self._is_new = known_utc_ns is None
        self._run_ns: int | None = None

    @property
    def is_heard(self) -> bool:
        """Whether the locator has receipted a record of this run at a time that is vouched for, or
        there was none before it."""
        last = self._last()
        is_first = self._is_new and last is not None and last.seq == 0
        return is_first or self._run_ns is not None

    @property
    def not_before_utc_ns(self) -> int:
        """No command issued earlier is of this run; as soon as it is known, by the locator alone.

        Of several receipts of this run the least counts: a locator whose clock ran ahead once
        locks nobody out.
        """
        return self._known_ns if self._run_ns is None else self._run_ns

    def hear(self, receipt: Receipt) -> None:
        """A receipt whose signature holds, and that does not contradict the store. One whose time
        nobody vouches for tells nothing here."""
        if receipt.bound_ms is None:
            return
        try:
            said_ns = parse_rfc3339_ns(receipt.received_at) - receipt.bound_ms * NS_PER_MS
        except ValueError:
            return
        if self._is_of_this_run(receipt):
            self._run_ns = said_ns if self._run_ns is None else min(said_ns, self._run_ns)
        else:
            self._known_ns = max(self._known_ns, said_ns)

    def _is_of_this_run(self, receipt: Receipt) -> bool:
        if (end := self._last()) is None:
            return False
        highest = max([receipt.upto_seq, *(last for _, last in receipt.extra)])
        return receipt.chain != end.chain or highest > end.seq
