"""A weapon that is handled and not fired: bolt, slide, magazine, hammer, cylinder, cases that fall.

Small hard parts stop against each other within hundredths of a millisecond, so that they ring at
1 to 10 kHz; joints, springs and the hand that holds them damp that within 3 to 30 ms. What is
worked by hand is two to five such clicks, 30 to 400 ms apart, with the scrape of what slides
between them. There is no gas, and so nothing low, and no echo that outlives the clicks by much.
"""

from collections.abc import Callable

import numpy as np

from simulator.training.struck import (
    FIRST_S,
    LENGTH_S,
    RATE_HZ,
    Wave,
    between,
    in_room,
    lay,
    low_pass,
    silence,
    struck,
)

_PART_HZ, _FRAME_HZ = (1000.0, 9000.0), (250.0, 1500.0)
_PART_S, _FRAME_S = (3e-3, 30e-3), (5e-3, 40e-3)
_CASE_HZ, _CASE_S = (2500.0, 7000.0), (40e-3, 400e-3)
_CONTACT_S = (0.02e-3, 0.3e-3)

Gesture = Callable[[Wave, float, np.random.Generator], float]


def handling(rng: np.random.Generator) -> Wave:
    """One or a few gestures, with pauses, near a microphone; at times in a room or a yard."""
    sound, at_s = silence(), FIRST_S
    gestures = [
        _GESTURES[int(rng.integers(len(_GESTURES)))] for _ in range(int(rng.integers(1, 4)))
    ]
    while at_s < LENGTH_S - 0.3:
        made = gestures[int(rng.integers(len(gestures)))](sound, at_s, rng)
        at_s = made + between(rng, 0.1, 2.0)
    if rng.random() < 0.6:
        sound = sound - low_pass(sound, between(rng, 150.0, 1500.0))
    return in_room(sound, rng) if rng.random() < 0.4 else sound


def _worked(sound: Wave, at_s: float, rng: np.random.Generator) -> float:
    """A bolt or slide: drawn back against its stop, and let go against the chamber, louder."""
    gun = _gun(rng)
    clicks = int(rng.integers(2, 6))
    levels = np.sort(rng.uniform(0.15, 1.0, clicks)) if rng.random() < 0.6 else rng.random(clicks)
    for level in levels:
        _click(sound, at_s, gun, float(level), rng)
        apart_s = between(rng, 0.03, 0.4)
        if rng.random() < 0.6:
            _scrape(sound, at_s, apart_s, between(rng, 0.01, 0.25), rng)
        at_s += apart_s
    return at_s


def _seated(sound: Wave, at_s: float, rng: np.random.Generator) -> float:
    """A magazine: it slides up its well and latches, or drops out; rounds rattle in it."""
    gun, slides_s = _gun(rng), between(rng, 0.05, 0.4)
    _scrape(sound, at_s, slides_s, between(rng, 0.03, 0.4), rng)
    for late_s in np.sort(rng.uniform(0.0, slides_s, int(rng.integers(0, 6)))):
        _click(sound, at_s + float(late_s), gun, rng.uniform(0.02, 0.3), rng)
    _click(sound, at_s + slides_s, gun, 1.0, rng)
    _click(sound, at_s + slides_s + between(rng, 4e-3, 40e-3), gun, rng.uniform(0.1, 0.7), rng)
    return at_s + slides_s


def _snapped(sound: Wave, at_s: float, rng: np.random.Generator) -> float:
    """A hammer that is cocked and dropped, a safety, a catch: one click, or two close together."""
    gun = _gun(rng)
    _click(sound, at_s, gun, rng.uniform(0.4, 1.0), rng)
    if rng.random() < 0.5:
        at_s += between(rng, 5e-3, 0.2)
        _click(sound, at_s, gun, rng.uniform(0.2, 1.0), rng)
    return at_s


def _turned(sound: Wave, at_s: float, rng: np.random.Generator) -> float:
    """A cylinder or a ratchet: clicks 8 to 60 times a second that slow down."""
    gun, apart_s, slower = _gun(rng), 1.0 / between(rng, 8.0, 60.0), rng.uniform(1.0, 1.12)
    for _ in range(int(rng.integers(4, 24))):
        _click(sound, at_s, gun, rng.uniform(0.3, 1.0), rng)
        at_s, apart_s = at_s + apart_s, apart_s * slower
    return at_s


def _dropped(sound: Wave, at_s: float, rng: np.random.Generator) -> float:
    """Cases that fall, ring as the thin tubes they are, and bounce."""
    for _ in range(int(rng.choice((1, 1, 2, 5)))):
        case = _modes(_CASE_HZ, _CASE_S, rng)
        apart_s, level, late_s = between(rng, 0.05, 0.3), rng.uniform(0.4, 1.0), at_s
        for _ in range(int(rng.integers(1, 7))):
            lay(sound, struck(case, between(rng, *_CONTACT_S), rng) * level, late_s)
            late_s, apart_s, level = late_s + apart_s, apart_s * 0.7, level * rng.uniform(0.3, 0.8)
        at_s += between(rng, 0.05, 0.4)
    return at_s


_GESTURES: tuple[Gesture, ...] = (
    _worked,
    _worked,
    _seated,
    _snapped,
    _snapped,
    _snapped,
    _turned,
    _dropped,
)


def _gun(rng: np.random.Generator) -> tuple[Wave, Wave, float]:
    """Modes of its small parts and of its frame, and how much of a blow goes into the frame."""
    return _modes(_PART_HZ, _PART_S, rng), _modes(_FRAME_HZ, _FRAME_S, rng), between(rng, 0.03, 0.8)


def _modes(
    lowest_hz: tuple[float, float], lasts_s: tuple[float, float], rng: np.random.Generator
) -> Wave:
    """Rows: Hz, share, s until 60 dB down; a part is damped by its joints, alike at all modes."""
    count = int(between(rng, 4, 40))
    apart = between(rng, 0.05, 0.5)
    modes_hz = between(rng, *lowest_hz) * (1.0 + np.cumsum(rng.exponential(apart, count)))
    modes_hz = modes_hz[modes_hz < 0.42 * RATE_HZ]
    if not len(modes_hz):
        modes_hz = np.array([lowest_hz[1]])
    lasts = between(rng, *lasts_s) * np.exp(rng.normal(0.0, 0.3, len(modes_hz)))
    return np.array((modes_hz, rng.uniform(0.1, 1.0, len(modes_hz)), 3.0 * lasts))


def _click(
    sound: Wave, at_s: float, gun: tuple[Wave, Wave, float], level: float, rng: np.random.Generator
) -> None:
    part, frame, share = gun
    contact_s = between(rng, *_CONTACT_S)
    lay(sound, struck(part, contact_s, rng) * level, at_s)
    lay(sound, _rattle(rng) * level * rng.uniform(0.0, 1.0), at_s)
    lay(sound, struck(frame, 4.0 * contact_s, rng) * level * share * rng.uniform(0.3, 1.0), at_s)


def _rattle(rng: np.random.Generator) -> Wave:
    """Parts that hang loosely and strike each other a hundred times in a few ms: noise, not low."""
    time_s = np.arange(round(0.06 * RATE_HZ)) / RATE_HZ
    noise = rng.standard_normal(len(time_s))
    noise -= low_pass(noise, between(rng, 700.0, 4000.0))
    noise *= np.exp(-time_s / between(rng, 0.7e-3, 9e-3))
    noise *= 1.0 - np.exp(-time_s / between(rng, 0.02e-3, 1e-3))
    return np.asarray(noise / max(float(np.abs(noise).max()), 1e-9))


def _scrape(
    sound: Wave, at_s: float, lasts_s: float, level: float, rng: np.random.Generator
) -> None:
    """What slides: noise above some 800 Hz that swells as the hand moves faster."""
    time_s = np.arange(max(8, round(lasts_s * RATE_HZ))) / RATE_HZ
    noise = rng.standard_normal(len(time_s))
    noise -= low_pass(noise, between(rng, 500.0, 3000.0))
    rough = 1.0 + rng.uniform(0.0, 1.0) * np.sin(2.0 * np.pi * between(rng, 30.0, 400.0) * time_s)
    swell = np.sin(np.pi * (np.arange(len(time_s)) + 0.5) / len(time_s)) ** rng.uniform(0.5, 3.0)
    lay(sound, noise / max(float(np.abs(noise).max()), 1e-9) * rough * swell * level, at_s)
