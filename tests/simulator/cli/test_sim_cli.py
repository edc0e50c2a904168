"""The `earshot-sim` command line: exit codes, one-line errors, and what it prints."""

import base64
import json

import numpy as np
import pytest
import soundfile

import agent
from agent.core.records import Body
from agent.core.records.envelope import load_public_key, open_envelope
from agent.core.records.kinds import Impulse, parse
from agent.core.units import NS_PER_MS, parse_rfc3339_ns
from simulator.cli import main as cli
from simulator.cli import scenarios

BANG_AT = "2026-03-14T21:00:01Z"
REPLAY = ("--at", "40.44,-79.99", "--start", "2026-03-14T21:00:00Z")


@pytest.fixture
def recording(tmp_path):
    """Two seconds of street with a bang after one, at 16 kHz."""
    rng = np.random.default_rng(3)
    sound = rng.normal(0, 60, 32_000)
    decay = np.exp(-np.arange(1_600) / 120.0)
    sound[16_000:17_600] += 12_000 * decay * rng.choice([1.0, 0.6, -0.7], 1_600)
    path = tmp_path / "bang.wav"
    soundfile.write(path, sound.astype(np.int16), 16_000)
    return path


def test_version_is_the_package_version(capsys):
    """`earshot-sim --version` tells what is installed."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"earshot-sim {agent.__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "quickstart", "--mode", "slow"],
        ["livefire", "x", "--seed", "-1"],
        ["livefire", "x", "--positions", ","],
        ["locate", "--broker", "mqtt://127.0.0.1"],
        ["locate", "--broker", "mqtt://127.0.0.1", "--registry", "r", "--for", "-3"],
        ["replay", "x.wav"],
        ["replay", "x.wav", "--at", "north"],
        ["replay", "x.wav", "--at", "91,0"],
    ],
)
def test_wrong_words_are_a_usage_error(words, capsys):
    """Exit 2 with the usage, and nothing is begun."""
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: earshot-sim")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("run /nowhere/city.toml", "/nowhere/city.toml: no such scenario; give a file or one of: "),
        (
            "run quickstart --report /nowhere/r.html",
            "/nowhere/r.html: cannot be written: no folder",
        ),
        ("run quickstart --json {here}", "{here}: cannot be written: is a folder"),
        ("livefire /nowhere", "/nowhere: no such folder; give the dataset's folder"),
        ("livefire {here}", "{here}: holds no test_*.survey.json"),
        ("replay /nowhere/x.wav --at 1,2", "/nowhere/x.wav: no such sound file"),
        (
            "replay {recording} --at 1,2 --start noon",
            "--start 'noon' is not a UTC time: write it as",
        ),
        ("locate --broker mqtt://127.0.0.1 --registry /nowhere/r.json", "/nowhere/r.json: "),
    ],
)
def test_a_mistake_is_one_line(words, told, tmp_path, recording, capsys):
    """Exit 2 and one line that names the thing and the remedy; no traceback."""
    places = {"here": tmp_path, "recording": recording}
    assert cli.main(words.format(**places).split()) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"earshot-sim: {told.format(**places)}")
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_ctrl_c_is_quiet(monkeypatch, capsys):
    """Exit 130 and silence."""

    def stop(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(scenarios, "command", stop)
    assert cli.main(["scenarios"]) == 130
    assert capsys.readouterr() == ("", "")


def test_packaged_scenarios_are_listed(capsys):
    """What `run` takes by name, with what each holds."""
    assert cli.main(["scenarios"]) == 0
    listed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["quickstart", "8", "10", "78", "48000"] in listed
    assert ["one_shot", "5", "1", "24", "48000"] in listed


def test_replay_tells_when_the_bang_arrived(recording, capsys):
    """One impulse, a second after the given start, from a clock that has settled."""
    assert cli.main(["replay", str(recording), *REPLAY]) == 0
    lines = capsys.readouterr().out.splitlines()
    impulses = [line for line in lines if "impulse" in line]
    told_ns, truth_ns = (parse_rfc3339_ns(at) for at in (impulses[0].split()[1], BANG_AT))
    assert abs(told_ns - truth_ns) < NS_PER_MS
    assert not [line for line in lines if "impulse" in line and "T20:59" in line]
    assert "locked" in lines[3]
    assert "end of sound" in lines[-1]


def test_replay_prints_envelopes_that_verify(recording, capsys):
    """JSON Lines of sealed records, and the registry row with the key that opens them."""
    assert cli.main(["replay", str(recording), *REPLAY, "--json"]) == 0
    said = capsys.readouterr()
    row = json.loads(said.err.removeprefix("registry row: "))
    der = base64.b64decode("".join(row["key"].splitlines()[1:-1]))
    key = load_public_key(der[-32:])
    envelopes = said.out.splitlines()
    keyid = json.loads(envelopes[0])["signatures"][0]["keyid"]
    bodies = [parse(open_envelope(raw.encode(), {keyid: key}).payload, Body) for raw in envelopes]
    assert [body.seq for body in bodies] == list(range(1, len(bodies) + 1))
    assert any(isinstance(body.data, Impulse) for body in bodies)
    assert bodies[0].source == f"urn:earshot:{row['site']}:{row['cell']}:{row['node']}"
    assert row["position"] == {"wgs84": [40.44, -79.99, 0.0]}


def test_replay_is_repeatable(recording, capsys):
    """The same file, place and start give the same bytes."""
    said = []
    for _ in range(2):
        cli.main(["replay", str(recording), *REPLAY, "--json"])
        said.append(capsys.readouterr())
    assert said[0] == said[1]


@pytest.mark.parametrize("rate_hz", [12_000, 44_100, 96_000])
def test_replay_takes_every_rate_that_the_agent_takes(tmp_path, rate_hz, capsys):
    """From 12 to 96 kHz, and the bang is where it was."""
    sound = np.random.default_rng(3).normal(0, 60, rate_hz)
    at = rate_hz // 2
    sound[at : at + 400] += 15_000 * np.exp(-np.arange(400) / 60.0)
    soundfile.write(tmp_path / "bang.flac", sound.astype(np.int16), rate_hz)
    assert cli.main(["replay", str(tmp_path / "bang.flac"), *REPLAY]) == 0
    impulses = [line for line in capsys.readouterr().out.splitlines() if "impulse" in line]
    assert "T21:00:00.50" in impulses[0] or "T21:00:00.49" in impulses[0]


def test_replay_refuses_other_rates(tmp_path, capsys):
    """One line that names the file and what rates there may be."""
    soundfile.write(tmp_path / "slow.wav", np.ones(800, np.int16), 8_000)
    assert cli.main(["replay", str(tmp_path / "slow.wav"), *REPLAY]) == 2
    told = f"earshot-sim: {tmp_path / 'slow.wav'}: has 8000 Hz, need 12000 to 96000\n"
    assert capsys.readouterr().err == told
