"""Words about the second that prove less than they seem to; leap seconds that somebody forgot."""

from dataclasses import replace

import pytest

from agent.core.clock.lock import Lock
from agent.core.clock.time_signs import Kept, OwnWord, TimeMark
from agent.core.units import NS_PER_MS, NS_PER_S
from tests.support.receivers import HOST_0_NS, SETTINGS, UTC_0_S, Receiver

WORDS = {"width_ms": 100.0, "tells_leap": True, "tells_next": True}


def test_a_receivers_words_alone_do_not_confirm_a_default_that_ends() -> None:
    """Seen: "satellites" came with the labels' step, and the count was still that of the default:
    confirmed and 2 s off for as long as it ran."""
    receiver = Receiver(leap_off_s=2, knows_after_s=300, **WORDS).run(400)  # type: ignore[arg-type]
    assert receiver.wrong_and_confirmed == 0
    assert receiver.lock.confirmed
    assert receiver.lock.state == "locked"


def test_a_word_about_the_next_pulse_that_may_be_late_names_none() -> None:
    """Said 1.13 s late it reads like the pulse after; its line says by how much it may be."""
    late = {"late_s": 1.13, "next_delay_ms": 850.0, **WORDS}
    receiver = Receiver(**late).run(120)  # type: ignore[arg-type]
    assert receiver.wrong_and_confirmed == 0
    prompt = Receiver(next_delay_ms=100.0, **WORDS).run(120)  # type: ignore[arg-type]
    assert prompt.lock.confirmed


@pytest.mark.parametrize("keeper", ["receiver", "unknown"])
def test_a_host_clock_that_servers_do_not_keep_excludes_nothing(keeper: str) -> None:
    """chrony over the same late sentences: it agrees, and nobody is the wiser; it may object."""
    kept = Kept(keeper)  # type: ignore[arg-type]
    same = Receiver(late_s=1.13, host_bound_ms=20.0, host_off_s=-1.0, kept=kept).run(120)
    assert same.wrong_and_confirmed == 0
    assert same.lock.state == "locked"
    assert set(same.lock.doubts.refused(HOST_0_NS + 120 * NS_PER_S)) & {
        "host's clock is kept by a receiver", "nobody says who keeps the host's clock",
    }  # fmt: skip
    other = Receiver(late_s=1.13, host_bound_ms=20.0, kept=kept).run(120)
    assert other.locked_at is None


@pytest.mark.parametrize(
    ("kept", "opened"),
    [
        (Kept("servers"), ()),
        (Kept("servers", 200 * NS_PER_MS), ("edge",)),
        (Kept("receiver"), ("label", "edge", "leap", "weeks")),
        (Kept("unknown"), ("label", "edge", "leap", "weeks")),
    ],
)
def test_the_hosts_clock_as_the_source_is_as_good_as_its_keeper(
    kept: Kept, opened: tuple[str, ...]
) -> None:
    """Servers vouch for it; a receiver that keeps it is a lone one."""
    lock = Lock(replace(SETTINGS, source="system"))
    for second in range(1, 40):
        at_ns = HOST_0_NS + second * NS_PER_S
        utc_ns = (UTC_0_S + second) * NS_PER_S
        lock.on_time(at_ns)
        lock.on_sign(TimeMark(at_ns, utc_ns, NS_PER_MS, "system", kept))
    assert lock.state == "locked"
    assert lock.testimony.witnesses.alternatives == opened
    assert lock.confirmed is (not opened)


def test_a_leap_second_that_the_receiver_forgot_is_never_confirmed() -> None:
    """New Year 2028, list expired: the host's kernel repeats 23:59:59, the receiver does not."""
    midnight_s = 1_830_297_600
    receiver = Receiver(start_s=midnight_s - 100, host_bound_ms=20.0, true_leap_s=100)
    receiver.run(99)
    assert receiver.lock.confirmed
    receiver.run(60)
    assert receiver.wrong_and_confirmed == 0
    assert receiver.wrong_and_locked <= 2
    assert receiver.lock.state != "locked"


def test_a_leap_second_that_all_count_is_confirmed_through() -> None:
    """The receiver says 23:59:60, the kernel announced it: open for a moment, then as before."""
    midnight_s = 1_830_297_600
    receiver = Receiver(
        start_s=midnight_s - 100, host_bound_ms=20.0, true_leap_s=100, own_leap_s=100
    ).run(140)
    assert receiver.wrong_and_confirmed == receiver.wrong_and_locked == 0
    assert receiver.lock.confirmed
    assert receiver.lock.state == "locked"


@pytest.mark.parametrize(("off_s", "confirms"), [(0.0, True), (1.0, False), (-2.0, False)])
def test_an_earlier_run_of_this_boot_speaks_for_the_second(off_s: float, *, confirms: bool) -> None:
    """No network: what was confirmed before a restart is so after it, or the lock waits."""
    receiver = Receiver()
    for second in range(1, 60):
        at_ns = HOST_0_NS + second * NS_PER_S + 400 * NS_PER_MS
        utc_ns = (UTC_0_S + second) * NS_PER_S + round((0.4 + off_s) * NS_PER_S)
        receiver.run(1)
        if second % 5 == 0:
            receiver.lock.on_sign(OwnWord(at_ns, utc_ns, 20 * NS_PER_MS))
    assert receiver.lock.confirmed is confirms
    assert (receiver.lock.state == "locked") is confirms
    if not confirms:
        assert receiver.lock.reason == "this node's own clock names another second"
        receiver.lock.on_sign(OwnWord(at_ns, utc_ns, 10**15))  # it has become too old to tell
        receiver.run(10)
        assert receiver.lock.state == "locked"
        assert not receiver.lock.confirmed
