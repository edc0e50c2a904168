"""`earshot time`: what a technician reads in each situation, and what the exit code says."""

import json
import os
import time
from pathlib import Path

import msgspec
import pytest

from agent.adapters.statefile import StateFile, boot_id
from agent.cli.main import main
from agent.core.clock.advice import advice, headline
from agent.core.clock.node_state import NodeState
from agent.core.clock.report import ClockReport

GOOD = ClockReport(
    state="locked",
    reason="62 good marks",
    source="pps",
    sigma_ns=2_400,
    mark_age_ms=310,
    good_marks=10,
    marks_to_lock=10,
    residual_ns=840,
    oscillator_ppm=-11.204,
    host_ppm=3.1,
    wander_ppm_per_sqrt_hour=1.6,
    delivery_delay_us=480.0,
    latency="bounded",
    measured_latency_us=None,
    nmea_lag_ms=130,
    satellites=9,
    has_fix=True,
    leap="none",
    spoof="unknown",
    jam="unknown",
    doubts=(),
    refused={},
    confirmed=True,
    excluded={"label": "host clock", "edge": "pulse width", "leap": "host clock"},
)
CONFIG = """
[node]
site = "a"
cell = "b"
id = "c"
[audio]
block_samples = 512
[time]
source = "pps"
[broker]
url = "mqtts://broker.example:8883"
[keys]
locator_public = ["locator.pem"]
[runtime]
directory = "{directory}"
"""


def post(directory: Path, **changed: object) -> None:
    state = NodeState(
        source="urn:earshot:a:b:c",
        boot=str(changed.pop("boot", boot_id())),
        pid=os.getpid(),
        host_ns=time.monotonic_ns() - int(changed.pop("age_ns", 0)),  # type: ignore[call-overload]
        utc_ns=1_830_000_000 * 10**9,
        clock=msgspec.structs.replace(GOOD, **changed),
        air_temperature_c=None,
        is_surveyed=False,
        place_sigma_m=1.8,
        has_moved=False,
    )
    StateFile(directory).post(state)


def run(directory: Path, *words: str) -> int:
    config = directory / "node.toml"
    if not config.exists():
        config.write_text(CONFIG.format(directory=directory))
    return main(["time", *words, "--config", str(config)])


def test_a_good_clock_is_told_in_microseconds_and_metres(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 0, one headline, sigma as time and as a distance of sound, nothing to do."""
    post(tmp_path)
    assert run(tmp_path) == 0
    told = capsys.readouterr().out
    assert told.startswith("urn:earshot:a:b:c: Time is good: locked.\n")
    assert "2.4 us (1 sigma), which is 0.8 mm of sound" in told
    assert "this receiver cannot tell" in told
    assert "->" not in told


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"state": "acquiring", "good_marks": 4}, "4 of 10 good marks, about 6 s to lock"),
        ({"state": "unsynchronised", "has_fix": None, "source": "none"}, "No sign of the receiver"),
        ({"state": "holdover", "refused": {"receiver has no fix": 9}}, "free view of the sky"),
        ({"state": "unsynchronised", "refused": {"no pulse before the report": 40}}, "PPS wire"),
        ({"state": "holdover", "refused": {"off rate": 300}}, "shield it"),
        ({"state": "holdover", "refused": {"serial line cannot be read": 3}}, "time.receiver"),
        ({"state": "expired", "refused": {"sentence with a wrong checksum": 3}}, "time.baud"),
        ({"state": "unsynchronised", "doubts": ("week rollover set right",)}, "1024 weeks"),
        ({"doubts": ("pulses stepped against the oscillator",), "spoof": "suspect"}, "Spoofing is"),
        ({"jam": "affirmed"}, "jamming"),
    ],
)  # fmt: skip
def test_each_trouble_has_its_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, object], expected: str
) -> None:
    """What is wrong is named together with what to do about it."""
    post(tmp_path, **changed)
    assert run(tmp_path) == (0 if changed.get("state", "locked") == "locked" else 1)
    assert expected in capsys.readouterr().out


def test_every_state_without_time_gives_some_advice() -> None:
    """No technician is left with a bare 'not locked'."""
    for state in ("unsynchronised", "holdover", "expired"):
        for source in ("system", "nmea", "pps", "pps-adc", "sim"):
            report = msgspec.structs.replace(GOOD, state=state)
            assert advice(report, source)
            assert headline(report)


def test_json_holds_the_whole_report_and_the_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For scripts: the same, as one object."""
    post(tmp_path, state="holdover")
    assert run(tmp_path, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["clock"]["state"] == "holdover"
    assert told["clock"]["sigma_ns"] == 2400
    assert told["advice"]


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"age_ns": 60 * 10**9}, "is 60 s old: the daemon has stopped or hangs"),
        ({"boot": "another"}, "is of an earlier boot"),
    ],
)
def test_an_old_state_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, object], complaint: str
) -> None:
    """What a dead daemon left behind is not the state of the clock: exit 2 and why."""
    post(tmp_path, **changed)
    assert run(tmp_path) == 2
    assert complaint in capsys.readouterr().err


def test_no_state_names_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No daemon, or a damaged file: one line, exit 2."""
    assert run(tmp_path) == 2
    assert "no daemon is running" in capsys.readouterr().err
    (tmp_path / "state.json").write_text("{")
    assert run(tmp_path) == 2
    assert "is no state of this version" in capsys.readouterr().err


def test_a_directory_that_cannot_be_written_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon goes on without showing itself."""
    for _ in range(3):
        post(tmp_path / "missing")
    assert len(caplog.records) <= 3
    file = StateFile(tmp_path / "missing")
    caplog.clear()
    state = msgspec.json.decode(b"{}", type=dict)
    assert state == {}
    for _ in range(3):
        file.post(NodeState(
            source="x", boot="", pid=1, host_ns=1, utc_ns=None, clock=GOOD,
            air_temperature_c=None, is_surveyed=False, place_sigma_m=None, has_moved=False,
        ))  # fmt: skip
    assert len(caplog.records) == 1


def test_calibration_tells_the_line_and_writes_it_on_demand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing measured: what to connect. Measured: the exact line, and --write puts it in."""
    post(tmp_path)
    assert run(tmp_path, "calibrate") == 2
    assert "audio.pps_channel" in capsys.readouterr().err
    post(tmp_path, measured_latency_us=211.7)
    assert run(tmp_path, "calibrate") == 0
    assert "latency_us = 212" in capsys.readouterr().out
    config = tmp_path / "node.toml"
    before = config.read_text()
    assert run(tmp_path, "calibrate", "--write") == 0
    assert config.read_text() == before.replace("[audio]\n", "[audio]\nlatency_us = 212\n")
    post(tmp_path, measured_latency_us=90.2)
    assert run(tmp_path, "calibrate", "--write") == 0
    assert config.read_text() == before.replace("[audio]\n", "[audio]\nlatency_us = 90\n")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, "which second confirmed by host clock, pulse width"),
        (
            {"confirmed": False, "alternatives": ("label", "edge")},
            "which second UNCONFIRMED, open: label, edge",
        ),
    ],
)
def test_whose_word_stands_for_the_second_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, object], told: str
) -> None:
    """Confirmed by whom, or what nobody has excluded."""
    (tmp_path / "earshot.toml").write_text(CONFIG.replace("{directory}", str(tmp_path)))
    post(tmp_path, **changed)
    main(["time", "--config", str(tmp_path / "earshot.toml")])
    assert told in " ".join(capsys.readouterr().out.split())
