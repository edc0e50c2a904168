"""`earshot-sim corpus --busy`: what becomes of shots amid a street that bangs without end."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from simulator.cli.main import main
from simulator.trials.corpus import hidden
from tests.support.sound import add_blast, noise

RATE_HZ = 12_000
COLUMNS = (
    "file", "label", "class", "impulsive", "licence", "group_id", "onset_times_s",
    "onset_accuracy_ms",
)  # fmt: skip


def write_corpus(directory: Path) -> None:
    """One shot, one street of bangs like it, and one of a hum."""
    shot = noise(1.2, seed=5, rms=0.001, rate_hz=RATE_HZ)
    add_blast(shot, 0.6 * RATE_HZ, 0.5, rate_hz=RATE_HZ)
    bangs = noise(4.0, seed=6, rms=0.001, rate_hz=RATE_HZ)
    for number in range(8):
        add_blast(bangs, (0.1 + 0.48 * number) * RATE_HZ, 0.3, rate_hz=RATE_HZ)
    rows = [
        ("shot.flac", "gunshot", "gunshot", "yes", "CC0-1.0", "a", "0.6", "3"),
        ("bangs.flac", "negative", "bangs", "yes", "CC-BY-NC-3.0", "b", "", ""),
        ("hum.flac", "negative", "hum", "no", "CC-BY-NC-3.0", "c", "", ""),
    ]
    for name, sound in (("shot", shot), ("bangs", bangs), ("hum", noise(2.0, 7, 0.1, RATE_HZ))):
        soundfile.write(directory / f"{name}.flac", sound, RATE_HZ)
    with (directory / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def test_shots_in_busy_and_in_quiet_streets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A street that is not busy hides nothing; in one that is, what is louder than all of it is
    told at once, and the hour's budget holds."""
    for name, value in (("SHOTS", 2), ("BURSTS", 1), ("_TAKES", 4), ("_HOURS", 1.2)):
        monkeypatch.setattr(hidden, name, value)
    monkeypatch.setattr(hidden, "LEVELS_DB", (0.0, 6.0))
    write_corpus(tmp_path)
    out = tmp_path / "out.json"
    asked = ["corpus", str(tmp_path), "--busy", "bangs,hum", "--json", str(out)]
    assert main(asked) == 0
    assert "candidates an hour" in capsys.readouterr().out
    told = json.loads(out.read_text())["busy"]
    assert told["hum"]["rules"] == 0
    assert {row["told"] for row in told["hum"]["rows"]} <= {1.0, None}
    assert told["bangs"]["candidates_an_hour"] > 1000
    assert told["bangs"]["rules"] > 5
    assert max(told["bangs"]["told"]) < 520
    loud = told["bangs"]["rows"][-1]
    assert (loud["level_db"], loud["told"]) == (6.0, 1.0)


def test_a_class_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With those that are; exit 2 and one line."""
    write_corpus(tmp_path)
    assert main(["corpus", str(tmp_path), "--busy", "hooves"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_takes_of_a_clip_differ() -> None:
    """A street made of them never sounds twice the same, and is no louder than its clips."""
    rng, sound = np.random.default_rng(1), noise(0.5, rate_hz=RATE_HZ)
    takes = [hidden.varied(sound, rng) for _ in range(6)]
    assert len({round(float(np.abs(one).max()), 6) for one in takes}) == 6
    assert max(np.abs(one).max() for one in takes) < 1.1 * np.abs(sound).max()
