"""Struck things, as their modes ring: glass, metal, wood, hail on a case, steps, claps, doors.

A blow is a pulse of force as long as the contact lasts, so that soft things ring low; a mode at f
Hz of a material with loss factor eta dies by 60 dB in 2.2 / (f eta) s (Cremer & Heckl,
"Structure-Borne Sound"). Bars have the modes of Euler's free beam; plates have about equally many
per Hz.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

Wave = npt.NDArray[np.float64]
Made = Callable[[np.random.Generator], Wave]

RATE_HZ = 48_000
LENGTH_S = 3.0
FIRST_S = 0.3
_BAR = np.array((1.0, 2.756, 5.404, 8.933, 13.344, 18.64))
_LOSS = {
    "glass": (8e-4, 6e-3),
    "metal": (1e-4, 4e-3),
    "wood": (8e-3, 4e-2),
    "plastic": (2e-2, 1e-1),
}
_LOWEST_HZ = {"glass": (700, 4000), "metal": (150, 3000), "wood": (90, 900), "plastic": (150, 1500)}


def glass(rng: np.random.Generator) -> Wave:
    """Panes and bottles that are knocked, or break: a crack, then shards that fall and ring."""
    sound = silence()
    at_s = FIRST_S
    while at_s < LENGTH_S - 0.3:
        lay(sound, _body("glass", rng) * rng.uniform(0.3, 1.0), at_s)
        if rng.random() < 0.5:
            lay(sound, _crack(rng), at_s)
            falls_s, count = between(rng, 0.05, 0.6), int(between(rng, 8, 120))
            for late_s in rng.exponential(falls_s, count):
                shard = _body("glass", rng, high=3.0) * rng.exponential(0.25)
                lay(sound, shard, at_s + rng.uniform(0.0, 0.3) * falls_s + late_s)
        at_s += between(rng, 0.15, 2.5)
    return in_room(sound, rng)


def metal(rng: np.random.Generator) -> Wave:
    """Pipes, lids and cases that are struck or dropped, with the bounces that follow."""
    return _dropped("metal", rng)


def wood(rng: np.random.Generator) -> Wave:
    """Boards and beams, and plastic: struck, dropped, chopped."""
    return _dropped(str(rng.choice(("wood", "wood", "plastic"))), rng)


def hail(rng: np.random.Generator) -> Wave:
    """Hail, or heavy drops, on the case around the microphone: one body, struck at random."""
    sound, case = silence(), _modes(str(rng.choice(("metal", "plastic"))), rng)
    a_second = between(rng, 3.0, 120.0)
    for at_s in rng.uniform(0.0, LENGTH_S, int(a_second * LENGTH_S)):
        blow = struck(case, between(rng, 0.05e-3, 0.8e-3), rng)
        lay(sound, blow * rng.exponential(0.3) ** 1.5, at_s)
    return sound


def steps(rng: np.random.Generator) -> Wave:
    """Heel, then toe, on stone, boards or gravel, one to four feet a second."""
    sound, every_s = silence(), rng.uniform(0.25, 0.9)
    ground = str(rng.choice(("stone", "boards", "gravel")))
    floor = _modes("wood", rng) * np.array((1.0, 0.6, 1.0))[:, None]
    for at_s in np.arange(FIRST_S, LENGTH_S - 0.3, every_s):
        toe_s = rng.uniform(0.03, 0.14)
        for late_s, share in ((0.0, 1.0), (toe_s, rng.uniform(0.1, 0.8))):
            foot = _foot(ground, floor, rng) * share * rng.uniform(0.5, 1.0)
            lay(sound, foot, at_s * (1.0 + rng.normal(0.0, 0.01)) + late_s)
    return in_room(sound, rng)


def claps(rng: np.random.Generator) -> Wave:
    """Hands: a few ms of noise through the hollow between them, alone, in time or as a crowd."""
    sound = silence()
    hands = [_hands(rng) for _ in range(int(rng.choice((1, 1, 2, 8))))]
    every_s, unsteady = rng.uniform(0.12, 1.2), rng.uniform(0.0, 0.3)
    for pair in hands:
        at_s = FIRST_S + rng.uniform(0.0, every_s)
        while at_s < LENGTH_S - 0.1:
            lay(sound, pair * rng.uniform(0.4, 1.0), at_s)
            at_s += every_s * (1.0 + unsteady * rng.uniform(-1.0, 1.0))
    return in_room(sound, rng)


def door(rng: np.random.Generator) -> Wave:
    """A slam: the air of the room, the panel's modes, the latch before it and rattle after it."""
    sound, panel = silence(), _modes(str(rng.choice(("wood", "metal"))), rng)
    panel[0] *= 0.5
    at_s = FIRST_S
    while at_s < LENGTH_S - 0.4:
        if rng.random() < 0.5:
            lay(sound, _body("metal", rng) * rng.uniform(0.05, 0.5), at_s - rng.uniform(0.01, 0.15))
        lay(sound, struck(panel, between(rng, 1e-3, 8e-3), rng), at_s)
        lay(sound, _thump(rng) * rng.uniform(0.2, 1.2), at_s)
        for late_s in rng.exponential(0.08, int(rng.integers(0, 8))):
            lay(sound, _body("metal", rng) * rng.uniform(0.02, 0.2), at_s + late_s)
        at_s += between(rng, 0.4, 3.0)
    return in_room(sound, rng)


def silence(length_s: float = LENGTH_S) -> Wave:
    """Shape (n,), at RATE_HZ."""
    return np.zeros(round(length_s * RATE_HZ))


def lay(sound: Wave, piece: Wave, at_s: float) -> None:
    """Adds `piece` to `sound` from `at_s` on; what reaches over its end is cut."""
    start = max(0, round(at_s * RATE_HZ))
    room = sound[start : start + len(piece)]
    room += piece[: len(room)]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform in the logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def low_pass(sound: Wave, corner_hz: float, order: int = 1) -> Wave:
    """Causal."""
    sos = butter(order, min(corner_hz, 0.45 * RATE_HZ), fs=RATE_HZ, output="sos")
    return np.asarray(sosfilt(sos, sound))


def ringing(sound: Wave, at_hz: float, quality: float) -> Wave:
    """Through one resonance, whose gain at `at_hz` is 1."""
    kept = np.exp(-np.pi * at_hz / quality / RATE_HZ)
    turn = 2.0 * np.pi * at_hz / RATE_HZ
    under = [1.0, -2.0 * kept * np.cos(turn), kept**2]
    gain = (1.0 - kept) * np.sqrt(1.0 - 2.0 * kept * np.cos(2.0 * turn) + kept**2)
    return np.asarray(lfilter([gain], under, sound))


def in_room(sound: Wave, rng: np.random.Generator) -> Wave:
    """As it is, or with the tail of a room, a yard or a street."""
    if rng.random() < 0.35:
        return sound
    lasts_s = between(rng, 0.08, 1.8)
    time_s = np.arange(round(min(lasts_s, 1.0) * RATE_HZ)) / RATE_HZ
    tail = rng.standard_normal(len(time_s)) * np.exp(-6.9 * time_s / lasts_s)
    tail[: round(rng.uniform(1e-3, 8e-3) * RATE_HZ)] = 0.0
    tail = low_pass(tail, between(rng, 1500.0, 12e3))
    tail *= between(rng, 0.03, 1.2) / max(float(np.sqrt(np.sum(tail**2))), 1e-9)
    tail[0] += 1.0
    return np.asarray(fftconvolve(sound, tail)[: len(sound)])


def struck(modes: Wave, contact_s: float, rng: np.random.Generator) -> Wave:
    """What `modes` (rows: Hz, share, s until 60 dB down) make of one blow, peak 1."""
    longest_s = float(np.clip(modes[2].max(), 0.02, 1.2))
    time_s = np.arange(round(longest_s * RATE_HZ)) / RATE_HZ
    shares = modes[1] * rng.uniform(0.2, 1.0, modes.shape[1])
    phases = 2.0 * np.pi * modes[0][:, None] * time_s
    ring = shares @ (np.sin(phases) * np.exp(-6.9 * time_s / modes[2][:, None]))
    count = max(2, round(contact_s * RATE_HZ))
    force = np.sin(np.pi * (np.arange(count) + 0.5) / count)
    ring = np.convolve(ring, force)[: len(ring)]
    knock = rng.standard_normal(count) * force * rng.uniform(0.0, 0.6)
    ring[:count] += knock[: len(ring)] * float(np.abs(ring).max()) / max(1e-9, np.abs(knock).max())
    return np.asarray(ring / max(float(np.abs(ring).max()), 1e-9))


def _modes(material: str, rng: np.random.Generator, high: float = 1.0) -> Wave:
    lowest_hz = between(rng, *_LOWEST_HZ[material]) * high
    if rng.random() < 0.5:
        modes_hz = lowest_hz * _BAR * np.exp(rng.normal(0.0, 0.03, len(_BAR)))
    else:
        modes_hz = lowest_hz * (1.0 + np.cumsum(rng.exponential(between(rng, 0.1, 1.0), 18)))
    modes_hz = modes_hz[modes_hz < 0.42 * RATE_HZ]
    if not len(modes_hz):
        modes_hz = np.array([0.3 * RATE_HZ])
    loss = between(rng, *_LOSS[material])
    shares = rng.uniform(0.1, 1.0, len(modes_hz)) * (modes_hz[0] / modes_hz) ** rng.uniform(-0.2, 1)
    lasts_s = np.minimum(2.2 / (modes_hz * loss), between(rng, 0.03, 2.0))
    return np.array((modes_hz, shares, lasts_s))


def _body(material: str, rng: np.random.Generator, high: float = 1.0) -> Wave:
    return struck(_modes(material, rng, high), between(rng, 0.05e-3, 2e-3), rng)


def _dropped(material: str, rng: np.random.Generator) -> Wave:
    sound = silence()
    modes = [_modes(material, rng) for _ in range(int(rng.integers(1, 4)))]
    at_s = FIRST_S
    while at_s < LENGTH_S - 0.2:
        body, hardness_s = modes[int(rng.integers(len(modes)))], between(rng, 0.05e-3, 4e-3)
        gap_s, level, bounce = between(rng, 0.03, 0.35), 1.0, rng.uniform(0.2, 0.8)
        late_s = 0.0
        for _ in range(int(rng.choice((1, 1, 2, 6)))):
            lay(sound, struck(body, hardness_s, rng) * level, at_s + late_s)
            late_s, gap_s, level = late_s + gap_s, gap_s * bounce, level * bounce
        at_s += between(rng, 0.1, 2.0)
    return in_room(sound, rng)


def _crack(rng: np.random.Generator) -> Wave:
    time_s = np.arange(round(0.05 * RATE_HZ)) / RATE_HZ
    noise = rng.standard_normal(len(time_s)) * np.exp(-time_s / between(rng, 0.5e-3, 8e-3))
    return np.asarray(noise * rng.uniform(0.2, 1.0))


def _thump(rng: np.random.Generator) -> Wave:
    time_s = np.arange(round(0.25 * RATE_HZ)) / RATE_HZ
    hum = np.sin(2.0 * np.pi * between(rng, 40.0, 200.0) * time_s)
    noise = low_pass(rng.standard_normal(len(time_s)), between(rng, 150.0, 900.0), 2)
    both = hum + noise * rng.uniform(0.0, 4.0)
    rise = 1.0 - np.exp(-time_s / between(rng, 0.2e-3, 6e-3))
    both = both * rise * np.exp(-time_s / between(rng, 10e-3, 60e-3))
    return np.asarray(both / max(float(np.abs(both).max()), 1e-9))


def _foot(ground: str, floor: Wave, rng: np.random.Generator) -> Wave:
    foot = _thump(rng) * rng.uniform(0.2, 1.0)
    if ground == "gravel":
        for late_s in rng.exponential(25e-3, int(between(rng, 10, 60))):
            grain = rng.standard_normal(48) * np.hanning(48) * rng.exponential(0.4)
            lay(foot, grain, late_s)
        return foot
    hard = struck(floor, between(rng, 0.2e-3, 5e-3), rng)
    lay(foot, hard * (1.0 if ground == "boards" else 0.3), 0.0)
    lay(foot, _crack(rng) * rng.uniform(0.0, 0.8), 0.0)
    return foot


def _hands(rng: np.random.Generator) -> Wave:
    time_s = np.arange(round(0.06 * RATE_HZ)) / RATE_HZ
    noise = rng.standard_normal(len(time_s)) * np.exp(-time_s / between(rng, 0.8e-3, 8e-3))
    hollow = ringing(noise, between(rng, 500.0, 3000.0), rng.uniform(1.0, 5.0))
    both = hollow / np.abs(hollow).max() + noise * rng.uniform(0.0, 0.4) / np.abs(noise).max()
    return np.asarray(both / np.abs(both).max())
