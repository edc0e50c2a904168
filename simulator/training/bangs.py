"""Bangs that are no shot: fireworks with their lift and crackle, backfires, charges; and sirens.

A charge of many times a cartridge's powder is the same blast, longer by the cube root of the ratio
(Hopkinson and Cranz), and carries low sound: the ground, the smoke and the walls roll on after it.
"""

import numpy as np

from simulator.training.struck import (
    FIRST_S,
    RATE_HZ,
    Wave,
    between,
    in_room,
    lay,
    low_pass,
    ringing,
    silence,
)

_LONG_S = 4.5


def firework(rng: np.random.Generator) -> Wave:
    """The lift out of the tube, at times a whistle, then the burst, and at times its crackle."""
    sound = silence(_LONG_S)
    lift_s, burst_s = FIRST_S, FIRST_S + rng.uniform(0.6, 2.5)
    if rng.random() < 0.7:
        push = _blast(between(rng, 2e-3, 12e-3))
        lift = ringing(push, between(rng, 60.0, 350.0), rng.uniform(1, 6))
        lay(sound, lift / np.abs(lift).max() * rng.uniform(0.05, 0.8), lift_s)
    if rng.random() < 0.4:
        lay(sound, _whistle(burst_s - lift_s, rng) * rng.uniform(0.02, 0.4), lift_s)
    for turn in range(int(rng.choice((1, 1, 2, 5)))):
        burst = _rolling(_blast(between(rng, 0.8e-3, 8e-3)), rng)
        at_s = burst_s + turn * rng.uniform(0.08, 0.6)
        lay(sound, burst * rng.uniform(0.4, 1.0), at_s)
        if rng.random() < 0.5:
            _crackle(sound, at_s + rng.uniform(0.05, 0.6), rng)
    return in_room(sound, rng)


def backfire(rng: np.random.Generator) -> Wave:
    """Pops through a pipe that rings at 60 to 500 Hz, over an engine that turns unevenly."""
    sound = silence()
    pipe_hz, quality = between(rng, 60.0, 500.0), rng.uniform(1.0, 8.0)
    turns_hz, rough = rng.uniform(12.0, 80.0), rng.uniform(0.0, 0.15)
    at_s, idle = 0.0, between(rng, 0.005, 0.2)
    stroke = ringing(_blast(between(rng, 2e-3, 10e-3)), pipe_hz, quality)
    stroke /= np.abs(stroke).max()
    while at_s < len(sound) / RATE_HZ:
        lay(sound, stroke[: RATE_HZ // 8] * idle * rng.uniform(0.6, 1.0), at_s)
        at_s += (1.0 + rough * rng.standard_normal()) / turns_hz
    for at_s in np.sort(rng.uniform(FIRST_S, 2.6, int(rng.integers(1, 7)))):
        pop = ringing(_blast(between(rng, 0.5e-3, 6e-3)), pipe_hz * rng.uniform(0.9, 1.1), quality)
        gas = low_pass(rng.standard_normal(len(pop)), between(rng, 600.0, 5e3))
        time_s = np.arange(len(pop)) / RATE_HZ
        pop = pop / np.abs(pop).max()
        pop += gas * np.exp(-time_s / between(rng, 3e-3, 40e-3)) * rng.uniform(0.0, 0.5)
        lay(sound, pop * rng.uniform(0.4, 1.0), at_s)
    return in_room(sound, rng)


def charge(rng: np.random.Generator) -> Wave:
    """An explosion: a long blast, slow to rise from afar, that rolls for seconds; then debris."""
    sound = silence(_LONG_S)
    blast = low_pass(_blast(between(rng, 3e-3, 60e-3)), between(rng, 150.0, 5e3), 2)
    lay(sound, _rolling(blast / np.abs(blast).max(), rng, low=True), FIRST_S)
    if rng.random() < 0.4:
        for late_s in rng.gamma(2.0, 0.4, int(between(rng, 5, 80))):
            click = rng.standard_normal(96) * np.hanning(96) * rng.exponential(0.06)
            lay(sound, click, FIRST_S + 0.2 + late_s)
    if rng.random() < 0.3:
        sound = np.tanh(sound * between(rng, 1.5, 8.0))
    return in_room(sound, rng)


def siren(rng: np.random.Generator) -> Wave:
    """Wail, yelp or two tones: harmonics of a pitch that is swept, switched or pulsed."""
    sound = silence()
    time_s = np.arange(len(sound)) / RATE_HZ
    low_hz, high_hz = between(rng, 300.0, 900.0), between(rng, 900.0, 2500.0)
    phase = (time_s * between(rng, 0.15, 6.0) + rng.random()) % 1.0
    course = (
        1.0 - np.abs(2.0 * phase - 1.0),
        (phase < 0.5).astype(np.float64),
        phase,
        np.zeros(len(phase)),
    )[int(rng.integers(4))]
    turns = 2.0 * np.pi * np.cumsum(low_hz + (high_hz - low_hz) * course) / RATE_HZ
    slope = rng.uniform(0.3, 2.0)
    tone = sum(np.sin(k * turns + rng.uniform(0, 6.3)) / k**slope for k in range(1, 9))
    if rng.random() < 0.4:
        gate = (time_s * between(rng, 0.7, 12.0)) % 1.0 < rng.uniform(0.2, 0.8)
        edge = max(1, round(between(rng, 0.2e-3, 20e-3) * RATE_HZ))
        tone = tone * np.convolve(gate, np.full(edge, 1.0 / edge), "same")
    return in_room(np.asarray(tone), rng)


def _blast(positive_s: float) -> Wave:
    """Friedlander's wave, peak 1, until little is left of it."""
    time_s = np.arange(round(min(0.8, max(0.12, 14.0 * positive_s)) * RATE_HZ)) / RATE_HZ
    return np.asarray((1.0 - time_s / positive_s) * np.exp(-time_s / positive_s))


def _rolling(blast: Wave, rng: np.random.Generator, *, low: bool = False) -> Wave:
    """With the roll that comes after it, off ground and walls and out of the smoke itself."""
    time_s = np.arange(round(3.0 * RATE_HZ)) / RATE_HZ
    corner_hz = between(rng, 80.0, 900.0) if low else between(rng, 250.0, 4e3)
    roll = low_pass(rng.standard_normal(len(time_s)), corner_hz, 2)
    swell = np.interp(time_s, np.linspace(0, 3.0, 24), rng.gamma(2.0, 0.5, 24))
    fall = np.exp(-6.9 * time_s / between(rng, 0.3, 5.0))
    rise = 1.0 - np.exp(-time_s / between(rng, 1e-3, 80e-3))
    roll *= swell * fall * rise
    roll *= between(rng, 0.05, 1.2 if low else 0.6) / max(float(np.abs(roll).max()), 1e-9)
    lay(roll, blast, 0.0)
    return np.asarray(roll / np.abs(roll).max())


def _crackle(sound: Wave, at_s: float, rng: np.random.Generator) -> None:
    """Stars that go off by the hundred, each a tiny blast."""
    lasts_s, a_second = rng.uniform(0.3, 1.5), between(rng, 10.0, 200.0)
    for late_s in rng.beta(1.5, 3.0, int(lasts_s * a_second)) * lasts_s:
        star = _blast(between(rng, 0.05e-3, 0.5e-3))[: RATE_HZ // 50]
        lay(sound, star * rng.exponential(0.15), at_s + late_s)


def _whistle(lasts_s: float, rng: np.random.Generator) -> Wave:
    time_s = np.arange(round(lasts_s * RATE_HZ)) / RATE_HZ
    pitch_hz = between(rng, 1200.0, 5000.0) * (1.0 - rng.uniform(0.0, 0.5) * time_s / lasts_s)
    tone = np.sin(2.0 * np.pi * np.cumsum(pitch_hz) / RATE_HZ)
    return np.asarray((tone + 0.3 * rng.standard_normal(len(time_s))) * np.hanning(len(time_s)))
