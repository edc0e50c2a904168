"""The keeper at work in the daemon: until the end, and when its disk does not answer."""

import threading

import pytest

from agent.app.daemon import Daemon
from agent.errors import EarshotError, StoreError
from tests.agent.app.test_daemon import CLOCK, Ear, Post, Tape


class Keeper:
    """A keeper that needs a step for each thing that was said or receipted."""

    def __init__(self, ear: Ear) -> None:
        self._ear, self.kept, self.receipts, self.flushed = ear, 0, 0, False

    @property
    def has_work(self) -> bool:
        return self.kept < len(self._ear.heard) or self.receipts > 0

    def step(self, host_ns: int) -> bool:
        if self.kept < len(self._ear.heard):
            self.kept += 1
        elif self.receipts:
            self.receipts -= 1
        return self.has_work

    def flush(self) -> None:
        self.kept, self.flushed = len(self._ear.heard), True


class Receipted(Post):
    """An uplink that is idle when the keeper has heard of every receipt."""

    def __init__(self, keeper: Keeper, receipts: int) -> None:
        super().__init__(receipts)
        self._keeper = keeper

    @property
    def idle(self) -> bool:
        return self.waiting == 0 and self._keeper.receipts == 0

    def step(self, now_ns: int) -> None:
        if self._keeper.flushed and self.waiting:
            self.waiting -= 1
            self._keeper.receipts += 1


def test_what_is_receipted_at_the_end_is_kept_too() -> None:
    """The keeper goes on while the rest is delivered: the next run need not send it again."""
    ear = Ear()
    keeper = Keeper(ear)
    post = Receipted(keeper, 5)
    daemon = Daemon(Tape(30), [], CLOCK, ear, post, threading.Event(), keeper=keeper)
    assert daemon.run() == "end of sound"
    assert (keeper.kept, keeper.receipts, post.waiting) == (len(ear.heard), 0, 0)
    assert daemon.stop_recorded


class HangingKeeper(Keeper):
    """Its disk does not answer while the run lasts."""

    def __init__(self, ear: Ear) -> None:
        super().__init__(ear)
        self.disk = threading.Event()

    def flush(self) -> None:
        self.disk.wait(60)


def test_a_disk_that_hangs_does_not_hang_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends in error, and the next start reads 'unclean'."""
    monkeypatch.setattr("agent.app.keeperturns.END_S", 0.05)
    ear = Ear()
    keeper = HangingKeeper(ear)
    daemon = Daemon(Tape(3), [], CLOCK, ear, Post(0), threading.Event(), keeper=keeper)
    with pytest.raises(EarshotError, match="the disk does not answer: last words are not kept"):
        daemon.run()
    assert not daemon.stop_recorded
    keeper.disk.set()


def test_last_words_that_cannot_be_kept_end_in_error() -> None:
    """And the thread that was to keep them is named."""

    class FullKeeper(Keeper):
        def flush(self) -> None:
            raise StoreError("the store is full")

    ear = Ear()
    daemon = Daemon(Tape(3), [], CLOCK, ear, Post(0), threading.Event(), keeper=FullKeeper(ear))
    with pytest.raises(EarshotError, match="keeper thread died: the store is full"):
        daemon.run()
    assert not daemon.stop_recorded


class SlowKeeper(Keeper):
    """Its disk is at its first work as long as anything is heard."""

    def __init__(self, ear: Ear) -> None:
        super().__init__(ear)
        self.disk = threading.Event()

    def step(self, host_ns: int) -> bool:
        self.disk.wait(60)
        return super().step(host_ns)


def test_hearing_and_delivery_do_not_wait_for_the_disk() -> None:
    """All is heard, and the uplink has its turns, while the keeper has not come back once."""
    ear, post = Ear(), Post(20)
    keeper = SlowKeeper(ear)

    def end_of_tape() -> None:
        while len(ear.heard) < 1500 or post.waiting:
            threading.Event().wait(0.01)
        assert keeper.kept == 0
        keeper.disk.set()

    daemon = Daemon(Tape(1500, end_of_tape), [], CLOCK, ear, post, threading.Event(), keeper=keeper)
    assert daemon.run() == "end of sound"
    assert keeper.kept == len(ear.heard)
