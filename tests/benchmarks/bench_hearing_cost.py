"""What the node's streaming detector costs, beside its peers and beside the least that any could.

All of it in one run, on the same sound, in one thread, CPU time, median of interleaved rounds.
The whole path is counted: gate, picker, features and verdict. Peers only trigger. Prints tables
and writes build/bench-hearing-cost.json.
"""

import csv
from collections.abc import Callable
from functools import partial
from math import gcd
from pathlib import Path
from statistics import median

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from tests.support import peers
from tests.support.field import FIELD
from tests.support.hearing import hear
from tests.support.measuring import ROUNDS, Results, cpu_s, interleaved, print_cells
from tests.support.noisystreet import RATE_HZ, street

BLOCKS = (1024, 4096)
CLIPS = FIELD / "clips"
STREETS = {
    *("air_conditioner", "aircraft", "ambience_city", "engine", "engine_idling", "insects"),
    *("rain", "train", "wind"),
}
LOOPED_S = 20
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
        sounds = list(_ambience(kinds))
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
    sound, _ = street(60.0, 0.5, seed=3)
    rng = np.random.default_rng(4)
    wave = np.zeros(len(sound))
    for onset in np.arange(2.0, 59.5, 0.05) * RATE_HZ + rng.uniform(0, 480, 1150):
        tail = np.exp(-np.arange(960) / 96) * rng.standard_normal(960)
        wave[int(onset) : int(onset) + 960] += 10 ** rng.uniform(2.5, 4.3) * tail
    sound = np.clip(sound + wave, -32_768, 32_767).astype(np.int16)
    spent_s = median(cpu_s(lambda: hear(sound, 1024, passes_over=True)) for _ in range(3))
    cells = {
        "x_realtime_worst": 60.0 / spent_s,
        "triggers_worst_per_s": len(hear(sound, 1024, passes_over=True)) / 60,
    }
    RESULTS.cells |= cells
    with capsys.disabled():
        print("\ntwenty impulses a second:")
        print_cells(cells)


def dot_pass(sound: np.ndarray, block: int) -> float:
    """The least that any detector does with a block: make floats of it and sum their squares."""
    wave, total = np.empty(block, np.float32), 0.0
    for start in range(0, len(sound) - block + 1, block):
        np.copyto(wave, sound[start : start + block])
        total += float(wave.dot(wave))
    return total


def _ambience(kinds: set[str] | None):
    with (CLIPS / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["impulsive"] == "no"]
    for row in rows:
        if kinds is None or row["class"] in kinds:
            sound, rate_hz = soundfile.read(CLIPS / row["file"])
            common = gcd(RATE_HZ, rate_hz)
            wave = resample_poly(sound, RATE_HZ // common, rate_hz // common)
            yield _looped(np.clip(wave * 32_767, -32_768, 32_767).astype(np.int16))


def _looped(sound: np.ndarray) -> np.ndarray:
    """The clip to and fro until it lasts LOOPED_S: no seam in it that would be an event."""
    both = np.concatenate((sound, sound[::-1]))
    return np.resize(both, max(len(sound), LOOPED_S * RATE_HZ))
