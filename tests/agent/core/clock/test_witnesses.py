"""Which second it was: what can be wrong, and which witness excludes or names it.

The receivers here err the way real ones were seen to: all their words together, so that nothing
of one receiver speaks against another. `docs/time.md` shows the table that is tested.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import UNSET

from agent.core.clock.leap_seconds import EXPIRES_UTC_NS, leap_seconds_at, may_leap
from agent.core.clock.lock import ClockSettings, Lock
from agent.core.clock.time_signs import (
    Fix,
    HostWord,
    Pulse,
    ReceiverReport,
    TimeMark,
)
from agent.core.clock.timebase import Timebase
from agent.core.clock.witnesses import CAN_BE, EXCLUDES
from agent.core.units import NS_PER_MS, NS_PER_S
from tests.support.receivers import HOST_0_NS, SETTINGS, UTC_0_S, Receiver

ALL = {"host_bound_ms": 20.0, "width_ms": 100.0, "tells_leap": True, "tells_next": True}
FAULTS: dict[str, dict[str, object]] = {
    "label": {"late_s": 1.13},
    "edge": {"pulse_off_ms": 100.0},
    "leap": {"leap_off_s": 2, "knows_after_s": 740},
    "weeks": {"weeks": 1},
}


def test_an_honest_receiver_with_all_witnesses_is_confirmed_within_a_minute() -> None:
    """Pulse with its width, leap seconds from the satellites, and a host's clock over NTP."""
    receiver = Receiver(**ALL).run(60)  # type: ignore[arg-type]
    assert receiver.lock.state == "locked"
    assert receiver.confirmed_at is not None
    assert receiver.lock.testimony.witnesses.alternatives == ()


def test_a_lone_honest_receiver_serves_and_says_that_it_is_alone() -> None:
    """An MTK receiver, no network, no clock: locked as ever, and never called confirmed."""
    receiver = Receiver().run(1000)
    assert receiver.locked_at is not None
    assert receiver.locked_at <= 13
    assert receiver.confirmed_at is None
    assert receiver.lock.testimony.witnesses.alternatives == ("label", "edge", "leap")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("ears", ["alone", "with the host", "with all"])
def test_no_fault_is_ever_confirmed(fault: str, ears: str) -> None:
    """Whoever listens: a second that is wrong as a whole is never called confirmed."""
    others = {"alone": {}, "with the host": {"host_bound_ms": 20.0}, "with all": ALL}[ears]
    receiver = Receiver(**{**others, **FAULTS[fault]}).run(900)  # type: ignore[arg-type]
    assert receiver.wrong_and_confirmed == 0


@pytest.mark.parametrize(
    ("witness", "fault", "doubt"),
    [
        ({"host_bound_ms": 20.0}, "label", "host's clock names another second"),
        ({"host_bound_ms": 20.0}, "edge", "host's clock has the second elsewhere"),
        ({"host_bound_ms": 20.0}, "leap", "host's clock names another second"),
        ({"tells_leap": True}, "leap", "leap seconds are the firmware's default"),
    ],
)
def test_who_knows_better_keeps_it_from_being_locked(
    witness: dict[str, object], fault: str, doubt: str
) -> None:
    """Seen: each of these locked for good at 1 us. Now it is not, and the reason is named."""
    receiver = Receiver(**{**witness, **FAULTS[fault]}).run(300)  # type: ignore[arg-type]
    assert receiver.wrong_and_locked == 0
    assert receiver.locked_at is None
    assert doubt in receiver.lock.doubts.phrases


def test_a_trailing_edge_is_known_by_the_width_that_follows() -> None:
    """A pulse that is "active" for 900 of 1000 ms is seen the wrong way round."""
    receiver = Receiver(pulse_off_ms=100.0, width_ms=900.0).run(60)
    assert receiver.locked_at is None
    assert "pulses are seen at their trailing edge" in receiver.lock.doubts.phrases


def test_firmware_leap_seconds_end_with_the_almanac() -> None:
    """740 s of a default that is 2 s off: then the satellites' word, and the right second."""
    receiver = Receiver(leap_off_s=2, knows_after_s=740, tells_leap=True).run(800)
    assert receiver.wrong_and_locked == 0
    assert receiver.lock.state == "locked"


def test_a_default_that_is_right_costs_nothing() -> None:
    """The list in force says the same as the firmware: locked at once, though it only assumes."""
    receiver = Receiver(tells_leap=True)
    receiver.lock.on_sign(ReceiverReport(HOST_0_NS, leap_s=18, leap_from="firmware"))
    receiver.run(20)
    assert receiver.lock.state == "locked"
    assert "leap" not in receiver.lock.testimony.witnesses.alternatives


@pytest.mark.parametrize("weeks", [-2, -1, 1, 2])
@pytest.mark.parametrize("cupboard_s", [0, 3 * 365 * 86_400, 18 * 365 * 86_400])
@pytest.mark.parametrize("known", [True, False])
def test_weeks_are_set_right_on_new_nodes_and_after_years(
    weeks: int, cupboard_s: int, *, known: bool
) -> None:
    """1024 weeks behind or ahead, new or long in a cupboard: the right second, and it is said."""
    settings = replace(SETTINGS, last_known_utc_ns=UTC_0_S * NS_PER_S if known else None)
    receiver = Receiver(weeks=weeks, settings=settings, start_s=UTC_0_S + cupboard_s).run(30)
    assert receiver.lock.state == "locked"
    assert receiver.wrong_and_locked == 0
    assert "week rollover set right" in receiver.lock.doubts.phrases


def test_dates_past_2046_are_the_dates_they_are() -> None:
    """A confirmed time of an earlier run moves the floor: 2047 is 2047, in step with its weeks."""
    start_s = 2_430_000_000  # 2047-01-02
    settings = replace(SETTINGS, last_known_utc_ns=(start_s - 86_400) * NS_PER_S)
    receiver = Receiver(settings=settings, start_s=start_s, host_bound_ms=10.0).run(60)
    assert receiver.lock.confirmed
    assert receiver.wrong_and_locked == 0
    assert receiver.lock.doubts.phrases == ()


def test_a_leap_second_of_its_own_is_not_followed_while_the_list_is_in_force() -> None:
    """31 March 2027: a receiver inserts a leap second that IERS never announced."""
    midnight_s = 1_806_537_600
    receiver = Receiver(**ALL, start_s=midnight_s - 100, own_leap_s=100)  # type: ignore[arg-type]
    receiver.run(300)
    assert receiver.wrong_and_confirmed == receiver.wrong_and_locked == 0
    assert "reports contradict the count of seconds" in receiver.lock.doubts.phrases


def test_an_unannounced_leap_second_after_the_list_expired_is_followed_and_left_open() -> None:
    """New Year's Eve 2027, list expired: the receiver alone tells it, so it is unconfirmed."""
    midnight_s = 1_830_297_600
    receiver = Receiver(start_s=midnight_s - 100, own_leap_s=100, host_bound_ms=20.0)
    receiver.run(99)
    assert receiver.lock.confirmed
    receiver.host_bound_ms = None
    receiver.run(20)
    assert not receiver.lock.confirmed
    assert receiver.lock.state == "locked"


def test_confirmed_is_carried_by_the_oscillator_when_the_host_falls_silent() -> None:
    """Continuity counts after one confirmation, and through a receiver that then goes wrong."""
    receiver = Receiver(host_bound_ms=20.0).run(60)
    assert receiver.lock.confirmed
    receiver.host_bound_ms = None
    receiver.leap_off_s = 2
    receiver.run(120)
    assert receiver.wrong_and_confirmed == receiver.wrong_and_locked == 0
    assert receiver.lock.state != "locked"
    assert receiver.lock.confirmed


def test_two_witnesses_outvote_a_count() -> None:
    """Reports insist and the host's clock says the same: the count begins anew, and is right."""
    receiver = Receiver(leap_off_s=2).run(60)
    receiver.leap_off_s, receiver.host_bound_ms = 0, 20.0
    receiver.run(60)
    assert receiver.lock.confirmed
    assert receiver.lock.state == "locked"


def test_a_host_clock_that_is_wrong_is_named_too() -> None:
    """Who of both is wrong nobody here can tell: not locked, and the doubt says who disagrees."""
    receiver = Receiver(host_bound_ms=20.0, host_off_s=3.0).run(60)
    assert receiver.locked_at is None
    assert receiver.lock.reason == "host's clock names another second"


def test_the_worst_fresh_word_on_spoofing_wins() -> None:
    """Seen: "affirmed" was overwritten by the next message's "none"."""
    lock = Receiver(host_bound_ms=20.0).run(30).lock
    now_ns = HOST_0_NS + 31 * NS_PER_S
    lock.on_sign(ReceiverReport(now_ns, spoof="affirmed"))
    lock.on_sign(ReceiverReport(now_ns + 1, spoof="none"))
    assert lock.doubts.spoof(now_ns + 2) == "affirmed"
    lock.on_sign(ReceiverReport(now_ns + 11 * NS_PER_S, spoof="none"))
    assert lock.doubts.spoof(now_ns + 12 * NS_PER_S) == "none"


@pytest.mark.parametrize("fraction_ms", [1, 200, 487, 987, 999])
def test_reports_of_instants_between_two_seconds_name_the_pulse(fraction_ms: int) -> None:
    """Seen refused: SiRF II and LTE modems report .487 or .999; the lag tells which pulse it is."""
    lock = Lock(SETTINGS)
    for second in range(1, 40):
        at_ns = HOST_0_NS + second * NS_PER_S
        lock.on_time(at_ns)
        lock.on_sign(Pulse(at_ns, 1000))
        told_ns = at_ns + fraction_ms * NS_PER_MS - NS_PER_S * (fraction_ms > 300)
        utc_ns = (UTC_0_S + second) * NS_PER_S + told_ns - at_ns
        lock.on_sign(Fix(told_ns + 320 * NS_PER_MS + 380 * NS_PER_MS * (fraction_ms < 488), utc_ns,
                         True, satellites=9))  # fmt: skip
    count_ns, _ = lock.discipline.at(HOST_0_NS + 40 * NS_PER_S)
    assert lock.state == "locked"
    assert abs(count_ns - (UTC_0_S + 40) * NS_PER_S) < 10_000


@pytest.mark.parametrize("named_by_host", [True, False])
def test_ten_pulses_a_second_need_somebody_who_knows_which_is_the_second(
    *, named_by_host: bool
) -> None:
    """With the host's clock they lock at the right one; without, never, and the reason is told."""
    lock = Lock(SETTINGS)
    for tenth in range(10, 400):
        at_ns = HOST_0_NS + tenth * NS_PER_S // 10
        lock.on_time(at_ns)
        if tenth % 10 == 0 and named_by_host:
            utc_ns = UTC_0_S * NS_PER_S + tenth * NS_PER_S // 10
            lock.on_sign(HostWord(at_ns - 1, utc_ns + 9 * NS_PER_MS, 20 * NS_PER_MS))
        lock.on_sign(Pulse(at_ns, 1000))
        if tenth % 10 == 3:
            utc_ns = (UTC_0_S + tenth // 10) * NS_PER_S
            lock.on_sign(Fix(at_ns + 30 * NS_PER_MS, utc_ns, True, satellites=9))
    assert (lock.state == "locked") is named_by_host
    assert "pulses come several times a second" in lock.doubts.phrases
    if named_by_host:
        count_ns, _ = lock.discipline.at(HOST_0_NS + 40 * NS_PER_S)
        assert abs(count_ns - (UTC_0_S + 40) * NS_PER_S) < 10_000
        assert lock.confirmed


@pytest.mark.parametrize("every_s", [2, 3])
def test_slow_reports_are_no_loss_of_the_fix(every_s: int) -> None:
    """Seen: with an RMC every 3 s pulses were refused half of the time as "no fix"."""
    lock, locked = Lock(SETTINGS), 0
    for second in range(1, 200):
        at_ns = HOST_0_NS + second * NS_PER_S
        lock.on_time(at_ns)
        lock.on_sign(Pulse(at_ns, 1000))
        if second % every_s == 0:
            utc_ns = (UTC_0_S + second) * NS_PER_S
            lock.on_sign(Fix(at_ns + 300 * NS_PER_MS, utc_ns, True, satellites=9))
        locked += second > 60 and lock.state == "locked"
    assert locked == 139


def test_the_paper_shows_this_table() -> None:
    """docs/time.md: one row per witness, a cross under each alternative that it excludes."""
    text = (Path(__file__).parents[4] / "docs" / "time.md").read_text("utf-8")
    for witness, excluded in EXCLUDES.items():
        cells = " | ".join("x" if one in excluded else " " for one in CAN_BE["pps"])
        assert f"| {witness} | {cells} |" in text


def test_the_table_names_each_alternative() -> None:
    """Every alternative of every source has a witness that excludes it."""
    excluded = {one for kinds in EXCLUDES.values() for one in kinds}
    assert excluded == {one for kinds in CAN_BE.values() for one in kinds}


@pytest.mark.parametrize(
    ("utc_s", "known"),
    [(1_483_228_799, 17), (1_483_228_800, 18), (1_800_000_000, 18), (1_830_000_000, None)],
)
def test_the_list_of_leap_seconds_says_nothing_after_it_expired(utc_s: int, known: int) -> None:
    """17 before 2017, 18 from then on, and no word after its last day."""
    assert leap_seconds_at(utc_s * NS_PER_S) == known


def test_leap_seconds_end_a_month_that_the_list_names() -> None:
    """No other midnight will do; after the list's last day nobody knows."""
    assert may_leap(1_483_228_799 * NS_PER_S) == "yes"
    assert may_leap(1_806_537_600 * NS_PER_S) == "no"  # 2027-04-01
    assert may_leap(1_806_624_000 * NS_PER_S) == "no"
    assert EXPIRES_UTC_NS < 1_830_297_600 * NS_PER_S
    assert may_leap(1_830_297_600 * NS_PER_S) == "unknown"


def test_a_stamp_that_may_be_half_a_second_off_is_never_confirmed() -> None:
    """Seen: a process was stopped; sigma 1.4 s, off by 1.2 s, and "confirmed" beside it."""
    timebase = Timebase(48_000, ClockSettings(source="system"))
    for second in range(1, 30):
        at_ns = HOST_0_NS + second * NS_PER_S
        timebase.on_sign(TimeMark(at_ns, (UTC_0_S + second) * NS_PER_S, 20 * NS_PER_MS, "system"))
    assert timebase.confirms(20 * NS_PER_MS)
    assert not timebase.confirms(170 * NS_PER_MS)
    assert not timebase.confirms(None)
    assert timebase.quality(HOST_0_NS + 30 * NS_PER_S).confirmed is UNSET
