"""`earshot-sim timing` and `livefire --pulses`: tables, figures by name, mistakes in a line."""

import json
from pathlib import Path

import pytest

from simulator.cli.main import main
from simulator.trials.timing import trial


def test_timing_writes_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small trial fills both tables, the JSON names and the page."""
    monkeypatch.setattr(trial, "SNRS_DB", (40.0, 16.0))
    monkeypatch.setattr(trial, "DISTANCES_M", (100.0,))
    figures, page = tmp_path / "t.json", tmp_path / "t.html"
    assert main(["timing", "--pulses", "3", "--json", str(figures), "--report", str(page)]) == 0
    out = capsys.readouterr().out
    assert "100 m" in out
    assert "shock wave, muzzle blast" in out
    written = json.loads(figures.read_text())
    assert set(written["sigma_z_rms"]) == {"40", "16"}
    for name in ("crlb_ratio_20_40db", "crlb_ratio_16db", "mismatch_inside", "p50_us"):
        assert isinstance(written[name], float)
    assert "<svg" in page.read_text()


@pytest.mark.parametrize("wrong", [["--pulses", "0"], ["--pulses", "many"]])
def test_a_wrong_count_is_one_line(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and what was wrong."""
    with pytest.raises(SystemExit) as stopped:
        main(["timing", *wrong])
    assert stopped.value.code == 2
    assert "no whole number from 1 on" in capsys.readouterr().err


def test_the_ears_alone_have_no_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`livefire --pulses --report` says which to leave out."""
    page = str(tmp_path / "page.html")
    assert main(["livefire", str(tmp_path), "--pulses", "--report", page]) == 2
    assert "leave one of them out" in capsys.readouterr().err
