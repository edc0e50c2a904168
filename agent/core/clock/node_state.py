"""What a running node shows to commands beside it: one snapshot, never a history."""

import msgspec

from agent.core.clock.report import ClockReport


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """`host_ns` is CLOCK_MONOTONIC when it was written, good only within the host's `boot`."""

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
