"""A receiver's pulse per second as the second channel of a node's converter digitises it.

Goes through the same anti-alias filter and is taken at the same instants as the microphone's
samples. Only what lies near a pulse is computed; the rest is noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from agent.core.units import NS_PER_S
from simulator.scene.oscillators import AdcClock, Outage
from simulator.scene.propagation import Floats
from simulator.scene.scene import Pcm
from simulator.scene.sources import band_limit

_FULL_SCALE = 32_768.0
_RING_SAMPLES = 64
_FINE = 256
_DECAYED = 30.0


@dataclass(frozen=True, slots=True)
class PpsWiring:
    """How the pulse reaches the converter; heights and RMS noise relative to full scale.

    A negative `height` is a pulse that is low. `coupling_s` is the time constant of a capacitor
    in the way, None where the coupling is direct. `jitter_ns` is the receiver's own, 1 sigma.
    """

    height: float = 0.5
    width_s: float = 0.1
    coupling_s: float | None = None
    noise_dbfs: float = -60.0
    jitter_ns: float = 20.0


class PpsLine:
    """The channel's samples, asked for in order; what was skipped is gone.

    A pulse begins at each true UTC second after the start of `adc`'s stream that lies in none
    of the `outages`.
    """

    def __init__(
        self,
        adc: AdcClock,
        wiring: PpsWiring,
        rng: np.random.Generator,
        outages: Sequence[Outage] = (),
    ) -> None:
        self._adc, self._wiring, self._outages = adc, wiring, outages
        self._jitter_rng, self._noise_rng = rng.spawn(2)
        self._noise = 10.0 ** (wiring.noise_dbfs / 20.0)
        self._width = wiring.width_s * adc.rate_hz
        self._decay = (wiring.coupling_s or np.inf) * adc.rate_hz
        self._lasts = self._width + _RING_SAMPLES
        if wiring.coupling_s:
            self._lasts += _DECAYED * self._decay
        self._next_utc_ns = -(-adc.utc_ns_at(0) // NS_PER_S) * NS_PER_S
        self._sounding: list[float] = []

    def samples(self, first_sample: int, count: int) -> Pcm:
        """`count` samples from index `first_sample` on, int16, clipped at full scale."""
        self._begin_pulses(first_sample + count)
        self._sounding = [p for p in self._sounding if p + self._lasts > first_sample]
        level: Floats = self._noise * self._noise_rng.standard_normal(count)
        index = np.arange(first_sample, first_sample + count, dtype=np.float64)
        for start in self._sounding:
            pulse = self._step(index - start) - self._step(index - start - self._width)
            level += self._wiring.height * pulse
        level = np.rint(_FULL_SCALE * level)
        return np.clip(level, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)

    def _begin_pulses(self, end_sample: int) -> None:
        """Note where pulses begin that can be seen before `end_sample`."""
        while (start := self._adc.sample_at(self._next_utc_ns)) < end_sample + _RING_SAMPLES:
            jitter_ns = self._jitter_rng.normal(0.0, self._wiring.jitter_ns)
            if not any(begin <= self._next_utc_ns < end for begin, end in self._outages):
                self._sounding.append(start + jitter_ns * self._adc.rate_hz / NS_PER_S)
            self._next_utc_ns += NS_PER_S

    def _step(self, since: Floats) -> Floats:
        """A unit step at 0, `since` in samples, as it comes out of the filter and the coupling."""
        return np.interp(since, *_step_response()) * np.exp(-np.maximum(since, 0.0) / self._decay)


@lru_cache(maxsize=1)
def _step_response() -> tuple[Floats, Floats]:
    """Positions in samples, and what the anti-alias filter makes of a unit step at 0 there."""
    count = 2 * _RING_SAMPLES * _FINE
    frequency = np.fft.rfftfreq(count, 1.0 / _FINE)
    impulse = np.fft.fftshift(np.fft.irfft(band_limit(frequency, 1.0), count))
    risen = np.cumsum(impulse) - impulse / 2
    return (np.arange(count) - count // 2) / _FINE, risen / risen[-1]
