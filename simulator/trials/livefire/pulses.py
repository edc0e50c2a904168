"""The node's ears alone on the recorded shots, against the recording system's own pulses.

No clock, no locator: the detector, in the time of the files, and beside it what weights that have
not seen the firing position would publish of it. The system's times are rounded to 1 ms and were
found on the same sound by other means, so that agreement to a third of a millisecond is all there
can be. A constant difference between the two is removed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.core.audio import AudioBlock, AudioFormat
from agent.core.hearing import Hearing, Onset
from agent.core.units import NS_PER_S, sound_speed_mps
from simulator.trials.corpus.folds import fold_model, fold_of, live_fire_group
from simulator.trials.corpus.listening import in_turn
from simulator.trials.livefire.dataset import RATE_HZ, Recording, Test
from simulator.trials.livefire.neutralise import excerpt_span, neutralise

NEAR_S = 5e-3
_HEARD_WITHIN_S = 30e-3
_COARSE_S = 50e-3
_CONTROL_S = (0.35, -0.35)
_BLOCK_SAMPLES = 512

Times = Mapping[tuple[str, str, str], Sequence[float]]
"""Onsets per (position, test, sensor), in seconds since the file's first sample."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Differences (ours minus theirs, s, median removed) per pulse used for location.

    A pulse without any onset of ours counts with an infinite one, also the `not_recorded`, which
    lie outside of what their file holds. `heard_unused` are rounds heard
    at sensors of which the system used no pulse for them, of `unused`; `by_chance` would have been
    heard likewise at wrong times.
    """

    differences_s: tuple[float, ...]
    offset_s: float
    heard_unused: int
    unused: int
    by_chance: float
    onsets: int
    not_recorded: int

    @property
    def matched(self) -> float:
        """Share of the pulses that an onset is within 5 ms of."""
        return float(np.mean(np.abs(self.differences_s) <= NEAR_S))

    @property
    def heard(self) -> float:
        """Share of the pulses that an onset is within 30 ms of, as association may take it."""
        return float(np.mean(np.abs(self.differences_s) <= _HEARD_WITHIN_S))

    @property
    def mad_ms(self) -> float:
        """Median of the absolute differences that are within 5 ms."""
        size = np.abs(self.differences_s)
        near = size[size <= NEAR_S]
        return float(np.median(near)) * 1e3 if len(near) else float("inf")

    def figures(self) -> dict[str, Any]:
        """By the names that limits are set for."""
        return {
            "pulses": len(self.differences_s),
            "pulses_matched_within_5ms": round(self.matched, 4),
            "pulses_mad_ms": round(self.mad_ms, 4),
            "pulses_offset_ms": round(self.offset_s * 1e3, 3),
            "heard_unused": self.heard_unused,
            "unused": self.unused,
            "heard_unused_by_chance": round(self.by_chance, 1),
            "onsets": self.onsets,
            "pulses_not_recorded": self.not_recorded,
        }

    def lines(self) -> list[str]:
        """What it came to, in words."""
        count, near = len(self.differences_s), self.matched
        return [
            f"{round(near * count)} of {count} pulses used for location ({near:.1%}) have an onset "
            f"within 5 ms, after a constant {self.offset_s * 1e3:+.2f} ms.",
            f"Median absolute difference: {self.mad_ms:.3f} ms; their times are rounded to 1 ms.",
            f"Pulses outside of what their file holds, all missed: {self.not_recorded}.",
            f"Rounds heard at sensors of which no pulse was used: {self.heard_unused} of "
            f"{self.unused} ({self.by_chance:.0f} expected by chance).",
        ]


def listen(tests: Iterable[Test], seed: int) -> tuple[Times, Times]:
    """All onsets in every recording, its padding replaced by background; and the published ones.

    Published by the weights of the fold that has not learned from the firing position.
    """
    every: dict[tuple[str, str, str], list[float]] = {}
    published: dict[tuple[str, str, str], list[float]] = {}
    for test in tests:
        model = fold_model(fold_of(live_fire_group(test.position)))
        for one in test.recordings:
            heard = list(_onsets(one, seed))
            key = (test.position, test.name, one.sensor)
            every[key] = [at_s for at_s, _ in heard]
            verdicts = in_turn(model, [(at_s, o.features) for at_s, o in heard])
            judged = zip(heard, verdicts, strict=True)
            published[key] = [at_s for (at_s, _), verdict in judged if verdict.accepted]
    return every, published


def compare(tests: Sequence[Test], heard: Times) -> Agreement:
    """Match every pulse used for location, on a sensor with audio, with the nearest onset."""
    asked = [
        (heard[test.position, test.name, one.sensor], _in_file_s(pulse.arrival_utc_ns, one), one)
        for test in tests
        for one in test.recordings
        for pulse in test.pulses
        if pulse.sensor == one.sensor and pulse.uuid in _used(test)
    ]
    differences_s = np.array([_nearest(times, at_s) for times, at_s, _ in asked])
    coarse = np.abs(differences_s) <= _COARSE_S
    offset_s = float(np.median(differences_s[coarse])) if coarse.any() else 0.0
    unused = [one for test in tests for one in _unused(test)]
    return Agreement(
        differences_s=tuple(float(value) for value in differences_s - offset_s),
        offset_s=offset_s,
        heard_unused=_count_heard(unused, heard, 0.0),
        unused=len(unused),
        by_chance=sum(_count_heard(unused, heard, off_s) for off_s in _CONTROL_S) / len(_CONTROL_S),
        onsets=sum(len(times) for times in heard.values()),
        not_recorded=sum(not _is_recorded(at_s, one) for _, at_s, one in asked),
    )


def _onsets(recording: Recording, seed: int) -> Iterator[tuple[float, Onset]]:
    neutral = neutralise(recording, seed)
    hearing, found = Hearing(AudioFormat(RATE_HZ)), []
    for start in range(0, len(neutral.samples), _BLOCK_SAMPLES):
        piece = neutral.samples[start : start + _BLOCK_SAMPLES]
        found += hearing.on_block(AudioBlock(start, piece, 0))
    found += hearing.finish()
    lead_s = (recording.start_utc_ns - neutral.start_utc_ns) / NS_PER_S
    return ((one.sample / RATE_HZ - lead_s, one) for one in found)


def _used(test: Test) -> frozenset[str]:
    return frozenset(uuid for uuids in test.tuples for uuid in uuids)


def _in_file_s(utc_ns: int, recording: Recording) -> float:
    return (utc_ns - recording.start_utc_ns) / NS_PER_S


def _is_recorded(at_s: float, recording: Recording) -> bool:
    first, last = excerpt_span(recording.samples)
    return first <= at_s * RATE_HZ < last


def _nearest(times_s: Sequence[float], wanted_s: float) -> float:
    """Difference to the nearest onset, infinite without one."""
    return min((one - wanted_s for one in times_s), key=abs, default=float("inf"))


def _unused(test: Test) -> Iterable[tuple[tuple[str, str, str], float]]:
    """Rounds at sensors that gave no pulse to them: which recording, and when they should arrive.

    A round's discharge is the median over its pulses of arrival minus travel time.
    """
    speed_mps = sound_speed_mps(test.temperature_c)
    places = {pulse.sensor: pulse.position_m for pulse in test.pulses}
    by_uuid = {pulse.uuid: pulse for pulse in test.pulses}

    def travel_s(sensor: str) -> float:
        return float(np.linalg.norm(places[sensor] - test.survey_m)) / speed_mps

    for uuids in test.tuples:
        its = [by_uuid[uuid] for uuid in uuids if uuid in by_uuid]
        users = {pulse.sensor for pulse in its}
        for one in test.recordings:
            if its and one.sensor not in users and one.sensor in places:
                fired_s = float(
                    np.median([_in_file_s(p.arrival_utc_ns, one) - travel_s(p.sensor) for p in its])
                )
                yield (test.position, test.name, one.sensor), fired_s + travel_s(one.sensor)


def _count_heard(
    wanted: Iterable[tuple[tuple[str, str, str], float]], heard: Times, off_s: float
) -> int:
    return sum(abs(_nearest(heard[key], at_s + off_s)) <= _HEARD_WITHIN_S for key, at_s in wanted)
