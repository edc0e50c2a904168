"""Alarms about nodes: silent, deaf, unlocked, hot; told once, and once more when it is over."""

import json
import logging
import random
from pathlib import Path

import msgspec
import pytest

from agent.core.records import Draft
from agent.core.records.findings import found
from agent.core.records.heartbeat import Heartbeat, told
from agent.core.records.kinds import TimeQuality
from agent.core.units import NS_PER_S, rfc3339
from agent.ports import Message
from simulator.centre.locator.service import EVENTS, LocatorService
from simulator.centre.locator.store import EventStore
from simulator.centre.locator.watch import CellReport, Watch
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from tests.support.cells import Cell
from tests.support.drafts import LOCATOR, heartbeat
from tests.support.located import START_NS

NODES = ("n1", "n2")


class City:
    """A locator that watches, a broker, nodes that speak each minute, and virtual time."""

    def __init__(self, path: Path) -> None:
        self.cell = Cell(nodes={"n1": (0.0, 0.0, 3.0), "n2": (90.0, 0.0, 3.0)})
        self.broker = VirtualBroker()
        self.reader = VirtualPublisher(self.broker, "reader", ("earshot/v1/+/+/nodes",))
        self.street = VirtualPublisher(self.broker, "street")
        for link in (self.reader, self.street):
            link.connect()
        self.store = EventStore(path, self.cell.registry.keys, LOCATOR)
        link = VirtualPublisher(self.broker, "locator", (EVENTS,), persistent=True)
        watch = Watch(self.cell.registry.stations)
        self.service = LocatorService(
            self.store, link, self.cell.registry, rng=random.Random(1), watch=watch
        )
        self.second = 0
        self.says: dict[str, Heartbeat | None] = dict.fromkeys(NODES, heartbeat())
        self.states = dict.fromkeys(NODES, "locked")

    @property
    def utc_ns(self) -> int:
        return START_NS + self.second * NS_PER_S

    def minutes(self, count: int) -> "City":
        for _ in range(60 * count):
            self.second += 1
            if self.second % 60 == 0:
                for node, data in self.says.items():
                    if data is not None:
                        self.say(node, data)
            self.service.step(self.second * NS_PER_S, lambda: rfc3339(self.utc_ns))
        return self

    def say(self, node: str, data: Heartbeat, age_s: int = 0) -> None:
        clock = TimeQuality(
            state=self.states[node], source="pps", sigma_ns=1, mark_age_ms=1, oscillator_ppm=0.0
        )
        utc_ns = self.utc_ns - age_s * NS_PER_S
        record = self.cell.seal(node, Draft(data=data, clock=clock, host_ns=1, utc_ns=utc_ns))
        message = self.cell.message(node, record)
        self.street.publish(message.topic, message.payload)

    def report(self) -> CellReport:
        """The last that was said, retained."""
        messages = [event for event in self.reader.poll() if isinstance(event, Message)]
        if messages:
            self.last = msgspec.json.decode(messages[-1].payload, type=CellReport)
        return self.last

    def alarms(self) -> dict[str, list[str]]:
        nodes = self.report().nodes
        return {one.node[-2:]: [alarm.kind for alarm in one.alarms] for one in nodes}


@pytest.fixture
def city(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING, "earshot.locator")
    made = City(tmp_path / "l.sqlite")
    yield made.minutes(3)
    made.store.close()


def with_fault(name: str, **how) -> Heartbeat:
    return msgspec.structs.replace(
        heartbeat(), health="critical", findings=(told(found(name, "so much", **how)),)
    )


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == "earshot.locator"]


CAUSES = {
    "silent": lambda city: city.says.update(n1=None),
    "deaf": lambda city: city.says.update(n1=with_fault("digital-silence")),
    "unlocked": lambda city: city.states.update(n1="expired"),
    "hot": lambda city: city.says.update(n1=with_fault("hot", severity="warning")),
}


@pytest.mark.parametrize("kind", CAUSES)
def test_an_alarm_is_told_once_and_once_more_when_it_is_over(
    kind: str, city: City, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log, and retained for whoever asks later; of the other node nothing is said."""
    assert city.alarms() == {"n1": [], "n2": []}
    assert lines(caplog) == []
    CAUSES[kind](city)
    city.minutes(20)
    assert city.alarms() == {"n1": [kind], "n2": []}
    assert [f" n1 is {kind}:" in line.replace("/n1", " n1") for line in lines(caplog)] == [True]
    city.says["n1"], city.states["n1"] = heartbeat(), "locked"
    city.minutes(20)
    assert city.alarms() == {"n1": [], "n2": []}
    assert len(lines(caplog)) == 2
    assert "after an alarm since" in lines(caplog)[1]


def test_deafness_and_heat_are_told_with_the_next_heartbeat(city: City) -> None:
    """And silence after three minutes without any record."""
    city.says["n1"] = with_fault("no-noise-floor")
    city.says["n2"] = None
    city.minutes(1)
    assert city.alarms() == {"n1": ["deaf"], "n2": []}
    city.minutes(3)
    assert city.alarms() == {"n1": ["deaf"], "n2": ["silent"]}
    alarm = city.report().nodes[0].alarms[0]
    assert "microphone capsule" in alarm.reason


def test_a_node_of_the_first_release_that_hears_nothing_is_deaf(city: City) -> None:
    """It tells of no health, but of samples: none in a minute."""
    city.says["n1"] = msgspec.structs.replace(heartbeat(), heard_samples=0)
    city.minutes(1)
    assert city.alarms()["n1"] == ["deaf"]
    assert city.report().nodes[1].health == "unknown"


def test_what_a_node_catches_up_on_does_not_make_it_alive(city: City) -> None:
    """Old records prove what was; nor do they raise or end what is judged by newer ones."""
    city.says["n1"] = None
    city.minutes(2)
    for age_s in range(3000, 400, -60):
        city.say("n1", with_fault("deaf"), age_s)
    city.minutes(3)
    assert city.alarms()["n1"] == ["silent"]


def test_a_silent_node_is_not_called_well_in_other_ways(city: City) -> None:
    """A deaf node that falls silent stays deaf until it says otherwise, and its health unknown."""
    city.says["n1"] = with_fault("hum-only")
    city.minutes(2)
    city.says["n1"] = None
    city.minutes(5)
    assert set(city.alarms()["n1"]) == {"deaf", "silent"}
    assert city.report().nodes[0].health == "unknown"
    city.says["n1"] = heartbeat()
    city.minutes(2)
    assert city.alarms()["n1"] == []


def test_a_node_that_never_spoke_is_silent(tmp_path: Path) -> None:
    """From three minutes after the start of the locator on."""
    city = City(tmp_path / "l.sqlite")
    city.says["n2"] = None
    city.minutes(2)
    assert city.alarms() == {"n1": [], "n2": []}
    city.minutes(2)
    assert city.alarms() == {"n1": [], "n2": ["silent"]}
    assert "never heard" in city.report().nodes[1].alarms[0].reason
    city.store.close()


def test_a_locator_without_its_broker_does_not_call_the_nodes_silent(city: City) -> None:
    """Nor is a node heard again because the broker was away."""
    city.says["n2"] = None
    city.minutes(5)
    city.broker.kill()
    city.minutes(30)
    city.broker.restart()
    for link in (city.reader, city.street):
        link.connect()
    city.minutes(2)
    assert city.alarms() == {"n1": [], "n2": ["silent"]}


def test_time_in_holdover_or_lost_for_a_minute_is_no_alarm(city: City) -> None:
    """A receiver behind a truck is not worth a call."""
    city.states["n1"] = "holdover"
    city.minutes(30)
    city.states["n1"] = "acquiring"
    city.minutes(1)
    city.states["n1"] = "locked"
    city.minutes(5)
    assert city.alarms()["n1"] == []


def test_a_report_is_said_anew_each_minute(city: City) -> None:
    """So that who reads it sees whether the locator lives."""
    first = city.report().at
    assert city.minutes(2).report().at > first
    text = json.loads(msgspec.json.encode(city.report()))
    assert set(text["nodes"][0]) >= {"node", "health", "alarms", "findings", "heard_at"}


def test_a_word_of_a_later_version_is_no_alarm_and_kept(city: City) -> None:
    """A fault that this centre does not know is shown by its name."""
    strange = told(found("deaf"))
    strange = msgspec.structs.replace(strange, fault="flux-compensator")
    city.says["n1"] = msgspec.structs.replace(heartbeat(), health="critical", findings=(strange,))
    city.minutes(2)
    assert city.alarms()["n1"] == []
    assert city.report().nodes[0].findings[0].fault == "flux-compensator"
    assert city.report().nodes[0].health == "critical"
