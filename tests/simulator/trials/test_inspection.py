"""`earshot-sim inspect`: what it shows is what the node's hearing says."""

import numpy as np
import pytest
import soundfile

from agent.core.hearing.classification import shipped_model
from agent.core.hearing.inputs import NAMES, described
from agent.errors import AudioError
from simulator.cli.main import main
from simulator.trials import reasons
from simulator.trials.inspection import inspect, inspection_page, rows

RATE_HZ = 48_000
SHOTS_S = (0.8, 1.4)


@pytest.fixture
def recording(tmp_path):
    """Two blasts in faint noise, and a hum that sets in softly."""
    rng = np.random.default_rng(5)
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    sound = 1e-3 * rng.standard_normal(len(time_s))
    for at_s in SHOTS_S:
        since_s = np.maximum(time_s - at_s, 0.0)
        blast = 0.6 * (1 - since_s / 1e-3) * np.exp(-since_s / 1e-3)
        tail = 0.05 * rng.standard_normal(len(time_s)) * np.exp(-since_s / 0.1)
        sound += np.where(time_s >= at_s, blast + tail, 0.0)
    path = tmp_path / "shots.wav"
    soundfile.write(path, sound, RATE_HZ, subtype="PCM_16")
    return path


def test_the_blasts_are_where_they_were_put(recording):
    """Both onsets are found to 50 us, and levels cover the recording and nothing beyond it."""
    seen = inspect(recording)
    found_s = [at_s for at_s, _ in seen.onsets]
    for at_s in SHOTS_S:
        assert min(abs(one - at_s) for one in found_s) < 50e-6
    assert 0.0 <= seen.levels[0, 0] < 0.1
    assert 1.9 < seen.levels[-1, 0] <= 2.0
    assert (seen.levels[:, 2] > seen.levels[:, 1]).all()


def test_the_page_tells_every_onset(recording):
    """Each onset stands in the table, and the page needs nothing from elsewhere."""
    seen = inspect(recording)
    text = inspection_page(seen, "0")
    assert all(row[0] in text for row in rows(seen))
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "<script" not in text


def test_a_picture_or_a_page_by_the_name(recording, tmp_path, capsys):
    """The end of the name decides; other ends are refused in one line."""
    png, html = tmp_path / "a.png", tmp_path / "a.html"
    assert main(["inspect", str(recording), "--out", str(png)]) == 0
    assert main(["inspect", str(recording), "--out", str(html)]) == 0
    assert png.read_bytes().startswith(b"\x89PNG")
    assert html.read_text().startswith("<!DOCTYPE html>")
    capsys.readouterr()
    assert main(["inspect", str(recording), "--out", str(tmp_path / "a.pdf")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_no_recording_is_named(tmp_path):
    """A file that holds no sound is one AudioError with its name."""
    path = tmp_path / "noise.wav"
    path.write_bytes(b"not sound")
    with pytest.raises(AudioError, match=r"noise\.wav"):
        inspect(path)


def test_it_says_what_spoke_for_and_against(recording, tmp_path, capsys):
    """Each onset's strongest numbers are named with their effect on the score, and drawn."""
    out = tmp_path / "page.html"
    assert main(["inspect", str(recording), "--out", str(out)]) == 0
    assert "for a shot: " in capsys.readouterr().out
    page = out.read_text()
    assert "what spoke for and against" in page
    onset = inspect(recording).onsets[0][1]
    speaks_for, against = reasons.effects(onset.features)
    assert all(one.log_odds > 0.0 for one in speaks_for)
    assert all(one.log_odds < 0.0 for one in against)
    assert speaks_for == sorted(speaks_for, key=lambda one: -one.log_odds)
    strongest = speaks_for[0]
    usual = described(onset.features).copy()
    usual[NAMES.index(strongest.name)] = shipped_model().usual[NAMES.index(strongest.name)]
    rows_of = np.stack((described(onset.features), usual))
    here, there = shipped_model().log_odds(rows_of)
    assert strongest.log_odds == pytest.approx(here - there)
