"""Directories, scripted brokers and links to them, closed at the end of each test."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.adapters.mqtt import MqttLink, MqttOptions
from tests.support.disk import in_memory
from tests.support.links import Collector
from tests.support.tiny_broker import Answers, TinyBroker


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory whose syncs cost nothing."""
    with in_memory() as directory:
        yield directory


@pytest.fixture
def serve() -> Iterator[Callable[..., TinyBroker]]:
    brokers: list[TinyBroker] = []

    def start(answers: Answers, tls: ssl.SSLContext | None = None) -> TinyBroker:
        brokers.append(TinyBroker(answers, tls))
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.close()


@pytest.fixture
def link_to() -> Iterator[Callable[..., Collector]]:
    """A started link to a port, closed at the end of the test (before the broker ends)."""
    links: list[MqttLink] = []

    def start(port: int, scheme: str = "mqtt", wakeup=lambda: None, **options: object) -> Collector:
        url = f"{scheme}://127.0.0.1:{port}"
        links.append(MqttLink(MqttOptions(url, **{"client_id": "n1", **options}), wakeup))
        links[-1].connect()
        return Collector(links[-1])

    yield start
    for link in links:
        link.close()
