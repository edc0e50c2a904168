"""Labelled sound to learn from: free clips in many disguises, live fire, and synthetic scenes.

Only clips whose licence lets what was learned be used in any way are taken. A disguise keeps what
a sound is and changes what a street does to it: distance, air, echoes, gain, clipping, the
microphone and the sample rate.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

from simulator.scene.propagation import Air, Path, propagate
from simulator.training.recorders import converted, pushed_off_zero, recorded
from simulator.trials.corpus.manifest import Clip

RATES_HZ = (12_000, 16_000, 22_050, 22_050, 24_000, 32_000, 44_100, 48_000)
_ECHO_S = 0.25

Wave = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Take:
    """A sound and where its shots begin; `group` is what cross-validation never splits.

    `kind` is the class of the manifest, or says how it was made.
    """

    sound: Wave
    rate_hz: int
    shots_s: tuple[float, ...]
    group: str
    kind: str


def of_clip(clip: Clip, count: int, rng: np.random.Generator) -> Iterator[Take]:
    """The clip once as it is, then `count` - 1 times in disguise."""
    samples, rate_hz = clip.read()
    shots_s = (*clip.onsets_s, *clip.secondary_s)
    plain = Take(samples / 32_768.0, rate_hz, shots_s, clip.group, clip.kind)
    yield plain
    for _ in range(count - 1):
        yield disguised(plain, rng)


def disguised(take: Take, rng: np.random.Generator) -> Take:
    """The same event elsewhere: slower or faster, further off, through another microphone."""
    speed = float(np.exp(rng.normal(0.0, 0.12)))
    rate_hz = int(rng.choice(RATES_HZ))
    sound = recorded(take.sound, take.rate_hz, rng)
    sound = _resampled(sound, take.rate_hz * speed, rate_hz)
    if rng.random() < 0.5:
        sound = _further(sound, rate_hz, float(rng.uniform(10.0, 500.0)))
    if rng.random() < 0.5:
        sound = _echoed(sound, rate_hz, rng)
    if rng.random() < 0.4:
        sound = _through_microphone(sound, rate_hz, rng)
    if rng.random() < 0.3:
        top = float(np.abs(sound).max()) * rng.uniform(0.15, 0.8)
        sound = np.clip(sound, -top, top)
    if rng.random() < 0.12:
        sound = pushed_off_zero(sound, rate_hz, rng)
    sound = sound * (rng.uniform(0.02, 0.95) / max(float(np.abs(sound).max()), 1e-9))
    if rng.random() < 0.5:
        sound = converted(sound, rate_hz, rng)
    shots_s = tuple(one / speed for one in take.shots_s)
    return replace(take, sound=sound, rate_hz=rate_hz, shots_s=shots_s)


def _resampled(sound: Wave, from_hz: float, to_hz: int) -> Wave:
    up, down = to_hz // 50, max(1, round(from_hz / 50))
    divisor = int(np.gcd(up, down))
    return np.asarray(resample_poly(sound, up // divisor, down // divisor))


def _further(sound: Wave, rate_hz: int, metres: float) -> Wave:
    """After `metres` more of air; the travel time is not applied."""
    count = len(sound) + rate_hz // 10
    spectrum = np.fft.rfft(sound, count)
    frequency_hz = np.fft.rfftfreq(count, 1.0 / rate_hz)
    far = propagate(spectrum, frequency_hz, Path(0.0, metres, metres), Air(humidity_pct=60.0))
    return np.asarray(np.fft.irfft(far, count))[: len(sound)]


def _echoed(sound: Wave, rate_hz: int, rng: np.random.Generator) -> Wave:
    """A few walls, and a tail that decays like a street's."""
    response = np.zeros(round(_ECHO_S * 4 * rate_hz))
    response[0] = 1.0
    for _ in range(int(rng.integers(0, 5))):
        at = int(rng.uniform(1e-3, _ECHO_S) * rate_hz)
        response[at] += rng.normal(0.0, 0.25)
    time_s = np.arange(len(response)) / rate_hz
    tail = rng.standard_normal(len(response)) * np.exp(-6.9 * time_s / rng.uniform(0.1, 1.2))
    tail[: round(2e-3 * rate_hz)] = 0.0
    response += tail * rng.uniform(0.0, 0.4) / np.sqrt(0.05 * rate_hz)
    return np.asarray(fftconvolve(sound, response)[: len(sound)])


def _through_microphone(sound: Wave, rate_hz: int, rng: np.random.Generator) -> Wave:
    """One that is deaf to low or to high sound."""
    low_hz, high_hz = rng.uniform(30.0, 300.0), rng.uniform(2_500.0, 0.45 * rate_hz)
    kind, corner_hz = (("highpass", low_hz), ("lowpass", high_hz))[int(rng.integers(2))]
    sos = butter(1, corner_hz, kind, fs=rate_hz, output="sos")
    return np.asarray(sosfilt(sos, sound))
