"""From raw signs to states: nothing false becomes locked, and every refusal has its reason."""

import random

import pytest

from agent.core.clock.lock import ClockSettings, Lock
from agent.core.clock.time_signs import Discontinuity, Fix, Pulse, ReceiverReport, Refusal, TimeMark
from agent.core.units import NS_PER_MS, NS_PER_S

HOST_0_NS = 77 * NS_PER_S
UTC_0_S = 1_830_000_000
SETTINGS = ClockSettings(
    source="pps",
    earliest_utc_ns=1_790_000_000 * NS_PER_S,
    last_known_utc_ns=UTC_0_S * NS_PER_S,
)


class Receiver:
    """A receiver on a perfect host: pulses on the second, reports 130 ms later."""

    def __init__(self, settings: ClockSettings = SETTINGS) -> None:
        self.lock = Lock(settings)
        self.second = 1
        self.lag_ns = 130 * NS_PER_MS

    def run(
        self, seconds: int, *, off_s: int = 0, valid: bool = True, pulses: bool = True,
        reports: bool = True, leap: bool = False,
    ) -> None:  # fmt: skip
        for _ in range(seconds):
            host_ns = HOST_0_NS + self.second * NS_PER_S
            self.lock.on_time(host_ns)
            if pulses:
                self.lock.on_sign(Pulse(host_ns, 1000))
            if reports:
                utc_ns = (UTC_0_S + self.second + off_s) * NS_PER_S
                self.lock.on_sign(Fix(host_ns + self.lag_ns, utc_ns, valid, leap, 9))
            self.lock.on_time(host_ns + 900 * NS_PER_MS)
            self.second += 1

    def error_s(self) -> float:
        count_ns, _ = self.lock.discipline.at(HOST_0_NS + self.second * NS_PER_S)
        utc_ns = self.lock.calendar.utc_of(count_ns)
        return utc_ns / NS_PER_S - UTC_0_S - self.second


def test_pulses_and_reports_lock() -> None:
    """Two pulses in a chain are named, ten good ones lock, and the lag is learnt."""
    receiver = Receiver()
    receiver.run(8)
    assert receiver.lock.state == "acquiring"
    receiver.run(5)
    assert receiver.lock.state == "locked"
    assert abs(receiver.error_s()) < 1e-5
    assert receiver.lock.namer.lag_ns == 130 * NS_PER_MS


@pytest.mark.parametrize(
    "what",
    [{"reports": False}, {"valid": False}, {"pulses": False}],
)  # fmt: skip
def test_without_a_believable_second_nothing_locks(what: dict[str, int]) -> None:
    """No report, no fix, or no pulse: unsynchronised, with the reason."""
    receiver = Receiver()
    receiver.run(60, **what)
    assert receiver.lock.state == "unsynchronised"
    assert receiver.lock.believed is None


def test_a_receiver_without_a_fix_is_not_followed() -> None:
    """Its pulses run on: holdover within 3 s, with the refusals counted."""
    receiver = Receiver()
    receiver.run(60)
    receiver.run(4, valid=False)
    assert receiver.lock.state == "holdover"
    assert "receiver has no fix" in receiver.lock.doubts.refused(HOST_0_NS)


def test_a_week_rollover_is_set_right_and_said() -> None:
    """1024 weeks ago, and the last known time says which: UTC is right and the doubt stands."""
    receiver = Receiver()
    receiver.run(30, off_s=-1024 * 604_800)
    assert receiver.lock.state == "locked"
    assert abs(receiver.error_s()) < 1e-5
    assert "week rollover set right" in receiver.lock.doubts.phrases


def test_reports_that_insist_win_in_the_end_and_lock_is_lost_meanwhile() -> None:
    """A wrong default of leap seconds: from the first contradiction on nothing is locked."""
    receiver = Receiver()
    receiver.run(60, off_s=3)
    assert receiver.error_s() == pytest.approx(3.0, abs=1e-5)
    receiver.run(1)
    assert receiver.lock.state == "holdover"
    receiver.run(20)
    assert receiver.lock.state == "locked"
    assert abs(receiver.error_s()) < 1e-5


def test_one_wrong_report_does_not_move_time() -> None:
    """A single sentence a second off costs the lock for a while, never the time."""
    receiver = Receiver()
    receiver.run(60)
    receiver.run(1, off_s=1)
    assert receiver.lock.state == "holdover"
    assert abs(receiver.error_s()) < 1e-5
    receiver.run(12)
    assert receiver.lock.state == "locked"


def test_reports_that_nearly_miss_their_second_are_doubted() -> None:
    """A lag of 940 ms may as well be one of -60 ms: the lock stands, and so does a doubt."""
    receiver = Receiver()
    receiver.lag_ns = 940 * NS_PER_MS
    receiver.run(30)
    assert receiver.lock.doubts.phrases == ("reports near the next second",)


def test_a_leap_second_is_lived_through_locked() -> None:
    """23:59:60 reads like the midnight after it, then UTC is one second behind the count."""
    midnight_s = 1_830_297_600  # 2028-01-01: leap seconds end a month
    receiver = Receiver()
    receiver.second = midnight_s - UTC_0_S - 40
    receiver.run(40)
    receiver.run(1, leap=True)
    assert receiver.lock.state == "locked"
    receiver.run(10, off_s=-1)
    assert receiver.lock.state == "locked"
    assert receiver.error_s() == pytest.approx(-1.0, abs=1e-5)


def test_a_receiver_that_reports_spoofing_is_not_followed() -> None:
    """Its own warning stops its pulses, and `spoof` says what it said."""
    receiver = Receiver()
    receiver.run(60)
    now_ns = HOST_0_NS + receiver.second * NS_PER_S
    receiver.lock.on_sign(ReceiverReport(now_ns, spoof="suspect", jam="none"))
    receiver.run(4)
    assert receiver.lock.state == "holdover"
    assert receiver.lock.doubts.spoof(now_ns) == "suspect"
    assert receiver.lock.doubts.jam(now_ns) == "none"


def test_a_receiver_that_cannot_tell_is_unknown_not_none() -> None:
    """Silence about spoofing, jamming or leap seconds is never called absence."""
    receiver = Receiver()
    receiver.run(20)
    assert receiver.lock.doubts.spoof(HOST_0_NS) == "unknown"
    assert receiver.lock.doubts.jam(HOST_0_NS) == "unknown"
    assert receiver.lock.calendar.leap_at(0) == "unknown"


def test_after_a_sleep_all_is_learnt_again() -> None:
    """A discontinuity drops what was known at once, before any record can be wrong."""
    receiver = Receiver()
    receiver.run(60)
    change = receiver.lock.on_sign(Discontinuity(HOST_0_NS + 61 * NS_PER_S, "host slept for 9 s"))
    assert change is not None
    assert (change.after, change.reason) == ("unsynchronised", "host slept for 9 s")
    assert not receiver.lock.discipline.is_known


def test_the_host_clock_names_pulses_where_no_receiver_does() -> None:
    """Pulses with a fresh and good system clock lock; a poor one names nothing."""
    for sigma_ns, expected in ((5 * NS_PER_MS, "locked"), (300 * NS_PER_MS, "unsynchronised")):
        lock = Lock(SETTINGS)
        for second in range(1, 30):
            host_ns = HOST_0_NS + second * NS_PER_S
            utc_ns = (UTC_0_S + second) * NS_PER_S
            lock.on_sign(TimeMark(host_ns - NS_PER_S // 3, utc_ns - NS_PER_S // 3, sigma_ns, "x"))
            lock.on_sign(Pulse(host_ns, 1000))
        assert lock.state == expected


def test_refusals_are_counted_by_reason() -> None:
    """What an adapter could not use is told to the technician."""
    lock = Lock(SETTINGS)
    for _ in range(3):
        lock.on_sign(Refusal(HOST_0_NS, "checksum wrong"))
    assert lock.doubts.refused(HOST_0_NS) == {"checksum wrong": 3}
    assert lock.doubts.refused(HOST_0_NS + 61 * NS_PER_S) == {}


def test_random_signs_never_lock() -> None:
    """Pulses and reports without any rhythm, 20 000 of them: no lock, no exception."""
    rng, lock, host_ns = random.Random(4), Lock(SETTINGS), HOST_0_NS
    for _ in range(20_000):
        host_ns += rng.randrange(1, NS_PER_S)
        utc_ns = rng.randrange(-(10**18), 4 * 10**18) // NS_PER_S * NS_PER_S
        sign = rng.choice(
            [Pulse(host_ns, 1000), Fix(host_ns, utc_ns, rng.random() < 0.8, rng.random() < 0.1)]
        )
        lock.on_sign(sign)
        lock.on_time(host_ns)
        assert lock.state != "locked"
