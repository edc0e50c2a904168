"""`earshot check` as a technician meets it: what is printed, the exit code, the screen."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

import agent
from agent.adapters.statefile import StateFile, boot_id
from agent.app.checks.screen import HEIGHT
from agent.app.checks.words import WIDTH
from agent.cli.main import main
from agent.core.clock.node_state import NodeState
from agent.core.records.findings import CHECKS, FAULTS, Finding, found, healthy, unknown, verdict
from agent.core.records.visit import Answer, Heard, Level
from tests.agent.cli.test_cli_time import GOOD
from tests.support.pole import Pole
from tests.support.terminal import at_terminal

LEVEL = Level(
    peak_dbfs=-38.2,
    rms_dbfs=-51.0,
    bands_dbfs=(-60.0, -58.1, -57.0, -58.0, -60.2, -63.0, -66.0, -70.0, None, None),
)
IMPULSE = Heard(
    kind="impulse",
    host_ns=0,
    utc_ns=1_795_000_000_123_456_789,
    sigma_ns=2_600,
    peak_dbfs=-12.3,
    snr_db=31.0,
    score=0.97,
    reason="impulsive",
    seq=17,
    is_receipted=True,
)
WELL = tuple(healthy(check, "well") for check in CHECKS)


@pytest.fixture(scope="module")
def pole(tmp_path_factory: pytest.TempPathFactory) -> Pole:
    home = tmp_path_factory.mktemp("pole")
    made = Pole(home, "mqtt://127.0.0.1:9", seconds=0.2)
    text = made.config.read_text().replace('time.source = "sim"', 'time.source = "system"')
    made.config.write_text(text.replace("[keys]", f'runtime.directory = "{home}/run"\n[keys]'))
    (home / "store").mkdir()
    (home / "run").mkdir()
    return made


def post(pole: Pole, findings: tuple[Finding, ...] = WELL, **changed: object) -> None:
    content = {
        "source": "urn:earshot:s:c:n1",
        "boot": boot_id(),
        "pid": os.getpid(),
        "host_ns": time.monotonic_ns(),
        "utc_ns": 1_795_000_000 * 10**9,
        "clock": GOOD,
        "air_temperature_c": None,
        "is_surveyed": False,
        "place_sigma_m": 1.8,
        "has_moved": False,
        "health": verdict(findings),
        "findings": findings,
        "software": agent.__version__,
        "level": LEVEL,
        "heard": (IMPULSE,),
    }
    StateFile(pole.home / "run").post(NodeState(**{**content, **changed}))


def check(pole: Pole, *words: str) -> int:
    return main(["check", "--quick", "--config", str(pole.config), *words])


def ended_process() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def instead(finding: Finding) -> tuple[Finding, ...]:
    return (*(one for one in WELL if one.check != finding.check), finding)


EXITS = {
    0: WELL,
    1: instead(found("broker-away", "connection refused")),
    2: instead(found("digital-silence", "0 dBFS")),
    3: instead(unknown("microphone", "no sound yet")),
}


@pytest.mark.parametrize("code", EXITS)
def test_the_exit_code_is_the_verdict(
    pole: Pole, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 healthy, 1 warning, 2 critical, 3 not known whether it hears; JSON says the same."""
    post(pole, EXITS[code])
    assert check(pole) == code
    told = capsys.readouterr().out
    assert check(pole, "--json") == code
    content = json.loads(capsys.readouterr().out)
    assert content["is_running"]
    assert content["health"].upper() in told.splitlines()[-1]
    assert content["health"] == ["healthy", "warning", "critical", "unknown"][code]


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_fault_names_part_and_remedy_in_eighty_columns(
    pole: Pole, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the end, after all that is well, where it stays in sight; nothing is cut off."""
    post(pole, instead(found(fault, "x" * 40)))
    check(pole)
    told = capsys.readouterr().out
    about = FAULTS[fault]
    flat = " ".join(told.split())
    assert about.meaning in flat
    assert f"-> {about.part}: {' '.join(about.remedy.split())}" in flat
    first, *_, headline = told.splitlines()
    assert about.severity.upper() in headline
    assert not first.startswith(("CRITICAL", "WARNING"))
    assert max(len(line) for line in told.splitlines() if "$" not in line) <= WIDTH


def test_every_check_has_a_line(pole: Pole, capsys: pytest.CaptureFixture[str]) -> None:
    """Also those that the daemon did not answer: as unknown or skipped, with the reason."""
    post(pole, (found("digital-silence"),))
    check(pole, "--json")
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {one["check"] for one in rows} == set(CHECKS)
    assert all(one["value"] for one in rows if one["status"] in ("unknown", "skipped"))


def test_a_changed_file_and_an_older_agent_are_told(
    pole: Pole, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who edits the settings must start the agent again; so must who installs a new version."""
    post(pole, software="0.0.9", file_sha256="0" * 64)
    check(pole, "--json")
    faults = {one["fault"] for one in json.loads(capsys.readouterr().out)["rows"]}
    assert {"settings-not-read", "version-differs"} <= faults


def test_an_agent_that_hangs_is_told_apart_from_one_that_stopped(
    pole: Pole, capsys: pytest.CaptureFixture[str]
) -> None:
    """An old state of this boot; a state of an earlier boot, or none."""
    for changed, fault in (
        ({"host_ns": time.monotonic_ns() - 60 * 10**9}, "agent-hangs"),
        ({"boot": "earlier"}, "agent-stopped"),
        ({"pid": ended_process()}, "agent-stopped"),
    ):
        post(pole, **changed)
        assert check(pole, "--json") == 2
        assert fault in {one["fault"] for one in json.loads(capsys.readouterr().out)["rows"]}


MANY = (
    *(one for one in WELL if one.check not in ("microphone", "clock", "broker", "disk")),
    found("digital-silence", "0 dBFS"),
    found("no-time", "unsynchronised: no good mark"),
    found("broker-away", "connection refused: is a broker running at 10.0.0.1:8883?"),
    found("disk-full", "0 MB"),
)


@pytest.mark.parametrize("findings", [WELL, MANY, (*WELL, *map(found, FAULTS))])
def test_the_live_view_fits_a_terminal_of_80x24(
    pole: Pole, findings: tuple[Finding, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much is wrong: verdict, level, spectrum and the worst faults are on one screen."""
    from agent.app.checks.report import look
    from agent.app.checks.screen import screen_of

    post(pole, findings, heard=(IMPULSE,) * 8)
    lines = screen_of(look(pole.config))
    assert len(lines) <= HEIGHT
    assert max(map(len, lines)) <= WIDTH
    assert "-51.0 dBFS" in lines[2]
    assert lines[-1] == "Ctrl-C ends"


def test_on_a_pipe_the_live_view_is_a_line_a_second(
    pole: Pole, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a single escape: verdict, faults, level, last impulse."""

    def end(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", end)
    post(pole, MANY)
    assert check(pole, "--watch") == 130
    (line,) = capsys.readouterr().out.splitlines()
    assert "\x1b" not in line
    assert "critical: digital-silence, no-time, " in line
    assert "level -51.0 dBFS" in line


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_clap_says_what_came_and_what_did_not(
    pole: Pole, steps: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Detection, level, time, receipt, in that order; the first that is missing in a plain word."""
    from agent.adapters import statefile
    from agent.cli import clap

    post(pole)
    monkeypatch.setattr(clap, "CLAP_S", -1.5)
    monkeypatch.setattr(clap, "RECEIPT_S", -1.5)

    def answered(directory: Path, wanted: statefile.Wish) -> None:
        one = {"kind": "clap", "is_receipted": steps == 3, "score": 0.08, "reason": "unlike a shot"}
        if steps < 2:
            one |= {"utc_ns": None, "sigma_ns": None}
        seen = replace(IMPULSE, **one)
        outcome = "done" if steps else "failed"
        post(pole, answer=Answer(id=wanted.id, outcome=outcome), heard=(seen,) if steps else ())

    monkeypatch.setattr(clap, "wish", answered)
    code = check(pole, "--clap")
    told = capsys.readouterr().out
    words = ["heard ", "level ", "time ", "receipt "]
    lacking = ["NOT HEARD", "NO TIME", "NO RECEIPT"]
    came = [word for word in words if f"\n{word}" in told]
    assert came == [[], words[:2], words[:3], words][steps]
    assert [word for word in lacking if word in told] == [
        ["NOT HEARD"],
        ["NO TIME", "NO RECEIPT"],
        ["NO RECEIPT"],
        [],
    ][steps]
    assert code == (0 if steps == 3 else 1)


def test_without_a_daemon_a_clap_is_one_line(
    tmp_path: Path, pole: Pole, capsys: pytest.CaptureFixture[str]
) -> None:
    """And so are the meter and the calibration."""
    (pole.home / "run" / "state.json").unlink(missing_ok=True)
    for words in (["check", "--clap"], ["level"], ["level", "calibrate"]):
        assert main([*words, "--config", str(pole.config)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_calibration_can_be_put_into_the_settings(
    pole: Pole, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line is told, or written; a tone that was no good is one line with the reason."""
    from agent.adapters import statefile

    post(pole)
    monkeypatch.setattr(
        statefile,
        "wish",
        lambda directory, wanted: post(
            pole, answer=Answer(id=wanted.id, outcome="done", value=121.34)
        ),
    )
    assert main(["level", "calibrate", "--config", str(pole.config), "--write"]) == 0
    assert "wrote full_scale_db_spl = 121.3" in capsys.readouterr().out
    assert "audio.full_scale_db_spl = 121.3\n" in pole.config.read_text()
    monkeypatch.setattr(
        statefile,
        "wish",
        lambda directory, wanted: post(
            pole, answer=Answer(id=wanted.id, outcome="failed", reason="no tone is heard")
        ),
    )
    assert main(["level", "calibrate", "--config", str(pole.config)]) == 2
    assert "not calibrated: no tone is heard" in capsys.readouterr().err


def test_colours_are_for_terminals(pole: Pole) -> None:
    """A person sees red; a file has plain words."""
    post(pole, MANY)
    _, seen = at_terminal("agent.cli.main", "check", "--config", pole.config)
    assert "\x1b[1;31mCRITICAL" in seen
