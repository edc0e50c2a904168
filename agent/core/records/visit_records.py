"""What a technician does at the pole, as records: a clap that was heard, a level calibrated."""

from typing import Annotated

from msgspec import Meta

from agent.core.records.fields import Count, EpochNs, Frozen


class Clap(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="clap"):
    """The onset that was heard when a technician had asked to clap. It is no candidate.

    `score` and `reason` are the node's opinion of it, as of any onset.
    """

    toa_utc_ns: EpochNs | None
    sigma_total_ns: Count | None
    peak_dbfs: float
    peak_db_spl: float | None
    snr_db: float
    score: float
    reason: str


class Calibration(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="calibration"):
    """A tone of known level was measured: `level_db_spl` (RMS) came as `level_dbfs` (RMS).

    `full_scale_db_spl` follows from both; `before_db_spl` is what the settings in effect say.
    `tone_hz` is the frequency that was heard, `purity_db` by how much it exceeds all else,
    `spread_db` by how much its level varied within `seconds`.
    """

    level_db_spl: float
    level_dbfs: float
    full_scale_db_spl: float
    before_db_spl: float | None
    tone_hz: float
    purity_db: float
    spread_db: Annotated[float, Meta(ge=0)]
    seconds: Annotated[float, Meta(gt=0)]
