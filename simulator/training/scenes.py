"""Synthetic shots and things mistaken for them, where free recordings are few.

Shots are Friedlander waves with a ground reflection, a street's tail and sometimes a shock wave
before; confusers are barks, horns, hammers, clatter and gusts, drawn from wide ranges.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.signal import butter, sosfilt

from simulator.training.takes import Take, Wave, disguised

_RATE_HZ = 48_000
_LENGTH_S = 3.0
_FIRST_S = 0.3
_SELF_NOISE = 1e-4


def shots(count: int, rng: np.random.Generator) -> Iterator[Take]:
    """`count` scenes with single shots or bursts down to 45 ms apart."""
    for number in range(count):
        rounds = int(rng.choice((1, 1, 1, 2, 3, 8, 16)))
        every_s = float(rng.uniform(0.045, 0.3))
        wave, sound = _shot(rng), _hush(rng)
        at_s = [_FIRST_S + turn * every_s for turn in range(rounds)]
        for one_s in at_s:
            _lay(sound, wave * rng.uniform(0.7, 1.0), one_s)
        take = Take(sound, _RATE_HZ, tuple(at_s), f"synthetic shot {number % 40}", "synthetic")
        yield take if number % 4 == 0 else disguised(take, rng)


def confusers(count: int, rng: np.random.Generator) -> Iterator[Take]:
    """`count` scenes that hold no shot."""
    for number in range(count):
        make = _CONFUSERS[number % len(_CONFUSERS)]
        sound = make(rng) + _hush(rng)
        group = f"synthetic {make.__name__.strip('_')} {number % 40}"
        yield disguised(Take(sound, _RATE_HZ, (), group, "synthetic confuser"), rng)


def _hush(rng: np.random.Generator) -> Wave:
    """The noise of a good microphone: silence is found in files only."""
    return _SELF_NOISE * rng.standard_normal(round(_LENGTH_S * _RATE_HZ))


def _shot(rng: np.random.Generator) -> Wave:
    positive_s = float(np.exp(rng.uniform(np.log(0.25e-3), np.log(4e-3))))
    time_s = np.arange(round(1.5 * _RATE_HZ)) / _RATE_HZ
    blast = (1.0 - time_s / positive_s) * np.exp(-time_s / positive_s)
    if rng.random() < 0.7:
        late = round(rng.uniform(0.5e-3, 6e-3) * _RATE_HZ)
        blast[late:] += rng.uniform(0.1, 0.7) * blast[:-late]
    decay_s = float(np.exp(rng.uniform(np.log(0.03), np.log(1.5))))
    tail = rng.standard_normal(len(time_s)) * np.exp(-6.9 * time_s / decay_s)
    build = 1.0 - np.exp(-time_s / rng.uniform(1e-3, 15e-3))
    tail = _low_pass(tail * build, float(np.exp(rng.uniform(np.log(400.0), np.log(6e3)))))
    wave = blast + tail / max(float(np.abs(tail).max()), 1e-9) * rng.uniform(0.0, 0.7)
    return wave if rng.random() < 0.6 else _low_pass(wave, rng.uniform(800.0, 8e3))


def _bark(rng: np.random.Generator) -> Wave:
    """Voices: harmonics of a gliding pitch that swell within 3 to 60 ms, again and again."""
    sound = np.zeros(round(_LENGTH_S * _RATE_HZ))
    every_s, lasts_s = rng.uniform(0.25, 1.0), rng.uniform(0.06, 0.5)
    pitch_hz = np.exp(rng.uniform(np.log(120.0), np.log(1100.0)))
    time_s = np.arange(round(lasts_s * _RATE_HZ)) / _RATE_HZ
    swell = (
        np.minimum(1.0, time_s / rng.uniform(3e-3, 60e-3))
        * np.hanning(len(time_s) * 2)[len(time_s) :]
    )
    shares = rng.uniform(0.1, 1.0, 12) / np.arange(1, 13) ** rng.uniform(0.0, 1.5)
    for start_s in np.arange(_FIRST_S, _LENGTH_S, every_s):
        glide = pitch_hz * (1.0 + rng.normal(0.0, 0.3) * time_s / lasts_s)
        phase = 2.0 * np.pi * np.cumsum(glide) / _RATE_HZ
        voice = sum(
            share * np.sin(order * phase + rng.uniform(0.0, 6.3))
            for order, share in enumerate(shares, start=1)
        )
        breath = rng.standard_normal(len(time_s)) * rng.uniform(0.0, 1.0)
        _lay(sound, (voice + breath) * swell * rng.uniform(0.5, 1.0), start_s)
    return sound


def _horn(rng: np.random.Generator) -> Wave:
    """Steady chords that set in quickly: horns, sirens, instruments."""
    time_s = np.arange(round(rng.uniform(0.2, 1.5) * _RATE_HZ)) / _RATE_HZ
    tones = np.exp(rng.uniform(np.log(80.0), np.log(2500.0), int(rng.integers(1, 5))))
    chord = sum(
        np.sin(2.0 * np.pi * tone * order * time_s) / order ** rng.uniform(0.3, 2.0)
        for tone in tones
        for order in range(1, 7)
    )
    fall = np.exp(-time_s * rng.choice((0.0, 2.0, 8.0)))
    chord = chord * np.minimum(1.0, time_s / np.exp(rng.uniform(-7.0, -3.5))) * fall
    sound = np.zeros(round(_LENGTH_S * _RATE_HZ))
    for start_s in np.arange(_FIRST_S, _LENGTH_S, rng.uniform(0.3, 2.0)):
        _lay(sound, chord, start_s)
    return sound


def _hammer(rng: np.random.Generator) -> Wave:
    """Blows 8 to 40 times a second, each a burst of ringing noise."""
    sound = rng.standard_normal(round(_LENGTH_S * _RATE_HZ)) * rng.uniform(0.0, 0.1)
    every_s = 1.0 / rng.uniform(8.0, 40.0)
    for start_s in np.arange(rng.uniform(0.0, 1.0), _LENGTH_S, every_s):
        blow = _struck(rng, rng.uniform(3e-3, 30e-3))
        _lay(sound, blow * rng.uniform(0.4, 1.0), start_s * (1.0 + rng.normal(0.0, 2e-3)))
    return sound


def _clatter(rng: np.random.Generator) -> Wave:
    """Single clicks, knocks and rings of struck things, dry."""
    sound = np.zeros(round(_LENGTH_S * _RATE_HZ))
    for start_s in rng.uniform(_FIRST_S, _LENGTH_S, int(rng.integers(1, 8))):
        _lay(sound, _struck(rng, np.exp(rng.uniform(-6.5, -2.0))) * rng.uniform(0.3, 1.0), start_s)
    return sound


def _steps(rng: np.random.Generator) -> Wave:
    """Dull thuds and knocks, one to three together, some times a second: hooves, feet, fists."""
    sound = np.zeros(round(_LENGTH_S * _RATE_HZ))
    together, apart_s = int(rng.integers(1, 4)), rng.uniform(0.06, 0.25)
    corner_hz = float(np.exp(rng.uniform(np.log(200.0), np.log(4e3))))
    for start_s in np.arange(_FIRST_S, _LENGTH_S, rng.uniform(0.15, 0.8)):
        for turn in range(together):
            thud = _low_pass(_struck(rng, rng.uniform(2e-3, 25e-3)), corner_hz)
            at_s = start_s + turn * apart_s * rng.uniform(0.8, 1.2)
            if at_s < _LENGTH_S:
                _lay(sound, thud * rng.uniform(0.2, 1.0), at_s)
    return sound


def _rustle(rng: np.random.Generator) -> Wave:
    """Noise whose level jumps about: gusts, crackle, engines, crowds."""
    count = round(_LENGTH_S * _RATE_HZ)
    knots = rng.gamma(rng.uniform(0.3, 2.0), 1.0, int(_LENGTH_S * rng.uniform(3.0, 60.0)))
    level = np.interp(np.arange(count), np.linspace(0, count, len(knots)), knots)
    corner_hz = float(np.exp(rng.uniform(np.log(200.0), np.log(8e3))))
    return _low_pass(rng.standard_normal(count), corner_hz) * level


def _struck(rng: np.random.Generator, decay_s: float) -> Wave:
    time_s = np.arange(round(8.0 * decay_s * _RATE_HZ)) / _RATE_HZ
    modes_hz = np.exp(rng.uniform(np.log(150.0), np.log(9e3), int(rng.integers(1, 7))))
    ring = sum(np.sin(2.0 * np.pi * mode * time_s + rng.uniform(0, 6.3)) for mode in modes_hz)
    noise = rng.standard_normal(len(time_s)) * rng.uniform(0.0, 2.0)
    return np.asarray((ring + noise) * np.exp(-time_s / decay_s))


def _lay(sound: Wave, piece: Wave, at_s: float) -> None:
    start = round(at_s * _RATE_HZ)
    room = sound[start : start + len(piece)]
    room += piece[: len(room)]


def _low_pass(sound: Wave, corner_hz: float) -> Wave:
    return np.asarray(sosfilt(butter(1, corner_hz, fs=_RATE_HZ, output="sos"), sound))


_CONFUSERS: tuple[Callable[[np.random.Generator], Wave], ...] = (
    _bark,
    _horn,
    _hammer,
    _clatter,
    _steps,
    _rustle,
)
