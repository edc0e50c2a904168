"""The host's clock as a source of UTC."""

import pytest

from agent.adapters.host import (
    Discipline,
    HostWitness,
    SleepWatch,
    SystemClock,
    SystemTimeReference,
    kernel_discipline,
)
from agent.core.clock.time_signs import HostWord, Kept, RealtimeStep, Refusal, TimeMark
from agent.core.units import NS_PER_MS, NS_PER_S


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


def steered(max_error_ns: int = 6_000_000, is_synchronised: bool = True) -> Discipline:
    return Discipline(is_synchronised, max_error_ns, "none")


def test_the_kernel_says_how_far_its_clock_may_be_off() -> None:
    """A third of its maximum error is one sigma, and no less than the settings say."""
    for max_error_ns, expected_ns in ((6_000_000, 2_000_000), (30_000, 1_000_000)):
        reference = SystemTimeReference(
            LaggingClock([0]), 1_000_000, discipline=lambda e=max_error_ns: steered(e)
        )
        mark = next(sign for sign in reference.poll() if isinstance(sign, TimeMark))
        assert mark.sigma_ns == pytest.approx(expected_ns, rel=0.01)


def test_a_clock_that_nobody_steers_gives_no_marks() -> None:
    """1970 at boot, or no chrony: a reason to tell instead of a time."""
    reference = SystemTimeReference(
        LaggingClock([0]), 1000, discipline=lambda: steered(is_synchronised=False)
    )
    (sign,) = reference.poll()
    assert isinstance(sign, Refusal)
    assert sign.reason == "system clock is not synchronised"


def test_a_kernel_that_will_not_say_is_not_believed() -> None:
    """A sandbox that forbids the call costs the marks, not the daemon."""

    def forbidden() -> Discipline:
        raise PermissionError(1, "adjtimex")

    (sign,) = SystemTimeReference(LaggingClock([0]), 1000, discipline=forbidden).poll()
    assert isinstance(sign, Refusal)


@pytest.mark.parametrize("step_s", [1, 3600, -619_315_200, 57 * 31_557_600])
def test_a_step_is_told_before_the_mark_after_it(step_s: int) -> None:
    """Whoever follows the system clock learns that what it knew holds no longer."""
    clock = LaggingClock([0])
    reference = SystemTimeReference(clock, 1000)
    reference.poll()
    clock.now_ns += NS_PER_S
    clock.OFFSET_NS += step_s * NS_PER_S
    signs = reference.poll()
    assert [type(sign) for sign in signs] == [RealtimeStep, TimeMark]
    assert f"{abs(step_s)}.000 s" in signs[0].reason


def test_slewing_is_no_step() -> None:
    """chrony's gentle corrections pass."""
    clock = LaggingClock([0])
    reference = SystemTimeReference(clock, 1000)
    for _ in range(100):
        clock.now_ns += NS_PER_S
        clock.OFFSET_NS += 400_000
        assert all(isinstance(sign, TimeMark) for sign in reference.poll())


def test_a_sleep_of_the_host_is_told_once() -> None:
    """CLOCK_BOOTTIME going on without CLOCK_MONOTONIC is sleep; a slow reading is none."""
    clock, slept_ns = LaggingClock([0]), [0]
    watch = SleepWatch(clock, lambda: clock.now_ns + slept_ns[0])
    clock.reading_ns = [50 * NS_PER_MS, 0]
    assert watch.poll() == []
    clock.reading_ns = [0, 0, 50 * NS_PER_MS]
    started_late = SleepWatch(clock, lambda: clock.now_ns)
    clock.reading_ns = [0]
    assert started_late.poll() == []
    slept_ns[0] = 600 * NS_PER_S
    clock.reading_ns = [0]
    (sign,) = watch.poll()
    assert sign.reason == "host slept for 600.0 s"
    assert watch.poll() == []


def test_the_real_kernel_answers() -> None:
    """adjtimex is read without privileges, and a real host does not sleep through a test."""
    known = kernel_discipline()
    assert known.max_error_ns >= 0
    watch = SleepWatch(SystemClock())
    assert [watch.poll() for _ in range(50)] == [[]] * 50


class Told:
    """A HostDiscipline that says what it is told."""

    def __init__(self, kept: Kept) -> None:
        self.answer, self.is_closed = kept, False

    def kept(self) -> Kept:
        return self.answer

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(
    ("kept", "bound_ms"),
    [
        (Kept("servers"), 120),
        (Kept("servers", 200 * NS_PER_MS), 200),
        (Kept("receiver"), 120),
        (Kept("unknown"), 120),
    ],
)
def test_a_witness_says_who_keeps_its_clock_and_within_what(kept: Kept, bound_ms: int) -> None:
    """A receiver that keeps it is as good as the server that agrees beside it, and no better."""
    clock, keeper = LaggingClock([100]), Told(kept)
    witness = HostWitness(
        clock, 20 * NS_PER_MS, lambda: Discipline(True, NS_PER_MS, "none"), keeper
    )
    (word,) = witness.poll()
    assert isinstance(word, HostWord)
    assert word.kept == kept
    assert word.bound_ns == bound_ms * NS_PER_MS
    witness.close()
    assert keeper.is_closed


def test_marks_of_the_hosts_clock_say_who_keeps_it() -> None:
    """The source is as good as its keeper; without one to ask, servers keep it."""
    for keeper, kept in ((Told(Kept("receiver")), Kept("receiver")), (None, Kept("servers"))):
        reference = SystemTimeReference(LaggingClock([100]), 1000, "system", None, keeper)
        (mark,) = reference.poll()
        assert isinstance(mark, TimeMark)
        assert mark.kept == kept
