"""Five microphones that a pole may carry, and a sixth that the node's ears were not made for.

Each is a chain of capsule, amplifier and converter, drawn from data sheets of its kind and not from
what training makes of sound: training draws corners and bits at random, these are fixed. Sound
comes in at full scale 1.0 and any rate of at least 16 kHz, and leaves at the chain's own.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import gcd

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter, resample_poly, sosfilt

from simulator.scene.randomness import stream
from simulator.trials.corpus.embedding import FULL_SCALE, Embedding

Wave = npt.NDArray[np.float64]
Chain = Callable[[Wave, int, np.random.Generator], tuple[Wave, int]]

OUTSIDE = "telephone"
_AGC_DB, _AGC_ATTACK_S, _AGC_RELEASE_S = 30.0, 4e-3, 0.5


def plainly(embedded: Embedding) -> Embedding:
    """As it is."""
    return embedded


def through(name: str, embedded: Embedding, *, seed: int) -> Embedding:
    """`embedded` as the chain `name` would have digitised it; the clip is where it was."""
    rng = stream(seed, "microphone", name, str(len(embedded.samples)))
    sound, rate_hz = CHAINS[name](embedded.samples / FULL_SCALE, embedded.rate_hz, rng)
    ratio = rate_hz / embedded.rate_hz
    pcm = np.clip(np.rint(sound * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1.0).astype(np.int16)
    start, stop = round(embedded.start * ratio), round(embedded.stop * ratio)
    return replace(embedded, samples=pcm, rate_hz=rate_hz, start=start, stop=stop)


def _mems(sound: Wave, rate_hz: int, rng: np.random.Generator) -> tuple[Wave, int]:
    """A digital MEMS capsule: flat, a vent that cuts below 35 Hz, a rise towards its own ringing
    at 20 kHz, noise of 64 dB under 94 dB SPL, set 12 dB too low."""
    sound = _ringing(_cut(sound, rate_hz, 35.0, 1, "highpass"), rate_hz, 20_000.0, 9.0)
    return _hiss(0.25 * sound, 3e-5, rng), rate_hz


def _electret(sound: Wave, rate_hz: int, rng: np.random.Generator) -> tuple[Wave, int]:
    """A cheap electret: 100 Hz to 8 kHz, a bump of 5 dB at 6 kHz, and 3 % of bent curve."""
    sound = _cut(_cut(sound, rate_hz, 100.0, 2, "highpass"), rate_hz, 8000.0, 4, "lowpass")
    sound = _ringing(sound, rate_hz, 6000.0, 5.0)
    return _hiss(sound - 0.06 * sound**2, 2e-4, rng), rate_hz


def _usb(sound: Wave, rate_hz: int, rng: np.random.Generator) -> tuple[Wave, int]:
    """A USB sound stick at 16 kHz: band to 7.2 kHz, 80 Hz cut, and an offset."""
    sound, rate_hz = _resampled(_cut(sound, rate_hz, 80.0, 1, "highpass"), rate_hz, 16_000)
    sound = _cut(sound, rate_hz, 7200.0, 6, "lowpass")
    return _hiss(sound + 0.01, 1e-4, rng), rate_hz


def _horn(sound: Wave, rate_hz: int, rng: np.random.Generator) -> tuple[Wave, int]:
    """In a weather-proof case behind foam: nothing below 250 Hz, a cavity that rings at 2.8 kHz, a
    dip at 1.1 kHz, treble damped."""
    sound = _cut(sound, rate_hz, 250.0, 2, "highpass")
    sound = _ringing(_ringing(sound, rate_hz, 2800.0, 9.0), rate_hz, 1100.0, -6.0)
    return _hiss(_cut(sound, rate_hz, 5500.0, 1, "lowpass"), 1e-4, rng), rate_hz


def _coarse(sound: Wave, rate_hz: int, rng: np.random.Generator) -> tuple[Wave, int]:
    """Ten bits at 22.05 kHz, and 12 dB too much gain into a converter that clips."""
    sound, rate_hz = _resampled(sound, rate_hz, 22_050)
    clipped = np.clip(4.0 * _cut(sound, rate_hz, 60.0, 1, "highpass"), -1.0, 1.0)
    steps = 512.0
    return np.rint(clipped * steps + rng.uniform(-0.5, 0.5, len(clipped))) / steps, rate_hz


def _telephone(sound: Wave, rate_hz: int, rng: np.random.Generator) -> tuple[Wave, int]:
    """8 kHz, 300 to 3400 Hz, and automatic gain over 30 dB: what it brings is no street any more.

    It is handed on at 16 kHz, as sound cards do.
    """
    sound, rate_hz = _resampled(sound, rate_hz, 8000)
    sound = _cut(_cut(sound, rate_hz, 300.0, 4, "highpass"), rate_hz, 3400.0, 6, "lowpass")
    sound = _levelled(_hiss(sound, 1e-4, rng), rate_hz)
    return _resampled(sound, rate_hz, 16_000)


CHAINS: Mapping[str, Chain] = {
    "mems": _mems,
    "electret": _electret,
    "usb": _usb,
    "horn": _horn,
    "coarse": _coarse,
    OUTSIDE: _telephone,
}


def _levelled(sound: Wave, rate_hz: int) -> Wave:
    """Automatic gain that follows the level of each 2 ms up within 4 ms and down within 0.5 s."""
    piece = rate_hz // 500
    whole = len(sound) // piece * piece
    levels = np.sqrt(np.mean(sound[:whole].reshape(-1, piece) ** 2, axis=1) + 1e-12)
    up, down = (np.exp(-2e-3 / one) for one in (_AGC_ATTACK_S, _AGC_RELEASE_S))
    followed, level = np.empty(len(levels)), float(levels[0])
    for number, one in enumerate(levels):
        kept = up if one > level else down
        level = kept * level + (1.0 - kept) * float(one)
        followed[number] = level
    gain = np.minimum(0.2 / followed, 10.0 ** (_AGC_DB / 20.0))
    along = np.interp(np.arange(len(sound)), np.arange(len(gain)) * piece, gain)
    return np.asarray(np.clip(sound * along, -1.0, 1.0))


def _cut(sound: Wave, rate_hz: int, corner_hz: float, order: int, kind: str) -> Wave:
    if corner_hz >= 0.48 * rate_hz:
        return sound
    return np.asarray(sosfilt(butter(order, corner_hz, kind, fs=rate_hz, output="sos"), sound))


def _ringing(sound: Wave, rate_hz: int, at_hz: float, gain_db: float) -> Wave:
    """A peak or dip of Q 2 (Bristow-Johnson's peaking filter); none where the rate has no room."""
    if at_hz >= 0.48 * rate_hz:
        return sound
    a, turn = 10.0 ** (gain_db / 40.0), 2.0 * np.pi * at_hz / rate_hz
    alpha, cosine = np.sin(turn) / 4.0, -2.0 * np.cos(turn)
    over = np.array((1.0 + alpha * a, cosine, 1.0 - alpha * a))
    under = np.array((1.0 + alpha / a, cosine, 1.0 - alpha / a))
    return np.asarray(lfilter(over / under[0], under / under[0], sound))


def _resampled(sound: Wave, from_hz: int, to_hz: int) -> tuple[Wave, int]:
    common = gcd(from_hz, to_hz)
    return np.asarray(resample_poly(sound, to_hz // common, from_hz // common)), to_hz


def _hiss(sound: Wave, rms: float, rng: np.random.Generator) -> Wave:
    return np.asarray(sound + rms * rng.standard_normal(len(sound)))
