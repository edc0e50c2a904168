"""What the node's streaming detector costs, beside its peers and beside the least that any could.

All of it in one run, on the same sound, in one thread, CPU time, median of interleaved rounds.
The whole path is counted: gate, picker, features and verdict. Peers only trigger. Prints tables
and writes build/bench-hearing-cost.json.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from agent.core.hearing import pipeline
from agent.core.hearing.detector import Gate
from tests.support import peers
from tests.support.busystreets import CLIPS, STREETS, ambience, worst
from tests.support.hearing import hear
from tests.support.measuring import ROUNDS, Results, cpu_s, interleaved, print_cells
from tests.support.noisystreet import RATE_HZ, street

BLOCKS = (1024, 4096)
STAGES = (
    *("find_onsets", "noise_floor", "outline", "is_passed_over", "timbre", "opinion", "measure"),
    *("judge", "arrive", "plain_break"),
)
NO_BLASTS = 0.9  # a minute, of which 60 s have room for none
needs_clips = pytest.mark.skipif(not CLIPS.is_dir(), reason=f"no labelled clips at {CLIPS}")
RESULTS = Results("bench-hearing-cost")


@pytest.fixture(scope="module", autouse=True)
def written(request):
    """One file with everything that this run measured."""
    yield
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{RESULTS.write()}")


@pytest.mark.parametrize("per_minute", [0, 6])
def test_cost_beside_peers(per_minute: int, tmp_path: Path, capsys) -> None:
    """Street noise, without and with blasts: times real time, and ratios to peers and a floor."""
    blasts = per_minute or NO_BLASTS
    sound, truth = street(60.0, blasts, seed=1, snrs_db=(40, 30, 25, 20, 16, 12))
    assert bool(truth) == bool(per_minute)
    jobs: dict[str, Callable[[], object]] = {
        "earshot 1024": lambda: hear(sound, 1024, passes_over=True),
        "earshot 4096": lambda: hear(sound, 4096, passes_over=True),
        "float32 + dot 1024": lambda: dot_pass(sound, 1024),
        "float32 + dot 4096": lambda: dot_pass(sound, 4096),
        "scipy envelope + find_peaks": lambda: peers.scipy_pass(sound),
    }
    if trigger := peers.obspy_trigger():
        whole = peers.recursive(trigger)
        jobs["obspy recursive, streamed 1024"] = lambda: peers.recursive_streamed(
            trigger, sound, 1024
        )
        jobs["obspy recursive, one batch"] = lambda: whole(sound)
    spent = interleaved(jobs)
    if peers.aubio_python():
        runs = [peers.aubio(sound, tmp_path) for _ in range(ROUNDS)]
        spent["aubio specflux, hop 512"] = median(one["cpu_s"] for one in runs)
        RESULTS.versions["aubio"] = runs[0]["version"]
    speed = {name: 60.0 / cpu_s for name, cpu_s in spent.items()}
    cells = {
        "x_realtime_1024": speed["earshot 1024"],
        "x_realtime_4096": speed["earshot 4096"],
        "over_dot_pass": spent["earshot 4096"] / spent["float32 + dot 4096"],
        "over_dot_pass_1024": spent["earshot 1024"] / spent["float32 + dot 1024"],
    }
    if "obspy recursive, one batch" in spent:
        streamed, batch = speed["obspy recursive, streamed 1024"], "obspy recursive, one batch"
        cells["x_obspy_stream_1024"] = speed["earshot 1024"] / streamed
        cells["x_obspy_batch"] = speed["earshot 4096"] / speed[batch]
    after = f"_{per_minute}_blasts_a_minute" if per_minute else ""
    RESULTS.cells |= {name + after: value for name, value in cells.items()}
    RESULTS.told[f"x_realtime{after}"] = speed
    with capsys.disabled():
        print(f"\ncost on street noise with {per_minute} blasts a minute, times real time:")
        for name, times in sorted(speed.items(), key=lambda item: -item[1]):
            print(f"  {name:34} {times:9.0f}   {spent[name] / spent['earshot 4096']:6.2f} x ours")
        print_cells(cells)


@needs_clips
def test_cost_on_real_ambience(capsys) -> None:
    """Traffic, rain, machines and insects as recorded; each clip looped to 20 s."""
    for name, kinds in (("ambience", STREETS), ("any_non_impulsive", None)):
        sounds = list(ambience(kinds))
        cells = {}
        for block in BLOCKS:
            heard_s = sum(len(one) for one in sounds) / RATE_HZ
            spent_s = [
                sum(cpu_s(partial(hear, sound, block, passes_over=True)) for sound in sounds)
                for _ in range(3)
            ]
            cells[f"x_realtime_{name}_{block}"] = heard_s / median(spent_s)
        onsets = sum(len(hear(one, 4096)) for one in sounds)
        cells[f"triggers_per_s_{name}"] = onsets / heard_s
        RESULTS.cells |= cells
        with capsys.disabled():
            print(f"\n{len(sounds)} clips of {name}, {heard_s:.0f} s:")
            print_cells(cells)


def test_cost_at_worst(capsys) -> None:
    """Twenty impulses a second for a minute, no two alike in level, none let off."""
    sound = worst()
    spent_s = median(cpu_s(lambda: hear(sound, 1024, passes_over=True)) for _ in range(3))
    cells = {
        "x_realtime_worst": 60.0 / spent_s,
        "triggers_worst_per_s": len(hear(sound, 1024, passes_over=True)) / 60,
    }
    RESULTS.cells |= cells
    with capsys.disabled():
        print("\ntwenty impulses a second:")
        print_cells(cells)


@needs_clips
def test_what_a_trigger_costs(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Shares of the stages; a trigger's score takes at most a fifth of its description's time."""
    streets = {"worst": [worst()], "lively": list(ambience(None, every=8))}
    stages = Stages(monkeypatch)
    for name, sounds in streets.items():
        for sound in sounds:
            hear(sound, 1024, passes_over=True)
        stages.spent_s.clear()
        began = time.thread_time()
        for sound in sounds:
            hear(sound, 1024, passes_over=True)
        whole_s, spent_s = time.thread_time() - began, dict(stages.spent_s)
        described_s = spent_s["outline"] + spent_s["timbre"] + spent_s["measure"]
        score_s = spent_s["opinion"] + spent_s["judge"]
        cells = {f"share_{stage}_{name}": one / whole_s for stage, one in spent_s.items()}
        cells[f"score_over_description_{name}"] = score_s / described_s
        RESULTS.cells |= cells
        with capsys.disabled():
            print(f"\nwhere the time goes, {name} street:")
            print_cells(cells)


class Stages:
    """CPU time of this thread in each stage of the pipeline, which is not told of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spent_s: dict[str, float] = defaultdict(float)
        for name in STAGES:
            monkeypatch.setattr(pipeline, name, self._timed(name, getattr(pipeline, name)))
        monkeypatch.setattr(Gate, "openings", self._timed("gate", Gate.openings))

    def _timed(self, name: str, stage: Callable) -> Callable:
        def timed(*args: object, **named: object) -> object:
            began = time.thread_time()
            try:
                return stage(*args, **named)
            finally:
                self.spent_s[name] += time.thread_time() - began

        return timed


def dot_pass(sound: np.ndarray, block: int) -> float:
    """The least that any detector does with a block: make floats of it and sum their squares."""
    wave, total = np.empty(block, np.float32), 0.0
    for start in range(0, len(sound) - block + 1, block):
        np.copyto(wave, sound[start : start + block])
        total += float(wave.dot(wave))
    return total
