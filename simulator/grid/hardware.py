"""The virtual half of a node: ports that behave as a microphone, a receiver and a host would.

They run in virtual time: reading the microphone is what makes the host's clock advance. They
sit under the same agent as the real adapters and know nothing of what it makes of them.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from msgspec import structs

from agent.core.audio import AudioBlock, AudioFormat, AudioGap, Heard, MicrophoneState
from agent.core.clock.time_signs import TimeSign
from agent.core.units import NS_PER_S, NS_PER_US
from agent.ports import AudioSource, TimeReference, Vitals
from simulator.scene.oscillators import (
    PERFECT,
    XO,
    AdcClock,
    Crystal,
    DeliveryDelay,
    HostTime,
    Oscillator,
    Outage,
    PpsSource,
)
from simulator.scene.pps_line import PpsLine, PpsWiring
from simulator.scene.randomness import stream
from simulator.scene.scene import Pcm

_UPTIME_RANGE_NS = (600 * NS_PER_S, 30 * 86_400 * NS_PER_S)

Loss = tuple[int, int]
"""First lost sample and how many are lost."""


class Sound(Protocol):
    """Samples and the clock that took them: a scene or a recording."""

    @property
    def format(self) -> AudioFormat: ...

    @property
    def clock(self) -> AdcClock: ...

    def chunks(self) -> Iterator[Pcm]:
        """All samples from index 0 on, in pieces of any size."""


class RecordedAudio:
    """A recording: sample k was taken at `start_utc_ns` + k / `rate_hz`, exactly."""

    def __init__(
        self,
        samples: Pcm,
        rate_hz: int,
        start_utc_ns: int,
        full_scale_db_spl: float | None = None,
    ) -> None:
        self._samples = samples
        self.format = AudioFormat(rate_hz, full_scale_db_spl)
        steady = Oscillator(start_utc_ns, 0.0, PERFECT, stream(0, "recorded audio"))
        self.clock = AdcClock(steady, rate_hz)

    def chunks(self) -> Iterator[Pcm]:
        """The recording in one piece."""
        yield self._samples


class VirtualHostClock:
    """A HostClock that stands still until something on the host happens."""

    def __init__(self, time: HostTime) -> None:
        self.time = time
        self._now_ns = time.host_ns_at(time.epoch_utc_ns)

    def advance_to(self, host_ns: int) -> None:
        """Let time pass; it never runs backwards."""
        self._now_ns = max(self._now_ns, host_ns)

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return self._now_ns

    def realtime_ns(self) -> int:
        """CLOCK_REALTIME of a host whose clock is right."""
        return self.time.utc_ns_at(self._now_ns)


class VirtualMicrophone:
    """An AudioSource: blocks of `block_samples`, each handed over late by its own delay.

    Blocks never overtake each other; a `pps_line` is their second channel. Samples in `losses`
    (sorted, apart) never arrive: a gap is told in their place, and the block before is cut short.
    In `absences` (likewise) the device is unplugged: its state tells so at once and each second,
    and the gap that it is another stream.
    """

    def __init__(
        self,
        sound: Sound,
        clock: VirtualHostClock,
        delay: DeliveryDelay,
        block_samples: int,
        losses: Sequence[Loss] = (),
        pps_line: PpsLine | None = None,
        absences: Sequence[Loss] = (),
    ) -> None:
        self.format = sound.format
        self._adc = sound.clock
        self._clock = clock
        self._delay = delay
        self._pps_line = pps_line
        self._absences, self._reopened = tuple(absences), 0
        self._told: deque[Heard] = deque()
        self._pieces = _pieces(_Tape(sound.chunks()), block_samples, sorted((*losses, *absences)))

    def read(self) -> Heard | None:
        """What comes next; the host's clock then shows the moment it was handed over."""
        if self._told:
            told = self._told.popleft()
            self._clock.advance_to(told.host_ns)
            return told
        piece = next(self._pieces, None)
        if isinstance(piece, AudioGap) and (piece.first_sample, piece.lost) in self._absences:
            self._go_away(piece)
            return self.read()
        return self._hand_over(piece) if piece else None

    def _go_away(self, gap: AudioGap) -> None:
        back_ns = self._complete_ns(gap.first_sample + gap.lost)
        for host_ns in range(self._clock.monotonic_ns(), back_ns, NS_PER_S):
            self._told.append(MicrophoneState(host_ns, "unplugged", "virtual microphone"))
        self._reopened += 1
        gap = structs.replace(gap, host_ns=back_ns, is_reopened=True, reason="microphone unplugged")
        self._told.append(gap)
        self._told.append(MicrophoneState(back_ns, "hearing", "", self._reopened))

    def _hand_over(self, piece: AudioBlock | AudioGap) -> AudioBlock | AudioGap:
        lost_or_heard = piece.lost if isinstance(piece, AudioGap) else len(piece.samples)
        complete_ns = self._complete_ns(piece.first_sample + lost_or_heard)
        self._clock.advance_to(complete_ns + self._delay.draw_ns())
        handed_over = structs.replace(piece, host_ns=self._clock.monotonic_ns())
        if self._pps_line is None or isinstance(handed_over, AudioGap):
            return handed_over
        pps = self._pps_line.samples(handed_over.first_sample, len(handed_over.samples))
        return structs.replace(handed_over, pps=pps)

    def _complete_ns(self, sample: int) -> int:
        """Host time at which all before `sample` was converted."""
        return self._clock.time.host_ns_at(self._adc.utc_ns_at(sample))

    def close(self) -> None:
        """End the stream."""
        self._pieces = iter(())


class VirtualTimeReference:
    """A TimeReference: the marks of `pps` that the host's clock has reached."""

    def __init__(self, pps: PpsSource, clock: VirtualHostClock) -> None:
        self._pps = pps
        self._clock = clock
        self._coming = pps.next_mark()
        self._is_closed = False

    def poll(self) -> list[TimeSign]:
        """Marks since the last call."""
        marks: list[TimeSign] = []
        while self._coming.host_ns <= self._clock.monotonic_ns() and not self._is_closed:
            marks.append(self._coming)
            self._coming = self._pps.next_mark()
        return marks

    def close(self) -> None:
        """Give no more marks."""
        self._is_closed = True


class VirtualVitals:
    """HostVitals of a box that is as warm as the air around it."""

    def __init__(self, air_temperature_c: float) -> None:
        self._vitals = Vitals(air_temperature_c)

    def read(self) -> Vitals:
        """The air's temperature."""
        return self._vitals


@dataclass(frozen=True, slots=True)
class Board:
    """What one node's computer and receiver are like. Losses count in samples, outages in UTC.

    With `pps_wiring` the receiver's pulse is on the second channel of the converter as well.
    """

    block_samples: int = 1024
    host_ppm: float = 0.0
    host_crystal: Crystal = XO
    warming_c_per_hour: float = 0.0
    delay_floor_us: float = 0.0
    delay_mean_us: float = 500.0
    pps_sigma_us: float = 1.0
    losses: tuple[Loss, ...] = ()
    pps_outages: tuple[Outage, ...] = ()
    pps_wiring: PpsWiring | None = None

    def temperature_c(self, at_start_c: float) -> Callable[[float], float]:
        """Temperature of the crystals after so many seconds, starting at `at_start_c`."""
        return lambda elapsed_s: at_start_c + self.warming_c_per_hour * elapsed_s / 3600.0


@dataclass(frozen=True, slots=True)
class Hardware:
    """The ports of one virtual node."""

    clock: VirtualHostClock
    microphone: VirtualMicrophone
    reference: VirtualTimeReference
    vitals: VirtualVitals


def assemble(
    sound: Sound, board: Board, node: str, seed: int, air_temperature_c: float
) -> Hardware:
    """A virtual node around `sound`; what is random in it depends on `seed` and `node` only."""
    epoch_utc_ns = sound.clock.utc_ns_at(0)
    crystal = Oscillator(
        epoch_utc_ns,
        board.host_ppm,
        board.host_crystal,
        stream(seed, "host oscillator", node),
        board.temperature_c(air_temperature_c),
    )
    uptime_ns = int(stream(seed, "uptime", node).integers(*_UPTIME_RANGE_NS))
    clock = VirtualHostClock(HostTime(crystal, uptime_ns))
    delay = DeliveryDelay(
        round(board.delay_floor_us * NS_PER_US),
        round(board.delay_mean_us * NS_PER_US),
        stream(seed, "delivery", node),
    )
    pps_sigma_ns = round(board.pps_sigma_us * NS_PER_US)
    pps = PpsSource(clock.time, pps_sigma_ns, stream(seed, "pps", node), board.pps_outages)
    pps_line = None
    if wiring := board.pps_wiring:
        rng = stream(seed, "pps line", node)
        pps_line = PpsLine(sound.clock, wiring, rng, board.pps_outages)
    return Hardware(
        clock=clock,
        microphone=VirtualMicrophone(
            sound, clock, delay, board.block_samples, board.losses, pps_line
        ),
        reference=VirtualTimeReference(pps, clock),
        vitals=VirtualVitals(air_temperature_c),
    )


def items(microphone: AudioSource, reference: TimeReference) -> Iterator[Heard | TimeSign]:
    """All that happens at a node, in order of host time, until the microphone ends."""
    while (piece := microphone.read()) is not None:
        yield from reference.poll()
        yield piece


class _Tape:
    """Chunks of any size, taken in pieces of any size."""

    def __init__(self, chunks: Iterator[Pcm]) -> None:
        self._chunks = chunks
        self._rest = np.empty(0, np.int16)

    def take(self, count: int) -> Pcm:
        """The next `count` samples, fewer at the end, then none."""
        while len(self._rest) < count and (chunk := next(self._chunks, None)) is not None:
            self._rest = np.concatenate([self._rest, chunk])
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken


def _pieces(
    tape: _Tape, block_samples: int, losses: Sequence[Loss]
) -> Iterator[AudioBlock | AudioGap]:
    """The tape as blocks and gaps, their `host_ns` still to be filled in."""
    at = 0
    for first_lost, lost in (*losses, (sys.maxsize, 0)):
        while at < first_lost:
            samples = tape.take(min(block_samples, first_lost - at))
            if not len(samples):
                return
            yield AudioBlock(at, samples, host_ns=0)
            at += len(samples)
        skipped = len(tape.take(lost))
        if skipped:
            yield AudioGap(at, skipped, 0, "overflow")
            at += skipped
