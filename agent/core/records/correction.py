"""The record kind that says by how much stamps of a holdover were wrong, once marks came again.

Raw stamps stay as they were signed. Who uses them adds what this says; who doubts it holds it
against the marks that it names. How it is found out is `clock.corrector`'s matter.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated

from msgspec import Meta

from agent.core.records.fields import Count, EpochNs, Frozen, TimePair

MOST_KNOTS = 64
_EPOCH_SLACK_NS = 20_000
_RATE_SLACK = 2e-6


class Knot(Frozen, frozen=True, kw_only=True, array_like=True):
    """To a stamp `after_ns` the first one `add_ns` is added; the sum has 1-sigma `sigma_ns`."""

    after_ns: Count
    add_ns: int
    sigma_ns: Count


class Correction(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="correction"):
    """Stamps from `first_utc_ns` to `last_utc_ns` were off: between `knots` linearly so.

    Where the clock was ahead, stamps after that overlap with those before and are left as they are.
    At the end of it a mark said `mark_utc_ns` where the clock told `told_utc_ns`; `mark_sample` is
    the sample then, None where sound told nothing. `time_pairs` are marks after it, as in impulses.
    """

    first_utc_ns: EpochNs
    last_utc_ns: EpochNs
    knots: Annotated[tuple[Knot, ...], Meta(min_length=2, max_length=MOST_KNOTS)]
    told_utc_ns: EpochNs
    mark_utc_ns: EpochNs
    mark_sample: Count | None
    rate_hz: Annotated[int, Meta(ge=1)]
    time_pairs: tuple[TimePair, ...]

    def covers(self, utc_ns: int) -> bool:
        """Whether a stamp of that time is one of those that were off."""
        return int(self.first_utc_ns) < utc_ns <= int(self.last_utc_ns)

    def at(self, utc_ns: int) -> tuple[int, int]:
        """What is to be added to a stamp, and the 1-sigma of the sum, ns."""
        after_ns = utc_ns - int(self.first_utc_ns)
        knots = self.knots
        upper = min(max(1, bisect_right([one.after_ns for one in knots], after_ns)), len(knots) - 1)
        low, high = knots[upper - 1], knots[upper]
        share = (after_ns - low.after_ns) / max(1, high.after_ns - low.after_ns)
        share = min(max(share, 0.0), 1.0)
        add_ns = low.add_ns + share * (high.add_ns - low.add_ns)
        return round(add_ns), round(low.sigma_ns + share * (high.sigma_ns - low.sigma_ns))


def faults_of(correction: Correction) -> Iterator[str]:
    """What in it contradicts itself: its knots, or the marks that it names."""
    times = [one.after_ns for one in correction.knots]
    first_ns, last_ns = int(correction.first_utc_ns), int(correction.last_utc_ns)
    if any(later <= sooner for sooner, later in pairwise(times)) or times[0]:
        yield "its knots are not in order"
    if last_ns <= first_ns:
        yield "it ends before it begins"
    if times[-1] < last_ns - first_ns:
        yield "its knots do not reach to its end"
    measured_ns = int(correction.mark_utc_ns) - int(correction.told_utc_ns)
    if abs(correction.knots[-1].add_ns - measured_ns) > correction.knots[-1].sigma_ns + 1:
        yield (
            f"it adds {correction.knots[-1].add_ns} ns at its end, where its mark says "
            f"{measured_ns} ns"
        )
    off_ns = _off_the_pairs(correction)
    if off_ns is not None:
        yield f"its mark is {off_ns:.0f} ns off the marks that follow it"


def _off_the_pairs(correction: Correction) -> float | None:
    """By how much the mark misses the line through the pairs; None if it does not."""
    pairs = marks_of(correction.time_pairs)
    if correction.mark_sample is None or len(pairs) < 2:
        return None
    (first, first_ns), (last, last_ns) = pairs[0], pairs[-1]
    if last <= first:
        return None
    back = first - correction.mark_sample
    expected_ns = first_ns - back * (last_ns - first_ns) / (last - first)
    off_ns = int(correction.mark_utc_ns) - expected_ns
    span_ns = abs(back) * 1e9 / correction.rate_hz
    slack_ns = _EPOCH_SLACK_NS + 3 * correction.knots[-1].sigma_ns + _RATE_SLACK * span_ns
    return off_ns if abs(off_ns) > slack_ns else None


def marks_of(pairs: Sequence[TimePair]) -> list[tuple[int, int]]:
    """Marks as records hold them, (sample, UTC in ns) each, absolute."""
    found: list[tuple[int, int]] = []
    sample = utc_ns = 0
    for one in pairs:
        sample, utc_ns = sample + one.samples, utc_ns + int(one.utc_ns)
        found.append((sample, utc_ns))
    return found
