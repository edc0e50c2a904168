"""The command line: exit codes, one-line errors, no tracebacks."""

import argparse
from pathlib import Path

import pytest

import agent
from agent.app.showing import POWER_OFF
from agent.cli import main as cli
from agent.cli import run
from agent.cli.run import POWER_OFF_CODE
from agent.errors import AudioError

SAMPLE = Path(__file__).parents[3] / "config" / "earshot.toml"


def test_version_is_the_package_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`earshot --version` tells what is installed."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"earshot {agent.__version__}\n"


@pytest.mark.parametrize("words", [[], ["key"], ["fly"], ["check-config"]])
def test_an_incomplete_command_is_a_usage_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 with the usage, for a missing or unknown command or argument."""
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: earshot")


def test_a_good_settings_file_is_confirmed(capsys: pytest.CaptureFixture[str]) -> None:
    """The sample that is shipped is good."""
    assert cli.main(["check-config", str(SAMPLE)]) == 0
    assert capsys.readouterr().out.startswith(f"{SAMPLE}: good, settings digest ")


def test_check_config_tells_every_fault_on_its_own_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each fault stands on one line that begins with the file."""
    bad = tmp_path / "node.toml"
    bad.write_text(SAMPLE.read_text().replace("site =", "sight =").replace("mqtt://", "ftp://"))
    assert cli.main(["check-config", str(bad)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3
    assert all(line.startswith(f"{bad}: ") for line in told)


@pytest.mark.parametrize("command", ["check-config", "run --config"])
def test_a_missing_settings_file_is_one_line(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither command meets a missing file with a traceback."""
    assert cli.main([*command.split(), "/nowhere/node.toml"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "/nowhere/node.toml: cannot be read: No such file or directory" in told


@pytest.mark.parametrize(
    ("raised", "exit_code", "told"),
    [(AudioError("mic gone"), 2, "earshot: mic gone\n"), (KeyboardInterrupt(), 130, "")],
)
def test_errors_for_a_person_and_ctrl_c_are_quiet(
    raised: BaseException,
    exit_code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An EarshotError is one line and exit 2; Ctrl-C is exit 130 and silence."""

    def fail(arguments: argparse.Namespace) -> int:
        raise raised

    monkeypatch.setattr(run, "_check_config", fail)
    assert cli.main(["check-config", "any.toml"]) == exit_code
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("reason", "code"), [("end of sound", 0), ("SIGINT", 130), (POWER_OFF, POWER_OFF_CODE)]
)
def test_how_a_run_ended_is_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str, code: int
) -> None:
    """A held button has a code of its own, by which systemd ends the computer."""
    config = tmp_path / "node.toml"
    store = f'directory = "{tmp_path}/store"'
    config.write_text(SAMPLE.read_text().replace('# directory = "/var/lib/earshot"', store))
    monkeypatch.setattr(run, "_one_run", lambda trial, stop: reason)
    monkeypatch.setattr(run.signal, "signal", lambda number, act: None)
    assert cli.main(["run", "--config", str(config)]) == code


def test_a_start_that_fails_says_that_more_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line for the first thing, and the command that names all of them at once."""
    config = tmp_path / "earshot.toml"
    config.write_text(SAMPLE.read_text().replace("/var/lib/earshot", f"{tmp_path}/lib"))
    for line in ("directory", "evidence"):
        config.write_text(
            config.read_text().replace(f'# {line} = "{tmp_path}', f'{line} = "{tmp_path}')
        )
    monkeypatch.setattr(run.signal, "signal", lambda number, act: None)
    assert cli.main(["run", "--config", str(config)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"things are missing in all: `earshot check --config {config}` names them" in told
