"""A satellite receiver that errs the way real ones were seen to: all its words together."""

from dataclasses import dataclass

from agent.core.clock.lock import ClockSettings, Lock
from agent.core.clock.time_signs import (
    BY_SERVERS,
    Fix,
    HostWord,
    Kept,
    NextPulse,
    Pulse,
    ReceiverReport,
)
from agent.core.records.fields import Leap
from agent.core.units import NS_PER_MS, NS_PER_S

HOST_0_NS = 77 * NS_PER_S
UTC_0_S = 1_800_000_000  # 2027-01-15: the list of leap seconds is in force
WEEKS_S = 1024 * 604_800
SETTINGS = ClockSettings(
    source="pps", is_pulse_known=True, earliest_utc_ns=1_795_392_000 * NS_PER_S
)


@dataclass
class Receiver:
    """A receiver on a perfect host, with one fault; and whoever else speaks of the second.

    `late_s`: sentences come so much later; `pulse_off_ms`: the edge is so late; `leap_off_s`: it
    has so many leap seconds too few, and takes the right ones after `knows_after_s`; `weeks`: its
    weeks are off. `host_bound_ms`: the host's clock is right within that, None if nobody vouches;
    `kept` says who keeps it. `own_leap_s`: the receiver inserts a leap second then; `true_leap_s`:
    UTC does, and the kernel announces it and says 23:59:59 twice. `next_delay_ms`: so late may
    its words about the next pulse be.
    """

    late_s: float = 0.13
    pulse_off_ms: float = 0.0
    leap_off_s: int = 0
    knows_after_s: int = 10**9
    weeks: int = 0
    host_bound_ms: float | None = None
    host_off_s: float = 0.0
    width_ms: float | None = None
    tells_leap: bool = False
    tells_next: bool = False
    own_leap_s: int | None = None
    true_leap_s: int | None = None
    kept: Kept = BY_SERVERS
    next_delay_ms: float = 0.0
    settings: ClockSettings = SETTINGS
    start_s: int = UTC_0_S

    def __post_init__(self) -> None:
        self.lock = Lock(self.settings)
        self.second = 1
        self.wrong_and_confirmed = self.wrong_and_locked = 0
        self.locked_at: int | None = None
        self.confirmed_at: int | None = None

    def run(self, seconds: int) -> "Receiver":
        for _ in range(seconds):
            self._live(self.second)
            self.second += 1
        return self

    def label_s(self, second: int) -> int:
        off_s = self.leap_off_s if second < self.knows_after_s else 0
        if self.own_leap_s is not None and second > self.own_leap_s:
            off_s -= 1
        return self.start_s + second + off_s + self.weeks * WEEKS_S

    def _live(self, second: int) -> None:
        at_ns, lock = HOST_0_NS + second * NS_PER_S, self.lock
        signs: list[object] = [
            Pulse(
                at_ns + round(self.pulse_off_ms * NS_PER_MS),
                1000,
                None if self.width_ms is None else round(self.width_ms * NS_PER_MS),
            )
        ]
        late_s = int(self.late_s)
        is_leap = self.own_leap_s == second - late_s
        utc_ns = self.label_s(second - late_s) * NS_PER_S
        lag_ns = round((self.late_s - late_s) * NS_PER_S)
        signs.append(Fix(at_ns + lag_ns, utc_ns, True, is_leap, 9))
        if self.host_bound_ms is not None:
            reads_ns = (self.start_s + second) * NS_PER_S + round(self.host_off_s * NS_PER_S)
            reads_ns -= NS_PER_S * (self.true_leap_s is not None and second >= self.true_leap_s)
            is_ahead = self.true_leap_s is not None and second < self.true_leap_s
            at_600_ns, reads_ns = at_ns + 600 * NS_PER_MS, reads_ns + 600 * NS_PER_MS
            bound_ns = round(self.host_bound_ms * NS_PER_MS)
            leap: Leap = "insert" if is_ahead else "unknown"
            signs.append(HostWord(at_600_ns, reads_ns, bound_ns, leap, self.kept))
        if self.tells_leap:
            knows = second >= self.knows_after_s or not self.leap_off_s
            signs.append(
                ReceiverReport(
                    at_ns + 700 * NS_PER_MS,
                    leap="none" if knows else "unknown",
                    leap_s=18 - (0 if knows else self.leap_off_s),
                    leap_from="satellites" if knows else "firmware",
                )
            )
        if self.tells_next:
            delay_ns = round(self.next_delay_ms * NS_PER_MS)
            word = NextPulse(at_ns + 800 * NS_PER_MS, utc_ns + NS_PER_S, delay_ns=delay_ns)
            signs.append(word)
        for sign in sorted(signs, key=lambda one: one.host_ns):  # type: ignore[attr-defined]
            lock.on_time(sign.host_ns)  # type: ignore[attr-defined]
            lock.on_sign(sign)  # type: ignore[arg-type]
        self._judge(second)

    def _judge(self, second: int) -> None:
        lock = self.lock
        if not lock.discipline.is_known:
            return
        count_ns, sigma_ns = lock.discipline.at(HOST_0_NS + second * NS_PER_S)
        utc_ns = lock.calendar.utc_of(count_ns)
        leapt = self.true_leap_s is not None and second > self.true_leap_s
        error_ns = abs(utc_ns - (self.start_s + second - leapt) * NS_PER_S)
        self.wrong_and_confirmed += lock.confirmed and error_ns > 9 * 10**8
        self.wrong_and_locked += lock.state == "locked" and error_ns > 10 * sigma_ns
        if lock.state == "locked" and self.locked_at is None:
            self.locked_at = second
        if lock.confirmed and self.confirmed_at is None:
            self.confirmed_at = second
