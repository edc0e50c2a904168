"""The supervisor is fed while capture, detector and store advance; a read that hangs is left."""

import threading
from typing import Any

import numpy as np
import pytest

from agent.app.daemon import Daemon, Item
from agent.app.progress import Progress
from agent.core.audio import AudioBlock, MicrophoneState
from agent.errors import EarshotError
from tests.support.daemons import CLOCK, Ear, EndlessTape, Post, Tape


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
