"""`earshot run` and `earshot key` as a person types them: whole processes, a real broker."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.keyfile import load_public_key_file
from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.core.records.envelope import key_id, open_envelope
from agent.core.records.kinds import Start, Status, Stop, parse
from agent.ports import Message
from simulator.grid.broker import start_broker
from tests.support.links import Collector
from tests.support.pole import RATE_HZ, Listener, Pole, earshot


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with start_broker("auto") as broker:
        yield broker.url


def test_a_recording_is_heard_to_its_end_and_delivered(tmp_path: Path, url: str) -> None:
    """From a WAV file to signed records at a broker: Start first, Stop last, exit 0."""
    listener = Listener(url)
    pole = Pole(tmp_path, url)
    daemon = pole.start()
    bodies = listener.bodies(pole.public, until=Stop)
    listener.link.close()
    _, told = daemon.communicate(timeout=30)
    assert daemon.returncode == 0, told
    assert "stopped: end of sound" in told
    assert bodies[0].data == Start(
        software=bodies[0].data.software,
        settings_sha256=bodies[0].data.settings_sha256,
        rate_hz=RATE_HZ,
        reason="new-store",
    )
    assert bodies[-1].data == Stop(reason="end of sound")
    assert [body.seq for body in bodies] == list(range(1, len(bodies) + 1))


def test_a_stopped_node_does_not_stay_online(tmp_path: Path, url: str) -> None:
    """After an orderly end the retained status says so, to whoever asks later."""
    pole = Pole(tmp_path, url)
    daemon = pole.start()
    daemon.communicate(timeout=30)
    key = load_public_key_file(pole.public)
    topic = "earshot/v1/s/c/n1/status"
    link = MqttLink(MqttOptions(url=url, client_id="asks-later", subscriptions=(topic,)))
    link.connect()
    (message,) = Collector(link).wait(Message)
    link.close()
    opened = open_envelope(message.payload, {key_id(key): key})
    assert not parse(opened.payload, Status).online


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_signal_ends_the_run_and_the_next_start_knows_how(
    tmp_path: Path, url: str, number: signal.Signals, exit_code: int
) -> None:
    """SIGTERM and Ctrl-C leave a Stop record and a clean store; after kill -9 it is unclean."""
    listener = Listener(url)
    pole = Pole(tmp_path, url, seconds=3.0)
    daemon = pole.start()
    listener.bodies(pole.public, until=Start)
    daemon.send_signal(number)
    _, told = daemon.communicate(timeout=30)
    assert daemon.returncode == exit_code
    assert "Traceback" not in told
    orderly = exit_code >= 0
    if orderly:
        assert listener.bodies(pole.public, until=Stop)[-1].data == Stop(reason=number.name)
    again = pole.start()
    bodies = listener.bodies(pole.public, until=Start, times=2)
    again.kill()
    again.communicate()
    listener.link.close()
    starts = [body.data.reason for body in bodies if isinstance(body.data, Start)]
    assert starts == ["new-store", "clean" if orderly else "unclean"]


def test_a_broker_that_is_away_does_not_stop_the_node(tmp_path: Path) -> None:
    """Without a link the node hears to the end, keeps its records and still ends in order."""
    pole = Pole(tmp_path, "mqtt://127.0.0.1:9", seconds=0.2)
    ended = earshot("run", "--config", pole.config)
    assert ended.returncode == 0, ended.stderr
    assert "stopped: end of sound" in ended.stderr


@pytest.mark.parametrize("missing", ["street.wav", "node.pem", "node.pub.pem"])
def test_a_missing_file_is_one_line(tmp_path: Path, missing: str) -> None:
    """Recording, evidence key and locator key are named when they are not there."""
    pole = Pole(tmp_path, "mqtt://127.0.0.1:9")
    (tmp_path / missing).unlink()
    ended = earshot("run", "--config", pole.config)
    assert ended.returncode == 2
    assert ended.stderr.startswith("earshot: ")
    assert str(tmp_path / missing) in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_key_is_made_once_and_shown_again(tmp_path: Path) -> None:
    """`key new` never overwrites; `key show` tells the same key, and its output is a PEM file."""
    path = tmp_path / "node.pem"
    made, again, shown = (earshot("key", verb, path) for verb in ("new", "new", "show"))
    assert (made.returncode, again.returncode, shown.returncode) == (0, 2, 0)
    assert made.stdout == shown.stdout
    assert again.stderr.startswith("earshot: ")
    assert path.stat().st_mode & 0o777 == 0o600
    public = tmp_path / "node.pub.pem"
    public.write_text(shown.stdout)
    assert shown.stdout.startswith(f"keyid: {key_id(load_public_key_file(public))}\n-----BEGIN")
