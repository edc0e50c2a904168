"""`earshot-sim nodes`: what the locator retained at the broker, as a table, JSON and exit code."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.core.records.findings import found
from agent.core.records.heartbeat import told
from agent.core.units import NS_PER_S, rfc3339
from agent.errors import LinkError
from agent.ports import Connected, Refused, Sent
from simulator.centre.locator.watch import Alarm, CellReport, NodeReport
from simulator.cli import main as cli
from simulator.grid.broker import start_broker
from tests.support.links import Collector, until


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Whatever broker is installed."""
    try:
        with start_broker() as running:
            yield running.url
    except LinkError as error:
        pytest.skip(str(error))


def report(cell: str, *alarms: str, age_s: float = 1.0) -> CellReport:
    at = rfc3339(time.time_ns() - round(age_s * NS_PER_S))
    finding = told(found("digital-silence", "value +0.0000"))
    node = NodeReport(
        node=f"urn:earshot:town:{cell}:n1",
        health="critical" if alarms else "healthy",
        alarms=tuple(Alarm(kind, at, "so it is") for kind in alarms),
        findings=(finding,) if alarms else (),
        unknown=("air", "tamper"),
        heard_at=at,
    )
    return CellReport(site="town", cell=cell, at=at, nodes=(node,))


@contextmanager
def retained(url: str, *reports: CellReport | bytes) -> Iterator[None]:
    """What the broker holds of `reports`; it forgets them at the end."""
    link = Collector(MqttLink(MqttOptions(url=url, client_id="locator")))
    link.publisher.connect()
    link.wait(Connected)
    topics = [f"earshot/v1/town/c{number}/nodes" for number in range(len(reports))]
    for topic, one in zip(topics, reports, strict=True):
        payload = one if isinstance(one, bytes) else msgspec.json.encode(one)
        link.publisher.publish(topic, payload, retain=True)
    until(lambda: _answers(link) >= len(topics))
    try:
        yield
    finally:
        for topic in topics:
            link.publisher.publish(topic, b"", retain=True)
        until(lambda: _answers(link) >= 2 * len(topics))
        link.publisher.close()


def _answers(link: Collector) -> int:
    """A broker that knows no reader says so, and keeps what is to be retained all the same."""
    return len(link.seen(Sent)) + len(link.seen(Refused))


def nodes(url: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = cli.main(["nodes", "--broker", url, *words])
    return code, capsys.readouterr().out


def test_nodes_without_an_alarm(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0, one row each."""
    with retained(url, report("north"), report("south")):
        code, out = nodes(url, capsys)
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["town/north/n1", "healthy"],
        ["town/south/n1", "healthy"],
    ]


def test_a_node_with_an_alarm(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1; it stands first, with the fault and the part to touch; all of it as JSON."""
    with retained(url, report("north"), report("south", "deaf")):
        code, out = nodes(url, capsys)
        assert code == 1
        first = out.splitlines()[1].strip()
        assert first.startswith("town/south/n1")
        assert "deaf since" in first
        assert "digital-silence (microphone cable)" in first
        code, out = nodes(url, capsys, "--json")
    assert code == 1
    assert json.loads(out)[1]["nodes"][0]["alarms"][0]["kind"] == "deaf"


def test_a_locator_that_has_not_told_lately_is_unknown(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 3: what was well four minutes ago is not called well now."""
    with retained(url, report("north", age_s=240.0)):
        code, out = nodes(url, capsys)
    assert code == 3
    assert "unknown (locator silent)" in out


def test_no_locator_is_unknown(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 3 and what to look at, also where the topic holds something else."""
    with retained(url, b"{}", b"\xff", b'{"site":"s","cell":"c","at":"now","nodes":[]}'):
        code, out = nodes(url, capsys, "--wait", "0.7")
    assert code == 3
    assert "earshot-sim locate" in out


def test_no_broker_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 and one line."""
    code = cli.main(["nodes", "--broker", "mqtt://127.0.0.1:1", "--wait", "3"])
    told_ = capsys.readouterr().err
    assert code == 2
    assert len(told_.splitlines()) == 1
    assert "mqtt://127.0.0.1:1" in told_
