"""The record kind that is proof of listening: once a minute, what a node heard, and how it is.

What is told only where there is something to tell is absent elsewhere; the words of a fault are
in `findings`' catalogues, on the wire are its name, its part and its value.
"""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from agent.core.records.fields import Count, Frozen, Hex16
from agent.core.records.findings import Finding, HealthStatus


class ToldFinding(Frozen, frozen=True, kw_only=True, array_like=True):
    """A fault that stands: its name, how bad it is, the part to touch, and what was measured."""

    fault: str
    status: HealthStatus
    part: str
    value: str


class Host(Frozen, frozen=True, kw_only=True):
    """What the computer measured of itself; what nothing measures is absent.

    `throttled` are the bits of a Raspberry Pi's firmware, `card_used_pct` of its rated life.
    """

    soc_c: float | UnsetType = UNSET
    throttled: Count | UnsetType = UNSET
    disk_free_mb: Count | UnsetType = UNSET
    memory_free_mb: Count | UnsetType = UNSET
    card_used_pct: Count | UnsetType = UNSET


class Heartbeat(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="heartbeat"):
    """Proof of listening for the minute that ends now.

    `health` is the worst of all findings; `findings` are the faults, `unknown` the checks that
    nobody could make. `noise_percentiles_dbfs` are levels that 90, 50 and 10 % of the minute
    exceed. `hearing_range_m` is an estimate, see `core.hearing.hearing_range`. `backlog` counts
    records without a receipt when it was said. `settings` and `model` are the first 16 hex digits
    of their SHA-256.
    """

    uptime_s: Count
    heard_samples: Count
    lost_samples: Count
    noise_dbfs: float | None
    noise_db_spl: float | None
    triggers: Count
    published: Count
    air_temperature_c: float | None
    health: HealthStatus | UnsetType = UNSET
    findings: tuple[ToldFinding, ...] | UnsetType = UNSET
    unknown: tuple[str, ...] | UnsetType = UNSET
    noise_percentiles_dbfs: tuple[float, float, float] | UnsetType = UNSET
    hearing_range_m: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    backlog: Count | UnsetType = UNSET
    host: Host | UnsetType = UNSET
    software: str | UnsetType = UNSET
    settings: Hex16 | UnsetType = UNSET
    model: Hex16 | UnsetType = UNSET


def told(finding: Finding) -> ToldFinding:
    """How a heartbeat says it."""
    return ToldFinding(
        fault=finding.fault or finding.check,
        status=finding.status,
        part=finding.part,
        value=finding.value,
    )
