"""The real-time shell: order of what the node hears, orderly ends, and deaths told in one line."""

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from agent.adapters.host import SystemClock
from agent.app.daemon import Daemon, Item
from agent.app.node import Tick
from agent.app.progress import Progress
from agent.core.audio import AudioBlock, AudioFormat, MicrophoneState
from agent.core.clock.time_signs import TimeMark
from agent.errors import AudioError, EarshotError

CLOCK = SystemClock()


class Tape:
    """A source of numbered blocks: plays them all, then ends, waits for ever or breaks."""

    format = AudioFormat(48_000)

    def __init__(self, blocks: int, at_end: Callable[[], None] = lambda: None) -> None:
        self.left = iter(range(blocks))
        self.at_end = at_end
        self.closed = False

    def read(self) -> AudioBlock | None:
        for number in self.left:
            return AudioBlock(number * 64, np.zeros(64, np.int16), CLOCK.monotonic_ns())
        self.at_end()
        return None

    def close(self) -> None:
        self.closed = True


class EndlessTape(Tape):
    """A microphone in a silent room: a block now and then, for ever."""

    def __init__(self) -> None:
        super().__init__(1_000_000)

    def read(self) -> AudioBlock | None:
        threading.Event().wait(0.005)
        return super().read()


class EverySecondRead:
    """A time reference with a mark ready at every other poll."""

    def __init__(self) -> None:
        self.polls = 0

    def poll(self) -> list[TimeMark]:
        self.polls += 1
        now_ns = CLOCK.monotonic_ns()
        return [TimeMark(now_ns, now_ns, 1000, "sim")] if self.polls % 2 else []

    def close(self) -> None:
        pass


class Ear:
    """A node that keeps what it heard; `trouble` runs on every item."""

    def __init__(self, trouble: Callable[[Item], None] = lambda item: None) -> None:
        self.heard: list[Item] = []
        self.trouble = trouble
        self.stops: list[str] = []

    def step(self, item: Item) -> None:
        self.heard.append(item)
        self.trouble(item)

    def stop(self, host_ns: int, reason: str) -> None:
        self.stops.append(reason)


class Post:
    """An uplink that delivers one thing per step, or nothing on a broken link."""

    def __init__(self, waiting: int, broken: bool = False) -> None:
        self.waiting, self.broken = waiting, broken

    @property
    def idle(self) -> bool:
        return self.waiting == 0

    @property
    def trouble(self) -> str:
        return "the post office is shut" if self.broken else ""

    def step(self, now_ns: int) -> None:
        if not self.broken:
            self.waiting = max(0, self.waiting - 1)


def daemon_of(tape: Tape, ear: Ear, post: Post) -> Daemon:
    return Daemon(tape, [EverySecondRead()], CLOCK, ear, post, threading.Event())


def test_the_end_of_a_recording_is_an_orderly_end() -> None:
    """All sound is heard in order of host time, then Stop, then the rest is delivered."""
    tape, ear, post = Tape(1500), Ear(), Post(3)
    daemon = daemon_of(tape, ear, post)
    assert daemon.run() == "end of sound"
    assert daemon.stop_recorded
    blocks = [item for item in ear.heard if isinstance(item, AudioBlock)]
    assert [block.first_sample for block in blocks] == [64 * number for number in range(1500)]
    assert sum(isinstance(item, TimeMark) for item in ear.heard) == 750
    host_times_ns = [item.host_ns for item in ear.heard]
    assert host_times_ns == sorted(host_times_ns)
    assert ear.stops == ["end of sound"]
    assert tape.closed
    assert post.idle


def test_a_request_to_stop_ends_an_endless_source() -> None:
    """SIGTERM's path: what was heard is finished, the Stop record carries the reason."""
    tape, post = EndlessTape(), Post(1)
    ear = Ear(lambda item: daemon.request_stop("SIGTERM") if len(ear.heard) == 20 else None)
    daemon = daemon_of(tape, ear, post)
    assert daemon.run() == "SIGTERM"
    assert ear.stops == ["SIGTERM"]
    assert tape.closed


def test_a_node_hears_the_time_pass_while_the_microphone_says_nothing() -> None:
    """A microphone that hangs does not stop the heartbeat: ticks take the place of sound."""
    unhang = threading.Event()
    tape = Tape(1, at_end=unhang.wait)
    ear = Ear(lambda item: unhang.set() if isinstance(item, Tick) else None)
    assert daemon_of(tape, ear, Post(0)).run() == "end of sound"
    assert any(isinstance(item, Tick) for item in ear.heard)


def test_signs_of_time_go_on_while_the_microphone_says_nothing() -> None:
    """A receiver is heard out without sound: the clock keeps its lock."""
    unhang = threading.Event()
    tape = Tape(1, at_end=unhang.wait)
    ear = Ear(lambda item: unhang.set() if len(ear.heard) > 5 else None)
    assert daemon_of(tape, ear, Post(0)).run() == "end of sound"
    after_sound = ear.heard[2:]
    assert any(isinstance(item, TimeMark) for item in after_sound)
    assert any(isinstance(item, Tick) for item in after_sound)


def test_a_lost_microphone_is_told_recorded_and_fatal() -> None:
    """The node still records why it stops; the process then ends with that line."""

    def pull_out() -> None:
        raise AudioError("microphone lost:\nunplugged")

    ear = Ear()
    tape = Tape(5, at_end=pull_out)
    with pytest.raises(EarshotError) as caught:
        daemon_of(tape, ear, Post(2)).run()
    assert str(caught.value) == "capture thread died: microphone lost: unplugged"
    assert ear.stops == [str(caught.value)]
    assert len([item for item in ear.heard if isinstance(item, AudioBlock)]) == 5
    assert tape.closed


def test_a_fault_in_the_node_ends_the_run_without_a_stop_record() -> None:
    """A node that failed is not asked for a last word: the next start must read 'unclean'."""
    ear = Ear(lambda item: {}["no such key"])
    tape = EndlessTape()
    daemon = daemon_of(tape, ear, Post(0))
    with pytest.raises(EarshotError, match="node thread died: KeyError: 'no such key'"):
        daemon.run()
    assert not daemon.stop_recorded
    assert ear.stops == []
    assert tape.closed


def test_a_fault_in_the_uplink_ends_the_run() -> None:
    """Nothing runs on half dead: without an uplink the node stops and says so."""

    class Torn(Post):
        def step(self, now_ns: int) -> None:
            raise ValueError("torn")

    ear = Ear()
    with pytest.raises(EarshotError, match="uplink thread died: ValueError: torn"):
        daemon_of(EndlessTape(), ear, Torn(1)).run()
    assert ear.stops == ["uplink thread died: ValueError: torn"]


def test_a_dead_link_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be delivered stays in the outbox; draining gives up after its time."""
    monkeypatch.setattr("agent.app.daemon.DRAIN_NS", 100_000_000)
    post = Post(7, broken=True)
    assert daemon_of(Tape(3), Ear(), post).run() == "end of sound"
    assert post.waiting == 7


def test_the_daemon_leaves_heavy_libraries_alone() -> None:
    """What only commands and the simulator need is never loaded on the pole."""
    heavy = {"rich", "scipy", "matplotlib", "soundfile", "sounddevice", "jsonschema", "simulator"}
    script = (
        "import sys, agent.app.daemon, agent.app.wiring, agent.cli.main, agent.cli.run\n"
        f"print(*sorted({heavy!r} & sys.modules.keys()))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == []


class Commuter(Post):
    """An uplink whose link comes and goes: three steps down, three up, then down for good."""

    def step(self, now_ns: int) -> None:
        self.waiting -= 1
        self.broken = self.waiting > 6 or self.waiting <= 3


def test_the_link_is_told_in_one_line_each_way(caplog: pytest.LogCaptureFixture) -> None:
    """At 3 a.m. the log says when the link came up and why it went, once."""
    post = Commuter(9, broken=True)
    with caplog.at_level("INFO", logger="earshot"):
        daemon_of(Tape(1500), Ear(), post).run()
    assert caplog.messages == ["link up", "link down: the post office is shut"]


class DyingReceiver(EverySecondRead):
    """A receiver whose own thread meets a bug after a while; polled, it is merely silent."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.Thread(target=self._run, name="receiver")
        self.thread.start()

    def _run(self) -> None:
        threading.Event().wait(0.1)
        raise ZeroDivisionError("a sentence nobody thought of")

    def close(self) -> None:
        self.thread.join()


def test_a_thread_of_an_adapter_that_dies_ends_the_run() -> None:
    """A pulse, a receiver or a link that is gone must not leave a node that merely looks alive."""
    before, ear = threading.excepthook, Ear()
    daemon = Daemon(EndlessTape(), [DyingReceiver()], CLOCK, ear, Post(0), threading.Event())
    late = threading.Timer(5.0, daemon.request_stop, ("nobody noticed",))
    late.start()
    told = "receiver thread died: ZeroDivisionError: a sentence nobody thought of"
    with pytest.raises(EarshotError, match=told):
        daemon.run()
    assert ear.stops == [told]
    late.cancel()
    assert threading.excepthook is before


class Warden:
    """A Supervisor that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def ready(self) -> None:
        self.told.append("ready")

    def feed(self) -> None:
        self.told.append("feed")

    def tell(self, status: str) -> None:
        self.told.append(status)


def watched(tape: Tape, ear: Ear) -> tuple[Daemon, Warden, Progress]:
    """A daemon with a warden, whose store keeps step with its ear."""
    warden, progress = Warden(), Progress()
    heard = ear.trouble

    def hear_and_keep(item: Item) -> None:
        heard(item)
        progress.advance("store")

    ear.trouble = hear_and_keep
    daemon = Daemon(
        tape, [], CLOCK, ear, Post(0), threading.Event(), progress=progress, supervisor=warden
    )
    return daemon, warden, progress


class AbsentForAWhile(EndlessTape):
    """A microphone that is plugged in after twenty tries."""

    def read(self) -> Any:
        threading.Event().wait(0.01)
        if (number := next(self.left)) < 20:
            return MicrophoneState(CLOCK.monotonic_ns(), "absent", "portaudio:x: no such device")
        return AudioBlock(number * 64, np.zeros(64, np.int16), CLOCK.monotonic_ns())


def test_a_node_is_ready_when_it_has_heard_and_alive_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a microphone it is fed, for nothing hangs, and says what it waits for; it is ready
    with the first sound, once."""
    monkeypatch.setattr("agent.app.daemon.LOOK_S", 0.02)
    ear = Ear(lambda item: daemon.request_stop("enough") if len(ear.heard) == 60 else None)
    daemon, warden, _ = watched(AbsentForAWhile(), ear)
    daemon.run()
    first, *rest = [word for word in warden.told if word != "feed"]
    assert (first, rest) == ("portaudio:x: no such device", ["ready"])
    before = warden.told[: warden.told.index("ready")]
    assert before.count("feed") > 2


@pytest.mark.parametrize("part", ["detector", "store"])
def test_a_part_that_hangs_is_not_fed_for(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """All others go on, and yet the supervisor hears nothing more."""
    monkeypatch.setattr("agent.app.daemon.LOOK_S", 0.02)
    unhang, fed = threading.Event(), []

    def hang(item: Item) -> None:
        if part == "detector" and len(ear.heard) == 40:
            unhang.wait()

    ear = Ear(hang)
    daemon, warden, progress = watched(EndlessTape(), ear)
    if part == "store":
        kept, advance = iter(range(40)), progress.advance
        progress.advance = lambda which: (
            advance(which) if which != "store" or next(kept, None) is not None else None
        )

    def look() -> None:
        fed.append(warden.told.count("feed"))
        if len(fed) == 2:
            unhang.set()
            daemon.request_stop("enough")

    timers = [threading.Timer(after_s, look) for after_s in (0.6, 1.0)]
    for timer in timers:
        timer.start()
    daemon.run()
    assert fed[0] > 0
    assert fed[0] == fed[1]


def test_a_read_that_never_returns_ends_the_run_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The node hears of it as a state and has its last word; only the thread that hangs is left."""
    monkeypatch.setattr("agent.app.daemon.LOOK_S", 0.02)
    monkeypatch.setattr("agent.app.daemon.CAPTURE_END_S", 0.1)
    unhang, ear = threading.Event(), Ear()
    daemon, _, _ = watched(Tape(5, at_end=unhang.wait), ear)
    with pytest.raises(EarshotError, match="microphone hangs: no read has returned"):
        daemon.run()
    unhang.set()
    states = [item for item in ear.heard if isinstance(item, MicrophoneState)]
    assert [one.condition for one in states] == ["stuck"]
    assert len(ear.stops) == 1
    assert "microphone hangs" in ear.stops[0]


def test_a_store_that_is_slow_is_no_microphone_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the node does not take what waits, capture waits too, and nobody blames it."""
    monkeypatch.setattr("agent.app.daemon.LOOK_S", 0.02)
    monkeypatch.setattr("agent.app.daemon.QUEUED_ITEMS", 4)
    ear = Ear(lambda item: threading.Event().wait(0.7) if len(ear.heard) == 9 else None)
    daemon, _, _ = watched(Tape(300), ear)
    assert daemon.run() == "end of sound"
