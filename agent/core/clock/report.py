"""The state of a node's clock in full, for a person: what `earshot time` shows.

Records carry the shorter `kinds.TimeQuality`.
"""

from typing import Literal

import msgspec

from agent.core.clock.clock_settings import ClockSettings
from agent.core.clock.lock import GOOD_MARKS_TO_LOCK, Lock
from agent.core.clock.sample_clock import SampleClock
from agent.core.records.fields import Alternative, Assumption, DeliveryLaw, Doubt, Leap
from agent.core.records.kinds import TimeQuality, TimeState
from agent.core.units import NS_PER_MS


class ClockReport(msgspec.Struct, frozen=True, kw_only=True):
    """None stands for what is not known (yet), never for zero."""

    state: TimeState
    reason: str
    source: str
    sigma_ns: int | None
    mark_age_ms: int | None
    good_marks: int
    marks_to_lock: int
    residual_ns: int | None
    oscillator_ppm: float | None
    host_ppm: float | None
    wander_ppm_per_sqrt_hour: float | None
    delivery_delay_us: float | None
    latency: Literal["calibrated", "bounded"]
    measured_latency_us: float | None
    nmea_lag_ms: int | None
    satellites: int | None
    has_fix: bool | None
    leap: Leap
    spoof: Doubt
    jam: Doubt
    doubts: tuple[str, ...]
    refused: dict[str, int]
    deliveries: DeliveryLaw = "unknown"
    delivery_quantum_us: float | None = None
    assumed: tuple[Assumption, ...] = ()
    has_pulse: bool = False
    has_sentence: bool = False
    buffer_ms: int | None = None
    ppm_per_c: float | None = None
    ppm_per_c_sigma: float | None = None
    confirmed: bool = False
    alternatives: tuple[Alternative, ...] = ()
    excluded: dict[Alternative, str] = {}


def report_of(
    quality: TimeQuality,
    lock: Lock,
    samples: SampleClock,
    settings: ClockSettings,
    *,
    measured_latency_us: float | None,
    buffer_ms: int | None,
    axis_ns: int | None,
) -> ClockReport:
    """What the parts of a clock say at `axis_ns` of the lock's axis."""
    line = lock.discipline
    scatter_ns, lag_ns = line.scatter_ns, lock.namer.lag_ns
    wander = round(line.wander_ppm_per_sqrt_hour, 3) if line.is_known else None
    witnesses = lock.testimony.witnesses
    return ClockReport(
        state=quality.state,
        reason=lock.reason,
        source=quality.source,
        sigma_ns=quality.sigma_ns,
        mark_age_ms=quality.mark_age_ms,
        good_marks=min(line.good_in_a_row, GOOD_MARKS_TO_LOCK),
        marks_to_lock=GOOD_MARKS_TO_LOCK,
        residual_ns=None if scatter_ns is None else round(scatter_ns),
        oscillator_ppm=quality.oscillator_ppm,
        host_ppm=round(line.ppm, 3) if line.is_known else None,
        wander_ppm_per_sqrt_hour=wander,
        delivery_delay_us=samples.mean_late_us,
        latency=quality.latency,
        measured_latency_us=measured_latency_us,
        nmea_lag_ms=None if lag_ns is None else lag_ns // NS_PER_MS,
        satellites=lock.doubts.satellites,
        has_fix=lock.doubts.has_fix,
        leap=quality.leap,
        spoof=quality.spoof,
        jam=quality.jam,
        doubts=quality.doubts,
        refused=lock.doubts.refused(axis_ns),
        deliveries=samples.deliveries.law,
        delivery_quantum_us=round(samples.deliveries.quantum_ns / 1000.0, 1) or None,
        assumed=settings.assumed,
        buffer_ms=buffer_ms,
        ppm_per_c=round(-line.holdover.slope[0] / 1000.0, 4),
        ppm_per_c_sigma=round(line.holdover.slope[1] / 1000.0, 4),
        has_pulse=lock.has_pulse,
        has_sentence=lock.has_sentence,
        confirmed=lock.confirmed,
        alternatives=witnesses.alternatives,
        excluded=dict(witnesses.excluded_by),
    )
