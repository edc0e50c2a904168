"""The computer's clocks, and its clock as a source of UTC.

Clocks are only read, never set. How far the system clock may be off is the kernel's own word,
which chrony or another daemon keeps up to date; a step of it or a sleep of the host is told as a
discontinuity before any mark that follows it.
"""

import ctypes
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.core.clock.time_signs import (
    BY_SERVERS,
    Discontinuity,
    HostWord,
    RealtimeStep,
    ReceiverReport,
    Refusal,
    TimeMark,
    TimeSign,
)
from agent.core.records.fields import Leap
from agent.core.units import NS_PER_MS, NS_PER_S, NS_PER_US
from agent.ports import HostClock, HostDiscipline

_BRACKETS = 5
_SLEW = 600e-6
_STEP_SLACK_NS = NS_PER_MS
_SLEPT_NS = 5 * NS_PER_MS
_LEAST_PATH_NS = 1_200 * NS_PER_US  # a daemon that resets the bound leaves less in two seconds
_LEFT_BY_CHANCE_NS = 250 * NS_PER_US  # and less than this once in eight answers, all but surely
_ANSWERS = 8
_STA_INS, _STA_DEL, _STA_UNSYNC = 0x0010, 0x0020, 0x0040
_STA_PPSFREQ, _STA_PPSTIME = 0x0002, 0x0004
_UNTOLD_PATH_SIGMAS = 6
_KERNEL_PPM = 500.0  # by which the kernel lets its bound grow between two answers
_CRYSTAL_PPM = 20.0  # a bound for a crystal alone, by day and night, once its rate was steered
_TIME_ERROR = 5


class SystemClock:
    """CLOCK_MONOTONIC and CLOCK_REALTIME; a HostClock."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def realtime_ns(self) -> int:
        """CLOCK_REALTIME."""
        return time.time_ns()


@dataclass(frozen=True, slots=True)
class Discipline:
    """What the kernel knows of CLOCK_REALTIME: is it steered, how far may it be off, a leap.

    `is_by_pulse`: the kernel itself steers it by a pulse, which may be the node's own.
    """

    is_synchronised: bool
    max_error_ns: int
    leap: Leap
    is_by_pulse: bool = False


def kernel_discipline() -> Discipline:
    """adjtimex(2), read only. Raises OSError where the kernel refuses."""
    state = _Timex()
    libc = ctypes.CDLL(None, use_errno=True)
    verdict = libc.adjtimex(ctypes.byref(state))
    if verdict < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")
    leap: Leap = "none"
    if state.status & (_STA_INS | _STA_DEL):
        leap = "insert" if state.status & _STA_INS else "delete"
    steered = verdict != _TIME_ERROR and not state.status & _STA_UNSYNC
    told_leap = leap if steered else "unknown"
    is_by_pulse = bool(state.status & (_STA_PPSFREQ | _STA_PPSTIME))
    return Discipline(steered, state.maxerror * NS_PER_US, told_leap, is_by_pulse)


class SystemTimeReference:
    """The host's own clock as a TimeReference: at most one mark per second.

    CLOCK_REALTIME is read between two readings of CLOCK_MONOTONIC; of a few such brackets the
    tightest is taken, and half its width is added to sigma. With `discipline`, a mark is given
    only while the kernel calls the clock synchronised. Its maximum error bounds the path to the
    server too where the daemon says so (chrony: the root distance never falls to nothing), which
    shows when the server answers; then the bound over sqrt 3 is 1-sigma. A daemon that resets it
    at each answer (timesyncd) does not know its path, and `sigma_ns` stands for that, or a third
    of the maximum error if that is more. What the kernel adds between two answers is for a clock
    that nobody steers: where several were seen only what a crystal may stray counts. Without
    `discipline`, `sigma_ns` is believed. `keeper` says who keeps the clock; without it, time
    servers do.
    """

    def __init__(
        self,
        clock: HostClock,
        sigma_ns: int,
        source: str = "system",
        discipline: Callable[[], Discipline] | None = None,
        keeper: HostDiscipline | None = None,
    ) -> None:
        self._clock, self._sigma_ns, self._source = clock, sigma_ns, source
        self._discipline, self._keeper = discipline, keeper
        self._due_ns = clock.monotonic_ns()
        self._last: tuple[int, int] | None = None
        self._max_error_ns: int | None = None
        self._left_ns = 0
        self.bound_ns = 0
        self._tells_path, self._answers, self._least_left_ns = False, 0, sys.maxsize

    def poll(self) -> list[TimeSign]:
        """The mark of this second, once, and before it what happened to the clock."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._due_ns:
            return []
        self._due_ns = now_ns + NS_PER_S
        width_ns, before_ns, utc_ns = min(self._bracket() for _ in range(_BRACKETS))
        host_ns = before_ns + width_ns // 2
        signs = self._steps(host_ns, utc_ns - host_ns)
        sigma_ns = self._sigma_ns
        if self._discipline is not None:
            try:
                known = self._discipline()
            except OSError:
                return [*signs, Refusal(host_ns, "kernel does not tell if its clock is right")]
            if not known.is_synchronised:
                return [*signs, Refusal(host_ns, "system clock is not synchronised")]
            sigma_ns = self._sigma_by(known.max_error_ns)
            signs.append(ReceiverReport(host_ns, leap=known.leap))
        kept = BY_SERVERS if self._keeper is None else self._keeper.kept()
        return [*signs, TimeMark(host_ns, utc_ns, sigma_ns + width_ns // 2, self._source, kept)]

    def _sigma_by(self, max_error_ns: int) -> int:
        last_ns, self._max_error_ns = self._max_error_ns, max_error_ns
        if last_ns is not None and max_error_ns < last_ns:  # a server answered
            self._answers += 1
            self._left_ns = max_error_ns
            self._least_left_ns = min(self._least_left_ns, max_error_ns)
            is_more = self._least_left_ns > _LEAST_PATH_NS
            is_steady = self._answers >= _ANSWERS and self._least_left_ns > _LEFT_BY_CHANCE_NS
            self._tells_path = is_more or is_steady
        alone_ns, is_tried = max_error_ns - self._left_ns, self._answers >= _ANSWERS
        strayed_ns = alone_ns * _CRYSTAL_PPM / _KERNEL_PPM if is_tried else alone_ns
        if self._tells_path:
            self.bound_ns = max_error_ns
            return round((self._left_ns + strayed_ns) / 3**0.5)
        self.bound_ns = max(_UNTOLD_PATH_SIGMAS * self._sigma_ns, max_error_ns)
        return max(self._sigma_ns, round(self._left_ns + strayed_ns) // 3)

    def close(self) -> None:
        """Give no more marks."""
        self._due_ns = sys.maxsize
        if self._keeper is not None:
            self._keeper.close()

    def _steps(self, host_ns: int, ahead_ns: int) -> list[TimeSign]:
        last, self._last = self._last, (host_ns, ahead_ns)
        if last is None:
            return []
        moved_ns = abs(ahead_ns - last[1])
        if moved_ns <= _SLEW * (host_ns - last[0]) + _STEP_SLACK_NS:
            return []
        return [RealtimeStep(host_ns, f"system clock was stepped by {moved_ns / NS_PER_S:.3f} s")]

    def _bracket(self) -> tuple[int, int, int]:
        before_ns = self._clock.monotonic_ns()
        utc_ns = self._clock.realtime_ns()
        return self._clock.monotonic_ns() - before_ns, before_ns, utc_ns


class HostWitness:
    """The host's clock as a witness of the second beside a receiver: HostWords, no marks.

    It speaks only while the kernel vouches for the clock, and not where the kernel steers it by a
    pulse: that may be the node's own. A daemon that this node itself feeds is no witness either;
    then none of these is made. `sigma_ns` and `keeper` as in SystemTimeReference.
    """

    def __init__(
        self,
        clock: HostClock,
        sigma_ns: int,
        discipline: Callable[[], Discipline],
        keeper: HostDiscipline | None = None,
    ) -> None:
        self._marks = SystemTimeReference(clock, sigma_ns, "system", discipline, keeper)
        self._discipline = discipline

    def poll(self) -> list[TimeSign]:
        """The host's word of this second, once."""
        signs = self._marks.poll()
        marks = [sign for sign in signs if isinstance(sign, TimeMark)]
        if not marks or self._is_by_pulse():
            return []
        leaps = [sign.leap for sign in signs if isinstance(sign, ReceiverReport)]
        leap: Leap = leaps[-1] if leaps else "unknown"
        bound_ns = self._marks.bound_ns
        return [
            HostWord(one.host_ns, one.utc_ns, max(bound_ns, one.kept.within_ns), leap, one.kept)
            for one in marks
        ]

    def close(self) -> None:
        """Say no more."""
        self._marks.close()

    def _is_by_pulse(self) -> bool:
        try:
            return self._discipline().is_by_pulse
        except OSError:
            return True


class SleepWatch:
    """A TimeReference that only tells when the host slept: CLOCK_BOOTTIME went on without it."""

    def __init__(
        self,
        clock: HostClock,
        boottime_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
    ) -> None:
        self._clock, self._boottime_ns = clock, boottime_ns
        self._slept_ns = self._slept_at_least_ns()
        self._is_closed = False

    def poll(self) -> list[TimeSign]:
        """A discontinuity if the host slept since the last call."""
        longer_ns = self._slept_at_least_ns() - self._slept_ns
        if longer_ns <= _SLEPT_NS or self._is_closed:
            return []
        self._slept_ns += longer_ns
        reason = f"host slept for {longer_ns / NS_PER_S:.1f} s"
        return [Discontinuity(self._clock.monotonic_ns(), reason)]

    def close(self) -> None:
        """Tell of no more sleep."""
        self._is_closed = True

    def _slept_at_least_ns(self) -> int:
        """What comes between the two readings makes it smaller, never larger: the best of some."""
        return max(self._boottime_ns() - self._clock.monotonic_ns() for _ in range(_BRACKETS))


class _Timex(ctypes.Structure):
    """struct timex of 64-bit Linux."""

    _fields_ = (
        ("modes", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("constant", "precision", "tolerance")),
        *((name, ctypes.c_long) for name in ("seconds", "microseconds", "tick")),
        *((name, ctypes.c_long) for name in ("ppsfreq", "jitter")),
        ("shift", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("stabil", "jitcnt", "calcnt", "errcnt", "stbcnt")),
        ("tai", ctypes.c_int),
        ("padding", ctypes.c_int * 11),
    )
