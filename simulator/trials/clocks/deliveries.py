"""How sound comes to the reader: frames of a bus, interrupts, a scheduler, stalls, lost samples.

A converter on USB sends in each frame (1 ms, or 125 us) what it has converted since the last, 44
or 45 samples of 44.1 kHz; the frames are the host controller's, whose crystal is a third one. The
host is told after some frames; then the reader is woken, later under load. What the driver's ring
cannot hold while the reader is stalled is lost. Times are awake seconds unless named otherwise.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.audio import AudioBlock, AudioGap
from simulator.trials.clocks.drawn import draw
from simulator.trials.clocks.nature import ClockWorld, DelayLaw, DeliveryTable, Told
from simulator.trials.clocks.spells import Spell, factor_at, inside

Floats = npt.NDArray[np.float64]
ToHost = Callable[[Floats], npt.NDArray[np.int64]]
_READ_S = 60e-6
_RESTART_S = (0.002, 0.03)
_LATEST_OF_BUFFER = 0.8  # without a stall nothing is lost


@dataclass(frozen=True, slots=True)
class Converter:
    """Samples and when they are converted; `off_s` is the stray at each second of `grid_s`."""

    rate_hz: float
    grid_s: Floats
    off_s: Floats

    def sample_at(self, at_s: float) -> float:
        """The (fractional) sample that is converted then, none lost."""
        return (at_s + float(np.interp(at_s, self.grid_s, self.off_s))) * self.rate_hz

    def converted_s(self, samples: Floats) -> Floats:
        """When samples are converted."""
        return np.interp(samples / self.rate_hz, self.grid_s + self.off_s, self.grid_s)


@dataclass(frozen=True, slots=True)
class Loss:
    """Samples `first` to just before `end` never came; the node hears of it as `told`."""

    first: int
    end: int
    told: Told


class Frames:
    """Frames of a bus: what happens between two is told at the end of the second.

    `period_s` on a clock that runs `ppm` fast from a random phase; 0 for no frames.
    """

    def __init__(self, period_s: float, ppm: float, rng: np.random.Generator) -> None:
        self.period_s = period_s / (1.0 + ppm * 1e-6)
        self._phase = rng.uniform(0.0, 1.0)

    def ends_s(self, at_s: Floats) -> Floats:
        """The end of the frame in which each moment lies."""
        if not self.period_s:
            return at_s
        return (np.ceil(at_s / self.period_s + self._phase) - self._phase) * self.period_s


class Deliveries:
    """One draw of the way from converter to reader.

    `stalls` are spells in which the reader does not run, those included in which its whole
    process does not.
    """

    def __init__(
        self,
        world: ClockWorld,
        converter: Converter,
        loads: list[Spell],
        stalls: list[Spell],
        rng: np.random.Generator,
    ) -> None:
        audio, self._converter, self._rng = world.audio, converter, rng
        self.block_samples = max(16, round(draw(audio.block_samples, rng)))
        self.latency_s = draw(audio.latency_us, rng) * 1e-6
        period_s = draw(audio.frame_us, rng) * max(1, round(draw(audio.frames_per_interrupt, rng)))
        self._is_locked = bool(rng.random() < audio.locked_to_frames)
        frame_ppm = draw(audio.frame_ppm, rng)
        self._frames = Frames(period_s * 1e-6, 0.0 if self._is_locked else frame_ppm, rng)
        self._buffer_s = draw(audio.buffer_ms, rng) * 1e-3
        self._late = _lateness(world.delivery, rng)
        self._miscount = draw(world.delivery.miscount_samples, rng)
        self._silence = np.zeros(self.block_samples, np.int16)
        self.losses = self._losses(world.delivery, stalls)
        end_s = float(converter.grid_s[-1]) - 1.0
        self._ends, self._shifts = self._cut(int(converter.sample_at(end_s)))
        self._given_s = self._handed_over_s(loads, stalls)

    def given_s(self, sample: float) -> float | None:
        """When a sample (as converted) was handed over; None if it was lost or is still to come."""
        index = int(np.searchsorted(self._ends, sample, side="right"))
        if index == len(self._ends) or sample < self._ends[index] - self.block_samples:
            return None
        return float(self._given_s[index])

    def counted(self, sample: float) -> float:
        """The node's own index of a sample that it was handed."""
        index = min(int(np.searchsorted(self._ends, sample, side="right")), len(self._ends) - 1)
        return sample + float(self._shifts[index])

    def items(self, host_ns: ToHost) -> Iterator[AudioBlock | AudioGap]:
        """Blocks and gaps as the reader makes them."""
        given_ns = host_ns(self._given_s)
        due = 0
        for end, shift, at_ns in zip(self._ends, self._shifts, given_ns, strict=True):
            first = int(end) - self.block_samples + int(shift)
            if first > due:
                yield AudioGap(due, first - due, int(at_ns), "input overflow")
            yield AudioBlock(first, self._silence, int(at_ns))
            due = first + self.block_samples

    def _losses(self, table: DeliveryTable, stalls: list[Spell]) -> tuple[Loss, ...]:
        losses: list[Loss] = []
        for stall in stalls:
            if stall.end_s - stall.start_s <= self._buffer_s:
                continue
            sample = self._converter.sample_at
            free = losses[-1].end if losses else 0
            whole = int(sample(stall.start_s + self._buffer_s) - free) // self.block_samples
            back_s = stall.end_s + float(self._rng.uniform(*_RESTART_S))
            told = table.told[int(self._rng.integers(len(table.told)))]
            if whole > 0:
                losses.append(Loss(free + whole * self.block_samples, round(sample(back_s)), told))
        return tuple(losses)

    def _cut(self, last: int) -> tuple[Floats, Floats]:
        """Ends of all blocks, as converted, and how far the node counts each of them off."""
        size, start, shift = self.block_samples, 0, 0
        ends: list[Floats] = []
        shifts: list[Floats] = []
        for loss in (*self.losses, None):
            stop = last if loss is None else loss.first
            ends.append(np.arange(start + size, stop + 1, size, dtype=np.float64))
            shifts.append(np.full(len(ends[-1]), float(shift)))
            if shifts[-1].size and self._is_told_late(len(ends) - 2):
                shifts[-1][1:] += 1.0
                shift += 1
            if loss is not None:
                start = loss.end
                shift += self._miscounted(loss)
        return np.concatenate(ends), np.concatenate(shifts)

    def _is_told_late(self, loss: int) -> bool:
        """The flag of an overflow comes with the second read after it, as of one sample."""
        return loss >= 0 and self.losses[loss].told == "late"

    def _miscounted(self, loss: Loss) -> int:
        lost = loss.end - loss.first
        if loss.told != "counted":
            return -lost
        return max(round(float(self._rng.normal(0.0, self._miscount))), 1 - lost)

    def _handed_over_s(self, loads: list[Spell], stalls: list[Spell]) -> Floats:
        converter = self._converter
        if self._is_locked:
            own_s = self._frames.ends_s(self._ends / converter.rate_hz)
            there_s = converter.converted_s(own_s * converter.rate_hz)
        else:
            there_s = self._frames.ends_s(converter.converted_s(self._ends))
        there_s = there_s + self.latency_s
        late_s = self._late(len(there_s)) * factor_at(there_s, loads)
        given_s = there_s + np.minimum(late_s, _LATEST_OF_BUFFER * self._buffer_s)
        for stall in stalls:
            given_s[inside(given_s, stall)] = stall.end_s
        turn_s = np.arange(len(given_s)) * _READ_S
        in_turn_s: Floats = np.maximum.accumulate(given_s - turn_s) + turn_s
        return in_turn_s


def _lateness(table: DeliveryTable, rng: np.random.Generator) -> Callable[[int], Floats]:
    """How late the reader is woken, in seconds: n independent draws of this seed's law."""
    law: DelayLaw = table.laws[int(rng.integers(len(table.laws)))]
    median_s = draw(table.median_us, rng) * 1e-6
    spread, shape = draw(table.spread, rng), max(1.05, draw(table.shape, rng))

    def drawn(count: int) -> Floats:
        late_s: Floats
        match law:
            case "exponential":
                late_s = rng.exponential(1.0 / np.log(2.0), count)
            case "lognormal":
                late_s = np.exp(spread * rng.standard_normal(count))
            case "pareto":
                late_s = rng.pareto(shape, count) / (2.0 ** (1.0 / shape) - 1.0)
            case "uniform":
                late_s = 2.0 * rng.random(count)
        return median_s * late_s

    return drawn
