"""What time it is at the centre, within which bound, and by whose word.

The present is the computer's own clock where the kernel vouches for it within a bound, or the clock
of one trusted node. Where neither is there CLOCK_REALTIME dates what must have a date, and says
that nobody vouches for it; some dates are then known to be wrong all the same.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import agent
from agent.adapters.host import Discipline
from agent.core.records import Body
from agent.core.units import NS_PER_MS, NS_PER_S, moment_of, parse_rfc3339_ns
from agent.errors import EarshotError
from agent.ports import HostClock

KERNEL, NOBODY = "kernel", "nobody"
_WORST_BOUND_NS = 2 * NS_PER_S
_BY_LINK_NS = 3 * NS_PER_S  # how late a trusted node's freshest record may be
_WORST_BY_NODE_NS = 10 * NS_PER_S
_REMEMBERED_NS = 1800 * NS_PER_S
_DRIFT = 100e-6  # of a host's monotonic clock that nobody steers


class CalendarError(EarshotError):
    """A computer's date cannot be, or not be believed."""


@dataclass(frozen=True, slots=True)
class Present:
    """It is `utc_ns`, give or take `bound_ns`, by `whose` word: KERNEL, or a node's source. Without
    a bound nobody vouches for it, and it is good for a date that says so, and for nothing else."""

    utc_ns: int
    bound_ns: int | None
    whose: str

    @property
    def bound_ms(self) -> int | None:
        """The bound, rounded up."""
        return None if self.bound_ns is None else -(-self.bound_ns // NS_PER_MS)


class CentreClock(Protocol):
    """Whoever tells the present."""

    def now(self) -> Present:
        """The present, with its bound if anybody vouches for it."""

    def hear(self, body: Body) -> None:
        """A record has just come."""


class StatedClock:
    """The centre's present. `discipline` is the kernel's word; `node` a source whose records count
    where the kernel is silent, empty for none. Both clocks are only read."""

    def __init__(
        self, clock: HostClock, discipline: Callable[[], Discipline], node: str = ""
    ) -> None:
        self._clock, self._discipline, self._node = clock, discipline, node
        self._heard: deque[tuple[int, int]] = deque()  # when, and UTC ahead of the monotonic clock

    def now(self) -> Present:
        """The kernel's word, else the trusted node's, else a date without a bound."""
        try:
            known = self._discipline()
        except OSError:
            known = Discipline(False, 0, "unknown")
        if known.is_synchronised and known.max_error_ns <= _WORST_BOUND_NS:
            return Present(self._clock.realtime_ns(), known.max_error_ns, KERNEL)
        if self._heard:
            (at_ns, ahead_ns), now_ns = self._heard[0], self._clock.monotonic_ns()
            bound_ns = _BY_LINK_NS + round(_DRIFT * (now_ns - at_ns))
            if bound_ns <= _WORST_BY_NODE_NS:
                return Present(now_ns + ahead_ns, bound_ns, self._node)
        return Present(self._clock.realtime_ns(), None, NOBODY)

    def hear(self, body: Body) -> None:
        """A record that has just come: of the trusted node's last half hour the one that was least
        late counts."""
        is_good = body.clock.state == "locked" and body.clock.confirmed is not False
        if body.source != self._node or not is_good or not isinstance(body.time, str):
            return
        now_ns = self._clock.monotonic_ns()
        ahead_ns = parse_rfc3339_ns(body.time) - now_ns
        while self._heard and self._heard[-1][1] <= ahead_ns:
            self._heard.pop()
        self._heard.append((now_ns, ahead_ns))
        while now_ns - self._heard[0][0] > _REMEMBERED_NS:
            self._heard.popleft()


def dated(present: Present, not_before_ns: int = 0) -> int:
    """UTC in ns to date papers with that others will rely on.

    Raises CalendarError for a date before this software and, unless somebody vouches for it, for
    one before `not_before_ns`, or ten years after this software.
    """
    released_ns, told = (
        agent.RELEASED_UTC_S * NS_PER_S,
        f"{moment_of(present.utc_ns):%Y-%m-%d %H:%M}",
    )
    latest_ns = present.utc_ns + (present.bound_ns or 0)
    if latest_ns < released_ns:
        why = f"before this software was made, on {moment_of(released_ns):%Y-%m-%d}"
    elif present.bound_ns is not None:
        return present.utc_ns
    elif latest_ns < not_before_ns:
        why = f"before {moment_of(not_before_ns):%Y-%m-%d}, which is long over here"
    elif present.utc_ns > agent.BELIEVED_UNTIL_UTC_S * NS_PER_S:
        why = f"ten years after this software, of {moment_of(released_ns):%Y-%m-%d}"
    else:
        return present.utc_ns
    raise CalendarError(f"this computer's clock says {told} UTC, {why}: set it, and do it again")
