"""Runs the agent's timebase through one draw of a world and writes down what it said.

Once in each second, at a moment of no meaning, a sound is stamped as soon as a node could: its
block is in hand, the process runs, and 0.3 s have passed. Sounds that were lost are not asked for.
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.clock.timebase import Stamp, Timebase
from agent.core.records.correction import Correction
from agent.core.units import NS_PER_S
from simulator.grid.scenario import ScenarioError
from simulator.trials.clocks.life import Life
from simulator.trials.clocks.nature import ClockWorld
from simulator.trials.clocks.told import Disk
from simulator.trials.clocks.trial import feed

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
_LAST_S = 3.0
_UNTOLD = Stamp(None, None)


@dataclass(frozen=True, slots=True)
class Said:
    """One draw, one entry per question, shapes (n,); NaN where no time was told.

    `confirmed` says whether the node was sure of its second; where it was not `error_ns` is that
    within the second, as its sigma is meant, and `whole_s` are the seconds it is off beside.
    `good` says where a good source is there, `out` where the satellites are away;
    `back_s` are the moments at which they returned, `doubt_s` that at which each doubt came up.
    `corrected` is error and sigma after the node's own corrections, shape (n, 2).
    `ppm_off` is the converter's last stated rate against its true one, None if none was stated.
    """

    at_s: Floats
    error_ns: Floats
    sigma_ns: Floats
    locked: Flags
    confirmed: Flags
    whole_s: Floats
    good: Flags
    out: Flags
    back_s: tuple[float, ...]
    doubt_s: dict[str, float]
    ppm_off: float | None
    corrected: Floats


def run(world: ClockWorld, seed: int) -> Said:
    """One draw of the world."""
    life = Life(world, seed)
    timebase, disk = Timebase(life.claimed_hz, life.settings), Disk(life.settings)
    pauses = deque((life.host_ns(s.start_s), life.host_ns(s.end_s)) for s in life.restarts)
    questions = _questions(life, seed)
    rows: list[tuple[float, float, float, bool, bool, float]] = []
    doubt_s: dict[str, float] = {}
    corrections: list[Correction] = []
    for item in life.items():
        while questions and questions[0][0] <= item.host_ns:
            asked_ns, then_s = questions.popleft()
            timebase.on_time(asked_ns)
            rows.append((then_s, *_answer(timebase, life, then_s)))
            disk.note(timebase, asked_ns)
            for phrase in timebase.doubts.phrases:
                doubt_s.setdefault(phrase, then_s)
        if pauses and item.host_ns >= pauses[0][0]:
            if not disk.is_between:
                timebase = Timebase(life.claimed_hz, disk.restart())
            if item.host_ns < pauses[0][1]:
                continue
            pauses.popleft()
            disk.is_between = False
        if word := disk.word(item.host_ns):
            feed(timebase, word)
        feed(timebase, item)
        if correction := timebase.take_correction(item.host_ns):
            corrections.append(correction)
    if not rows:
        raise ScenarioError(f"{world.world}: no sound is ever handed over: see audio.block_samples")
    columns = zip(*sorted(rows), strict=True)
    at_s, error_ns, sigma_ns, locked, confirmed, whole_s = (np.array(one) for one in columns)
    outages = life.sky.outages if world.source in ("pps", "pps-adc") else []
    return Said(
        at_s=at_s,
        error_ns=error_ns,
        sigma_ns=sigma_ns,
        locked=locked,
        confirmed=confirmed,
        whole_s=whole_s,
        good=np.array([life.has_good_source(moment) for moment in at_s]),
        out=np.array([any(s.holds(moment) for s in outages) for moment in at_s]),
        back_s=tuple(s.end_s for s in outages if s.end_s < life.awake_s - world.limits.relock_s),
        doubt_s=doubt_s,
        ppm_off=_ppm_off(timebase, life),
        corrected=_corrected(life, corrections, at_s, error_ns + whole_s * NS_PER_S * ~confirmed),
    )


def _corrected(life: Life, corrections: list[Correction], at_s: Floats, error_ns: Floats) -> Floats:
    """Error and sigma of each stamp that a correction covers; NaN elsewhere."""
    found = np.full((len(at_s), 2), np.nan)
    for row, (then_s, off_ns) in enumerate(zip(at_s, error_ns, strict=True)):
        if math.isnan(off_ns):
            continue
        told_ns = life.true_utc_ns(float(then_s)) + round(float(off_ns))
        for one in reversed(corrections):
            if one.covers(told_ns):
                add_ns, sigma_ns = one.at(told_ns)
                found[row] = off_ns + add_ns, sigma_ns
                break
    return found


def _questions(life: Life, seed: int) -> deque[tuple[int, float]]:
    """Host time of asking, and the moment that is asked for, in order of asking."""
    within = np.random.default_rng(seed).random(int(life.awake_s))
    moments = [second + within[second] for second in range(1, int(life.awake_s - _LAST_S))]
    if life.world.sound:
        moments = [moment for moment in moments if life.sample_at(moment) is not None]
    asked = [(life.host_ns(life.stamped_s(moment)), float(moment)) for moment in moments]
    return deque(sorted(asked))


def _answer(timebase: Timebase, life: Life, at_s: float) -> tuple[float, float, bool, bool, float]:
    """Error and sigma in ns, locked, confirmed, and the whole seconds that the former is off."""
    error_ns, sigma_ns = _stamped(timebase, life, at_s)
    is_known, is_locked = not math.isnan(sigma_ns), timebase.state == "locked"
    is_sure = is_known and timebase.confirms(round(sigma_ns))
    off_s = 0.0 if math.isnan(error_ns) else float(round(error_ns / NS_PER_S))
    within_ns = error_ns if is_sure else error_ns - off_s * NS_PER_S
    return within_ns, sigma_ns, is_locked, is_sure, off_s


def _stamped(timebase: Timebase, life: Life, at_s: float) -> tuple[float, float]:
    if life.world.sound:
        sample = life.sample_at(at_s)
        stamp = _UNTOLD if sample is None else timebase.stamp_sample(sample)
    else:
        stamp = timebase.utc_at_host(life.host_ns(at_s))
    if stamp.utc_ns is None or stamp.sigma_ns is None:
        return float("nan"), float("nan")
    return float(stamp.utc_ns - life.true_utc_ns(at_s)), float(stamp.sigma_ns)


def _ppm_off(timebase: Timebase, life: Life) -> float | None:
    if not life.world.sound:
        return None
    told_ppm = timebase.quality(life.host_ns(life.awake_s - _LAST_S)).oscillator_ppm
    return None if told_ppm is None else told_ppm - life.converter_ppm(life.awake_s - _LAST_S)
