"""What is known of the present on a host that may have woken up in 1970, or in 2099."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.adapters.host import Discipline
from agent.app.trustedclock import TrustedClock
from agent.core.trust.certificate_time import TrustedTime
from agent.core.units import NS_PER_MS, NS_PER_S
from tests.support.drafts import outbox_of
from tests.support.sky import PoleUnderSky, WakingHost

DAY_NS = 86_400 * NS_PER_S
RELEASED_NS = 1_795_392_000 * NS_PER_S
TRUTH_NS = RELEASED_NS + 200 * DAY_NS
Y2099_NS = 4_070_908_800 * NS_PER_S


def unsynchronised() -> Discipline:
    return Discipline(is_synchronised=False, max_error_ns=16 * NS_PER_S, leap="unknown")


def synchronised() -> Discipline:
    return Discipline(is_synchronised=True, max_error_ns=40 * NS_PER_MS, leap="none")


def silent_kernel() -> Discipline:
    raise OSError(1, "adjtimex")


@pytest.fixture
def pole(tmp_path: Path):
    """A pole in a year to choose, with a kernel that says nothing good of it."""
    outboxes = []

    def put_up(
        began_utc_ns: int = 0,
        known_ns: int | None = None,
        kernel: Callable[[], Discipline] = unsynchronised,
    ) -> PoleUnderSky:
        host = WakingHost(began_utc_ns)
        trusted = TrustedClock(host, RELEASED_NS, known_ns, kernel)
        outboxes.append(outbox_of("n1", tmp_path / f"{len(outboxes)}.sqlite"))
        return PoleUnderSky(host, TRUTH_NS, outboxes[-1], trusted)

    yield put_up
    for outbox in outboxes:
        outbox.close()


@pytest.mark.parametrize("began_utc_ns", [0, Y2099_NS, TRUTH_NS])
@pytest.mark.parametrize("kernel", [unsynchronised, silent_kernel])
def test_a_host_that_nobody_vouches_for_says_nothing(pole, began_utc_ns, kernel) -> None:
    """Whatever its calendar shows: it is at least the date of this software, and later by what
    has passed since the start."""
    one = pole(began_utc_ns, kernel=kernel)
    assert one.trusted.now() == TrustedTime(RELEASED_NS, None, "software")
    one.pass_time(90, satellites=False)
    assert one.trusted.now() == TrustedTime(RELEASED_NS + 90 * NS_PER_S, None, "software")


def test_the_last_known_time_counts_where_it_is_later(pole) -> None:
    """A file that is older than the software says nothing new."""
    later_ns = RELEASED_NS + DAY_NS
    assert pole(known_ns=later_ns).trusted.now() == TrustedTime(later_ns, None, "last known")
    assert pole(known_ns=RELEASED_NS - 1).trusted.now().clock == "software"


def test_a_host_that_the_kernel_vouches_for_bounds_the_present(pole) -> None:
    """On both sides, by the kernel's own word of how far it may be off."""
    one = pole(TRUTH_NS, kernel=synchronised)
    host_ns, error_ns = one.host.realtime_ns(), 40 * NS_PER_MS
    assert one.trusted.now() == TrustedTime(host_ns - error_ns, host_ns + error_ns, "host")


def test_a_host_before_what_is_known_is_wrong_whoever_vouches(pole) -> None:
    """A server of false time cannot turn a node back before the last time it knew."""
    one = pole(TRUTH_NS, known_ns=TRUTH_NS + DAY_NS, kernel=synchronised)
    assert one.trusted.now() == TrustedTime(TRUTH_NS + DAY_NS, None, "last known")


@pytest.mark.parametrize("began_utc_ns", [0, Y2099_NS])
@pytest.mark.parametrize("kernel", [unsynchronised, synchronised])
def test_satellites_overrule_all(pole, began_utc_ns, kernel) -> None:
    """From the lock on it is their time to the microsecond, and no bound any more."""
    one = pole(began_utc_ns, kernel=kernel)
    one.pass_time(6, satellites=True)
    assert one.show().clock.state == "acquiring"
    assert one.trusted.now().clock != "satellites"
    one.pass_time(14, satellites=True)
    assert one.show().clock.state == "locked"
    earliest_ns, latest_ns, clock = one.trusted.now()
    assert (latest_ns, clock) == (earliest_ns, "satellites")
    assert abs(earliest_ns - TRUTH_NS - one.host.host_ns) < 10_000


def test_the_crystal_carries_their_time_on(pole) -> None:
    """Without satellites the node still knows, as long as its clock is in holdover."""
    one = pole()
    one.pass_time(20, satellites=True)
    one.pass_time(60, satellites=False)
    assert one.show().clock.state == "holdover"
    now = one.trusted.now()
    assert (now.clock, now.latest_ns) == ("satellites", now.earliest_ns)
    assert abs(now.earliest_ns - TRUTH_NS - one.host.host_ns) < NS_PER_MS


def test_after_a_sleep_their_time_is_a_lower_bound(pole) -> None:
    """The host slept for nobody knows how long: not before what it knew, and that counts on."""
    one = pole()
    one.pass_time(20, satellites=True)
    one.sleep(5_000)
    one.pass_time(30, satellites=False)
    now = one.trusted.now()
    assert (now.clock, now.latest_ns) == ("last known", None)
    true_ns = one.utc_ns + one.host.host_ns
    assert abs(true_ns - now.earliest_ns - 5_000 * NS_PER_S) < NS_PER_MS


def test_a_false_last_time_is_forgotten_at_the_lock(pole) -> None:
    """Else one night of false satellites would shut a node out for years."""
    one = pole(known_ns=Y2099_NS)
    assert one.trusted.now().earliest_ns == Y2099_NS
    one.pass_time(20, satellites=True)
    assert abs(one.trusted.now().earliest_ns - TRUTH_NS - one.host.host_ns) < 10_000
    one.sleep(0)
    assert one.trusted.now().earliest_ns < TRUTH_NS + DAY_NS
