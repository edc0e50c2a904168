"""What a technician at the pole asks of a running node, and is shown: never records, only looks."""

from collections.abc import Callable
from typing import Literal

from msgspec.structs import replace

from agent.core.records.fields import Frozen, Hex32, Strict

HeardKind = Literal["impulse", "clap", ""]


class Wish(Strict, frozen=True, kw_only=True):
    """Asked of the daemon by a command beside it. `level_db_spl` is the calibrator's (RMS)."""

    id: Hex32
    verb: Literal["clap", "calibrate", "self-test"]
    level_db_spl: float = 94.0


class Answer(Frozen, frozen=True, kw_only=True):
    """What came of the wish `id`; `value` is what was measured, `reason` why it failed."""

    id: str
    outcome: Literal["waiting", "done", "failed"]
    reason: str = ""
    value: float | None = None


class Level(Frozen, frozen=True, kw_only=True):
    """The last second: `peak_dbfs` of all of it, the rest of its last half.

    `bands_dbfs` are RMS levels of ten octaves, None for those beyond the sample rate.
    """

    peak_dbfs: float
    rms_dbfs: float
    bands_dbfs: tuple[float | None, ...]


class Heard(Frozen, frozen=True, kw_only=True):
    """One onset. `kind` is that of the record about it, empty where there is none.

    `seq` is the number of it or of one said soon after, once both are on disk; `is_receipted`
    whether a locator has both.
    """

    kind: HeardKind
    host_ns: int
    utc_ns: int | None
    sigma_ns: int | None
    peak_dbfs: float
    snr_db: float
    score: float
    reason: str
    seq: int | None = None
    is_receipted: bool = False

    def seen(self, seq: int | None, is_receipted: Callable[[int], bool]) -> "Heard":
        """The same, with what is known of its record now."""
        return replace(self, seq=seq, is_receipted=seq is not None and is_receipted(seq))
