"""Real time around the step functions: five threads, one queue, one orderly end.

The capture thread waits for sound, the node thread hears and says, the keeper thread waits for
the disk, the uplink thread delivers. Only here are clocks read and threads made; what the steps do
is theirs. A thread that dies ends the run: the supervisor of the process starts it afresh. A fifth
feeds that supervisor while capture, detector and store advance, and ends the run if capture hangs.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from queue import Empty, Full, Queue, SimpleQueue
from typing import Protocol

from agent.app.keeperturns import KeeperSteps, KeeperTurns
from agent.app.node import Item, Tick
from agent.app.progress import Progress
from agent.app.watchdog import LOOK_S, Watchdog
from agent.core.clock.time_signs import Discontinuity, RealtimeStep, TimeSign
from agent.core.trust.commands import Order
from agent.core.units import NS_PER_S
from agent.errors import EarshotError, MicrophoneError, StoreError
from agent.ports import AudioSource, HostClock, Supervisor, TimeReference

QUEUED_ORDERS = 16
QUEUED_ITEMS = 3072  # a minute of sound, for a host that stalls
TICK_AFTER_SILENCE_S = 1.0
UPLINK_POLL_S = 0.05
CAPTURE_END_S = 3.0
KEEPER_END_S = 1.0
DRAIN_NS = 3 * NS_PER_S

log = logging.getLogger("earshot")


class NodeSteps(Protocol):
    """What the node thread calls."""

    def step(self, item: Item) -> None: ...

    def stop(self, host_ns: int, reason: str) -> None: ...


class UplinkSteps(Protocol):
    """What the uplink thread calls."""

    @property
    def idle(self) -> bool: ...

    @property
    def trouble(self) -> str: ...

    def step(self, now_ns: int) -> None: ...


class Daemon:
    """Runs one node until its sound ends, a stop is requested, or a thread dies.

    It takes over `source` and `references` and closes them, in reverse, on the thread that reads;
    the rest stays the caller's. Whoever sets `wake` makes the uplink step at once. `show` is
    called each second on the node's thread. What the node says is made durable by `keeper`; without
    one it must be already when the node's step returns. `stop_recorded` tells whether the node had
    its last word, and that is durable.
    """

    def __init__(
        self,
        source: AudioSource,
        references: Sequence[TimeReference],
        clock: HostClock,
        node: NodeSteps,
        uplink: UplinkSteps,
        wake: threading.Event,
        show: Callable[[int], None] = lambda host_ns: None,
        progress: Progress | None = None,
        keeper: KeeperSteps | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        self._source, self._references, self._clock = source, references, clock
        self._senses = ExitStack()
        self._senses.callback(source.close)
        for reference in references:
            self._senses.callback(reference.close)
        self._has_begun = False
        self._node, self._uplink, self._wake = node, uplink, wake
        self._is_over = threading.Event()
        self._progress = progress or Progress()
        self._watchdog = Watchdog(self._progress, supervisor)
        self._items: Queue[Item | None] = Queue(QUEUED_ITEMS)
        self._orders: deque[tuple[str, bytes]] = deque(maxlen=QUEUED_ORDERS)
        self._reasons: SimpleQueue[str] = SimpleQueue()
        self._failures: list[EarshotError] = []
        self._stopping, self._polling = threading.Event(), threading.Lock()
        advance = partial(self._progress.advance, "store")
        self._keeper = KeeperTurns(keeper, clock, wake, advance)
        self._is_stop_said = False
        self._show, self._show_next_ns = show, 0
        self._drain_until_ns: int | None = None
        self._reason = ""
        self.stop_recorded = False

    def request_stop(self, reason: str) -> None:
        """End the run in order. Safe in a signal handler: a SimpleQueue is reentrant."""
        self._reasons.put(reason)

    def order(self, verb: str, payload: bytes) -> None:
        """Hand the node what came on a command topic, from any thread.

        Of more than QUEUED_ORDERS at once the oldest go: their senders get no reply.
        """
        self._orders.append((verb, payload))

    def run(self) -> str:
        """Run to the end and return its reason. Raises EarshotError when a thread died."""
        self._has_begun = True
        before, threading.excepthook = threading.excepthook, self._on_death
        try:
            return self._run()
        finally:
            self._is_over.set()
            threading.excepthook = before

    def _run(self) -> str:
        self._start("watch", self._watch)
        capture = self._start("capture", self._capture)
        node = self._start("node", self._hear)
        keeper = self._start("keeper", partial(self._keeper.run, self._on_kept))
        uplink = self._start("uplink", self._deliver)
        self._reason = self._reasons.get()
        self._stopping.set()
        capture.join(CAPTURE_END_S)
        self._offer(None, node.is_alive)
        node.join()
        if not self._keeper.finish():
            self._fail("keeper", StoreError("the disk does not answer: last words are not kept"))
        self._drain_until_ns = self._clock.monotonic_ns() + DRAIN_NS
        self._wake.set()
        uplink.join()
        self._keeper.end()
        keeper.join(KEEPER_END_S)
        if self._failures:
            raise self._failures[0]
        return self._reason

    def close(self) -> None:
        """Free what was taken over, unless `run` does: closing under a blocked read can hang."""
        if not self._has_begun:
            self._senses.close()

    def _on_death(self, death: threading.ExceptHookArgs) -> None:
        """A thread that some adapter made has died: the rest only looks alive."""
        name = death.thread.name if death.thread else "unknown"
        self._fail(name, death.exc_value or RuntimeError("no reason is known"))

    def _start(self, name: str, work: Callable[[], str]) -> threading.Thread:
        thread = threading.Thread(target=self._guard, args=(name, work), name=name, daemon=True)
        thread.start()
        return thread

    def _guard(self, name: str, work: Callable[[], str]) -> None:
        try:
            self.request_stop(work())
        except Exception as error:
            self._fail(name, error)

    def _fail(self, name: str, error: BaseException) -> None:
        log.debug("%s thread", name, exc_info=error)
        known = isinstance(error, EarshotError)
        detail = str(error) if known else f"{type(error).__name__}: {error}"
        failure = EarshotError(f"{name} thread died: {' '.join(detail.split())}")
        self._failures.append(failure)
        self.request_stop(str(failure))

    def _capture(self) -> str:
        with self._senses:
            while not self._stopping.is_set():
                sound = self._source.read()
                self._progress.advance("capture")
                if sound is None:
                    return "end of sound"
                for item in sorted((sound, *self._signs()), key=_in_order):
                    self._offer(item, lambda: not self._stopping.is_set())
            return "stopped"

    def _signs(self) -> list[TimeSign]:
        with self._polling:
            return [sign for reference in self._references for sign in reference.poll()]

    def _offer(self, item: Item | None, wanted: Callable[[], bool]) -> None:
        while wanted():
            with suppress(Full):
                self._items.put(item, timeout=0.1)
                break
            self._progress.advance("capture")  # it waits for the node, and does not hang

    def _watch(self) -> str:
        while not self._is_over.wait(LOOK_S):
            hung = self._watchdog.look(self._clock.monotonic_ns())
            if hung and not self._stopping.is_set():
                self._offer(hung, lambda: not self._stopping.is_set())
                raise MicrophoneError("stuck", hung.reason)
        return self._reason

    def _hear(self) -> str:
        for item in self._heard():
            self._node.step(item)
            self._progress.advance("detector")
            self._watchdog.on_item(item)
            while self._orders:
                self._node.step(Order(item.host_ns, *self._orders.popleft()))
            self._keeper.look()
            self._wake.set()
            if item.host_ns >= self._show_next_ns:
                self._show_next_ns = item.host_ns + NS_PER_S
                self._show(item.host_ns)
        self._node.stop(self._clock.monotonic_ns(), self._reason)
        self._is_stop_said = True
        return self._reason

    def _on_kept(self) -> None:
        self.stop_recorded = self._is_stop_said

    def _heard(self) -> Iterator[Item]:
        """What the capture thread offers; while it waits in vain for sound, the signs and ticks."""
        while True:
            try:
                item = self._items.get(timeout=TICK_AFTER_SILENCE_S)
            except Empty:
                yield from sorted(self._signs(), key=_in_order)
                yield Tick(self._clock.monotonic_ns())
            else:
                if item is None:
                    return
                yield item

    def _deliver(self) -> str:
        told = self._uplink.trouble
        while not self._drained():
            self._uplink.step(self._clock.monotonic_ns())
            self._keeper.look()
            told = self._tell_link(told)
            self._wake.wait(UPLINK_POLL_S)
            self._wake.clear()
        return "delivered"

    def _tell_link(self, told: str) -> str:
        """One line down, one line up, and one when the reason changes."""
        trouble = self._uplink.trouble
        if trouble != told:
            log.warning("link down: %s", trouble) if trouble else log.info("link up")
        return trouble

    def _drained(self) -> bool:
        deadline_ns = self._drain_until_ns
        if deadline_ns is None:
            return False
        return self._uplink.idle or self._clock.monotonic_ns() >= deadline_ns


def _in_order(item: Item) -> tuple[bool, int]:
    """By host time, but a jump of the clocks before the sound that was read after it."""
    return not isinstance(item, Discontinuity | RealtimeStep), item.host_ns
