"""From samples to judged onsets: framing, gate, picker, features and verdict in one path.

Counts samples, knows no clock: what time a sample has is `clock.timebase`'s matter. The gate hears
frames, the picker the slots of 21 ms that it opens. Each onset comes out at most LOOK_AHEAD_S
and a slot after it sounded, whatever the size of the blocks that brought it.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from agent.core.audio import (
    AudioBlock,
    AudioFormat,
    AudioGap,
    Floats,
    Kind,
    Samples,
    frame_samples,
    full_scale,
)
from agent.core.hearing.arrival import arrive, plain_break, prepare
from agent.core.hearing.band_envelopes import outline, timbre
from agent.core.hearing.classification import is_passed_over, judge, led_by, opinion, wanted
from agent.core.hearing.detector import SLOTS_PER_FRAME, Gate, Opening
from agent.core.hearing.features import WINDOW_S, loudness, measure
from agent.core.hearing.following import Candidate
from agent.core.hearing.picker import Pick, Stretch, Wave, find_onsets, noise_floor
from agent.core.hearing.ring import Ring
from agent.core.records.kinds import Features, Verdict
from agent.core.units import dbfs

LOOK_BACK_S = 0.45
LOOK_AHEAD_S = WINDOW_S + 0.02
_FLOOR_BACK_S = 0.9
_PICK_BACK_S = 0.045
_PICK_AHEAD_S = 0.02


@dataclass(frozen=True, slots=True)
class Onset:
    """One trigger: where it began (samples since the stream opened), what it was like.

    Both sigmas are 1 sigma of `sample`: what noise does, and with it what the sound's shape may do.
    `strength` is the gate's, in sigmas, of the loudest impulse within the same slot.
    """

    sample: float
    sigma_noise_samples: float
    sigma_total_samples: float
    strength: float
    features: Features
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class PassedOver:
    """`count` onsets that were not described, and where those lay (samples since the stream opened)
    that are within the model's range and score less than anything that it publishes."""

    count: int
    hopeless: tuple[int, ...]


class Hearing:
    """Feed it blocks and gaps in order; it returns the onsets that are complete.

    A gap ends the stretch before it: onsets close to it come out at once with what there is,
    marked `gap_in_window`. After a gap the gate's floor is kept. What scores below `least_score`
    is not accepted, whatever the model thinks of it. While it `passes_over`, as on a node, what
    its outline alone shows to be no shot is not described, nor what its timbre shows to be
    hopeless; else every onset comes out.
    """

    def __init__(self, fmt: AudioFormat, least_score: float = 0.0) -> None:
        self._format, self._least_score = fmt, least_score
        self.passes_over, self._passed_over, self._hopeless = False, 0, list[int]()
        self._slot = frame_samples(fmt.rate_hz)
        self._frame = SLOTS_PER_FRAME * self._slot
        self._gate = Gate(fmt.rate_hz)
        prepare(fmt.rate_hz)
        self._back, self._ahead = self._count(LOOK_BACK_S), self._count(LOOK_AHEAD_S)
        self._floor_back = self._count(_FLOOR_BACK_S)
        self._wait = self._slot + self._ahead
        self._open: deque[Opening] = deque()
        self._found: deque[tuple[Opening, Pick]] = deque()
        self._wave32: Floats = np.empty(self._floor_back + self._wait, np.float32)
        self._wave64: Wave = np.empty(self._back + self._wait)
        self._kind: Kind = np.dtype(np.int16)
        self._latest: Candidate | None = None
        self._ring = self._new_ring(self._kind)
        self._first = self._heard = self._next = 0
        self._begin(0, after_gap=False)

    @property
    def noise_dbfs(self) -> float | None:
        """Level (RMS) of the street, median over some seconds; None before it is known."""
        power = self._gate.noise_power
        return None if power is None else round(dbfs(power**0.5), 2)

    @property
    def opens_at_dbfs(self) -> float | None:
        """Peak level of the faintest muzzle blast that is looked at; None before it is known."""
        peak = self._gate.opens_at
        return None if peak is None else round(dbfs(peak), 2)

    @property
    def settled(self) -> int:
        """The sample, since the stream opened, before which no more onset will come out."""
        return self._first + max(0, self._heard - self._wait)

    def passed_over(self) -> PassedOver:
        """What was not described since this was last asked."""
        passed = PassedOver(self._passed_over, tuple(self._hopeless))
        self._passed_over = 0
        self._hopeless.clear()
        return passed

    def on_block(self, block: AudioBlock) -> list[Onset]:
        """Onsets completed by `block`, in order."""
        samples = block.samples
        kind, heard = samples.dtype, self._heard + len(samples)
        if kind is self._kind and heard < self._next and not (self._open or self._found):
            self._ring.add(samples)  # as with most small blocks, nothing is due
            self._heard = heard
            return []
        found: list[Onset] = []
        if kind != self._kind:
            found += self._drain()
            self._ring, self._kind = self._new_ring(kind), kind
            self._begin(self._first + self._heard, after_gap=self._heard > 0)
        return found + self._taken_in(samples)

    def _taken_in(self, samples: Samples) -> list[Onset]:
        done, found = 0, list[Onset]()
        while done < len(samples):
            room = self._next - self._heard
            part = samples[done : done + room] if done or len(samples) > room else samples
            self._ring.add(part)
            self._heard += len(part)
            done += len(part)
            if self._heard == self._next:
                frame = self._ring.span(self._heard - self._frame, self._heard)
                if openings := self._gate.openings(frame):
                    self._take(openings)
                self._next += self._frame
            if self._open or self._found:
                found += self._completed(self._heard - self._wait, before_gap=False)
        return found

    def on_gap(self, gap: AudioGap) -> list[Onset]:
        """Onsets that had been waiting for sound which will not come."""
        found = self._drain()
        self._begin(gap.first_sample + gap.lost, after_gap=True)
        return found

    def finish(self) -> list[Onset]:
        """Onsets that had been waiting when the sound ended for good."""
        found = self._drain()
        self._begin(self._first + self._heard, after_gap=False)
        return found

    def _count(self, seconds: float) -> int:
        return round(seconds * self._format.rate_hz)

    def _new_ring(self, kind: Kind) -> Ring:
        """Long enough for the oldest slot that may still be waiting, and its frame's floor."""
        return Ring(self._floor_back + self._wait + 2 * self._frame, kind)

    def _begin(self, first_sample: int, *, after_gap: bool) -> None:
        """A new uninterrupted stretch of sound."""
        self._first, self._heard, self._next = first_sample, 0, self._frame
        self._after_gap = after_gap
        self._ring.begin()
        self._gate.begin()
        self._open.clear()
        self._found.clear()

    def _take(self, openings: Iterable[Opening]) -> None:
        """Slots to look into once their look-ahead is there; the stronger of two for one slot."""
        for one in openings:
            number = self._next // self._slot - SLOTS_PER_FRAME + one.slot
            if self._open and self._open[-1].slot == number:
                if self._open[-1].strength >= one.strength:
                    continue
                self._open.pop()
            if number >= 0:
                self._open.append(Opening(number, one.strength, one.sure))

    def _drain(self) -> list[Onset]:
        """What waits is looked at with the sound there is, a last partial frame included."""
        found: list[Onset] = []
        if rest := self._heard % self._frame:
            held = self._ring.span(self._heard - rest, self._heard)
            padded = np.concatenate((held, np.repeat(held[-1:], self._frame - rest)))
            self._take(self._gate.openings(padded, is_whole=False))
        return found + list(self._completed(self._heard, before_gap=True))

    def _completed(self, until: int, *, before_gap: bool) -> Iterator[Onset]:
        """Onsets of the open slots that begin no later than sample `until` of this stretch."""
        while True:
            if self._found and self._found[0][0].slot * self._slot <= until:
                onset = self._described(*self._found.popleft(), before_gap=before_gap)
                if onset is None:
                    self._passed_over += 1
                else:
                    yield onset
            elif self._open and self._open[0].slot * self._slot <= until:
                self._found.extend(self._picks())
            else:
                return

    def _picks(self) -> Iterator[tuple[Opening, Pick]]:
        """All onsets of the open slots of a group, places counted in this stretch.

        A group has as many slots as a frame, but begins with the slot before it: all that may yet
        open when the first of them is due has opened.
        """
        group = (self._open[0].slot + 1) // SLOTS_PER_FRAME
        slots: dict[int, Opening] = {}
        while self._open and (self._open[0].slot + 1) // SLOTS_PER_FRAME == group:
            one = self._open.popleft()
            slots[one.slot] = one
        first, last = min(slots) * self._slot, (max(slots) + 1) * self._slot
        start = max(0, first - self._count(_PICK_BACK_S))
        near = self._stretch(start, last + self._count(_PICK_AHEAD_S))
        told = [
            one.slot * self._slot + one.sure - start
            for one in slots.values()
            if one.sure is not None
        ]
        floor = self._floor_near(group * self._frame - self._slot)
        for pick in find_onsets(near, first - start, last - start, floor, told):
            if opening := slots.get((start + pick.rough) // self._slot):
                yield opening, pick.later(start)

    def _described(self, opening: Opening, pick: Pick, *, before_gap: bool) -> Onset | None:
        """What the onset is like, the verdict, and when it began: roughly if hardly a shot.

        None if it is passed over.
        """
        first = opening.slot * self._slot
        begin = max(0, first - self._back)
        stretch = self._stretch(begin, first + self._wait)
        at = pick.later(-begin)
        gap_near = before_gap or (self._after_gap and not begin)
        outlined = outline(stretch, int(at.index))
        if self.passes_over and is_passed_over(outlined):
            return None
        rough, colour = self._first + begin + int(at.index), timbre(outlined)
        loud = loudness(stretch, int(at.index))
        told = opinion(colour, loud.snr_db)
        if self.passes_over and told and told.is_hopeless:
            self._hopeless.append(rough)
            return None
        full_scale_db_spl = self._format.full_scale_db_spl
        features = measure(stretch, int(at.index), full_scale_db_spl, gap_near, loud, colour)
        lead = led_by(self._latest, rough, features)
        verdict = judge(features, told, lead, is_glanced_at=self.passes_over)
        verdict = wanted(verdict, self._least_score)
        arrival = arrive(stretch, at) if verdict.accepted else plain_break(stretch, at.index)
        sample = self._first + begin + arrival.index
        if verdict.accepted:
            self._latest = Candidate(int(sample), stretch.rate_hz, features)
        return Onset(
            sample=sample,
            sigma_noise_samples=arrival.sigma_noise,
            sigma_total_samples=arrival.sigma_total,
            strength=opening.strength,
            features=features,
            verdict=verdict,
        )

    def _floor_near(self, first: int) -> float:
        """The noise floor around sample `first` of this stretch."""
        held = self._ring.span(max(0, first - self._floor_back), first + self._wait)
        sound = self._wave32[: len(held)]
        np.copyto(sound, held, casting="same_kind")
        return noise_floor(sound, self._format.rate_hz, full_scale(held))

    def _stretch(self, first: int, last: int) -> Stretch:
        """Sound as floats, in memory that the next stretch will overwrite."""
        held = self._ring.span(first, last)
        sound = self._wave64[: len(held)]
        np.multiply(held, 1.0 / full_scale(held), out=sound)
        return Stretch(sound, self._format.rate_hz)
