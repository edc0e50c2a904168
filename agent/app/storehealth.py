"""What the keeper of the store knows of disk and outbox, as findings; nothing where all is well."""

from collections.abc import Iterator

from agent.app.keeping import StoreState
from agent.core.records.findings import Finding, found
from agent.core.units import NS_PER_MS, NS_PER_S

SLOW_NS = 2 * NS_PER_S
FULL_SHARE = 0.02


def about_store(state: StoreState) -> Iterator[Finding]:
    """A disk that is slow or fails, a store that fills, and what was lost."""
    if state.trouble:
        yield found("disk-failing", state.trouble)
    elif state.hangs:
        yield found("disk-failing", f"no answer for {state.busy_ns // NS_PER_S} s")
    elif state.slowest_ns > SLOW_NS:
        yield found("disk-slow", f"{state.slowest_ns // NS_PER_MS} ms for one turn")
    if state.lost:
        yield found("records-lost", f"{state.lost} since the start")
    elif state.free_share < FULL_SHARE:
        yield found("outbox-full", f"{state.backlog} records wait for a receipt")
