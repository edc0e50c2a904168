"""What no detector can beat: a filter that knows each blast's own wave, and the noise it lies in.

The clairvoyant matched filter of detection theory (Kay 1998, Fundamentals of Statistical Signal
Processing: Detection Theory, section 5.4). It knows the blast, and its reflection if it is told so,
not the chance in its tail. How often noise reaches a level is Rice's formula for the upcrossings
of a Gaussian process (Rice 1945, Bell System Technical Journal 24, 46).
"""

import math

import numpy as np
from scipy.signal import welch

from tests.support.noisystreet import BEFORE, NOISE_STEPS, RATE_HZ, Blast, street_noise

_SIZE = 1 << 15
_NEAR = round(1e-3 * RATE_HZ)


def found(
    sound: np.ndarray, blasts: list[Blast], seed: int, *, with_reflection: bool
) -> list[bool]:
    """Which of the `blasts` of `noisystreet.street` it finds within 1 ms, at 1 false alarm an hour.

    `seed` is that of the street: its noise without any blast is what the clairvoyant knows.
    """
    noise = street_noise(len(sound), np.random.default_rng(seed)) * NOISE_STEPS
    _, power = welch(noise, RATE_HZ, nperseg=_SIZE)
    return [
        _stands_out(
            sound[int(one.onset) - BEFORE :], power, one.echoed if with_reflection else one.direct
        )
        for one in blasts
    ]


def _stands_out(sound: np.ndarray, power: np.ndarray, wave: np.ndarray) -> bool:
    heard = np.zeros(_SIZE)
    piece = sound[:_SIZE]
    heard[: len(piece)] = piece
    spectrum = np.fft.rfft(wave, _SIZE)
    density = power * RATE_HZ * _SIZE / 2.0
    weight = np.abs(spectrum) ** 2 / density
    norm = math.sqrt(2.0 * float(weight.sum()))
    answer = np.fft.irfft(np.fft.rfft(heard) * spectrum.conj() / density, _SIZE) * _SIZE / norm
    frequency_hz = np.fft.rfftfreq(_SIZE, 1.0 / RATE_HZ)
    usual_hz = math.sqrt(float(weight @ frequency_hz**2) / float(weight.sum()))
    level = math.sqrt(2.0 * math.log(3600.0 * usual_hz))
    around = np.concatenate((answer[:_NEAR], answer[-_NEAR:]))
    return bool(around.max() > level)
