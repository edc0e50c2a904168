"""What a node's clock is told: where its time comes from, and what somebody measured of it."""

from dataclasses import dataclass
from typing import Literal

from agent.core.clock.thermal import CrystalSlope
from agent.core.records.fields import Assumption
from agent.core.units import NS_PER_MS, NS_PER_US

Source = Literal["system", "sim", "nmea", "pps", "pps-adc"]


@dataclass(frozen=True, slots=True)
class ClockSettings:
    """What a clock must be told.

    `latency_ns` is the calibrated constant delay of capture; while it is None only its bound is
    known. `nmea_lag_ns` is how long after its second a report arrives where no pulse tells, and
    `nmea_sigma_ns` how sure that is. `is_pulse_known` says that someone measured how pulses come:
    until the marks show otherwise they may else have waited for the frame of a bus.
    `is_lag_known` says so of the sentences' lag. `edge_sigma_ns` is what
    pulses on the second channel share. `is_host_vouched`: where the host's clock is the source, the
    kernel vouches for it. `last_known_utc_ns` is a confirmed time of an earlier run.
    """

    source: Source = "sim"
    latency_ns: int | None = None
    latency_bound_ns: int = 3000 * NS_PER_US
    nmea_lag_ns: int = 475 * NS_PER_MS
    nmea_sigma_ns: int = 250 * NS_PER_MS
    edge_sigma_ns: int = 100
    is_pulse_known: bool = False
    is_lag_known: bool = False
    is_host_vouched: bool = True
    earliest_utc_ns: int = 0
    last_known_utc_ns: int | None = None
    crystal_slope: CrystalSlope | None = None

    @property
    def assumed(self) -> tuple[Assumption, ...]:
        """The constants that nobody measured."""
        unknown: dict[Assumption, bool] = {
            "capture latency": self.source != "pps-adc" and self.latency_ns is None,
            "pulse delay": self.source == "pps" and not self.is_pulse_known,
            "sentence lag": self.source == "nmea" and not self.is_lag_known,
            "network path": self.source == "system",
        }
        return tuple(name for name, is_unknown in unknown.items() if is_unknown)
