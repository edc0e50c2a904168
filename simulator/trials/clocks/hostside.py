"""The host's own clock in a world: what the agent's adapters make of it, source or witness."""

from collections.abc import Callable, Iterator, Sequence

from agent.adapters.host import Discipline, HostWitness, SystemTimeReference
from agent.core.clock.time_signs import Keeper, Kept, TimeSign


def host_signs(
    seconds: Sequence[int],
    host_ns: Callable[[float], int],
    realtime_ns: Callable[[float], int],
    kernel: Callable[[int], Discipline],
    sigma_ns: int,
    *,
    is_source: bool,
    keeper: Keeper = "servers",
) -> Iterator[TimeSign]:
    """What is told at these awake seconds, by clocks and a kernel that are functions of them."""
    clock, now, kept = _Clock(), [0], _Keeper(keeper)
    reference: SystemTimeReference | HostWitness | None = None
    for second in seconds:
        now[0] = second
        clock.monotonic, clock.realtime = host_ns(second), realtime_ns(second)
        if reference is None:
            reference = (
                SystemTimeReference(clock, sigma_ns, "system", lambda: kernel(now[0]), kept)
                if is_source
                else HostWitness(clock, sigma_ns, lambda: kernel(now[0]), kept)
            )
        yield from reference.poll()


class _Keeper:
    """A HostDiscipline that was told."""

    def __init__(self, by: Keeper) -> None:
        self._kept = Kept(by)

    def kept(self) -> Kept:
        return self._kept

    def close(self) -> None:
        pass


class _Clock:
    """A HostClock that stands where it is put."""

    def __init__(self) -> None:
        self.monotonic, self.realtime = 0, 0

    def monotonic_ns(self) -> int:
        return self.monotonic

    def realtime_ns(self) -> int:
        return self.realtime
