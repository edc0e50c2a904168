"""Proof of listening: what a node heard and said since its last heartbeat, and how it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from msgspec import UNSET, UnsetType

from agent.app.health import named
from agent.core.audio import AudioFormat
from agent.core.hearing.liveness import Percentiles
from agent.core.records.findings import Finding, verdict
from agent.core.records.heartbeat import Heartbeat, Host, told
from agent.core.units import NS_PER_S
from agent.ports import HostVitals, Vitals

PERIOD_NS = 60 * NS_PER_S
MOST_FAULTS = 12
_HEX = 16

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Origin:
    """What speaks: the version of the program, and the SHA-256 of settings and model (hex).

    `backlog` counts records without a receipt, where that is known. It is no part of a simulated
    node, whose records depend on sound, time and seed alone.
    """

    software: str
    settings_sha256: str
    model_sha256: str = ""
    backlog: Callable[[], int] | None = None


class Pulse:
    """Counts for one heartbeat at a time; the first is due PERIOD_NS after the start."""

    def __init__(self, fmt: AudioFormat, vitals: HostVitals, origin: Origin) -> None:
        self._format, self._vitals, self._origin = fmt, vitals, origin
        self._started_ns = self._due_ns = 0
        self._begin_period()

    def start(self, host_ns: int) -> None:
        """The agent's run begins."""
        self._started_ns, self._due_ns = host_ns, host_ns + PERIOD_NS

    def is_due(self, host_ns: int) -> bool:
        """True once per period; a host that slept owes one heartbeat, not one per period."""
        return host_ns >= self._due_ns

    def beat(
        self,
        host_ns: int,
        noise_dbfs: float | None,
        findings: tuple[Finding, ...],
        percentiles: Percentiles | None,
        range_m: int | None,
    ) -> Heartbeat:
        """What to say now; counting starts afresh. A broken input shows no street's level."""
        full_scale, origin = self._format.full_scale_db_spl, self._origin
        critical = {one.check for one in findings if one.status == "critical"}
        is_calibrated = noise_dbfs is not None and full_scale is not None
        is_calibrated = is_calibrated and "microphone" not in critical
        vitals = self._vitals.read()
        faults, unknowns = named(findings)
        heartbeat = Heartbeat(
            uptime_s=(host_ns - self._started_ns) // NS_PER_S,
            heard_samples=self.heard_samples,
            lost_samples=self.lost_samples,
            noise_dbfs=noise_dbfs,
            noise_db_spl=round((noise_dbfs or 0) + (full_scale or 0), 2) if is_calibrated else None,
            triggers=self.triggers,
            published=self.published,
            air_temperature_c=vitals.air_temperature_c,
            health=verdict(findings),
            findings=tuple(map(told, faults[:MOST_FAULTS])) or UNSET,
            unknown=tuple(unknowns) or UNSET,
            noise_percentiles_dbfs=UNSET if percentiles is None else percentiles,
            hearing_range_m=UNSET if range_m is None else range_m,
            backlog=origin.backlog() if origin.backlog else UNSET,
            host=_host(vitals),
            software=origin.software,
            settings=origin.settings_sha256[:_HEX],
            model=origin.model_sha256[:_HEX] or UNSET,
        )
        self._due_ns += PERIOD_NS * (1 + (host_ns - self._due_ns) // PERIOD_NS)
        self._begin_period()
        return heartbeat

    def _begin_period(self) -> None:
        self.heard_samples = self.lost_samples = self.triggers = self.published = 0


def _host(vitals: Vitals) -> Host | UnsetType:
    host = Host(
        soc_c=_or_unset(vitals.soc_temperature_c),
        throttled=_or_unset(vitals.throttled),
        disk_free_mb=_or_unset(vitals.disk_free_mb),
        memory_free_mb=_or_unset(vitals.memory_free_mb),
        card_used_pct=_or_unset(vitals.card_used_pct),
    )
    return host if host != Host() else UNSET


def _or_unset(value: _T | None) -> _T | UnsetType:
    return UNSET if value is None else value
