"""The node's streaming detector beside its peers: recall, false alarms, time of onset.

All of it in one run, on the same sound. Prints tables and writes build/bench-hearing.json.
EARSHOT_BENCH_MINUTES (20) is how much street the recall is measured on: at most one false alarm
an hour is only shown by an hour or more. What it costs is `bench_hearing_cost`'s matter.
"""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support import clairvoyant, peers
from tests.support.field import FIELD
from tests.support.hearing import hear
from tests.support.measuring import Results, print_cells
from tests.support.noisystreet import RATE_HZ, SNRS_DB, Blast, street

MINUTES = float(os.environ.get("EARSHOT_BENCH_MINUTES", "20"))
CLIPS = FIELD / "clips"
MATCH_S = 0.05
needs_clips = pytest.mark.skipif(not CLIPS.is_dir(), reason=f"no labelled clips at {CLIPS}")
RESULTS = Results("bench-hearing")


@pytest.fixture(scope="module", autouse=True)
def written(request):
    """One file with everything that this run measured."""
    yield
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{RESULTS.write()}")


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
    RESULTS.told["detection"] = {"hours": hours, "per_detector": table, "clairvoyant": limits}
    RESULTS.cells |= shares
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
        print_cells(shares)


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
    RESULTS.told["auc_on_clips"] = areas
    with capsys.disabled():
        print("\nAUC on the labelled clips (ours: earshot-sim corpus):")
        for name, area in areas.items():
            print(f"  {name:24} {area:6.3f}")


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
