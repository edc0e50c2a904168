"""The present on the computer of whoever runs a command, and who vouches for it."""

import sys

from agent.adapters.host import SystemClock, kernel_discipline
from agent.core.units import rfc3339
from simulator.centre.stated_clock import Present, StatedClock


def here() -> Present:
    """The present by this computer's clock, with a bound where the kernel vouches for it."""
    return StatedClock(SystemClock(), kernel_discipline).now()


def tell_unvouched(present: Present, what: str) -> None:
    """Where nobody vouches for the clock a line on stderr says so, and `what` comes of that."""
    if present.bound_ns is None:
        told = f"which says {rfc3339(present.utc_ns)[:19]}Z (see `chronyc tracking`): {what}"
        print(f"nobody vouches for this computer's clock, {told}", file=sys.stderr)
