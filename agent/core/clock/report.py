"""The state of a node's clock in full, for a person: what `earshot time` shows.

Plain values without behaviour; records carry the shorter `kinds.TimeQuality`.
"""

from typing import Literal

import msgspec

from agent.core.records.fields import Assumption, DeliveryLaw, Doubt, Leap
from agent.core.records.kinds import TimeState


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
