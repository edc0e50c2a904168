"""The clock: time signs and deliveries in, UTC and its uncertainty for any sample out.

Signs (`time_signs`) get their second (`second_labels`) and are held against the oscillator
(`discipline`, `clock_filter`), samples are placed on host time (`sample_clock`, `pps_edge`), and
`lock`, `integrity` and `timebase` say how far all of it can be believed.

Reads no clock: host time comes with each sign and block. Sets none either, and names no sounds.
"""

from agent.core.clock.timebase import Stamp, Timebase

__all__ = ["Stamp", "Timebase"]
