"""Synthetic shots and things mistaken for them, where free recordings are few.

Shots are Friedlander waves with early arrivals, a street's tail and slaps off walls; confusers
are barks, horns, hammers, knocks, clatter and gusts. Both are drawn from wide ranges.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.signal import butter, sosfilt

from simulator.training.takes import Take, Wave, disguised

Make = Callable[[np.random.Generator], Wave]

_RATE_HZ = 48_000
_LENGTH_S = 3.0
_FIRST_S = 0.3
_SELF_NOISE = 1e-4


def shots(first: int, count: int, rng: np.random.Generator) -> Iterator[Take]:
    """Scenes `first` and so many after it, with single shots or bursts down to 45 ms apart."""
    for number in range(first, first + count):
        rounds = int(rng.choice((1, 1, 1, 2, 3, 8, 16)))
        every_s = float(rng.uniform(0.045, 0.3))
        wave, sound = _shot(rng), _hush(rng, round(_LENGTH_S * _RATE_HZ))
        at_s = [_FIRST_S + turn * every_s for turn in range(rounds)]
        for one_s in at_s:
            _lay(sound, wave * rng.uniform(0.7, 1.0), one_s)
        take = Take(sound, _RATE_HZ, tuple(at_s), f"synthetic shot {number % 40}", "synthetic")
        yield take if number % 4 == 0 else disguised(take, rng)


def confusers(make: Make, first: int, count: int, rng: np.random.Generator) -> Iterator[Take]:
    """Scenes `first` and so many after it of one kind, named after what makes it; no shots."""
    name = make.__name__
    for number in range(first, first + count):
        sound = make(rng)
        sound /= max(float(np.abs(sound).max()), 1e-9)
        sound += _hush(rng, len(sound))
        group, kind = f"synthetic {name} {number % 40}", f"synthetic {name}"
        yield disguised(Take(sound, _RATE_HZ, (), group, kind), rng)


def _hush(rng: np.random.Generator, count: int) -> Wave:
    """The noise of a good microphone: silence is found in files only."""
    return _SELF_NOISE * rng.standard_normal(count)


def _shot(rng: np.random.Generator) -> Wave:
    """A blast with early arrivals, noise of the gas, one or two tails, and slaps off walls."""
    time_s = np.arange(round(1.8 * _RATE_HZ)) / _RATE_HZ
    positive_s = _between(rng, 0.15e-3, 4e-3)
    blast = (1.0 - time_s / positive_s) * np.exp(-time_s / positive_s)
    if rng.random() < 0.4:
        blast = _low_pass(blast, _between(rng, 700.0, 9e3))
    wave = blast.copy()
    for _ in range(int(rng.integers(0, 7))):
        late, share = round(rng.uniform(0.3e-3, 12e-3) * _RATE_HZ), rng.uniform(0.1, 0.9)
        wave[late:] += share * rng.choice((1.0, 1.0, 1.0, -1.0)) * blast[:-late]
    if rng.random() < 0.6:
        gas = rng.standard_normal(len(time_s)) * np.exp(-time_s / _between(rng, 1e-3, 15e-3))
        wave += gas * rng.uniform(0.05, 0.8)
    for _ in range(int(rng.integers(1, 3))):
        _add(wave, _tail(time_s, rng), rng.uniform(2.0, 38.0))
    if rng.random() < 0.2:
        _add(wave, _plateau(time_s, rng), rng.uniform(3.0, 18.0))
    for _ in range(int(rng.integers(0, 3))):
        late = round(rng.uniform(0.04, 0.5) * _RATE_HZ)
        slap = _low_pass(wave, _between(rng, 500.0, 5e3))[:-late]
        wave[late:] += 10.0 ** (-rng.uniform(8.0, 30.0) / 20.0) * slap
    return wave


def _tail(time_s: Wave, rng: np.random.Generator) -> Wave:
    """A street's reverberation."""
    fall = np.exp(-6.9 * time_s / _between(rng, 0.03, 2.0))
    build = 1.0 - np.exp(-time_s / _between(rng, 0.3e-3, 20e-3))
    return _low_pass(rng.standard_normal(len(time_s)) * fall * build, _between(rng, 300.0, 9e3))


def _plateau(time_s: Wave, rng: np.random.Generator) -> Wave:
    """A tail that a recorder's automatic gain holds up for a while."""
    held_s, fall_s = _between(rng, 0.1, 0.7), _between(rng, 0.05, 0.3)
    level = np.where(time_s < held_s, 1.0, np.exp(-(time_s - held_s) / fall_s))
    return _low_pass(rng.standard_normal(len(time_s)), _between(rng, 1500.0, 12e3)) * level


def _add(wave: Wave, other: Wave, below_db: float) -> None:
    """`other` with its peak so far below that of `wave`."""
    share = float(np.abs(wave).max()) * 10.0 ** (-below_db / 20.0)
    wave += other * (share / max(float(np.abs(other).max()), 1e-9))


def bark(rng: np.random.Generator) -> Wave:
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


def horn(rng: np.random.Generator) -> Wave:
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


def hammer(rng: np.random.Generator) -> Wave:
    """Blows 8 to 40 times a second, each a burst of ringing noise."""
    sound = rng.standard_normal(round(_LENGTH_S * _RATE_HZ)) * rng.uniform(0.0, 0.1)
    every_s = 1.0 / rng.uniform(8.0, 40.0)
    for start_s in np.arange(rng.uniform(0.0, 1.0), _LENGTH_S, every_s):
        blow = _struck(rng, rng.uniform(3e-3, 30e-3))
        _lay(sound, blow * rng.uniform(0.4, 1.0), start_s * (1.0 + rng.normal(0.0, 2e-3)))
    return sound


def clatter(rng: np.random.Generator) -> Wave:
    """Single clicks, knocks and rings of struck things, dry."""
    sound = np.zeros(round(_LENGTH_S * _RATE_HZ))
    for start_s in rng.uniform(_FIRST_S, _LENGTH_S, int(rng.integers(1, 8))):
        _lay(sound, _struck(rng, np.exp(rng.uniform(-6.5, -2.0))) * rng.uniform(0.3, 1.0), start_s)
    return sound


def hooves(rng: np.random.Generator) -> Wave:
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


def rustle(rng: np.random.Generator) -> Wave:
    """Noise whose level jumps about: gusts, crackle, engines, crowds."""
    count = round(_LENGTH_S * _RATE_HZ)
    knots = rng.gamma(rng.uniform(0.3, 2.0), 1.0, int(_LENGTH_S * rng.uniform(3.0, 60.0)))
    level = np.interp(np.arange(count), np.linspace(0, count, len(knots)), knots)
    corner_hz = float(np.exp(rng.uniform(np.log(200.0), np.log(8e3))))
    return _low_pass(rng.standard_normal(count), corner_hz) * level


def knocks(rng: np.random.Generator) -> Wave:
    """Blows of one to three bodies, in rooms and without, in a rhythm and out of it."""
    sound = np.zeros(round(_LENGTH_S * _RATE_HZ))
    bodies = [_body(rng) for _ in range(int(rng.integers(1, 4)))]
    every_s, unsteady = _between(rng, 0.05, 1.5), rng.uniform(0.0, 0.4)
    at_s = _FIRST_S
    while at_s < _LENGTH_S - 0.2:
        _lay(sound, bodies[int(rng.integers(len(bodies)))] * rng.uniform(0.2, 1.0), at_s)
        at_s += every_s * (1.0 + unsteady * rng.uniform(-1.0, 1.0))
    return sound


def _body(rng: np.random.Generator) -> Wave:
    time_s = np.arange(_RATE_HZ) / _RATE_HZ
    wave = _struck(rng, _between(rng, 2e-3, 60e-3), count=len(time_s))
    wave *= 1.0 - np.exp(-time_s / _between(rng, 0.1e-3, 6e-3))
    if rng.random() < 0.5:
        wave = _low_pass(wave, _between(rng, 200.0, 6e3))
    if rng.random() < 0.5:
        _add(wave, _tail(time_s, rng), rng.uniform(12.0, 40.0))
    return wave / max(float(np.abs(wave).max()), 1e-9)


def _struck(rng: np.random.Generator, decay_s: float, count: int | None = None) -> Wave:
    time_s = np.arange(count or round(8.0 * decay_s * _RATE_HZ)) / _RATE_HZ
    modes_hz = np.exp(rng.uniform(np.log(150.0), np.log(9e3), int(rng.integers(1, 7))))
    ring = sum(np.sin(2.0 * np.pi * mode * time_s + rng.uniform(0, 6.3)) for mode in modes_hz)
    noise = rng.standard_normal(len(time_s)) * rng.uniform(0.0, 2.0)
    return np.asarray((ring + noise) * np.exp(-time_s / decay_s))


def _lay(sound: Wave, piece: Wave, at_s: float) -> None:
    start = round(at_s * _RATE_HZ)
    room = sound[start : start + len(piece)]
    room += piece[: len(room)]


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform in the logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _low_pass(sound: Wave, corner_hz: float) -> Wave:
    return np.asarray(
        sosfilt(butter(1, min(corner_hz, 0.45 * _RATE_HZ), fs=_RATE_HZ, output="sos"), sound)
    )
