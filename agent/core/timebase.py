"""placeholder"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimeMark:
    """UTC at one instant of host time, with the source's own 1-sigma."""

    host_ns: int
    utc_ns: int
    sigma_ns: int
    source: str
