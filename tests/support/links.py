"""Brokers of every kind behind one face, and patience for what they answer."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.errors import LinkError
from agent.ports import LinkEvent, Publisher, Will
from simulator.grid.broker import Broker, start_broker
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher

KINDS = ["virtual", pytest.param("mosquitto", marks=pytest.mark.system), "nats"]
PATIENCE_S = 20.0


def until(condition: Callable[[], bool], what: str = "it") -> None:
    """Wait for `condition`; fail with `what` if it never comes."""
    give_up_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > give_up_s:
            pytest.fail(f"waited {PATIENCE_S} s for {what}")
        time.sleep(0.002)


class Collector:
    """Polls a publisher and keeps all that it ever told."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self.events: list[LinkEvent] = []

    def wait(self, kind: type[LinkEvent], count: int = 1) -> list[LinkEvent]:
        """The first `count` events of a kind, once there are that many."""
        until(lambda: len(self.seen(kind)) >= count, f"{count} {kind.__name__} in {self.events}")
        return self.seen(kind)[:count]

    def seen(self, kind: type[LinkEvent]) -> list[LinkEvent]:
        self.events += self.publisher.poll()
        return [event for event in self.events if isinstance(event, kind)]


class World:
    """A broker that can be killed and the links to it."""

    def __init__(self, broker: Broker | VirtualBroker) -> None:
        self.broker = broker
        self._links: list[Publisher] = []

    def link(
        self,
        client_id: str,
        *subscriptions: str,
        will: Will | None = None,
        lasting: bool = False,
    ) -> Publisher:
        if isinstance(self.broker, VirtualBroker):
            link: Publisher = VirtualPublisher(
                self.broker, client_id, subscriptions, will, persistent=lasting
            )
        else:
            options = MqttOptions(
                url=self.broker.url,
                client_id=client_id,
                subscriptions=subscriptions,
                will=will,
                session_expiry_s=3_600 if lasting else 0,
            )
            link = MqttLink(options)
        self._links.append(link)
        return link

    def cut(self, link: Publisher) -> None:
        """Break the connection under `link`, as a network does."""
        if isinstance(link, VirtualPublisher):
            assert isinstance(self.broker, VirtualBroker)
            self.broker.cut(link.client_id)
        else:
            link._current.client.socket().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for link in self._links:
            link.close()


@contextmanager
def world_of(kind: str, directory: Path | None = None) -> Iterator[World]:
    """A world around a fresh broker, which keeps its store in `directory` if one is given.

    Skips the test where that kind is not installed.
    """
    if kind == "virtual":
        yield World(VirtualBroker())
        return
    try:
        starting = start_broker(kind, directory)
        broker = starting.__enter__()
    except LinkError as error:
        pytest.skip(str(error))
    try:
        world = World(broker)
        yield world
        world.close()
    finally:
        starting.__exit__(None, None, None)
