"""A recording of any rate, and a minute of its own background before it.

A node needs a minute until clock and gate have settled; recordings are shorter. What follows the
lead-in is the recording itself; only its first millisecond is cross-faded, because clips may
begin with the shot.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import welch

from agent.adapters.microphone import FileMicrophone
from agent.core.units import NS_PER_S
from agent.errors import AudioError
from simulator.scene.scene import Pcm

LEAD_IN_S = 60
_BLOCK_SAMPLES = 65_536
_SHORTEST_S = 0.05
_PATCH_S = 0.25
_FADE_S = 0.001

Wave = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recording:
    """Mono sound as 16-bit samples."""

    samples: Pcm
    rate_hz: int


class _Unhurried:
    """A HostClock that jumps to wherever a reader wants to sleep to."""

    def __init__(self) -> None:
        self._now_ns = 0

    def monotonic_ns(self) -> int:
        return self._now_ns

    def realtime_ns(self) -> int:
        return self._now_ns

    def sleep_s(self, seconds: float) -> None:
        self._now_ns += round(seconds * NS_PER_S) + 1


def read_recording(path: Path) -> Recording:
    """The file as a node's own file microphone takes it. Raises AudioError."""
    clock = _Unhurried()
    microphone = FileMicrophone(path, _BLOCK_SAMPLES, clock, clock.sleep_s)
    blocks = []
    try:
        while (block := microphone.read()) is not None:
            blocks.append(_to_int16(block.samples))
    finally:
        microphone.close()
    samples = np.concatenate(blocks)
    if len(samples) < _SHORTEST_S * microphone.format.rate_hz:
        raise AudioError(f"{path}: lasts {len(samples)} samples, need {_SHORTEST_S:g} s of sound")
    if not np.ptp(samples):
        raise AudioError(f"{path}: holds nothing but silence in 16 bits")
    return Recording(samples, microphone.format.rate_hz)


def with_lead_in(recording: Recording, rng: np.random.Generator) -> Pcm:
    """LEAD_IN_S of background like the recording's quietest part, then the recording."""
    sound, rate_hz = recording.samples.astype(np.float64), recording.rate_hz
    lead_in = LEAD_IN_S * rate_hz
    fade = min(round(_FADE_S * rate_hz), len(sound))
    noise = noise_like(quietest(sound, rate_hz), lead_in + fade, rng)
    turn = np.linspace(0.0, np.pi / 2, fade, endpoint=False)
    seam = noise[lead_in:] * np.cos(turn) + sound[:fade] * np.sin(turn)
    total = np.concatenate((noise[:lead_in], seam, sound[fade:]))
    return np.clip(np.rint(total), -32_768, 32_767).astype(np.int16)


def quietest(sound: Wave, rate_hz: int) -> Wave:
    """The stretch of least power between any zero padding: an eighth of it all, or _PATCH_S."""
    sounding = np.flatnonzero(sound)
    sound, longest = sound[sounding[0] : sounding[-1] + 1], round(_PATCH_S * rate_hz)
    size = min(len(sound), max(longest // 10, min(longest, len(sound) // 8)))
    starts = range(0, len(sound) - size + 1, max(1, size // 5))
    stretches = [sound[start : start + size] for start in starts]
    heard = [one for one in stretches if np.ptp(one)]
    return min(heard or [sound], key=lambda one: float(np.var(one)))


def noise_like(stretch: Wave, count: int, rng: np.random.Generator) -> Wave:
    """Gaussian noise with the mean and power spectrum of `stretch`; its waveform is not kept."""
    bins, psd = welch(stretch, nperseg=min(len(stretch), max(16, len(stretch) // 2)))
    shape = np.interp(np.fft.rfftfreq(count), bins, psd)
    parts = rng.standard_normal((2, len(shape)))
    noise = np.fft.irfft((parts[0] + 1j * parts[1]) * np.sqrt(shape), count)
    spread = float(np.std(noise))  # 0 where all that changes lies at an end, as with few bits
    return np.asarray(noise * (np.std(stretch) / spread if spread else 0.0) + np.mean(stretch))


def _to_int16(samples: npt.NDArray[np.int16] | npt.NDArray[np.int32]) -> Pcm:
    if samples.dtype == np.int16:
        return samples.astype(np.int16)
    return np.clip(np.rint(samples / 65_536.0), -32_768, 32_767).astype(np.int16)
