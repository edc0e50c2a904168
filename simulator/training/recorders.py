"""What recorders do to a sound: tone controls, gain, capsules, converters, coders, drift.

Each changes how a sound is coloured or how it decays, never what it is: a shot stays a shot. The
filters are those of R. Bristow-Johnson's "Cookbook formulae for audio EQ biquad filter
coefficients"; all are causal, so that nothing sounds before the onset.
"""

import io

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import butter, lfilter, sosfilt

Wave = npt.NDArray[np.float64]

_SHELF_Q = 0.7
_CODED_AT_ONCE = 16_384


def recorded(sound: Wave, rate_hz: int, rng: np.random.Generator) -> Wave:
    """`sound`, shape (n,), as one of many recorders would have kept it."""
    if rng.random() < 0.6:
        sound = _equalised(sound, rate_hz, rng)
    if rng.random() < 0.35:
        sound = _levelled(sound, rate_hz, rng)
    return sound


def converted(sound: Wave, rate_hz: int, rng: np.random.Generator) -> Wave:
    """`sound`, peak below 1, through the capsule and the converter of one of many microphones.

    Capsules end steeply at 6 to 16 kHz, ring where they end, and are deaf below some 20 to 250 Hz;
    converters add hiss, have as few as 8 bits (even or mu-law), and files are coded with loss.
    """
    if rng.random() < 0.3:
        top_hz = min(_between(rng, 6000.0, 16_000.0), 0.45 * rate_hz)
        sos = butter(int(rng.integers(2, 9)), top_hz, fs=rate_hz, output="sos")
        sound = np.asarray(sosfilt(sos, sound))
        sound = lfilter(*_peak(0.9 * top_hz, rate_hz, rng.uniform(0.0, 9.0), 2.0), sound)
    if rng.random() < 0.3:
        low_hz = _between(rng, 20.0, 250.0)
        order = int(rng.integers(1, 4))
        sound = sosfilt(butter(order, low_hz, "highpass", fs=rate_hz, output="sos"), sound)
    if rng.random() < 0.2:
        sound = sound + rng.standard_normal(len(sound)) * _between(rng, 1e-4, 1e-2)
    if rng.random() < 0.15:
        sound = _coarsely(np.asarray(sound), rng)
    if rng.random() < 0.15:
        sound = _coded(np.asarray(sound), rate_hz, rng)
    return np.asarray(sound)


def _coarsely(sound: Wave, rng: np.random.Generator) -> Wave:
    """In 8 to 11 bits, in even steps with dither or without, or by the mu-law of G.711."""
    if rng.random() < 0.3:
        small = np.sign(sound) * np.log1p(255.0 * np.minimum(np.abs(sound), 1.0)) / np.log(256.0)
        small = np.rint(small * 127.0) / 127.0
        return np.asarray(np.sign(small) * np.expm1(np.abs(small) * np.log(256.0)) / 255.0)
    steps = 2.0 ** int(rng.integers(7, 11))
    dither = rng.uniform(-0.5, 0.5, len(sound)) * rng.integers(0, 2)
    return np.asarray(np.rint(sound * steps + dither) / steps)


def _coded(sound: Wave, rate_hz: int, rng: np.random.Generator) -> Wave:
    """By Vorbis, at one of its qualities, as clips from the web were."""
    file = io.BytesIO()
    clipped = np.clip(sound, -1.0, 1.0).astype(np.float32)
    quality = float(rng.uniform(0.3, 0.95))
    with soundfile.SoundFile(
        file, "w", rate_hz, 1, "VORBIS", format="OGG", compression_level=quality
    ) as coder:
        for start in range(0, len(clipped), _CODED_AT_ONCE):  # long pieces overrun its stack
            coder.write(clipped[start : start + _CODED_AT_ONCE])
    file.seek(0)
    back, _ = soundfile.read(file, dtype="float64")
    whole = np.zeros(len(sound))
    whole[: len(back)] = back[: len(sound)]
    return whole


def pushed_off_zero(sound: Wave, rate_hz: int, rng: np.random.Generator) -> Wave:
    """As if loud sound charged the input, which creeps back within 20 to 300 ms."""
    top = max(float(np.abs(sound).max()), 1e-9)
    loud = np.maximum(np.abs(sound) - 0.2 * top, 0.0)
    kept = np.exp(-1.0 / (rng.uniform(0.02, 0.3) * rate_hz))
    drift = np.asarray(lfilter([1.0], [1.0, -kept], loud))
    share = rng.uniform(0.05, 0.8) * rng.choice((-1.0, 1.0))
    return np.asarray(sound + drift * (share * top / max(float(drift.max()), 1e-9)))


def _equalised(sound: Wave, rate_hz: int, rng: np.random.Generator) -> Wave:
    if rng.random() < 0.6:
        low_hz = _between(rng, 60.0, 900.0)
        sound = lfilter(*_shelf(low_hz, rate_hz, rng.uniform(-24.0, 20.0), 1.0), sound)
    if rng.random() < 0.6:
        high_hz = _between(rng, 900.0, 6000.0)
        sound = lfilter(*_shelf(high_hz, rate_hz, rng.uniform(-24.0, 15.0), -1.0), sound)
    for _ in range(int(rng.integers(0, 3))):
        at_hz, q = _between(rng, 150.0, 4500.0), _between(rng, 0.5, 3.0)
        sound = lfilter(*_peak(at_hz, rate_hz, rng.uniform(-10.0, 18.0), q), sound)
    return np.asarray(sound)


def _levelled(sound: Wave, rate_hz: int, rng: np.random.Generator) -> Wave:
    """Automatic gain: what follows a loud sound is brought up towards it."""
    now, kept = (np.exp(-1.0 / (rng.uniform(2e-3, 30e-3) * rate_hz)) for _ in range(2))
    power = np.asarray(lfilter([1.0 - now], [1.0, -kept], sound**2))
    level = np.sqrt(np.maximum(power, 0.0) + 1e-12)
    level = np.maximum(level, level.max() * 10.0 ** (-rng.uniform(15.0, 40.0) / 20.0))
    return np.asarray(sound / level ** rng.uniform(0.2, 0.75))


def _shelf(corner_hz: float, rate_hz: int, gain_db: float, side: float) -> tuple[Wave, Wave]:
    """A shelf below (`side` 1) or above (-1) the corner."""
    a, cosine, alpha = _terms(corner_hz, rate_hz, gain_db, _SHELF_Q)
    root = 2.0 * np.sqrt(a) * alpha
    more, less = a + 1.0, side * (a - 1.0)
    over = a * np.array(
        (
            more - less * cosine + root,
            2.0 * side * ((a - 1.0) - side * more * cosine),
            more - less * cosine - root,
        )
    )
    under = np.array(
        (
            more + less * cosine + root,
            -2.0 * side * ((a - 1.0) + side * more * cosine),
            more + less * cosine - root,
        )
    )
    return over / under[0], under / under[0]


def _peak(at_hz: float, rate_hz: int, gain_db: float, q: float) -> tuple[Wave, Wave]:
    a, cosine, alpha = _terms(at_hz, rate_hz, gain_db, q)
    over = np.array((1.0 + alpha * a, -2.0 * cosine, 1.0 - alpha * a))
    under = np.array((1.0 + alpha / a, -2.0 * cosine, 1.0 - alpha / a))
    return over / under[0], under / under[0]


def _terms(at_hz: float, rate_hz: int, gain_db: float, q: float) -> tuple[float, float, float]:
    angle = 2.0 * np.pi * min(at_hz, 0.45 * rate_hz) / rate_hz
    return 10.0 ** (gain_db / 40.0), float(np.cos(angle)), float(np.sin(angle) / (2.0 * q))


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform in the logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
