"""A host's clock under chrony or systemd-timesyncd, and what the kernel then says of it.

What no client can see is the asymmetry of the path: the clock settles half of it, times the round
trip, beside the truth. Both daemons steer CLOCK_REALTIME and CLOCK_MONOTONIC alike, so that marks
of such a clock lie on a perfect line that is wrong. The kernel lets its maximum error grow by
500 us a second; chrony sets it to the root distance at each reply, timesyncd to nothing.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.units import NS_PER_MS, NS_PER_S
from simulator.trials.clocks.drawn import draw
from simulator.trials.clocks.nature import NtpTable
from simulator.trials.clocks.spells import drawn_spells

Floats = npt.NDArray[np.float64]
_GROWS_NS_PER_S = 500_000.0
_UNSYNCHRONISED_NS = 16 * NS_PER_S
_SLEW_NS_PER_S = 100_000.0
_RATE_GAIN = 0.2


@dataclass(frozen=True, slots=True)
class Disciplined:
    """By how many ns the clock is fast each second, and the kernel's maximum error; shapes (n,)."""

    off_ns: Floats
    max_error_ns: Floats
    tells_root_distance: bool

    def max_error_at(self, second: int) -> int:
        """What adjtimex(2) tells, ns."""
        return int(self.max_error_ns[min(second, len(self.max_error_ns) - 1)])

    def is_synchronised_at(self, second: int) -> bool:
        """Whether the kernel still calls it so."""
        return self.max_error_at(second) < _UNSYNCHRONISED_NS


def disciplined(table: NtpTable, free_ns: Floats, rng: np.random.Generator) -> Disciplined:
    """The clock whose crystal would stray by `free_ns` (n,) if nobody steered it."""
    daemon = table.daemons[int(rng.integers(len(table.daemons)))]
    round_trip_ns = draw(table.round_trip_ms, rng) * NS_PER_MS
    wrong_ns = 0.5 * draw(table.asymmetry, rng) * round_trip_ns
    server_ns = draw(table.server_error_ms, rng) * NS_PER_MS
    wrong_ns += server_ns * rng.uniform(-1.0, 1.0)
    jitter_ns = draw(table.jitter_ms, rng) * NS_PER_MS
    poll = max(8, round(draw(table.poll_s, rng)))
    lost = tuple(drawn_spells(table.lost, len(free_ns), rng))
    root_ns = 0.5 * round_trip_ns + server_ns + jitter_ns if daemon == "chrony" else 0.0

    off_ns, told_ns = np.empty(len(free_ns)), np.empty(len(free_ns))
    pace_ns = np.diff(free_ns, prepend=2 * free_ns[0] - free_ns[1])
    rate_ns, now_ns, still_ns, max_ns = -pace_ns[0], wrong_ns, 0.0, root_ns
    since = int(rng.integers(poll))
    for second in range(len(free_ns)):
        turn_ns = min(max(0.1 * still_ns, -_SLEW_NS_PER_S), _SLEW_NS_PER_S)
        now_ns += pace_ns[second] + rate_ns + turn_ns
        still_ns -= turn_ns
        max_ns, since = max_ns + _GROWS_NS_PER_S, since + 1
        if since >= poll and not any(spell.holds(second) for spell in lost):
            seen_ns = wrong_ns + rng.exponential(jitter_ns) * rng.choice((-0.5, 0.5)) - now_ns
            still_ns, rate_ns = 0.5 * seen_ns, rate_ns + _RATE_GAIN * seen_ns / poll
            max_ns, since = root_ns, 0
        off_ns[second], told_ns[second] = now_ns, max_ns
    return Disciplined(off_ns, told_ns, daemon == "chrony")
