"""From samples to judged onsets: framing, gate, picker, features and verdict in one path.

Counts samples, knows no clock: what time a sample has is `timebase`'s matter. Each onset comes
out LOOK_AHEAD_S after it sounded, whatever the size of the blocks that brought it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agent.core.arrival import arrive, prepare
from agent.core.audio import AudioBlock, AudioFormat, AudioGap, Floats, to_float
from agent.core.features import WINDOW_S, measure
from agent.core.gate import Gate, frame_samples
from agent.core.onset import Pick, Stretch, find_onsets
from agent.core.records import Features, Verdict
from agent.core.units import dbfs
from agent.core.verdict import judge

LOOK_BACK_S = 0.9
LOOK_AHEAD_S = WINDOW_S + 0.03


@dataclass(frozen=True, slots=True)
class Onset:
    """One trigger: where it began (samples since the stream opened), what it was like.

    Both sigmas are 1 sigma of `sample`: what noise does, and with it what the sound's shape may do.
    """

    sample: float
    sigma_noise_samples: float
    sigma_total_samples: float
    features: Features
    verdict: Verdict


class Hearing:
    """Feed it blocks and gaps in order; it returns the onsets that are complete.

    A gap ends the stretch before it: onsets close to it come out at once with what there is,
    marked `gap_in_window`. After a gap the gate's floor is kept.
    """

    def __init__(self, fmt: AudioFormat) -> None:
        self._format = fmt
        self._size = frame_samples(fmt.rate_hz)
        self._gate = Gate(fmt.rate_hz)
        prepare(fmt.rate_hz)
        self._back = self._frames(LOOK_BACK_S)
        self._ahead = self._frames(LOOK_AHEAD_S)
        self._frames_kept: deque[Floats] = deque(maxlen=self._back + self._ahead + 1)
        self._open: deque[int] = deque()
        self._rest: Floats = np.empty(0, np.float32)
        self._begin(0, after_gap=False)

    @property
    def noise_dbfs(self) -> float | None:
        """Level (RMS) of the street, median over some seconds; None before it is known."""
        power = self._gate.noise_power
        return None if power is None else round(dbfs(power**0.5), 2)

    def on_block(self, block: AudioBlock) -> list[Onset]:
        """Onsets completed by `block`, in order."""
        fresh = to_float(block.samples)
        pending = np.concatenate((self._rest, fresh)) if len(self._rest) else fresh
        whole = len(pending) // self._size * self._size
        self._rest = pending[whole:]
        found: list[Onset] = []
        for start in range(0, whole, self._size):
            found += self._hear(pending[start : start + self._size])
        return found

    def on_gap(self, gap: AudioGap) -> list[Onset]:
        """Onsets that had been waiting for sound which will not come."""
        found = list(self._drain())
        self._begin(gap.first_sample + gap.lost, after_gap=True)
        return found

    def finish(self) -> list[Onset]:
        """Onsets that had been waiting when the sound ended for good."""
        found = list(self._drain())
        self._begin(self._first + self._heard, after_gap=False)
        return found

    def _frames(self, seconds: float) -> int:
        return -(-round(seconds * self._format.rate_hz) // self._size)

    def _begin(self, first_sample: int, *, after_gap: bool) -> None:
        """A new uninterrupted stretch of sound."""
        self._first, self._heard = first_sample, 0
        self._after_gap = after_gap
        self._rest = np.empty(0, np.float32)
        self._frames_kept.clear()
        self._open.clear()

    def _hear(self, frame: Floats) -> Iterator[Onset]:
        number = self._heard // self._size
        self._frames_kept.append(frame)
        self._heard += len(frame)
        if self._gate.opens(frame):
            for wanted in (number - 1, number):  # it may have begun just before this frame
                if wanted >= 0 and (not self._open or wanted > self._open[-1]):
                    self._open.append(wanted)
        while self._open and self._open[0] + self._ahead <= number:
            yield from self._pick(self._open.popleft(), before_gap=False)

    def _drain(self) -> Iterator[Onset]:
        """What waits is looked at with the sound there is, a last partial frame included."""
        if len(self._rest):
            yield from self._hear(self._rest)
        while self._open:
            yield from self._pick(self._open.popleft(), before_gap=True)

    def _pick(self, frame: int, *, before_gap: bool) -> Iterator[Onset]:
        """All onsets of one frame, by its number in this stretch."""
        held = len(self._frames_kept)
        oldest = -(-self._heard // self._size) - held
        around = list(self._frames_kept)[max(0, frame - self._back - oldest) :]
        around = around[: frame + self._ahead + 1 - max(oldest, frame - self._back)]
        start = max(oldest, frame - self._back) * self._size
        stretch = Stretch(np.concatenate(around).astype(np.float64), self._format.rate_hz)
        at = frame * self._size - start
        starts_at_gap = self._after_gap and start == 0
        for pick in find_onsets(stretch, at, at + self._size):
            yield self._judge(stretch, pick, start, starts_at_gap or before_gap)

    def _judge(self, stretch: Stretch, pick: Pick, start: int, gap_near: bool) -> Onset:
        features = measure(stretch, int(pick.index), self._format.full_scale_db_spl, gap_near)
        arrival = arrive(stretch, pick)
        return Onset(
            sample=self._first + start + arrival.index,
            sigma_noise_samples=arrival.sigma_noise,
            sigma_total_samples=arrival.sigma_total,
            features=features,
            verdict=judge(pick, features),
        )
