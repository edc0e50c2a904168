"""What a running node shows to commands beside it: one snapshot, never a history."""

import msgspec

from agent.core.clock.report import ClockReport
from agent.core.records.findings import Finding, HealthStatus
from agent.core.records.visit import Answer, Heard, Level


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """`host_ns` is CLOCK_MONOTONIC when it was written, good only within the host's `boot`.

    `file_sha256` is the digest of the settings file as it was read. `level` and `heard` are what a
    technician watches, `answer` what came of what he asked.

    `findings` answer all checks that the daemon makes, the healthy ones too; `health` is the worst.
    """

    source: str
    boot: str
    pid: int
    host_ns: int
    utc_ns: int | None
    clock: ClockReport
    air_temperature_c: float | None
    is_surveyed: bool
    place_sigma_m: float | None
    has_moved: bool
    health: HealthStatus = "unknown"
    findings: tuple[Finding, ...] = ()
    noise_percentiles_dbfs: tuple[float, float, float] | None = None
    hearing_range_m: int | None = None
    software: str = ""
    file_sha256: str = ""
    level: Level | None = None
    full_scale_db_spl: float | None = None
    heard: tuple[Heard, ...] = ()
    answer: Answer | None = None
