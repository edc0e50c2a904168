"""How loud it is: peak, noise and ten octave bands for a person, and the level of a known tone.

Levels are in dB re full scale 1.0: of a sine, its RMS level is 3 dB below its peak's.
"""

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from agent.core.audio import AudioBlock, Floats, Samples, full_scale, to_float
from agent.core.hearing.spectra import Numbers, hann, smooth_size, squares
from agent.core.records.visit import Level
from agent.core.units import dbfs

# Octaves of IEC 61260-1, the nominal mid frequencies; the edges lie a half-octave off.
BANDS_HZ = (31.5, 63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0)
_HELD_S = 0.5
_OCTAVE = 10**0.3  # of IEC 61260-1
PIECES = 10
PIECE_S = 0.5
_TONE_BINS = 4
LEAST_PURITY_DB = 15.0
MOST_SPREAD_DB = 0.5
_RAIL = 0.98
_LEAST_DBFS = -70.0


class LevelMeter:
    """Takes all blocks; what it costs while nobody asks is one maximum and minimum a block."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._need = round(_HELD_S * rate_hz)
        self._held: deque[Samples] = deque()
        self._count, self._peak = 0, 0.0

    def on_block(self, block: AudioBlock) -> None:
        """Take a block."""
        samples = block.samples
        highest = max(int(samples.max()), -int(samples.min()))
        self._peak = max(self._peak, highest / full_scale(samples))
        self._held.append(samples)
        self._count += len(samples)
        while self._count - len(self._held[0]) >= self._need:
            self._count -= len(self._held.popleft())

    def on_gap(self) -> None:
        """What was held has no successor."""
        self._held.clear()
        self._count = 0

    def read(self) -> Level | None:
        """The level now; None before half a second of sound. The peak begins afresh."""
        if self._count < self._need:
            return None
        wave = np.concatenate([to_float(part) for part in self._held])[-self._need :]
        peak, self._peak = self._peak, 0.0
        wave -= wave.mean(dtype=np.float64)
        power = _power(wave)
        edges = np.arange(len(power)) * self._rate_hz / (2 * (len(power) - 1))
        bands = tuple(_band(power, edges, at, self._rate_hz) for at in BANDS_HZ)
        rms = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
        return Level(peak_dbfs=_rounded(peak), rms_dbfs=_rounded(rms), bands_dbfs=bands)


def _power(wave: Floats) -> Numbers:
    """One-sided power per bin of a Hann-windowed transform: all bins add up to the mean square."""
    window, size = hann(len(wave)), smooth_size(len(wave))
    scale = 2.0 / (size * float(np.sum(window**2)))
    return squares(np.fft.rfft(wave * window, size)) * scale


def _band(power: Numbers, at_hz: Numbers, mid_hz: float, rate_hz: int) -> float | None:
    low, high = mid_hz / _OCTAVE**0.5, mid_hz * _OCTAVE**0.5
    if mid_hz >= rate_hz / 2:
        return None
    inside = power[(at_hz >= low) & (at_hz < high)]
    return _rounded(float(inside.sum()) ** 0.5)


def _rounded(amplitude: float) -> float:
    return round(dbfs(amplitude), 1)


@dataclass(frozen=True, slots=True)
class Tone:
    """What a calibrator was heard as. `fault` is empty, or why it is no good measurement."""

    level_dbfs: float
    tone_hz: float
    purity_db: float
    spread_db: float
    seconds: float
    fault: str = ""


class ToneMeter:
    """Measures a steady tone of known level over PIECES of PIECE_S."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._need = round(PIECE_S * rate_hz)
        self._parts: list[Samples] = []
        self._count, self._is_clipped = 0, False
        self._pieces: list[tuple[float, float, float]] = []

    def on_block(self, block: AudioBlock) -> Tone | None:
        """Take a block; the measurement once there is enough."""
        samples = block.samples
        highest = max(int(samples.max()), -int(samples.min()))
        self._is_clipped |= highest >= _RAIL * full_scale(samples)
        self._parts.append(samples)
        self._count += len(samples)
        if self._count < self._need:
            return None
        wave = np.concatenate([to_float(part) for part in self._parts])[: self._need]
        self._pieces.append(self._measured(wave))
        self._parts, self._count = [], 0
        return self._told() if len(self._pieces) == PIECES else None

    def _measured(self, wave: Floats) -> tuple[float, float, float]:
        """Power of the strongest tone, its frequency in Hz, and the power of all else."""
        wave -= wave.mean(dtype=np.float64)
        power = _power(wave)
        top = int(np.argmax(power))
        near = slice(max(0, top - _TONE_BINS), top + _TONE_BINS + 1)
        tone = float(power[near].sum())
        places = np.arange(len(power))[near]
        at = float(np.average(places, weights=power[near])) if tone else 0.0
        return tone, at * self._rate_hz / (2 * (len(power) - 1)), float(power.sum()) - tone

    def _told(self) -> Tone:
        powers = np.array([tone for tone, _, _ in self._pieces]) + 1e-20
        rest = float(np.mean([rest for _, _, rest in self._pieces])) + 1e-20
        levels = 10.0 * np.log10(powers)
        tone = Tone(
            level_dbfs=round(10.0 * float(np.log10(powers.mean())), 2),
            tone_hz=round(float(np.median([at for _, at, _ in self._pieces])), 1),
            purity_db=round(10.0 * float(np.log10(powers.mean() / rest)), 1),
            spread_db=round(float(levels.max() - levels.min()), 2),
            seconds=PIECES * PIECE_S,
        )
        return replace(tone, fault=self._fault_of(tone))

    def _fault_of(self, tone: Tone) -> str:
        if self._is_clipped:
            return "the tone reaches the end of the range: lower the input gain, and try again"
        if tone.level_dbfs < _LEAST_DBFS:
            return "no tone is heard: is the calibrator switched on and seated on the microphone?"
        if tone.purity_db < LEAST_PURITY_DB:
            return (
                f"the tone is only {tone.purity_db:.0f} dB above all else: seat the calibrator "
                "tightly, and keep the street quiet"
            )
        if tone.spread_db > MOST_SPREAD_DB:
            return (
                f"the level varies by {tone.spread_db:.1f} dB: hold the calibrator still, and "
                "switch off any automatic gain"
            )
        return ""
