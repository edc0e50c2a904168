"""How nodes and locator reach each other in a run: a broker of each kind, and links to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal, Protocol

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.ports import Publisher, Will
from simulator.centre.locator.service import SESSION_EXPIRY_S
from simulator.grid.broker import start_broker
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher


class LinkTo(Protocol):
    """Makes links to the broker of a run; a `lasting` session outlives its connections."""

    def __call__(
        self,
        client_id: str,
        *subscriptions: str,
        will: Will | None = None,
        lasting: bool = False,
    ) -> Publisher: ...


@contextmanager
def virtual_wire() -> Iterator[tuple[LinkTo, str]]:
    """Links to a broker inside this process, and its name."""
    yield partial(_virtual_link, VirtualBroker()), "virtual"


@contextmanager
def real_wire(kind: Literal["auto", "mosquitto", "nats"]) -> Iterator[tuple[LinkTo, str]]:
    """Links to a broker that runs until the context ends, and its name. Raises LinkError."""
    with start_broker(kind) as broker:
        yield partial(_mqtt_link, broker.url), broker.kind


def _virtual_link(
    broker: VirtualBroker,
    client_id: str,
    *subscriptions: str,
    will: Will | None = None,
    lasting: bool = False,
) -> Publisher:
    return VirtualPublisher(broker, client_id, subscriptions, will, persistent=lasting)


def _mqtt_link(
    url: str,
    client_id: str,
    *subscriptions: str,
    will: Will | None = None,
    lasting: bool = False,
) -> Publisher:
    options = MqttOptions(
        url=url,
        client_id=client_id,
        subscriptions=subscriptions,
        will=will,
        session_expiry_s=SESSION_EXPIRY_S if lasting else 0,
    )
    return MqttLink(options)
