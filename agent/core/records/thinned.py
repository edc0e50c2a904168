"""What a busy street's node does not tell one by one: when each was heard, and by which rule.

The rule was drawn up before the first sound that fell under it, from what the node had heard by
then. A candidate falls under it if it is in no way beyond the street: its peak is not above
`not_above_dbfs`, its score not above `not_above_score`, and its `spectrum_db` followed by the first
row of its `course_db` lies, on average, within `within_db` of one of `like`. All candidates between
the two samples that fall under it are listed here, all others are told.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated

from msgspec import Meta

from agent.core.records.fields import Count, EpochNs, Frozen, Hex64

STEP_NS = 10_000
"""Times and sigmas of a list are in steps of 10 us."""
MOST_LISTED = 320
"""With more a record would come near the 16 KiB that an envelope may have."""

Likeness = tuple[int, ...]
Percent = Annotated[int, Meta(ge=0, le=100)]


class ThinningRule(Frozen, frozen=True, kw_only=True):
    """Levels in dB re full scale; `like` are sounds typical of the last hour, commonest first.

    `candidates_last_hour` is the number that made the street a busy one, counted no further than
    is needed for that.
    """

    candidates_last_hour: Count
    not_above_dbfs: float
    not_above_score: float
    within_db: float
    like: tuple[Likeness, ...]


class ThinnedList(Frozen, frozen=True, kw_only=True):
    """When each was heard, and what held it under the rule: columns of one length, in order.

    `after` are steps of STEP_NS since the onset before, the first since `Thinned.first_utc_ns`;
    `sigma` is the total one, in steps, rounded up. Levels, score and distance (`away_db10`, in
    tenths of a dB, from the nearest likeness) are rounded down: a reader finds them under the rule.
    """

    after: tuple[Count, ...]
    sigma: tuple[Count, ...]
    peak_dbfs: tuple[int, ...]
    snr_db: tuple[int, ...]
    score_pct: tuple[Percent, ...]
    away_db10: tuple[Count, ...]


class Thinned(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="thinned"):
    """Candidates that were listed instead of told; least and most of their peaks and scores.

    Samples are counted since the stream opened, as in an impulse's `sample_index`. `first_utc_ns`
    is the time of arrival of the first one listed; None where the node did not know the time:
    then the list counts by samples at their nominal rate, and its sigmas lack the clock's.
    """

    first_sample: Count
    last_sample: Count
    count: Annotated[int, Meta(ge=1)]
    peak_dbfs: tuple[float, float]
    score: tuple[float, float]
    model_sha256: Hex64 | None
    first_utc_ns: EpochNs | None
    listed: ThinnedList
    rule: ThinningRule


@dataclass(frozen=True, slots=True)
class ListedOnset:
    """One row of a list, in the units of an impulse; `utc_ns` is None where it was not known."""

    utc_ns: int | None
    sigma_ns: int
    peak_dbfs: int
    snr_db: int
    score: float


def onsets(summary: Thinned) -> Iterator[ListedOnset]:
    """The list of a summary, row by row, in order of time."""
    listed, first_utc_ns = summary.listed, summary.first_utc_ns
    columns = (listed.sigma, listed.peak_dbfs, listed.snr_db, listed.score_pct)
    steps = accumulate(listed.after)
    for step, sigma, peak_dbfs, snr_db, score_pct in zip(steps, *columns, strict=False):
        yield ListedOnset(
            utc_ns=None if first_utc_ns is None else int(first_utc_ns) + step * STEP_NS,
            sigma_ns=sigma * STEP_NS,
            peak_dbfs=peak_dbfs,
            snr_db=snr_db,
            score=score_pct / 100,
        )
