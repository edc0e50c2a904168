"""The kernel's pulse per second as a TimeReference: from sysfs, or from the device itself.

The kernel stamps the pulse's edge with CLOCK_REALTIME, which may be stepped; the agent counts in
CLOCK_MONOTONIC. Both clocks are read in pairs, so that a step between two looks is seen and the
pulse beside it refused. Where the kernel captures both edges the one that begins the pulse is
taken, however the line is wired. Which second a pulse was is not known here.
"""

import fcntl
import logging
import os
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from agent.core.clock.time_signs import Pulse, Refusal, TimeSign
from agent.core.units import NS_PER_MS, NS_PER_S, NS_PER_US
from agent.errors import TimeError
from agent.ports import HostClock, TimeReference

_BRACKETS = 5
_SLEW = 600e-6
_STEP_SLACK_NS = 50 * NS_PER_US
_OLDEST_NS = 3 * NS_PER_S
_PPS_FETCH = 0xC00870A4
_PPS_FDATA = struct.Struct("@IIqiIqiIiIqiI")
_FETCH_TIMEOUT_NS = 300 * NS_PER_MS
_REOPEN_AFTER_NS = 5 * NS_PER_S

log = logging.getLogger("earshot")

Edge = tuple[int, int]
"""CLOCK_REALTIME of a pulse's edge in ns, and the kernel's running number of it."""
Edges = tuple[Edge, Edge]
"""The newest `assert` and the newest `clear`; the latter stays as it is where none is captured."""
NO_EDGE: Edge = (0, 0)
_SHORT_NS = 450 * NS_PER_MS


class _Leading:
    """Which of both edges begins the pulse: the one that the other follows sooner.

    Until both were seen that is `assert`, of unknown width.
    """

    def __init__(self) -> None:
        self._last: Edges | None = None
        self._begins, self._width_ns = 0, None  # type: tuple[int, int | None]

    def take(self, edges: Edges) -> tuple[int, int | None] | None:
        """CLOCK_REALTIME of the edge that began a pulse since the last call, and its width."""
        last, self._last = self._last, edges
        if last is None:
            return None
        is_new = [edges[which][1] != last[which][1] for which in (0, 1)]
        if edges[1][1] and any(is_new):
            self._measure(edges)
        if not is_new[self._begins]:
            return None
        return edges[self._begins][0], self._width_ns

    def _measure(self, edges: Edges) -> None:
        newer = 0 if edges[0][0] > edges[1][0] else 1
        apart_ns = edges[newer][0] - edges[1 - newer][0]
        if apart_ns < _SHORT_NS:
            self._begins, self._width_ns = 1 - newer, apart_ns


class SysfsPps:
    """Looks at `<directory>/assert` ("sec.nsec#number") whenever it is polled.

    Raises TimeError when there is no such pulse source.
    """

    def __init__(self, directory: Path, clock: HostClock, sigma_ns: int) -> None:
        self._path, self._other = directory / "assert", directory / "clear"
        self._convert = _Converter(clock, sigma_ns)
        self._closed, self._leading = False, _Leading()
        try:
            self._leading.take(self._read())
        except (OSError, ValueError) as error:
            raise TimeError(_missing(self._path, error)) from None

    def poll(self) -> list[TimeSign]:
        """The pulse since the last call, if there was one."""
        if self._closed:
            return []
        try:
            began = self._leading.take(self._read())
        except (OSError, ValueError):
            return [*self._convert.look(), Refusal(self._convert.now_ns, "pulse device lost")]
        if began is None:
            return self._convert.look()
        return [*self._convert.look(), *self._convert.pulse(*began)]

    def _read(self) -> Edges:
        first = _parse(self._path.read_text("ascii"))
        try:
            return first, _parse(self._other.read_text("ascii"))
        except (OSError, ValueError):
            return first, NO_EDGE

    def close(self) -> None:
        """Stop looking."""
        self._closed = True


class DevicePps:
    """Waits for each edge on a thread of its own, so that a pulse is told at once.

    Raises TimeError when the device cannot be opened. `fetch` is the kernel's own call; tests
    give another.
    """

    def __init__(
        self,
        path: Path,
        clock: HostClock,
        sigma_ns: int,
        fetch: Callable[[int], Edges | None] | None = None,
    ) -> None:
        self._convert = _Converter(clock, sigma_ns)
        self._signs: SimpleQueue[TimeSign] = SimpleQueue()
        self._closing = threading.Event()
        self._path = None if fetch else path
        self._descriptor = -1 if fetch else _open(path)
        self._fetch = fetch or _fetch
        self._thread = threading.Thread(target=self._wait_for_edges, name="pps", daemon=True)
        self._thread.start()

    def poll(self) -> list[TimeSign]:
        """The pulses since the last call."""
        return [self._signs.get_nowait() for _ in range(self._signs.qsize())]

    def close(self) -> None:
        """Stop waiting and free the device."""
        if not self._closing.is_set():
            self._closing.set()
            self._thread.join(2 * _FETCH_TIMEOUT_NS / NS_PER_S)
            self._free()
            self.poll()

    def _free(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _wait_for_edges(self) -> None:
        leading, is_lost = _Leading(), False
        while not self._closing.is_set():
            self._tell(self._convert.look())
            try:
                edges = self._fetch(self._descriptor)
            except OSError:
                if not is_lost:
                    self._tell([Refusal(self._convert.now_ns, "pulse device lost")])
                is_lost = True
                if not self._closing.wait(1.0):
                    self._open_again()
                continue
            is_lost = False
            if edges is not None and (began := leading.take(edges)) is not None:
                self._tell(self._convert.pulse(*began))

    def _open_again(self) -> None:
        """A source that was plugged in anew is another device under the same name."""
        if self._path is not None:
            self._free()
            with suppress(TimeError):
                self._descriptor = _open(self._path)

    def _tell(self, signs: list[TimeSign]) -> None:
        for sign in signs:
            self._signs.put(sign)


class AwaitedPps:
    """A pulse source that may come later: a node without one hears all the same.

    `open_source` is called at once, and again every _REOPEN_AFTER_NS, until it raises no TimeError;
    its first error goes to the journal.
    """

    def __init__(self, open_source: Callable[[], TimeReference], clock: HostClock) -> None:
        self._open_source, self._clock = open_source, clock
        self._source: TimeReference | None = None
        self._due_ns, self._is_told = 0, False
        self._try_to_open()

    def poll(self) -> list[TimeSign]:
        """The signs of the source; while there is none, a refusal at each try."""
        if self._source is None and self._clock.monotonic_ns() >= self._due_ns:
            self._try_to_open()
            if self._source is None:
                return [Refusal(self._clock.monotonic_ns(), "no pulse device")]
        return self._source.poll() if self._source else []

    def close(self) -> None:
        """Close the source, if it came."""
        if self._source:
            self._source.close()

    def _try_to_open(self) -> None:
        try:
            self._source = self._open_source()
        except TimeError as error:
            self._due_ns = self._clock.monotonic_ns() + _REOPEN_AFTER_NS
            if not self._is_told:
                log.warning("%s", error)
            self._is_told = True


class _Converter:
    """From CLOCK_REALTIME to host time by paired readings, aware of steps between them."""

    def __init__(self, clock: HostClock, sigma_ns: int) -> None:
        self._clock, self._sigma_ns = clock, sigma_ns
        self.now_ns, self._ahead_ns = self._read()
        self._stepped_ns: int | None = None

    def look(self) -> list[TimeSign]:
        """Read both clocks, and remember a step."""
        last_ns, last_ahead_ns = self.now_ns, self._ahead_ns
        self.now_ns, self._ahead_ns = self._read()
        slack_ns = _SLEW * (self.now_ns - last_ns) + _STEP_SLACK_NS
        if abs(self._ahead_ns - last_ahead_ns) > slack_ns:
            self._stepped_ns = last_ns
            return [Refusal(self.now_ns, "system clock was stepped")]
        return []

    def pulse(self, realtime_ns: int, width_ns: int | None = None) -> list[TimeSign]:
        """A pulse stamped `realtime_ns`, noticed since the last look."""
        self.look()
        host_ns = realtime_ns - self._ahead_ns
        if not self.now_ns - _OLDEST_NS < host_ns <= self.now_ns:
            return [Refusal(self.now_ns, "pulse is not of now")]
        if self._stepped_ns is not None and host_ns <= self._stepped_ns + NS_PER_S:
            return [Refusal(self.now_ns, "pulse stamped around a step of the system clock")]
        self._stepped_ns = None
        return [Pulse(host_ns, self._sigma_ns, width_ns)]

    def _read(self) -> tuple[int, int]:
        """Host time, and how far CLOCK_REALTIME is ahead of it: the tightest of some brackets."""
        _, host_ns, ahead_ns = min(self._bracket() for _ in range(_BRACKETS))
        return host_ns, ahead_ns

    def _bracket(self) -> tuple[int, int, int]:
        before_ns = self._clock.monotonic_ns()
        realtime_ns = self._clock.realtime_ns()
        width_ns = self._clock.monotonic_ns() - before_ns
        host_ns = before_ns + width_ns // 2
        return width_ns, host_ns, realtime_ns - host_ns


def _parse(text: str) -> Edge:
    stamp, number = text.strip().split("#")
    seconds, fraction = stamp.split(".")
    if len(fraction) != 9:
        raise ValueError(f"{text!r} is no stamp of a pulse")
    return int(seconds) * NS_PER_S + int(fraction), int(number)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise TimeError(_missing(path, error)) from None


def _fetch(descriptor: int) -> Edges | None:
    """PPS_FETCH of Linux' pps.h: waits for the next edge, None if none came in time."""
    request = bytearray(_PPS_FDATA.pack(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, _FETCH_TIMEOUT_NS, 0))
    try:
        fcntl.ioctl(descriptor, _PPS_FETCH, request)
    except (TimeoutError, InterruptedError):
        return None
    number, other, seconds, nanoseconds, _, other_s, other_ns, *_ = _PPS_FDATA.unpack(request)
    return (seconds * NS_PER_S + nanoseconds, number), (other_s * NS_PER_S + other_ns, other)


def _missing(path: Path, error: Exception) -> str:
    detail = error.strerror if isinstance(error, OSError) else error
    remedy = "check the wire and the pps-gpio overlay"
    if isinstance(error, PermissionError):
        remedy = "config/udev/60-earshot.rules opens it to the node's group"
    return f"{path}: no pulse per second: {detail}: {remedy}"
