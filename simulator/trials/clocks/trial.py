"""Runs the agent's timebase through a clock scenario and holds what it said against the truth.

Once a second it is asked for the UTC of a sample that was converted 0.3 s before, as for an
onset. All seeds of a scenario are pooled. Shares of seconds within so many sigmas are promised
over POOLED_SEEDS; a few seeds hold a few holdovers only, so they are held to much wider shares.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.audio import AudioBlock, AudioGap
from agent.core.clock import Timebase
from agent.core.clock.time_signs import Edge
from agent.core.clock.timebase import ClockSettings
from agent.core.units import NS_PER_MS, NS_PER_S, NS_PER_US
from simulator.trials.clocks.scenario import ClockLimits, ClockScenario
from simulator.trials.clocks.world import BLOCK_SAMPLES, RATE_HZ, Item, World

_ASKED_AFTER_S = 0.3
_BLOCK_S = BLOCK_SAMPLES / RATE_HZ
POOLED_SEEDS = 100


@dataclass(frozen=True, slots=True)
class Answers:
    """What was said, one entry a second: shapes (n,). Sigma and error in ns, NaN while unknown.

    `seen` are all states and doubts that came up.
    """

    at_s: npt.NDArray[np.float64]
    error_ns: npt.NDArray[np.float64]
    sigma_ns: npt.NDArray[np.float64]
    state: tuple[str, ...]
    seen: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One scenario over its seeds. Shares are of the seconds with UTC from `limits.from_s` on."""

    name: str
    seeds: int
    seconds: int
    rms_us: float
    bias_us: float
    within_1_sigma: float
    within_2_sigma: float
    beyond_3_sigma: float
    median_sigma_us: float
    locked_share: float
    faults: tuple[str, ...]


def run(scenario: ClockScenario, seed: int) -> Answers:
    """One seed."""
    world = World(scenario, seed)
    timebase = Timebase(RATE_HZ, settings_for(scenario))
    rows: list[tuple[float, float, float, str]] = []
    seen: set[str] = set()
    asked_s = 1.0
    due_ns = world.host_ns(asked_s)
    for item in world.items():
        while item.host_ns >= due_ns and asked_s < world.awake_s - 3:
            timebase.on_time(due_ns)
            rows.append(_ask(timebase, world, asked_s, scenario))
            asked_s += 1.0
            due_ns = world.host_ns(asked_s)
        feed(timebase, item)
        if not isinstance(item, AudioBlock | AudioGap | Edge):
            seen.update((timebase.state, *timebase.lock.doubts.phrases))
    at_s, error_ns, sigma_ns, states = zip(*rows, strict=True)
    return Answers(np.array(at_s), np.array(error_ns), np.array(sigma_ns), states, frozenset(seen))


def feed(timebase: Timebase, item: Item) -> None:
    """Hand over one item, as the node does."""
    timebase.on_time(item.host_ns)
    match item:
        case AudioBlock():
            timebase.on_block(item)
        case AudioGap():
            timebase.on_gap(item)
        case Edge():
            timebase.on_edge(item)
        case _:
            timebase.on_sign(item)


def settings_for(scenario: ClockScenario) -> ClockSettings:
    """What the node of a scenario is told."""
    calibrated = scenario.latency == "calibrated"
    return ClockSettings(
        source=scenario.source,
        latency_ns=round(scenario.delivery.floor_us * NS_PER_US) if calibrated else None,
        latency_bound_ns=500 * NS_PER_US,
        nmea_lag_ns=round(scenario.report.lag_ms * 1e6),
        nmea_sigma_ns=50 * NS_PER_MS,
        is_pulse_known=True,
        is_lag_known=True,
        edge_sigma_ns=round(scenario.pulse.shared_us * NS_PER_US),
        earliest_utc_ns=1_790_000_000 * NS_PER_S,
        last_known_utc_ns=scenario.start_utc_s * NS_PER_S,
    )


def judge(scenario: ClockScenario, answers: Sequence[Answers]) -> Outcome:
    """Pool the seeds and name every limit that was broken."""
    limits = scenario.limits
    late = [one.at_s >= limits.from_s for one in answers]
    error = np.concatenate([one.error_ns[sel] for one, sel in zip(answers, late, strict=True)])
    sigma = np.concatenate([one.sigma_ns[sel] for one, sel in zip(answers, late, strict=True)])
    state = np.array(
        [
            s
            for one, sel in zip(answers, late, strict=True)
            for s, wanted in zip(one.state, sel, strict=True)
            if wanted
        ]
    )
    told = np.isfinite(error)
    error_us, sigma_us = error[told] / NS_PER_US, sigma[told] / NS_PER_US
    off = np.abs(error_us) / sigma_us
    outcome = Outcome(
        name=scenario.name,
        seeds=len(answers),
        seconds=int(told.sum()),
        rms_us=float(np.sqrt(np.mean(error_us**2))),
        bias_us=float(np.mean(error_us)),
        within_1_sigma=float(np.mean(off <= 1)),
        within_2_sigma=float(np.mean(off <= 2)),
        beyond_3_sigma=float(np.mean(off > 3)),
        median_sigma_us=float(np.median(sigma_us)),
        locked_share=float(np.mean(state == "locked")),
        faults=(),
    )
    locked_error_us = np.abs(error[told & (state == "locked")]) / NS_PER_US
    seen = {word for one in answers for word in one.seen}
    faults = tuple(_faults(limits, outcome, locked_error_us, seen))
    return Outcome(
        **{**{name: getattr(outcome, name) for name in outcome.__slots__}, "faults": faults}
    )


def _ask(
    timebase: Timebase, world: World, asked_s: float, scenario: ClockScenario
) -> tuple[float, float, float, str]:
    then_s = asked_s - _ASKED_AFTER_S
    if not scenario.sound:
        stamp = timebase.utc_at_host(world.host_ns(then_s))
    elif _was_lost(then_s, scenario):
        return then_s, float("nan"), float("nan"), timebase.state
    else:
        stamp = timebase.stamp_sample(world.sample_at(then_s))
    if stamp.utc_ns is None or stamp.sigma_ns is None:
        return then_s, float("nan"), float("nan"), timebase.state
    error_ns = stamp.utc_ns - world.true_utc_ns(round(then_s * NS_PER_S))
    return then_s, float(error_ns), float(stamp.sigma_ns), timebase.state


def _was_lost(then_s: float, scenario: ClockScenario) -> bool:
    """Lost sound has no onsets; those just before a loss are stamped before it is told."""
    return any(
        loss.at_s - _ASKED_AFTER_S <= then_s < loss.at_s + loss.for_s + 2 * _BLOCK_S
        for loss in scenario.mishaps.overruns
    )


def _faults(
    limits: ClockLimits, outcome: Outcome, locked_error_us: npt.NDArray[np.float64], seen: set[str]
) -> Iterator[str]:
    if limits.rms_us is not None and outcome.rms_us > limits.rms_us:
        yield f"RMS error {outcome.rms_us:.2f} us, allowed {limits.rms_us:g}"
    if limits.bias_us is not None and abs(outcome.bias_us) > limits.bias_us:
        yield f"bias {outcome.bias_us:+.2f} us, allowed {limits.bias_us:g}"
    pooled = outcome.seeds >= POOLED_SEEDS
    low, high = limits.within_1_sigma if pooled else (min(0.3, limits.within_1_sigma[0]), 1.0)
    if not low <= outcome.within_1_sigma <= high:
        yield f"{outcome.within_1_sigma:.1%} within 1 sigma, allowed {low:.0%} to {high:.0%}"
    low = limits.within_2_sigma if pooled else min(0.75, limits.within_2_sigma)
    if outcome.within_2_sigma < low:
        yield f"{outcome.within_2_sigma:.1%} within 2 sigma, least {low:.0%}"
    high = limits.beyond_3_sigma if pooled else max(0.03, limits.beyond_3_sigma)
    if outcome.beyond_3_sigma > high:
        yield f"{outcome.beyond_3_sigma:.2%} beyond 3 sigma, allowed {high:.2%}"
    ratio = outcome.median_sigma_us / outcome.rms_us
    if limits.max_ratio is not None and ratio > limits.max_ratio:
        yield f"median sigma {ratio:.2f} times the RMS error, allowed {limits.max_ratio:g}"
    low, high = limits.locked_share
    if not low <= outcome.locked_share <= high:
        yield f"locked {outcome.locked_share:.1%} of the time, allowed {low:.0%} to {high:.0%}"
    if limits.max_locked_error_us is not None and len(locked_error_us):
        worst = float(locked_error_us.max())
        if worst > limits.max_locked_error_us:
            yield f"off by {worst:.1f} us while locked, allowed {limits.max_locked_error_us:g}"
    yield from (
        f"{word!r} was never seen"
        for word in (*limits.states_seen, *limits.doubts_seen)
        if word not in seen
    )
