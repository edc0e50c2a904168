"""A satellite receiver as its host sees it: pulses and sentences of one draw of a world.

A pulse is a few tens of ns off the second; what follows is one-sided: the interrupt comes late,
more so under load, and one that comes through USB (a modem line of a serial adapter) waits for the
end of a frame. Sentences follow by a lag that receivers differ in (365, 435, 512 ms were measured),
that wanders with the work of the receiver, and is read in the host's own time. What a receiver gets
wrong (the second, its weeks, the edge) all its words get wrong together.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from agent.core.clock.counting import GPS_WEEKS_NS as WEEKS_NS
from agent.core.clock.time_signs import Fix, ReceiverReport
from agent.core.units import NS_PER_S
from simulator.trials.clocks.deliveries import Frames
from simulator.trials.clocks.drawn import draw
from simulator.trials.clocks.nature import ClockWorld
from simulator.trials.clocks.spells import Spell, drawn_spells

_WANDERS_IN_S = 600.0
_LEAST_LAG_S = 0.02
_BOUNCE_S = (0.0006, 0.2)


class Sky:
    """One draw. Moments are awake seconds; `seconds` are the awake moments of whole UTC seconds."""

    def __init__(
        self, world: ClockWorld, awake_s: float, loads: list[Spell], rng: np.random.Generator
    ) -> None:
        pulse, report = world.pulse, world.report
        self._loads, self._rng = loads, rng
        self.outages = drawn_spells(pulse.outages, awake_s, rng)
        self._jitter_s = draw(pulse.jitter_ns, rng) * 1e-9
        self._bias_s = draw(pulse.bias_ns, rng) * 1e-9
        self._late_s = draw(pulse.late_us, rng) * 1e-6
        self._late_spread = draw(pulse.late_spread, rng)
        self._load_factor = draw(pulse.late_times_under_load, rng)
        self._frames = Frames(draw(pulse.frame_us, rng) * 1e-6, rng.uniform(-50, 50), rng)
        self.frame_s = self._frames.period_s
        self._lost_share = draw(pulse.lost_share, rng)
        self._doubles_share = draw(pulse.doubles_share, rng)
        self._false_odds = draw(pulse.false_per_minute, rng) / 60.0
        self.lag_s = draw(report.lag_ms, rng) * 1e-3
        self._lag_jitter_s = draw(report.jitter_ms, rng) * 1e-3
        self._lag_wander_s = draw(report.wander_ms, rng) * 1e-3
        self._report_lost_share = draw(report.lost_share, rng)
        self.width_ns = round(draw(pulse.width_ms, rng) * 1e6) or None
        self._edge_late_s = draw(pulse.edge_late_ms, rng) * 1e-3
        self._wrong_s = round(draw(report.wrong_s, rng))
        self._wrong_until_s = draw(report.wrong_for_s, rng) or math.inf
        self._weeks_ns = round(draw(report.weeks, rng)) * WEEKS_NS
        self._tells_leap = report.tells_leap > 0.0 and rng.random() < report.tells_leap

    def is_up(self, at_s: float) -> bool:
        """Whether the receiver has its satellites."""
        return not any(spell.holds(at_s) for spell in self.outages)

    def edges_s(self, seconds: list[float]) -> Iterator[float]:
        """When edges are on the line: as the receiver gives them, with strays and bounces."""
        for at_s in seconds:
            if not self.is_up(at_s):
                continue
            if self._rng.random() >= self._lost_share:
                shared_s = self._bias_s + self._edge_late_s
                yield at_s + shared_s + self._jitter_s * float(self._rng.standard_normal())
            if self._rng.random() < self._doubles_share:
                yield at_s + float(self._rng.uniform(*_BOUNCE_S))
            if self._rng.random() < self._false_odds:
                yield at_s + float(self._rng.random())

    def stamped_s(self, edge_s: float) -> float:
        """When the kernel believes that an edge came: never early."""
        late_s = self._late_s * float(np.exp(self._late_spread * self._rng.standard_normal()))
        if any(spell.holds(edge_s) for spell in self._loads):
            late_s *= self._load_factor
        return float(self._frames.ends_s(np.array([edge_s]))[0]) + late_s

    def reports(
        self,
        seconds: list[float],
        utc_ns: Callable[[float], int],
        read_ns: Callable[[float], int],
    ) -> Iterator[Fix | ReceiverReport]:
        """A sentence a second, and every ten seconds what the receiver says of itself."""
        keep, wander_s = float(np.exp(-1.0 / _WANDERS_IN_S)), 0.0
        for number, at_s in enumerate(seconds):
            normal, other = self._rng.standard_normal(2)
            wander_s = keep * wander_s + (1 - keep**2) ** 0.5 * self._lag_wander_s * float(normal)
            lag_s = self.lag_s + wander_s + self._lag_jitter_s * float(other)
            if self._rng.random() < self._report_lost_share:
                continue
            host_ns, valid = read_ns(at_s + max(lag_s, _LEAST_LAG_S)), self.is_up(at_s)
            wrong_s = self._wrong_s if at_s < self._wrong_until_s else 0
            told_ns = utc_ns(at_s) + wrong_s * NS_PER_S + self._weeks_ns
            yield Fix(host_ns, told_ns, valid, satellites=9 if valid else 0)
            if number % 10 == 0:
                yield self._word(host_ns, is_default=bool(wrong_s))

    def _word(self, host_ns: int, *, is_default: bool) -> ReceiverReport:
        """What it says of leap seconds; of those that it counts with only if it is of that kind."""
        if not self._tells_leap:
            return ReceiverReport(host_ns, leap="none")
        if is_default:
            return ReceiverReport(host_ns, leap_s=18 - self._wrong_s, leap_from="firmware")
        return ReceiverReport(host_ns, leap="none", leap_s=18, leap_from="satellites")
