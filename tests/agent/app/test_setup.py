"""What is missing before a first start: all of it at once, with the command that mends each."""

import re
import shlex
import struct
from functools import partial
from pathlib import Path

import pytest

from agent.adapters import panel
from agent.adapters.keyfile import Ed25519FileSigner
from agent.app.checks import setup
from agent.app.checks.report import look
from agent.app.checks.row import Row
from agent.app.checks.setup import Host, setup_rows

SERVICE = Host("earshot", exists=True, uid=12_345, is_ours=False, is_service=True)
NOBODY = Host("earshot", exists=False, uid=-1, is_ours=False, is_service=True)


def ours() -> Host:
    return setup.this_host(Path("elsewhere.toml"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A settings file of a node that has nothing else yet."""
    path = tmp_path / "node.toml"
    path.write_text(
        f"""
        node = {{ site = "town", cell = "north", id = "n1" }}
        store.directory = "{tmp_path}/no/store"
        runtime.directory = "{tmp_path}"
        time.source = "pps"
        time.receiver = "{tmp_path}/ttyACM0"
        time.pps_device = "{tmp_path}/pps0"
        [broker]
        url = "mqtts://broker.town"
        ca = "{tmp_path}/ca.crt"
        certificate = "{tmp_path}/node.crt"
        certificate_key = "{tmp_path}/node.key"
        [keys]
        evidence = "{tmp_path}/evidence.pem"
        locator_public = ["{tmp_path}/locator.pub.pem"]
        operator_public = ["{tmp_path}/operator.pub.pem"]
        """
    )
    return path


def faults(config: Path, host: Host) -> dict[str | None, Row]:
    return {one.fault: one for one in setup_rows(config, host)[1] if one.fault}


def test_a_bare_computer_is_told_all_that_is_missing_at_once(config: Path) -> None:
    """User, store, keys, locator's and operator's key, certificate, receiver, pulse: one look."""
    told = faults(config, NOBODY)
    assert set(told) == {
        "user-missing",
        "store-missing",
        "key-missing",
        "locator-key-missing",
        "operator-key-missing",
        "certificate-missing",
        "receiver-absent",
        "pulse-absent",
    }
    for row in told.values():
        assert row.part
        assert row.remedy
    assert "useradd --system" in told["user-missing"].command
    assert told["store-missing"].command.endswith(f"-m 700 {config.parent}/no/store")
    assert "runuser -u earshot -- " in told["key-missing"].command
    assert told["key-missing"].command.endswith(f"enrol request --config {config}")
    assert "enrol install FILE" in told["locator-key-missing"].command


def test_without_any_settings_the_rest_is_told_all_the_same(tmp_path: Path) -> None:
    """The defaults stand in for what nobody has written yet."""
    told = faults(tmp_path / "earshot.toml", NOBODY)
    assert {"settings-missing", "user-missing", "key-missing", "locator-key-missing"} <= set(told)
    assert "earshot.toml" in told["settings-missing"].command


def test_each_fault_of_the_settings_is_a_row_and_the_rest_is_told(config: Path) -> None:
    """Two typos and no keys are four rows, not four starts."""
    text = config.read_text().replace('cell = "north"', 'cell = "two words"')
    config.write_text(text + "[audio]\nrate_hz = 8000\n")
    rows = [one for one in setup_rows(config, SERVICE)[1] if one.fault]
    assert sum(one.fault == "settings-faulty" for one in rows) == 2
    assert {"key-missing", "locator-key-missing"} <= {one.fault for one in rows}


def test_the_commands_mend_what_they_are_told_for(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can be run here without root is run as it is printed; its fault is then gone."""
    from agent.cli.main import main

    (tmp_path / "no").mkdir()
    command = faults(config, ours())["key-missing"].command
    words = shlex.split(command)
    assert re.fullmatch("(.*/)?earshot", words[0])
    assert main([*words[1:], "--out", str(tmp_path / "request")]) == 0
    capsys.readouterr()
    assert "key-missing" not in faults(config, ours())


def test_a_key_open_to_others_is_told_with_its_chmod(config: Path, tmp_path: Path) -> None:
    """And the file that is no key is told as such."""
    Ed25519FileSigner.create(tmp_path / "evidence.pem")
    (tmp_path / "evidence.pem").chmod(0o644)
    (tmp_path / "locator.pub.pem").write_text("no key")
    rows = [one for one in setup_rows(config, ours())[1] if one.fault == "key-unusable"]
    assert [one.command for one in rows] == [f"chmod 600 {tmp_path}/evidence.pem", ""]
    assert "locator.pub.pem" in rows[1].value


def test_what_belongs_to_another_user_is_told(config: Path, tmp_path: Path) -> None:
    """A store or key made as root would end the agent's first start."""
    (tmp_path / "no" / "store").mkdir(parents=True)
    Ed25519FileSigner.create(tmp_path / "evidence.pem")
    told = faults(config, SERVICE)
    assert "chown -R earshot:" in told["store-foreign"].command
    assert "chown earshot:" in told["key-unusable"].command
    assert "store-foreign" not in faults(config, ours())


def test_a_pin_that_a_pulse_holds_is_told_before_the_first_start(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of its setting and of the overlay."""
    (tmp_path / "pps@12").mkdir()
    (tmp_path / "pps@12" / "gpios").write_bytes(struct.pack(">3I", 7, 18, 0))
    held = partial(panel.refuse_held, device_tree=tmp_path)
    monkeypatch.setattr(panel, "refuse_held", held)
    assert "panel-failed" not in faults(config, ours())
    config.write_text(config.read_text() + "[panel]\nbutton = 18\n")
    assert "panel.button = 18" in faults(config, ours())["panel-failed"].value


def test_a_look_without_daemon_never_fails(config: Path) -> None:
    """Every check is answered, and what only a running node knows is unknown, not healthy."""
    report = look(config, probes=False)
    assert report.health == "critical"
    assert report.state is None
    told = {one.check: one.status for one in report.rows}
    assert told["microphone"] == told["level"] == "unknown"
    assert told["agent"] == "critical"
    assert told["tamper"] == told["panel"] == "skipped"
