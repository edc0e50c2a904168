"""A count of seconds that is a few marks old is given up for another: its witnesses go with it."""

import pytest

from agent.core.clock import Timebase
from agent.core.clock.time_signs import Fix, HostWord
from agent.core.clock.timebase import ClockSettings
from agent.core.units import NS_PER_MS, NS_PER_S

BEGAN_NS = 1_800_000_000 * NS_PER_S
UP_NS = 100 * NS_PER_S
SETTINGS = ClockSettings(
    source="nmea",
    nmea_lag_ns=0,
    nmea_sigma_ns=50 * NS_PER_MS,
    earliest_utc_ns=BEGAN_NS - 86_400 * NS_PER_S,
)


@pytest.mark.parametrize("late_s", [1, 2, 7])
@pytest.mark.parametrize("good", [2, 3, 5])
def test_words_that_come_late_are_not_confirmed_by_what_was_said_before(
    good: int, late_s: int
) -> None:
    """A line stalls after a few reports, and what it held back comes seconds late. The host's clock
    agreed with the count before: of the one that begins then it has said nothing yet."""
    timebase, seen, before = Timebase(48_000, SETTINGS), 0, 0
    for second in range(30):
        host_ns = UP_NS + second * NS_PER_S
        late_ns = 0 if second < good else late_s * NS_PER_S
        timebase.on_sign(HostWord(host_ns, BEGAN_NS + second * NS_PER_S, 30 * NS_PER_MS))
        before += second < good and timebase.lock.confirmed
        if late_ns and second < good + late_s:
            continue  # it stalls
        at_ns = host_ns + 50 * NS_PER_MS
        fix = Fix(at_ns, BEGAN_NS + second * NS_PER_S - late_ns, is_valid=True)
        timebase.on_time(at_ns)
        timebase.on_sign(fix)
        told = timebase.utc_at_host(at_ns)
        if told.utc_ns is not None and timebase.confirms(told.sigma_ns):
            off_ns = told.utc_ns - BEGAN_NS - (at_ns - UP_NS)
            assert abs(off_ns) < NS_PER_S // 2, f"{off_ns / NS_PER_S:+.3f} s at {second} s"
            seen += 1
    assert before or good == 2
