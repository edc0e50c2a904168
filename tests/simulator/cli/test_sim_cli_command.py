"""`earshot-sim command` at the desk: papers without a network, and one line for each mistake.

What comes of orders at a real node is `tests/test_orders.py`.
"""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from agent.adapters.keyfile import Ed25519FileSigner
from agent.core.records.envelope import load_public_key, open_envelope
from agent.core.records.kinds import COMMAND_TYPE, parse
from agent.core.records.remote_records import Verb
from agent.core.trust import Command
from agent.core.units import NS_PER_S
from simulator.cli import main as cli
from simulator.grid.broker import Broker, start_broker
from tests.support.enrolled import Hut, Office

NODE = "town/north/n1"


@pytest.fixture(scope="module")
def registrar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one that knows n1."""
    folder = tmp_path_factory.mktemp("desk")
    office = Office(folder / "registrar")
    office.sign(Hut(folder / "n1").ask()[1])
    return office.directory


@pytest.fixture
def desk(registrar: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The registrar's folder, which is the working directory."""
    monkeypatch.chdir(registrar)
    return registrar


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with start_broker("auto") as one:
        yield one


def run(*words: object) -> int:
    return cli.main(["command", NODE, *map(str, words), "--registry", "nodes.json"])


def opened(raw: bytes) -> Command:
    """The command in an envelope that the operator of the working directory signed."""
    signer = Ed25519FileSigner.load(Path("operator.pem"))
    found = open_envelope(raw, {signer.keyid: load_public_key(signer.public_key())})
    assert found.payload_type == COMMAND_TYPE
    return parse(found.payload, Command)


def test_the_tool_knows_all_verbs() -> None:
    assert get_args(Verb) == cli.VERBS


def test_a_dry_run_prints_what_would_be_sent(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The signed envelope, with values of their types, and no broker is needed."""
    words = ("set-config", "log.level=debug", "audio.latency_us=120", "--key", "operator.pem")
    assert run(*words, "--dry-run", "--expires", "30") == 0
    command = opened(capsys.readouterr().out.encode().strip())
    assert command.changes == {"log.level": "debug", "audio.latency_us": 120}
    assert int(command.expires_utc_ns) - int(command.issued_utc_ns) == 30 * NS_PER_S


def test_a_command_on_paper_lives_ten_minutes_and_is_never_overwritten(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has to be carried somewhere; a second one needs another name."""
    assert run("rotate-key", "--key", "operator.pem", "--out", "order.json") == 0
    assert capsys.readouterr().out.startswith(f"order.json: rotate-key for {NODE}, to be sent befo")
    command = opened(Path("order.json").read_bytes().strip())
    assert int(command.expires_utc_ns) - int(command.issued_utc_ns) == 600 * NS_PER_S
    assert run("rotate-key", "--key", "operator.pem", "--out", "order.json") == 2
    assert "order.json: exists already" in capsys.readouterr().err


SEND = "--key operator.pem --broker mqtt://127.0.0.1:9"
MISTAKES = {
    "": "what is town/north/n1 to do? Name a verb, or a file with --envelope",
    "ping": "--key FILE is missing",
    "ping --key operator.pem": "--broker URL is missing",
    "ping --key nobody.pem": "nobody.pem: cannot be read",
    "ping --key operator.crt": "operator.crt: private key open to others",
    "ping --key operator.key": "operator.key: private key is not Ed25519",
    "ping --key operator.pem --expires 3600": "a command lives 1 to 600 s, not 3600",
    "ping log.level=info --key operator.pem": "ping takes no settings",
    "set-config --key operator.pem": "set-config changes nothing",
    "set-config log.level=loud --key operator.pem": "set-config: log.level = 'loud' is wrong",
    "set-config log.lvl=info --key operator.pem": "did you mean 'log.level'?",
    "ping --envelope nodes.json": "nodes.json says all of the command",
    "--envelope nodes.json": "nodes.json: holds no command",
    "--envelope nowhere.json": "nowhere.json: cannot be read",
    f"ping {SEND} --certificate operator.crt": "--certificate and --certificate-key belong",
    f"ping {SEND}": "mqtt://127.0.0.1:9: connection refused by 127.0.0.1:9: is the broker running?",
    "ping --key operator.pem --broker http://x": "'http://x' is no broker",
    "ping --key operator.pem --broker mqtts://127.0.0.1 --ca none.crt": "TLS files none.crt cannot",
    f"ping {SEND} --handovers responses": "responses: cannot be read",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line(words: str, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, with the thing and the remedy."""
    assert run(*words.split()) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert told.err.startswith("earshot-sim: ")
    assert MISTAKES[words] in told.err


@pytest.mark.parametrize("node", ["town/north/n2", "town/north", "n1", "../../../x"])
def test_an_unknown_node_is_one_line(
    node: str, desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("ping", "--registry", "nodes.json", "--key", "operator.pem", "--dry-run")
    assert cli.main(["command", node, *words]) == 2
    assert f"{node!r} is not in nodes.json: " in capsys.readouterr().err


def test_what_never_was_at_the_broker_gives_no_reply(
    desk: Path, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 after the time that was given; as JSON the outcome is null."""
    words = ("ping", "--key", "operator.pem", "--broker", broker.url, "--timeout", "1.5")
    assert run(*words) == 1
    told = capsys.readouterr().out
    assert told.startswith(f"no reply from {NODE} within 1.5 s: ")
    assert "the node has never been at this broker" in told
    assert run(*words, "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["node"], answer["verb"], answer["outcome"]) == (NODE, "ping", None)
    assert not Path("earshot-handovers.jsonl").exists()


def test_something_that_is_no_broker_is_told(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port that takes connections and never speaks is no reason to wait for ever."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"mqtt://127.0.0.1:{mute.getsockname()[1]}"
        assert run("ping", "--key", "operator.pem", "--broker", url, "--timeout", "0.5") == 2
    assert capsys.readouterr().err == f"earshot-sim: {url}: no answer: is it an MQTT broker?\n"
