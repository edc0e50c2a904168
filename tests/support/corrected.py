"""A correction as a node makes it: ten minutes in which its clock gained 50 ms."""

from agent.core.records.correction import Correction, Knot
from agent.core.units import NS_PER_MS, NS_PER_S
from tests.support.located import START_NS

OFF_NS = 25 * NS_PER_MS  # in the middle of it
CORRECTION = Correction(
    first_utc_ns=str(START_NS - 300 * NS_PER_S),
    last_utc_ns=str(START_NS + 300 * NS_PER_S),
    knots=(
        Knot(after_ns=0, add_ns=0, sigma_ns=20_000),
        Knot(after_ns=600 * NS_PER_S, add_ns=-2 * OFF_NS, sigma_ns=20_000),
    ),
    told_utc_ns=str(START_NS + 300 * NS_PER_S),
    mark_utc_ns=str(START_NS + 300 * NS_PER_S - 2 * OFF_NS),
    mark_sample=None,
    rate_hz=48_000,
    time_pairs=(),
)
