"""What the node of one draw is told: by its installer, and by what earlier runs left on disk."""

from dataclasses import replace

import numpy as np

import agent
from agent.core.clock.own_clock import Counter, Remembered, own_word
from agent.core.clock.time_signs import OwnWord
from agent.core.clock.timebase import ClockSettings, Timebase
from agent.core.units import NS_PER_MS, NS_PER_S, NS_PER_US
from simulator.trials.clocks.drawn import draw
from simulator.trials.clocks.nature import ClockWorld

_DAY_S = 86_400
_KEPT_EVERY_NS = 60 * NS_PER_S
_SAID_EVERY_NS = 5 * NS_PER_S


def settings_of(
    world: ClockWorld, rng: np.random.Generator, latency_s: float, lag_s: float
) -> ClockSettings:
    """Nothing of nature but what was declared."""
    declared, usual = world.declared, ClockSettings()
    latency_ns, lag_ns, edge_ns = None, usual.nmea_lag_ns, usual.edge_sigma_ns
    if declared.latency_error_us is not None:
        error_ns = draw(declared.latency_error_us, rng) * NS_PER_US * rng.standard_normal()
        latency_ns = max(0, round(latency_s * NS_PER_S + error_ns))
    if declared.nmea_lag_error_ms is not None:
        error_ns = draw(declared.nmea_lag_error_ms, rng) * NS_PER_MS * rng.standard_normal()
        lag_ns = max(0, round(lag_s * NS_PER_S + error_ns))
    if declared.edge_sigma_ns is not None:
        edge_ns = declared.edge_sigma_ns
    known_ns = round((world.start_utc_s - draw(world.memory.days_ago, rng) * _DAY_S) * NS_PER_S)
    return ClockSettings(
        source=world.source,
        latency_ns=latency_ns,
        nmea_lag_ns=lag_ns,
        edge_sigma_ns=edge_ns,
        is_pulse_known=declared.pps_sigma_ns is not None,
        earliest_utc_ns=agent.RELEASED_UTC_S * NS_PER_S,
        last_known_utc_ns=None if world.memory.is_new else known_ns,
    )


class Disk:
    """What a run leaves for the next one of the same boot, as the agent's composition root does."""

    def __init__(self, settings: ClockSettings) -> None:
        self.settings = settings
        self._remembered: Remembered | None = None
        self._kept_ns = self._said_ns = -(10**18)
        self._before: Remembered | None = None
        self.is_between = False

    def note(self, timebase: Timebase, host_ns: int) -> None:
        """Once a minute, what is locked and confirmed."""
        told = timebase.utc_at_host(host_ns)
        if host_ns - self._kept_ns < _KEPT_EVERY_NS or timebase.state != "locked":
            return
        if told.utc_ns is None or told.sigma_ns is None or not timebase.lock.confirmed:
            return
        self._kept_ns = host_ns
        self._remembered = Remembered(Counter("boot", host_ns, 0), told.utc_ns, told.sigma_ns)
        self.settings = replace(self.settings, last_known_utc_ns=told.utc_ns)

    def restart(self) -> ClockSettings:
        """The agent stopped; what it is told when it starts again."""
        self._before, self._kept_ns, self.is_between = self._remembered, -(10**18), True
        return self.settings

    def word(self, host_ns: int) -> OwnWord | None:
        """What the run before knows for good, every five seconds."""
        if self._before is None or host_ns - self._said_ns < _SAID_EVERY_NS:
            return None
        self._said_ns = host_ns
        return own_word(self._before, Counter("boot", host_ns, 0), host_ns)
