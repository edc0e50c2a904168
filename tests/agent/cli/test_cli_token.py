"""`earshot` with its key in a security token: whole processes, a real broker."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.keyfile import load_public_key_file
from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.cli import main as cli
from agent.core.records.envelope import key_id, open_envelope
from agent.core.records.kinds import Impulse, Start, Status, Stop, parse
from agent.ports import Message
from simulator.grid.broker import start_broker
from tests.support.enrolled import Hut, Office
from tests.support.links import Collector
from tests.support.pole import Listener, Pole, earshot
from tests.support.softtoken import PIN, SoftToken

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with start_broker("auto") as broker:
        yield broker.url


def test_a_daemon_signs_with_a_token(token: SoftToken, tmp_path: Path, url: str) -> None:
    """From a recording to records at a broker that verify; no private key is on the disk."""
    listener = Listener(url)
    pole = Pole(tmp_path, url, seconds=2.2, blast_every_s=0.25, evidence=token.uri())
    daemon = pole.start()
    bodies = listener.bodies(pole.public, until=Stop)
    listener.link.close()
    _, told = daemon.communicate(timeout=30)
    assert daemon.returncode == 0, told
    assert isinstance(bodies[0].data, Start)
    assert sum(isinstance(body.data, Impulse) for body in bodies) >= 2
    assert {body.keyid for body in bodies} == {key_id(load_public_key_file(pole.public))}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if b"PRIVATE KEY" in path.read_bytes()]
    assert not [path for path in files if PIN.encode() in path.read_bytes() and path != token.pin]


def test_a_token_pulled_out_while_a_daemon_runs_loses_nothing(
    token: SoftToken, tmp_path: Path, url: str
) -> None:
    """What was heard meanwhile is said when it is back, in one chain without a gap."""
    listener = Listener(url)
    pole = Pole(tmp_path, url, seconds=4.0, blast_every_s=0.5, evidence=token.uri())
    daemon = pole.start()
    listener.bodies(pole.public, until=Start)
    token.unplug()
    assert daemon.stderr is not None
    line = next(line for line in daemon.stderr if "store fails" in line)
    assert "nothing can be signed: " in line
    token.plug_in()
    bodies = listener.bodies(pole.public, until=Stop)
    listener.link.close()
    _, told = daemon.communicate(timeout=30)
    assert daemon.returncode == 0, told
    assert "store keeps again, no record waits" in told
    assert "Traceback" not in told
    assert [body.seq for body in bodies] == list(range(1, len(bodies) + 1))
    heard = [body.data for body in bodies if isinstance(body.data, Impulse)]
    assert len(heard) == len(pole.blasts)


def test_a_daemon_that_ends_without_its_token_says_so(
    token: SoftToken, tmp_path: Path, url: str
) -> None:
    """One line and exit 2; the status says offline, signed before; the next start is 'unclean'."""
    listener = Listener(url)
    pole = Pole(tmp_path, url, evidence=token.uri())
    daemon = pole.start()
    listener.bodies(pole.public, until=Start)
    token.unplug()
    _, told = daemon.communicate(timeout=30)
    assert daemon.returncode == 2
    assert "nothing can be signed: " in told.splitlines()[-1]
    assert told.splitlines()[-1].startswith("earshot: keeper thread died: ")
    assert "Traceback" not in told
    key = load_public_key_file(pole.public)
    topic = "earshot/v1/s/c/n1/status"
    link = MqttLink(MqttOptions(url=url, client_id="asks-later", subscriptions=(topic,)))
    link.connect()
    (message,) = Collector(link).wait(Message)
    link.close()
    opened = open_envelope(message.payload, {key_id(key): key})
    assert not parse(opened.payload, Status).online
    token.plug_in()
    pole.start().communicate(timeout=30)
    bodies = listener.bodies(pole.public, until=Stop)
    listener.link.close()
    starts = [body.data.reason for body in bodies if isinstance(body.data, Start)]
    assert starts == ["new-store", "unclean"]


def test_a_daemon_without_its_token_is_one_line(token: SoftToken, tmp_path: Path) -> None:
    """Exit code 2, before the store is touched."""
    pole = Pole(tmp_path, "mqtt://127.0.0.1:9", evidence=token.uri())
    token.unplug()
    ended = earshot("run", "--config", pole.config)
    assert ended.returncode == 2
    assert ended.stderr.startswith("earshot: ")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "store").exists()


def test_a_key_in_a_token_is_made_once_and_shown_again(
    token: SoftToken, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one in a file: `key new` never overwrites, and the output is a PEM file for openssl."""
    codes, told = [], []
    for verb in ("new", "new", "show"):
        codes.append(cli.main(["key", verb, token.uri()]))
        told.append(capsys.readouterr())
    made, again, shown = told
    assert codes == [0, 2, 0]
    assert made.out == shown.out
    assert again.err == (
        f"earshot: token {token.name} holds a key evidence already; a key is never overwritten\n"
    )
    public = tmp_path / "public.pem"
    public.write_text(shown.out)
    assert shown.out.startswith(f"keyid: {key_id(load_public_key_file(public))}\n-----BEGIN")
    if shutil.which("openssl"):
        subprocess.run(["openssl", "pkey", "-pubin", "-in", public, "-noout"], check=True)


def test_a_node_is_enrolled_with_a_key_in_a_token(
    token: SoftToken, hut: Hut, office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """The request makes the key inside the token, the next one finds it, the answer fits it."""
    text = hut.config.read_text()
    hut.config.write_text(text.replace(f"{hut.folder}/store/evidence.pem", token.uri()))
    first, _ = hut.ask()
    second, raw = hut.ask()
    assert first.request.key == second.request.key
    assert hut.install(office.sign(raw).sealed).is_new
    assert "evidence.pem" not in hut.files()
    assert cli.main(["key", "show", token.uri()]) == 0
    shown = capsys.readouterr().out
    assert office.registrar.ledger.nodes[0].keyid in shown


def test_a_wrong_uri_is_a_fault_of_the_settings(
    hut: Hut, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check-config` tells it without a token, and never what may be a PIN."""
    wrong = "pkcs11:token=t;object=o?module-path=/m.so&pin-value=493817"
    text = hut.config.read_text()
    hut.config.write_text(text.replace(f"{hut.folder}/store/evidence.pem", wrong))
    assert cli.main(["check-config", str(hut.config)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"{hut.config}: keys.evidence: pkcs11: URI holds a PIN: write it into")
    assert "493817" not in told
