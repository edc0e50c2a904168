"""How the way out is: the store that keeps records, the broker, and the locator's receipts.

Only for a node's own heartbeat and lights; the locator learns of the link from the status.
"""

from collections.abc import Callable, Iterator

from agent.app.keeping import StoreState
from agent.core.records.findings import Finding, found, healthy, unknown
from agent.core.units import NS_PER_MS, NS_PER_S

SLOW_NS = 2 * NS_PER_S
FULL_SHARE = 0.02
LONG_BACKLOG = 2000
AWAY_NS = 30 * NS_PER_S
UNRECEIPTED_NS = 180 * NS_PER_S


def about_store(state: StoreState) -> Iterator[Finding]:
    """What the keeper knows: a disk that is slow or fails, a store that fills, what was lost."""
    told = f"{state.backlog} records wait for a receipt"
    if state.trouble:
        yield found("disk-failing", state.trouble)
    elif state.hangs:
        yield found("disk-failing", f"no answer for {state.busy_ns // NS_PER_S} s")
    elif state.slowest_ns > SLOW_NS:
        yield found("disk-slow", f"{state.slowest_ns // NS_PER_MS} ms for one turn")
    if state.lost:
        yield found("records-lost", f"{state.lost} since the start")
    elif state.free_share < FULL_SHARE:
        yield found("outbox-full", told)
    elif state.backlog > LONG_BACKLOG:
        yield found("backlog", told)
    else:
        yield healthy("outbox", told)


class LinkWatch:
    """Notices when the broker has been away, or receipts have not come, for too long.

    `trouble` is empty while the link is up; `delivered` counts records that were receipted.
    """

    def __init__(self, trouble: Callable[[], str], delivered: Callable[[], int]) -> None:
        self._trouble, self._delivered = trouble, delivered
        self._up_ns: int | None = None
        self._count, self._counted_ns = 0, 0

    def findings(self, host_ns: int, backlog: int) -> Iterator[Finding]:
        """What is to be said of broker and receipts at `host_ns`."""
        if self._up_ns is None:
            self._up_ns = self._counted_ns = host_ns
        trouble, delivered = self._trouble(), self._delivered()
        if not trouble:
            self._up_ns = host_ns
        if delivered != self._count or not backlog or trouble:
            self._count, self._counted_ns = delivered, host_ns
        if not trouble:
            yield healthy("broker", "connected")
        elif host_ns - self._up_ns > AWAY_NS:
            yield found("broker-away", f"{(host_ns - self._up_ns) // NS_PER_S} s: {trouble}")
        else:
            yield unknown("broker", trouble)
        if host_ns - self._counted_ns > UNRECEIPTED_NS:
            yield found("no-receipts", f"none for {(host_ns - self._counted_ns) // NS_PER_S} s")
        elif delivered:
            yield healthy("receipts", f"{delivered} records since the start")
        else:
            yield unknown("receipts", "none came yet")
