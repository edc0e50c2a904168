"""The host's own clock in a world: what the agent's adapters make of it, source or witness."""

from collections.abc import Callable, Iterator, Sequence

from agent.adapters.host import Discipline, HostWitness, SystemTimeReference
from agent.core.clock.time_signs import TimeSign


def host_signs(
    seconds: Sequence[int],
    host_ns: Callable[[float], int],
    realtime_ns: Callable[[float], int],
    kernel: Callable[[int], Discipline],
    sigma_ns: int,
    *,
    is_source: bool,
) -> Iterator[TimeSign]:
    """What is told at these awake seconds, by clocks and a kernel that are functions of them."""
    clock, now = _Clock(), [0]
    reference: SystemTimeReference | HostWitness | None = None
    for second in seconds:
        now[0] = second
        clock.monotonic, clock.realtime = host_ns(second), realtime_ns(second)
        if reference is None:
            reference = (
                SystemTimeReference(clock, sigma_ns, "system", lambda: kernel(now[0]))
                if is_source
                else HostWitness(clock, sigma_ns, lambda: kernel(now[0]))
            )
        yield from reference.poll()


class _Clock:
    """A HostClock that stands where it is put."""

    def __init__(self) -> None:
        self.monotonic, self.realtime = 0, 0

    def monotonic_ns(self) -> int:
        return self.monotonic

    def realtime_ns(self) -> int:
        return self.realtime
