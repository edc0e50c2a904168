"""The node's streaming detector beside its peers: cost, recall, false alarms, time of onset.

All of it in one run, on the same sound, in one thread, CPU time, median of interleaved rounds.
Prints tables and writes build/bench-hearing.json. EARSHOT_BENCH_MINUTES (20) is how much street
the recall is measured on: at most one false alarm an hour is only shown by an hour or more.
"""

import csv
import json
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from math import gcd
from pathlib import Path
from statistics import median

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from agent.core.audio import AudioBlock, AudioFormat
from agent.core.hearing import Hearing, Onset
from tests.support import clairvoyant, peers
from tests.support.field import FIELD
from tests.support.noisystreet import RATE_HZ, SNRS_DB, Blast, street

ROUNDS = 5
BLOCKS = (1024, 4096)
MINUTES = float(os.environ.get("EARSHOT_BENCH_MINUTES", "20"))
OUT = Path(__file__).parents[2] / "build" / "bench-hearing.json"
CLIPS = FIELD / "clips"
STREETS = {
    *("air_conditioner", "aircraft", "ambience_city", "engine", "engine_idling", "insects"),
    *("rain", "train", "wind"),
}
LOOPED_S = 20
MATCH_S = 0.05
needs_clips = pytest.mark.skipif(not CLIPS.is_dir(), reason=f"no labelled clips at {CLIPS}")
RESULT: dict = {"cells": {}, "versions": {}, "notes": []}


@pytest.fixture(scope="module", autouse=True)
def written(request):
    """One file with everything that this run measured."""
    names = ("numpy", "scipy", "obspy", "aubio", "soundfile")
    RESULT["versions"] |= {name: _version(name) for name in names}
    RESULT["machine"] = f"{_cpu()}, {os.cpu_count()} CPU, Python {platform.python_version()}"
    RESULT["load_at_start"] = os.getloadavg()[0]
    yield
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(RESULT, indent=1))
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\nwrote {OUT}; load {RESULT['load_at_start']:.1f}, {RESULT['machine']}")


def test_cost_beside_peers(tmp_path: Path, capsys) -> None:
    """Street noise with 6 blasts a minute: times real time, and ratios to peers and a floor."""
    sound, _ = street(60.0, 6.0, seed=1, snrs_db=(40, 30, 25, 20, 16, 12))
    jobs: dict[str, Callable[[], object]] = {
        "earshot 1024": lambda: hear(sound, 1024),
        "earshot 4096": lambda: hear(sound, 4096),
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
    spent = _interleaved(jobs)
    if peers.aubio_python():
        runs = [peers.aubio(sound, tmp_path) for _ in range(ROUNDS)]
        spent["aubio specflux, hop 512"] = median(one["cpu_s"] for one in runs)
        RESULT["versions"]["aubio"] = runs[0]["version"]
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
    RESULT["cells"] |= cells
    RESULT["x_realtime"] = speed
    with capsys.disabled():
        print("\ncost on street noise with 6 blasts a minute, times real time:")
        for name, times in sorted(speed.items(), key=lambda item: -item[1]):
            print(f"  {name:34} {times:9.0f}   {spent[name] / spent['earshot 4096']:6.2f} x ours")
        _print_cells(cells)


@needs_clips
def test_cost_on_real_ambience(capsys) -> None:
    """Traffic, rain, machines and insects as recorded; each clip looped to 20 s."""
    for name, kinds in (("ambience", STREETS), ("any_non_impulsive", None)):
        sounds = list(_ambience(kinds))
        cells = {}
        for block in BLOCKS:
            heard_s = sum(len(one) for one in sounds) / RATE_HZ
            spent_s = [
                sum(_cpu_s(partial(hear, sound, block)) for sound in sounds) for _ in range(3)
            ]
            cells[f"x_realtime_{name}_{block}"] = heard_s / median(spent_s)
        onsets = sum(len(hear(one, 4096)) for one in sounds)
        cells[f"triggers_per_s_{name}"] = onsets / heard_s
        RESULT["cells"] |= cells
        with capsys.disabled():
            print(f"\n{len(sounds)} clips of {name}, {heard_s:.0f} s:")
            _print_cells(cells)


def test_cost_at_worst(capsys) -> None:
    """Twenty impulses a second for a minute, no two alike in level, none let off."""
    sound, _ = street(60.0, 0.5, seed=3)
    rng = np.random.default_rng(4)
    wave = np.zeros(len(sound))
    for onset in np.arange(2.0, 59.5, 0.05) * RATE_HZ + rng.uniform(0, 480, 1150):
        tail = np.exp(-np.arange(960) / 96) * rng.standard_normal(960)
        wave[int(onset) : int(onset) + 960] += 10 ** rng.uniform(2.5, 4.3) * tail
    sound = np.clip(sound + wave, -32_768, 32_767).astype(np.int16)
    spent_s = median(_cpu_s(lambda: hear(sound, 1024)) for _ in range(3))
    cells = {
        "x_realtime_worst": 60.0 / spent_s,
        "triggers_worst_per_s": len(hear(sound, 1024)) / 60,
    }
    RESULT["cells"] |= cells
    with capsys.disabled():
        print("\ntwenty impulses a second:")
        _print_cells(cells)


def test_recall_and_time_beside_peers(tmp_path: Path, capsys) -> None:
    """Recall by SNR, each detector at the threshold that gives at most one false alarm an hour."""
    seeds = range(100, 100 + max(1, round(MINUTES / 5)))
    scenes = [street(300.0, 6.0, seed=seed) for seed in seeds]
    trigger = peers.obspy_trigger()
    detectors: dict[str, Callable[[np.ndarray], peers.Picks]] = {
        "earshot": lambda sound: [(one.sample, one.strength) for one in hear(sound, 4096)],
        "scipy envelope": peers.scipy_picks,
    }
    if trigger:
        detectors["obspy recursive"] = lambda s: peers.obspy_picks(trigger, s, aic=False)
        detectors["obspy recursive + AIC"] = lambda s: peers.obspy_picks(trigger, s, aic=True)
    if peers.aubio_python():
        for method in ("specflux", "mkl"):
            detectors[f"aubio {method}"] = lambda s, m=method: peers.aubio(s, tmp_path, m)["picks"]
    hours = 300.0 * len(scenes) / 3600
    table = {}
    for name, detector in detectors.items():
        table[name] = _scored([(detector(sound), truth) for sound, truth in scenes], hours)
    truth = [one for _, blasts in scenes for one in blasts]
    limits = {}
    for name, known in (("direct wave", False), ("and reflection", True)):
        found = [
            hit
            for (sound, blasts), seed in zip(scenes, seeds, strict=True)
            for hit in clairvoyant.found(sound, blasts, seed, with_reflection=known)
        ]
        limits[f"clairvoyant, {name}"] = _recall(truth, np.array(found))
    shares = {
        f"recall over {name}": table["earshot"]["recall_20_12"] / row["recall_20_12"]
        for name, row in limits.items()
    }
    RESULT["detection"] = {"hours": hours, "per_detector": table, "clairvoyant": limits}
    RESULT["cells"] |= shares
    with capsys.disabled():
        print(f"\nrecall % at no more than 1 false alarm an hour, {hours * 60:.0f} min of street:")
        print(
            f"  {'':24}" + "".join(f"{snr:>5} dB" for snr in SNRS_DB) + "   20-12   P50 us   P95 us"
        )
        for name, row in table.items():
            shown = "".join(f"{row['recall'][snr]:8.0f}" for snr in SNRS_DB)
            times = f"{row['p50_us']:9.1f}{row['p95_us']:9.0f}"
            print(f"  {name:24}{shown}{row['recall_20_12']:8.1f}{times}")
        for name, row in limits.items():
            shown = "".join(f"{row['recall'][snr]:8.0f}" for snr in SNRS_DB)
            print(f"  {name:27}{shown[3:]}{row['recall_20_12']:8.1f}")
        _print_cells(shares)


@needs_clips
def test_ranking_of_large_models(capsys) -> None:
    """BirdNET and YAMNet on the labelled clips, from their recorded scores: area under the ROC."""
    path = CLIPS / "peer_scores.csv"
    if not path.is_file():
        pytest.skip(f"no {path}: BirdNET's and YAMNet's weights cannot be fetched here")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    is_shot = np.array([row["label"] == "gunshot" for row in rows])
    areas = {}
    for name in [column for column in rows[0] if column not in ("file", "label", "class")]:
        scores = np.array([float(row[name]) for row in rows])
        above = scores[is_shot][:, None] - scores[~is_shot]
        areas[name] = float(np.mean(above > 0) + 0.5 * np.mean(above == 0))
    RESULT["auc_on_clips"] = areas
    with capsys.disabled():
        print("\nAUC on the labelled clips (ours: earshot-sim corpus):")
        for name, area in areas.items():
            print(f"  {name:24} {area:6.3f}")


def hear(sound: np.ndarray, block: int) -> list[Onset]:
    """The whole of Hearing, fed in blocks."""
    hearing, found = Hearing(AudioFormat(RATE_HZ)), []
    for start in range(0, len(sound), block):
        found += hearing.on_block(AudioBlock(start, sound[start : start + block], 0))
    return found + hearing.finish()


def dot_pass(sound: np.ndarray, block: int) -> float:
    """The least that any detector does with a block: make floats of it and sum their squares."""
    wave, total = np.empty(block, np.float32), 0.0
    for start in range(0, len(sound) - block + 1, block):
        np.copyto(wave, sound[start : start + block])
        total += float(wave.dot(wave))
    return total


def _scored(heard: list[tuple[peers.Picks, list[Blast]]], hours: float) -> dict:
    """At the lowest threshold with at most one false alarm an hour (none in less than an hour)."""
    false, found = [], []
    for picks, truth in heard:
        places = np.array([one.onset for one in truth])
        best = [(0.0, np.nan)] * len(truth)
        for at, score in picks:
            nearest = int(np.argmin(np.abs(places - at)))
            late_s = (at - places[nearest]) / RATE_HZ
            if abs(late_s) <= MATCH_S:
                best[nearest] = max(best[nearest], (score, late_s * 1e6))
            elif at > 2 * RATE_HZ and not 0 < late_s < 0.4:
                false.append(score)
        found += [(one.snr_db, *hit) for one, hit in zip(truth, best, strict=True)]
    allowed = int(hours)
    threshold = sorted(false, reverse=True)[allowed] if len(false) > allowed else 0.0
    snr, score, late_us = np.array(found).T
    hit = score > threshold
    timed = np.abs(late_us[hit & (snr >= 12) & ~np.isnan(late_us)])
    return {
        "threshold": float(threshold),
        "false_at_any_threshold": len(false),
        **_recall([one for _, truth in heard for one in truth], hit),
        "p50_us": float(np.percentile(timed, 50)) if len(timed) else float("nan"),
        "p95_us": float(np.percentile(timed, 95)) if len(timed) else float("nan"),
    }


def _recall(truth: list[Blast], hit: np.ndarray) -> dict:
    """Share that was hit, by SNR, %."""
    snr = np.array([one.snr_db for one in truth])
    return {
        "recall": {one: 100.0 * float(np.mean(hit[snr == one])) for one in SNRS_DB},
        "recall_20_12": 100.0 * float(np.mean(hit[(snr <= 20) & (snr >= 12)])),
    }


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


def _interleaved(jobs: dict[str, Callable[[], object]]) -> dict[str, float]:
    spent: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(ROUNDS):
        for name, job in jobs.items():
            spent[name].append(_cpu_s(job))
    return {name: median(times) for name, times in spent.items()}


def _cpu_s(job: Callable[[], object]) -> float:
    began = time.process_time()
    job()
    return time.process_time() - began


def _print_cells(cells: dict[str, float]) -> None:
    for name, value in cells.items():
        print(f"  {name:34} {value:9.2f}" if value < 100 else f"  {name:34} {value:9.0f}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
