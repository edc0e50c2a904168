"""The real-time shell: order of what the node hears, orderly ends, and deaths told in one line."""

import subprocess
import sys
import threading

import pytest

from agent.app.daemon import Daemon
from agent.app.node import Tick
from agent.core.audio import AudioBlock
from agent.core.clock.time_signs import TimeMark
from agent.errors import AudioError, EarshotError
from tests.support.daemons import CLOCK, Ear, EndlessTape, EverySecondRead, Post, Tape, daemon_of


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
    heavy = {
        "rich",
        "numpy.random",
        "scipy",
        "matplotlib",
        "soundfile",
        "sounddevice",
        "jsonschema",
        "simulator",
    }
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


class LatePost(Post):
    """An uplink that gets its receipt when the last word has been kept."""

    has_last_word = has_receipt = False

    def step(self, now_ns: int) -> None:
        self.has_receipt = self.has_receipt or self.has_last_word


class Keeper:
    """Frees what waits at `post` by a receipt, at a step, on whatever thread."""

    def __init__(self, post: LatePost) -> None:
        self._post = post

    @property
    def has_work(self) -> bool:
        return self._post.has_receipt and self._post.waiting > 0

    def step(self, host_ns: int) -> bool:
        if self.has_work:
            self._post.waiting = 0
        return False

    def flush(self) -> None:
        self._post.has_last_word = True


def test_a_receipt_that_comes_after_the_last_word_still_frees_records() -> None:
    """The thread that keeps has ended by then; the run ends as soon as all is receipted."""
    post = LatePost(3)
    daemon = Daemon(
        Tape(5), [EverySecondRead()], CLOCK, Ear(), post, threading.Event(), keeper=Keeper(post)
    )
    assert daemon.run() == "end of sound"
    assert post.idle
