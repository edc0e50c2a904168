"""What a busy street's node does not tell one by one: when each was heard, and by which rule.

The rule was drawn up before the first sound that fell under it, from what the node had heard by
then. A candidate falls under it if it is in no way beyond the street: its peak is not above
`not_above_dbfs`, its score not above `not_above_score`, and its `spectrum_db` followed by the first
row of its `course_db` lies, on average, within `within_db` of one of `like`. All candidates between
the two samples that fall under it are listed here, all others are told.
"""

import math
import struct
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from agent.core.records.fields import Count, EpochNs, Frozen, Hex64
from agent.errors import MalformedRecord

STEP_NS = 10_000
MOST_LISTED = 500
"""With more a record would come near the 16 KiB that an envelope may have."""
LONGEST_NS = STEP_NS * 0xFF_FFFF
_ROW = struct.Struct(">BHBbbBB")
_EIGHTH = 8

Likeness = tuple[int, ...]
PackedRows = Annotated[
    str,
    Meta(
        pattern="^[A-Za-z0-9+/]+={0,2}$",
        description="base64 of 8 bytes an onset, big-endian: 3 steps of 10 us since the onset "
        "before, unsigned; 1 sigma, 10 us times 2^(n/8); 1 peak, dBFS, and 1 SNR, dB, both signed; "
        "1 score, percent; 1 distance from the nearest likeness, tenths of a dB",
    ),
]


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
    listed: PackedRows
    rule: ThinningRule


@dataclass(frozen=True, slots=True)
class ListedOnset:
    """One row of a list: when, since the first of the list, and how it lay under the rule.

    Sigma is the total one, rounded up by an eleventh at most. Levels, score and distance are
    rounded down, so that a reader finds them under the rule.
    """

    after_ns: int
    sigma_ns: int
    peak_dbfs: float
    snr_db: float
    score: float
    away_db: float


def packed(rows: Iterable[ListedOnset]) -> str:
    """The list of a record; `rows` in order of time, no two further apart than LONGEST_NS."""
    said, before = bytearray(), 0
    for one in rows:
        steps = round(one.after_ns / STEP_NS)
        said += _ROW.pack(
            (steps - before) >> 16,
            (steps - before) & 0xFFFF,
            math.ceil(_EIGHTH * math.log2(max(1.0, one.sigma_ns / STEP_NS)) - 1e-9),
            _byte(one.peak_dbfs, -128, 127),
            _byte(one.snr_db, -128, 127),
            _byte(100.0 * one.score, 0, 255),
            _byte(10.0 * one.away_db, 0, 255),
        )
        before = steps
    return b64encode(said).decode()


def unpacked(listed: str) -> Iterator[ListedOnset]:
    """The rows of a list. Raises MalformedRecord."""
    try:
        rows = list(_ROW.iter_unpack(b64decode(listed, validate=True)))
    except ValueError as error:
        raise MalformedRecord(f"list of thinned onsets: {error}") from None
    except struct.error:
        raise MalformedRecord("list of thinned onsets: ends within a row") from None
    steps = 0
    for high, low, sigma, peak_dbfs, snr_db, score_pct, away_db10 in rows:
        steps += (high << 16) + low
        yield ListedOnset(
            after_ns=steps * STEP_NS,
            sigma_ns=round(STEP_NS * 2.0 ** (sigma / _EIGHTH)),
            peak_dbfs=peak_dbfs,
            snr_db=snr_db,
            score=score_pct / 100,
            away_db=away_db10 / 10,
        )


def _byte(value: float, least: int, most: int) -> int:
    return min(most, max(least, math.floor(value)))
