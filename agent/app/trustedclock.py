"""What the present is known to be, for those who must not believe a host that woke up in 1970.

Best is the node's own clock while it is synchronised, then the host's while the kernel calls that
synchronised, then "not before": the last time that was known for good, or the date of this
software, and what has passed since. Clocks are only read, never set.
"""

from collections.abc import Callable
from dataclasses import dataclass

from agent.adapters.host import Discipline
from agent.core.clock.node_state import NodeState
from agent.core.trust.certificate_time import Clock, TrustedTime
from agent.ports import HostClock


@dataclass(frozen=True, slots=True)
class _Anchor:
    """At `host_ns` it was `utc_ns` by `clock`; if not `is_exact`, then or later."""

    host_ns: int
    utc_ns: int
    clock: Clock
    is_exact: bool


class TrustedClock:
    """`learn` is for the node's thread, `now` for any.

    `released_utc_ns` is the date of this software, `known_utc_ns` what an earlier run left.
    `discipline` tells how far the kernel vouches for CLOCK_REALTIME; it may raise OSError.
    """

    def __init__(
        self,
        clock: HostClock,
        released_utc_ns: int,
        known_utc_ns: int | None,
        discipline: Callable[[], Discipline],
    ) -> None:
        self._clock, self._discipline = clock, discipline
        started_ns, known_ns = clock.monotonic_ns(), known_utc_ns or 0
        self._anchor = (
            _Anchor(started_ns, known_ns, "last known", is_exact=False)
            if known_ns > released_utc_ns
            else _Anchor(started_ns, released_utc_ns, "software", is_exact=False)
        )

    def learn(self, state: NodeState) -> None:
        """The node's clock now: believed while it is locked, or runs on after a lock.

        It overrules what was known before, as it does in the file of the last known time: else a
        time that was once false would last for ever.
        """
        if state.clock.state in ("locked", "holdover") and state.utc_ns is not None:
            by: Clock = "host" if state.clock.has_fix is None else "satellites"
            self._anchor = _Anchor(state.host_ns, state.utc_ns, by, is_exact=True)
        elif self._anchor.is_exact:
            held = self._anchor
            self._anchor = _Anchor(held.host_ns, held.utc_ns, "last known", is_exact=False)

    def now(self) -> TrustedTime:
        """The present. The host's clock never counts where it contradicts what is known."""
        anchor = self._anchor
        at_ns = anchor.utc_ns + max(0, self._clock.monotonic_ns() - anchor.host_ns)
        if anchor.is_exact:
            return TrustedTime(at_ns, at_ns, anchor.clock)
        hosts = by_host(self._clock, self._discipline)
        if hosts.clock == "host" and hosts.latest_ns is not None and hosts.latest_ns >= at_ns:
            return hosts._replace(earliest_ns=max(at_ns, hosts.earliest_ns))
        return TrustedTime(at_ns, None, anchor.clock)


def by_host(clock: HostClock, discipline: Callable[[], Discipline]) -> TrustedTime:
    """The present by the host's clock alone: within the kernel's bound, or else at its word, which
    then says that nobody vouches. For those who know no better clock."""
    utc_ns = clock.realtime_ns()
    try:
        known = discipline()
    except OSError:
        known = Discipline(is_synchronised=False, max_error_ns=0, leap="unknown")
    if not known.is_synchronised:
        return TrustedTime(utc_ns, utc_ns, "unvouched")
    return TrustedTime(utc_ns - known.max_error_ns, utc_ns + known.max_error_ns, "host")
