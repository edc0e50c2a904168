"""Kernel pulses: stamped in host time to the microsecond, and never across a step of the clock."""

import queue
import time
from contextlib import suppress
from pathlib import Path

import pytest

from agent.adapters.pps import NO_EDGE, AwaitedPps, DevicePps, Edges, SysfsPps
from agent.core.clock.lock import ClockSettings, Lock
from agent.core.clock.time_signs import Fix, Pulse, Refusal
from agent.core.units import NS_PER_MS, NS_PER_S
from agent.errors import TimeError

SIGMA_NS = 1000
WEEKS_1024_NS = 1024 * 7 * 86_400 * NS_PER_S


class Kernel:
    """A host whose two clocks advance together until CLOCK_REALTIME is stepped."""

    def __init__(self, directory: Path, realtime_0_ns: int = 1_830_000_000 * NS_PER_S) -> None:
        self.host_ns, self.ahead_ns = 500 * NS_PER_S, realtime_0_ns
        self.directory = directory / "pps0"
        self.directory.mkdir()
        self.number = 0
        self.write(0)

    def monotonic_ns(self) -> int:
        self.host_ns += 200  # a reading takes time
        return self.host_ns

    def realtime_ns(self) -> int:
        return self.monotonic_ns() + self.ahead_ns

    def write(self, realtime_ns: int) -> None:
        seconds, rest_ns = divmod(realtime_ns, NS_PER_S)
        self.number += 1
        (self.directory / "assert").write_text(f"{seconds}.{rest_ns:09d}#{self.number}\n")

    def pulse(self) -> int:
        """An edge now; its host time."""
        self.write(self.host_ns + self.ahead_ns)
        return self.host_ns


def pulses(signs: list[object]) -> list[int]:
    return [sign.host_ns for sign in signs if isinstance(sign, Pulse)]


def reasons(signs: list[object]) -> list[str]:
    return [sign.reason for sign in signs if isinstance(sign, Refusal)]


def test_an_edge_is_told_once_in_host_time(tmp_path: Path) -> None:
    """The kernel's stamp comes out on the host's clock, within the reading's own width."""
    kernel = Kernel(tmp_path)
    source = SysfsPps(kernel.directory, kernel, SIGMA_NS)
    assert pulses(source.poll()) == []
    for _ in range(5):
        kernel.host_ns += NS_PER_S
        true_ns = kernel.pulse()
        kernel.host_ns += 15 * NS_PER_MS
        (told_ns,) = pulses(source.poll())
        assert abs(told_ns - true_ns) < 500
        assert source.poll() == []


@pytest.mark.parametrize(
    "step_ns",
    [NS_PER_S, -NS_PER_S, 3600 * NS_PER_S, -WEEKS_1024_NS, 5 * NS_PER_MS, -5 * NS_PER_MS],
)
@pytest.mark.parametrize("order", ["pulse-step-poll", "step-pulse-poll", "pulse-poll-step"])
def test_a_step_of_the_clock_never_makes_a_false_pulse(
    tmp_path: Path, step_ns: int, order: str
) -> None:
    """Before, between or after: a pulse is right to the microsecond or not told at all."""
    kernel = Kernel(tmp_path)
    source = SysfsPps(kernel.directory, kernel, SIGMA_NS)
    true_ns, told_ns = [], []
    for second in range(12):
        kernel.host_ns += NS_PER_S - 20 * NS_PER_MS
        source.poll()
        kernel.host_ns += 20 * NS_PER_MS
        for word in order.split("-"):
            if word == "step" and second == 5:
                kernel.ahead_ns += step_ns
            elif word == "pulse":
                true_ns.append(kernel.pulse())
                kernel.host_ns += 7 * NS_PER_MS
            elif word == "poll":
                told_ns += pulses(source.poll())
    assert len(told_ns) >= 10
    assert all(min(abs(told - true) for true in true_ns) < 1000 for told in told_ns)


@pytest.mark.parametrize("step_ns", [NS_PER_S, 3600 * NS_PER_S, -WEEKS_1024_NS])
def test_wall_clock_steps_do_not_touch_the_lock(tmp_path: Path, step_ns: int) -> None:
    """1970 at boot, then steps by 1 s, 1 h and -1024 weeks: locked throughout, UTC right."""
    kernel = Kernel(tmp_path, realtime_0_ns=-400 * NS_PER_S)
    source = SysfsPps(kernel.directory, kernel, SIGMA_NS)
    lock = Lock(ClockSettings(source="pps", earliest_utc_ns=1_790_000_000 * NS_PER_S))
    utc_0_ns = 1_830_000_000 * NS_PER_S - kernel.host_ns // NS_PER_S * NS_PER_S
    kernel.host_ns = kernel.host_ns // NS_PER_S * NS_PER_S
    for second in range(60):
        kernel.host_ns = (500 + second) * NS_PER_S
        true_ns = kernel.pulse()
        if second == 30:
            kernel.ahead_ns += step_ns
        for look in range(1, 12):
            kernel.host_ns = true_ns + look * 20 * NS_PER_MS
            for sign in source.poll():
                lock.on_sign(sign)
        lock.on_sign(Fix(true_ns + 240 * NS_PER_MS, utc_0_ns + true_ns, is_valid=True))
        lock.on_time(true_ns + 900 * NS_PER_MS)
        if second > 15:
            assert lock.state == "locked"
            assert abs(lock.discipline.at(true_ns)[0] - utc_0_ns - true_ns) < 3_000


def test_a_source_that_vanishes_is_refused_and_comes_back(tmp_path: Path) -> None:
    """Unplugged means a reason to tell, not an exception."""
    kernel = Kernel(tmp_path)
    source = SysfsPps(kernel.directory, kernel, SIGMA_NS)
    (kernel.directory / "assert").unlink()
    assert reasons(source.poll()) == ["pulse device lost"]
    kernel.host_ns += NS_PER_S
    kernel.pulse()
    assert len(pulses(source.poll())) == 1


@pytest.mark.parametrize("text", ["", "x", "1.5#2", "1.000000000", "1.00000000a#2"])
def test_what_is_no_stamp_is_told_at_the_start(tmp_path: Path, text: str) -> None:
    """A directory without a pulse source is one line with the remedy."""
    (tmp_path / "assert").write_text(text)
    with pytest.raises(TimeError, match="check the wire"):
        SysfsPps(tmp_path, Kernel(tmp_path), SIGMA_NS)


def test_a_missing_device_is_told_at_the_start(tmp_path: Path) -> None:
    """/dev/pps0 that is not there names itself."""
    kernel = Kernel(tmp_path)
    with pytest.raises(TimeError, match=r"nodevice.*: no pulse per second"):
        SysfsPps(tmp_path / "nodevice", kernel, SIGMA_NS)
    with pytest.raises(TimeError, match=r"nodevice.*: no pulse per second"):
        DevicePps(tmp_path / "nodevice", kernel, SIGMA_NS)


def test_a_source_that_comes_late_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The absence is told once in the journal, and in a refusal at each try; then pulses come."""
    kernel = Kernel(tmp_path)
    late = tmp_path / "late"
    source = AwaitedPps(lambda: SysfsPps(late, kernel, SIGMA_NS), kernel)
    for _ in range(3):
        assert source.poll() == []
        kernel.host_ns += 5 * NS_PER_S
        assert [sign.reason for sign in source.poll()] == ["no pulse device"]
    kernel.directory.rename(late)
    kernel.directory = late
    kernel.host_ns += 5 * NS_PER_S
    assert pulses(source.poll()) == []
    kernel.host_ns += NS_PER_S
    kernel.write(kernel.realtime_ns())
    assert len(pulses(source.poll())) == 1
    source.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_device_plugged_in_anew_is_opened_anew(tmp_path: Path) -> None:
    """What answers no PPS_FETCH is a reason to tell, and the name is tried until it does."""
    device = tmp_path / "pps9"
    device.touch()
    source = DevicePps(device, Kernel(tmp_path), SIGMA_NS)
    try:
        device.rename(tmp_path / "unplugged")
        device.touch()
        deadline_s = time.monotonic() + 20
        while str(device) not in open_files() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert str(device) in open_files()
        assert str(tmp_path / "unplugged") not in open_files()
        assert reasons(source.poll()) == ["pulse device lost"]
    finally:
        source.close()
    assert str(device) not in open_files()


def open_files() -> set[str]:
    """What this process has open, by the names of today."""
    names = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            names.add(str(entry.readlink()))
    return names


@pytest.mark.parametrize("is_inverted", [False, True])
def test_of_two_edges_the_one_that_begins_the_pulse_is_told(
    tmp_path: Path, *, is_inverted: bool
) -> None:
    """100 ms pulses, wired either way: the second is where the short part begins, and its width."""
    kernel, told, began = Kernel(tmp_path), [], []
    source = SysfsPps(kernel.directory, kernel, SIGMA_NS)
    names = ("clear", "assert") if is_inverted else ("assert", "clear")
    for second in range(6):
        kernel.host_ns = (500 + second) * NS_PER_S
        began.append(kernel.host_ns)
        for name, at_ns in zip(names, (0, 100 * NS_PER_MS), strict=True):
            kernel.host_ns = (500 + second) * NS_PER_S + at_ns
            seconds, rest_ns = divmod(kernel.host_ns + kernel.ahead_ns, NS_PER_S)
            kernel.number += 1
            stamp = f"{seconds}.{rest_ns:09d}#{kernel.number}\n"
            (kernel.directory / name).write_text(stamp)
            kernel.host_ns += 5 * NS_PER_MS
            told += [sign for sign in source.poll() if isinstance(sign, Pulse)]
    assert len(told) >= 4
    for pulse in told[2:]:
        assert min(abs(pulse.host_ns - one) for one in began) < 1000
        assert abs((pulse.width_ns or 0) - 100 * NS_PER_MS) < 1000


def test_the_device_is_waited_for_on_a_thread(tmp_path: Path) -> None:
    """Each edge of the blocking call is one pulse; errors are told once; close returns."""
    kernel = Kernel(tmp_path)
    edges: queue.Queue[object] = queue.Queue()

    def fetch(descriptor: int) -> Edges | None:
        try:
            edge = edges.get(timeout=0.05)
        except queue.Empty:
            return None
        if isinstance(edge, OSError):
            raise edge
        return edge, NO_EDGE

    source = DevicePps(tmp_path, kernel, SIGMA_NS, fetch)
    signs: list[object] = []
    try:
        for number in range(1, 5):
            kernel.host_ns += NS_PER_S
            edges.put((kernel.host_ns + kernel.ahead_ns, number))
            if number == 3:
                edges.put(OSError(19, "No such device"))
        for _ in range(100):
            signs += source.poll()
            if len(pulses(signs)) == 3 and reasons(signs):
                break
            source._closing.wait(0.05)
    finally:
        source.close()
        source.close()
    assert len(pulses(signs)) == 3
    assert reasons(signs).count("pulse device lost") == 1
    assert not source._thread.is_alive()
