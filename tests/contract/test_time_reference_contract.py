"""What every source of time promises, run over the real adapters and the virtual one."""

import os
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.adapters.host import SleepWatch, SystemClock, SystemTimeReference
from agent.adapters.nmea import NmeaParser
from agent.adapters.ownclock import OwnClock
from agent.adapters.pps import NO_EDGE, DevicePps, Edges, SysfsPps
from agent.adapters.receiver import ByteReader, SerialReceiver
from agent.core.units import NS_PER_S
from agent.ports import HostClock, TimeReference
from simulator.grid.hardware import VirtualHostClock, VirtualTimeReference
from simulator.scene.oscillators import PERFECT, HostTime, Oscillator, PpsSource
from simulator.scene.randomness import stream

CLOCK = SystemClock()
Making = tuple[TimeReference, HostClock]


@contextmanager
def system(directory: Path) -> Iterator[Making]:
    yield SystemTimeReference(CLOCK, 1000), CLOCK


@contextmanager
def sleep_watch(directory: Path) -> Iterator[Making]:
    yield SleepWatch(CLOCK), CLOCK


@contextmanager
def own_clock(directory: Path) -> Iterator[Making]:
    path = directory / "clock-of-boot"
    OwnClock(path, CLOCK).keep(CLOCK.monotonic_ns(), CLOCK.realtime_ns(), 1000)
    yield OwnClock(path, CLOCK), CLOCK


@contextmanager
def sysfs(directory: Path) -> Iterator[Making]:
    (directory / "assert").write_text("0.000000000#0\n")
    reference = SysfsPps(directory, CLOCK, 1000)
    seconds, rest_ns = divmod(CLOCK.realtime_ns(), NS_PER_S)
    (directory / "assert").write_text(f"{seconds}.{rest_ns:09d}#1\n")
    yield reference, CLOCK


@contextmanager
def device(directory: Path) -> Iterator[Making]:
    edges = iter(range(5))

    def fetch(descriptor: int) -> Edges | None:
        number = next(edges, None)
        return None if number is None else ((CLOCK.realtime_ns(), number), NO_EDGE)

    yield DevicePps(directory, CLOCK, 1000, fetch), CLOCK


@contextmanager
def serial_line(directory: Path) -> Iterator[Making]:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    reader = ByteReader(9600, NmeaParser().parse)
    yield SerialReceiver(os.ttyname(theirs), 9600, CLOCK, reader), CLOCK
    os.close(theirs)
    os.close(ours)


@contextmanager
def virtual(directory: Path) -> Iterator[Making]:
    time = HostTime(Oscillator(NS_PER_S // 2, 0.0, PERFECT, stream(1, "x")), NS_PER_S)
    clock = VirtualHostClock(time)
    reference = VirtualTimeReference(PpsSource(time, 100, stream(1, "pps")), clock)
    clock.advance_to(10 * NS_PER_S)
    yield reference, clock


KINDS = {
    kind.__name__: kind
    for kind in (system, sleep_watch, own_clock, sysfs, device, serial_line, virtual)
}


@pytest.mark.parametrize("kind", KINDS)
def test_signs_come_in_order_and_never_from_the_future(kind: str, tmp_path: Path) -> None:
    """Each poll gives what happened since the last one, oldest first."""
    made: Callable[[Path], object] = KINDS[kind]
    with made(tmp_path) as (reference, clock):
        for _ in range(20):
            times_ns = [sign.host_ns for sign in reference.poll()]
            assert times_ns == sorted(times_ns)
            assert all(host_ns <= clock.monotonic_ns() for host_ns in times_ns)
        reference.close()


@pytest.mark.parametrize("kind", KINDS)
def test_closing_twice_is_harmless(kind: str, tmp_path: Path) -> None:
    """And a closed one tells nothing more, though signs were waiting."""
    with KINDS[kind](tmp_path) as (reference, _):
        reference.close()
        reference.close()
        assert reference.poll() == []
