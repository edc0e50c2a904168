"""What a daemon is put together from in tests of its threads: real time, parts without a world."""

import threading
from collections.abc import Callable

import numpy as np

from agent.adapters.host import SystemClock
from agent.app.daemon import Daemon, Item
from agent.core.audio import AudioBlock, AudioFormat
from agent.core.clock.time_signs import TimeMark

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
