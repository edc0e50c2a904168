"""The host's clock as a source of UTC."""

from agent.adapters.host import SystemClock, SystemTimeReference, SystemVitals
from agent.core.units import NS_PER_MS, NS_PER_S
from agent.ports import Vitals


class LaggingClock:
    """UTC is host time plus an offset; each reading takes time, now and then a long time."""

    OFFSET_NS = 1_700_000_000 * NS_PER_S

    def __init__(self, reading_ns: list[int]) -> None:
        self.now_ns = 42 * NS_PER_S
        self.reading_ns = reading_ns

    def _read(self) -> int:
        before_ns = self.now_ns
        self.reading_ns.append(self.reading_ns.pop(0))
        self.now_ns += self.reading_ns[-1]
        return before_ns

    def monotonic_ns(self) -> int:
        return self._read()

    def realtime_ns(self) -> int:
        return self._read() + self.OFFSET_NS


def test_one_mark_a_second() -> None:
    """However often it is asked, the reference gives one mark per second."""
    clock = LaggingClock([100])
    reference = SystemTimeReference(clock, 50 * NS_PER_MS)
    marks = []
    while clock.now_ns < 52 * NS_PER_S:
        marks += reference.poll()
        clock.now_ns += 10 * NS_PER_MS
    assert len(marks) == 10
    assert all(mark.source == "system" for mark in marks)


def test_a_mark_pairs_both_clocks_within_its_bracket() -> None:
    """A preempted reading is passed over: the pair is right to its share of sigma."""
    clock = LaggingClock([200, 300, 5_000_000, 250, 40_000, 300, 90])
    (mark,) = SystemTimeReference(clock, 1000, "sim").poll()
    error_ns = mark.utc_ns - mark.host_ns - clock.OFFSET_NS
    assert abs(error_ns) <= mark.sigma_ns - 1000
    assert mark.sigma_ns < 1500
    assert mark.source == "sim"


def test_the_system_clock_never_goes_back() -> None:
    """Host time is monotonic integer nanoseconds, UTC is after 2020."""
    clock = SystemClock()
    assert clock.monotonic_ns() <= clock.monotonic_ns()
    assert clock.realtime_ns() > 1_577_836_800 * NS_PER_S


def test_unmeasured_vitals_are_none() -> None:
    """A host without sensors says nothing rather than a default."""
    assert SystemVitals().read() == Vitals(air_temperature_c=None)
