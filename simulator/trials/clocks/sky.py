"""A satellite receiver as its host sees it: pulses and sentences of one draw of a world.

A pulse is a few tens of ns off the second; what follows is one-sided: the interrupt comes late,
more so under load, and one that comes through USB (a modem line of a serial adapter) waits for the
end of a frame. Sentences follow by a lag that receivers differ in (365, 435, 512 ms were measured),
that wanders with the work of the receiver, and is read in the host's own time. What a receiver gets
wrong (the second, its weeks, the edge) all its words get wrong together.
"""

from collections.abc import Callable, Iterator

import numpy as np

from agent.core.clock.time_signs import Fix, ReceiverReport, TimeSign
from agent.core.records.fields import Leap
from agent.core.units import NS_PER_MS, NS_PER_S
from simulator.trials.clocks.deliveries import Frames
from simulator.trials.clocks.drawn import draw
from simulator.trials.clocks.nature import ClockWorld
from simulator.trials.clocks.spells import Spell, drawn_spells
from simulator.trials.clocks.tongue import LANGUAGES
from simulator.trials.clocks.wire import Wire
from simulator.trials.clocks.words import Epoch, Words

_BOUNCE_S = (0.0006, 0.2)


class Sky:
    """One draw. Moments are awake seconds; `seconds` are the awake moments of whole UTC seconds."""

    def __init__(
        self,
        world: ClockWorld,
        awake_s: float,
        loads: list[Spell],
        rng: np.random.Generator,
        own: np.random.Generator,
    ) -> None:
        pulse, report = world.pulse, world.report
        self._loads, self._rng = loads, rng
        self.outages = drawn_spells(pulse.outages, awake_s, rng)
        self._jitter_s = draw(pulse.jitter_ns, rng) * 1e-9
        self._bias_s = draw(pulse.bias_ns, rng) * 1e-9
        self._late_s = draw(pulse.late_us, rng) * 1e-6
        self._late_spread = draw(pulse.late_spread, rng)
        self._load_factor = draw(pulse.late_times_under_load, rng)
        frame_s = draw(pulse.frame_us, rng) * 1e-6
        self._frames = Frames(frame_s, draw(pulse.frame_ppm, rng), rng)
        self.frame_s = self._frames.period_s
        self._lost_share = draw(pulse.lost_share, rng)
        self._doubles_share = draw(pulse.doubles_share, rng)
        self._false_odds = draw(pulse.false_per_minute, rng) / 60.0
        self.words = Words(world, rng, own)
        self.width_ns = round(draw(pulse.width_ms, rng) * 1e6) or None
        self._edge_late_s = draw(pulse.edge_late_ms, rng) * 1e-3
        if self.width_ns and self._edge_late_s:  # a trailing edge: active again till the next pulse
            self.width_ns = round((1.0 - self._edge_late_s) * 1e9)
        self.per_second = max(1, round(draw(pulse.per_second, own)))
        is_told = own.random() < pulse.way_is_told  # as the kernel knows the device
        self.told_frame_ns = NS_PER_MS * (self.frame_s > 0.0) if is_told else None
        self.dragged = drawn_spells(pulse.dragged, awake_s, own)
        self._speech = report.speaks[int(own.integers(len(report.speaks)))]
        self._transport_s = draw(report.transport_ms, own) * 1e-3
        self._wire = Wire(self._transport_s, own)

    def second_off_ns(self, at_s: float, count_ns: int) -> int:
        """By how much a clock that takes its seconds from the sentences is off: by their label, and
        by the pulse before each."""
        label_ns, _ = self.words.label(count_ns, at_s)
        late_s = int(self.words.lag_s + self._transport_s)
        return label_ns - count_ns - late_s * NS_PER_S

    @property
    def lag_s(self) -> float:
        """From an instant to the first byte about it."""
        return self.words.lag_s

    def is_up(self, at_s: float) -> bool:
        """Whether the receiver has its satellites."""
        return not any(spell.holds(at_s) for spell in self.outages)

    def edges_s(self, seconds: list[float]) -> Iterator[float]:
        """When edges are on the line: as the receiver gives them, with strays and bounces."""
        for at_s in seconds:
            if not self.is_up(at_s):
                continue
            shared_s = self._bias_s + self._edge_late_s + self._dragged_s(at_s)
            for part in range(self.per_second):
                if self._rng.random() >= self._lost_share:
                    jitter_s = self._jitter_s * float(self._rng.standard_normal())
                    yield at_s + part / self.per_second + shared_s + jitter_s
            if self._rng.random() < self._doubles_share:
                yield at_s + float(self._rng.uniform(*_BOUNCE_S))
            if self._rng.random() < self._false_odds:
                yield at_s + float(self._rng.random())

    def _dragged_s(self, at_s: float) -> float:
        """How far a spoofer has drawn the pulses by then, `by` ns a second."""
        return sum((at_s - one.start_s) * one.by for one in self.dragged if one.holds(at_s)) * 1e-9

    def stamped_s(self, edge_s: float) -> float:
        """When the kernel believes that an edge came: never early."""
        late_s = self._late_s * float(np.exp(self._late_spread * self._rng.standard_normal()))
        if any(spell.holds(edge_s) for spell in self._loads):
            late_s *= self._load_factor
        return float(self._frames.ends_s(np.array([edge_s]))[0]) + late_s

    def reports(
        self,
        seconds: list[float],
        count_ns: Callable[[float], int],
        read_ns: Callable[[float], int],
    ) -> Iterator[TimeSign]:
        """What is made of its words, once a second or as it reports."""
        epochs = self.words.epochs(seconds, count_ns, self.is_up, self.dragged)
        if self._speech == "signs":
            for epoch in epochs:
                yield from _signs(epoch, self.words, read_ns(epoch.at_s))
            return
        speak = LANGUAGES[self._speech]
        yield from self._wire.heard(epochs, self.words, speak, read_ns)


def _signs(epoch: Epoch, words: Words, host_ns: int) -> Iterator[Fix | ReceiverReport]:
    """A sentence, and every ten seconds what the receiver says of itself."""
    satellites = 9 if epoch.is_valid else 0
    yield Fix(host_ns, epoch.utc_ns, epoch.is_valid, epoch.is_leap, satellites)
    if words.tells_spoofing:
        yield ReceiverReport(host_ns, spoof="affirmed" if epoch.is_spoofed else "none")
        yield ReceiverReport(host_ns, spoof="none")
    if epoch.number % 10 >= words.every:
        return
    leap: Leap = "insert" if epoch.leaps_soon else "none"
    if not words.tells_leap:
        yield ReceiverReport(host_ns, leap=leap)
    elif epoch.is_default:
        yield ReceiverReport(host_ns, leap_s=epoch.leap_s, leap_from="firmware")
    else:
        yield ReceiverReport(host_ns, leap=leap, leap_s=epoch.leap_s, leap_from="satellites")
