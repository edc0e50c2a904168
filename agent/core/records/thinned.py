"""What a busy street's node does not tell one by one: a count, and the rule that it counted by.

The rule was drawn up before the first sound that fell under it, from what the node had heard by
then. A candidate falls under it if its peak is not above `not_above_dbfs`, and its `spectrum_db`
followed by the first row of its `course_db` lies, on average, within `within_db` of one of `like`.
All candidates between the two samples that fall under it are counted and not told, all others told.
"""

from typing import Annotated

from msgspec import Meta

from agent.core.records.fields import Count, Frozen, Hex64

Likeness = tuple[int, ...]


class ThinningRule(Frozen, frozen=True, kw_only=True):
    """Levels in dB re full scale; `like` are sounds typical of the last hour, commonest first.

    `candidates_last_hour` is the number that made the street a busy one, counted no further than
    is needed for that.
    """

    candidates_last_hour: Count
    not_above_dbfs: float
    within_db: float
    like: tuple[Likeness, ...]


class Thinned(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="thinned"):
    """Candidates that were counted instead of told; least and most of their peaks and scores.

    Samples are counted since the stream opened, as in an impulse's `sample_index`.
    """

    first_sample: Count
    last_sample: Count
    count: Annotated[int, Meta(ge=1)]
    peak_dbfs: tuple[float, float]
    score: tuple[float, float]
    model_sha256: Hex64 | None
    rule: ThinningRule
