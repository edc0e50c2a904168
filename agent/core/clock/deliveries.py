"""How blocks are handed over, tested while it happens: do deliveries follow the assumed law?

The sample clock assumes that delays are one-sided, random and dense near their earliest. A bus that
delivers in frames quantises them, a busy host gives them long tails and a thin beginning. Neither
is told by anyone, so both are looked for in the deliveries themselves, and what they show is what
sigma says.
"""

import cmath
import math
from collections import deque
from functools import lru_cache
from statistics import fmean

from agent.core.records.fields import DeliveryLaw
from agent.core.units import NS_PER_MS, NS_PER_S, NS_PER_US

_QUANTA_NS = (125 * NS_PER_US, NS_PER_MS, 2 * NS_PER_MS, 4 * NS_PER_MS, 8 * NS_PER_MS)
_FRAME_NS = NS_PER_MS  # of USB: assumed before anything can be told
_MEMORY = 1.0 / 2000.0
_INTERVALS_TO_TELL = 40
_SURE = 5.0
_TELLABLE = 0.08
_SHORTEST, _LONGEST = 0.3, 2.2
_MOST_ABOVE_NS = 2.0 * NS_PER_MS
_COARSE, _COARSER = 4, 16
_KEPT = 16 * _COARSER
_KEPT_TO_TELL = 2 * _COARSER
_WRAPS_TO_SEE, _WRAPS_TO_NAME = 1.5, 0.5
_UNSEEN = 0.65
_WRAPS_TO_AVERAGE = 5.0
_FOLLOWED, _AVERAGED = 1.1, 0.4
_DENSE_UP_TO, _THIN_FROM, _THIN_SIGMAS = 0.30, 0.38, 1.25
_UNSURE = 0.45  # over root n: 1-sigma of the factor that n seconds of exponential delays show
_FACTOR_SHARE = 0.3
_STEEPEST = 0.8


class Deliveries:
    """Feed it every delivery, and for each second how late its earliest was above the line."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._last: tuple[int, int] | None = None
        self._block = 0
        self._count = 0
        self._phasors = [0j] * len(_QUANTA_NS)
        self._above: deque[float] = deque(maxlen=_KEPT)
        self._early_ns: float | None = None
        self._gaps: dict[int, tuple[float, bool]] = {}  # by frame: what it may hide, is it seen
        self._wraps_of: dict[int, float] = {}
        self._factor = _THIN_FROM
        self._thin_ns = 0.0

    @property
    def law(self) -> DeliveryLaw:
        """What the deliveries look like; `unknown` before a second of them."""
        if self._count < _INTERVALS_TO_TELL:
            return "unknown"
        if self.quantum_ns:
            return "quantised"
        return "thin start" if self._thin_ns else "fits"

    @property
    def quantum_ns(self) -> float:
        """The widest that a frame may hide the earliest of a second by; 0 where none can. Which of
        several frames it is that block lengths hide, the first that slides past shows."""
        if self._count < _INTERVALS_TO_TELL:
            return float(_FRAME_NS)
        return self._gap[0]

    @property
    def _gap(self) -> tuple[float, bool]:
        seen = [frame for frame, (_, is_seen) in self._gaps.items() if is_seen]
        slid = [frame for frame in self._gaps if self._wraps_of.get(frame, 0.0) > _WRAPS_TO_NAME]
        return max(
            (self._gaps[frame] for frame in seen or slid or self._gaps), default=(0.0, False)
        )

    @property
    def _wraps(self) -> float:
        return max((self._wraps_of.get(frame, 0.0) for frame in self._gaps), default=0.0)

    @property
    def is_half_frame_late(self) -> bool:
        """Whether the earliest of a second stands half a frame late on average: frames are seen."""
        return self.quantum_ns > 0 and (self._gap[1] or self._wraps >= _WRAPS_TO_SEE)

    @property
    def shape_sigma_ns(self) -> float:
        """What the shape of the delays adds to the line's own sigma (ns).

        Where frames hide the earliest by up to a quantum, the line follows that sawtooth if it is
        slow and averages it if it is quick. Where delays are thin at their earliest, what has not
        come yet is extrapolated.
        """
        quantum_ns = self.quantum_ns
        if not quantum_ns:
            return self._thin_ns
        if not self.is_half_frame_late:
            return _UNSEEN * quantum_ns
        averaged = _AVERAGED if self._wraps > _WRAPS_TO_AVERAGE else _FOLLOWED
        return averaged * quantum_ns / 12**0.5

    @property
    def earliest_ns(self) -> float:
        """How late the earliest of a second may be on average, what is still to come included."""
        return self._thin_ns + (max(0.0, fmean(self._above)) if self._above else 0.0)

    def observe(self, end_sample: int, host_ns: int) -> None:
        """A block that ends before `end_sample` was handed over at `host_ns`."""
        last, self._last = self._last, (end_sample, host_ns)
        if last is None:
            return
        block, interval_ns = end_sample - last[0], host_ns - last[1]
        if block != self._block:
            self._block, self._count = block, 0
            self._phasors = [0j] * len(_QUANTA_NS)
        block_ns = block * NS_PER_S / self._rate_hz
        if not _SHORTEST * block_ns < interval_ns < _LONGEST * block_ns:
            return  # held up, or catching up: the bus had no say in it
        self._count += 1
        share = max(_MEMORY, 1.0 / self._count)
        self._phasors = [
            phasor
            + share * (cmath.exp(2j * math.pi * (interval_ns % quantum_ns) / quantum_ns) - phasor)
            for quantum_ns, phasor in zip(_QUANTA_NS, self._phasors, strict=True)
        ]
        if self._count % _INTERVALS_TO_TELL == 0:
            self._find_quantum()

    def _find_quantum(self) -> None:
        """The frame whose multiples the intervals are, though blocks are not; or might be."""
        block_ns = self._block * NS_PER_S / self._rate_hz
        per_s = max(1, round(NS_PER_S / block_ns))
        sure = _SURE / math.sqrt(min(self._count, 1 / _MEMORY))
        self._gaps = {}
        for quantum_ns, phasor in zip(_QUANTA_NS, self._phasors, strict=True):
            turns = block_ns / quantum_ns
            off = abs(turns - round(turns))
            is_tellable = off >= _TELLABLE
            is_seen = (
                is_tellable and abs(phasor) > sure and abs(cmath.phase(phasor)) < math.pi * off
            )
            if is_seen or (not is_tellable and quantum_ns >= _FRAME_NS):
                gap_ns = quantum_ns * _widest_gap(round(turns, 6), per_s)
                self._gaps[quantum_ns] = gap_ns, is_seen

    def on_earliest(self, early_ns: float, above_ns: float) -> None:
        """The earliest of a second was late by `early_ns`, and by `above_ns` above the line."""
        if self._early_ns is not None:
            jump_ns = abs(early_ns - self._early_ns)
            for frame, (gap_ns, _) in self._gaps.items():
                wraps = 0.995 * self._wraps_of.get(frame, 0.0)
                self._wraps_of[frame] = wraps + (0.7 < jump_ns / gap_ns < 1.3)
        self._early_ns = early_ns
        if above_ns > _MOST_ABOVE_NS + self.quantum_ns:
            return
        self._above.append(above_ns)
        if len(self._above) >= _KEPT_TO_TELL and len(self._above) % _COARSER == 0:
            self._compare_minima()
        self._thin_ns = self._still_to_come_ns()

    def _compare_minima(self) -> None:
        """The earliest of 1, 4 and 16 seconds shrink by quarters where delays are dense at their
        earliest, and more slowly where they are thin."""
        above = list(self._above)
        fine, coarse, coarser = (_mean_of_least(above, n) for n in (1, _COARSE, _COARSER))
        if fine > coarse:
            factor = min(_STEEPEST, (coarse - coarser) / (fine - coarse))
            self._factor += _FACTOR_SHARE * (factor - self._factor)

    def _still_to_come_ns(self) -> float:
        """How far the earliest ever may lie before the line; 0 once delays were shown to be dense.

        Where they are thin, the earliest ever may lie as far before the line as the earliest of a
        second lies behind it: so it was for log-normal delays of any spread.
        """
        unsure = _UNSURE / math.sqrt(len(self._above)) - _UNSURE / math.sqrt(_KEPT)  # then of many
        thin = (self._factor + unsure - _DENSE_UP_TO) / (_THIN_FROM - _DENSE_UP_TO)
        return _THIN_SIGMAS * min(1.0, max(0.0, thin)) * max(0.0, fmean(self._above))

    def begin(self) -> None:
        """Sound was interrupted: intervals and delays across it say nothing."""
        self._last = self._early_ns = None


def _mean_of_least(values: list[float], together: int) -> float:
    return fmean(min(values[start : start + together]) for start in range(0, len(values), together))


@lru_cache(maxsize=64)
def _widest_gap(turns: float, blocks: int) -> float:
    """The widest gap on the circle between the phases of so many blocks in a row, in turns."""
    phases = sorted((number * turns) % 1.0 for number in range(blocks))
    return max(b - a for a, b in zip(phases, [*phases[1:], phases[0] + 1.0], strict=True))
