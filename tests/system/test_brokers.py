"""Brokers as they are: one suite over four families with the fewest settings that turn MQTT on."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.app.presence import LastWill, seal_status
from agent.app.uplink import Uplink
from agent.ports import Connected
from simulator.centre.locator.registry import Registry, Station
from simulator.centre.locator.service import SESSION_EXPIRY_S, SUBSCRIPTIONS, LocatorService
from simulator.centre.locator.store import EventStore
from tests.support.bare_brokers import KINDS, BareBroker
from tests.support.drafts import (
    LOCATOR,
    LOCATOR_KEYS,
    NOW,
    draft,
    heartbeat,
    identity_of,
    outbox_of,
    registry_of,
    sealer_of,
)
from tests.support.links import Collector

pytestmark = pytest.mark.system

RECORDS = 300
PATIENCE_S = 120.0
IDENTITY = identity_of("n1")


class Town:
    """One node and the locator, each at a broker: the same one, or one that is bridged to it."""

    def __init__(self, opened: ExitStack, directory: Path, node_url: str, centre_url: str) -> None:
        self._wake = threading.Event()
        self.orders: list[tuple[str, bytes]] = []
        self.outbox = opened.enter_context(closing(outbox_of("n1", directory / "o.db")))
        sealer, topic = sealer_of("n1"), IDENTITY.topic
        options = MqttOptions(
            node_url,
            IDENTITY.source,
            subscriptions=(f"{topic}/receipt", f"{topic}/command/+"),
            will=LastWill(sealer),
        )
        link = opened.enter_context(closing(MqttLink(options, self._wake.set)))
        self.uplink = Uplink(
            IDENTITY,
            self.outbox,
            link,
            LOCATOR_KEYS,
            partial(seal_status, sealer, True),
            random.Random(1),
            on_command=lambda *order: self.orders.append(order),
        )
        known = registry_of("n1")
        key = known[IDENTITY.source]
        station = Station(IDENTITY.source, "town", "north", "n1", key, (0.0, 0.0, 3.0), 1.0)
        self.store = opened.enter_context(closing(EventStore(directory / "l.db", known, LOCATOR)))
        far = MqttOptions(
            centre_url,
            f"earshot-locator-{LOCATOR.keyid}",
            subscriptions=SUBSCRIPTIONS,
            session_expiry_s=SESSION_EXPIRY_S,
        )
        centre = opened.enter_context(closing(MqttLink(far, self._wake.set)))
        registry = Registry({IDENTITY.source: station}, None)
        self.service = LocatorService(self.store, centre, registry, rng=random.Random(2))

    def run_until(self, is_true: Callable[[], bool], what: str) -> None:
        give_up_s = time.monotonic() + PATIENCE_S
        while not is_true():
            assert time.monotonic() < give_up_s, (what, self.uplink.trouble, self.uplink.counters)
            self.uplink.step(time.monotonic_ns())
            self.service.step(time.monotonic_ns(), lambda: NOW)
            self._wake.wait(0.02)
            self._wake.clear()

    def say(self, count: int) -> None:
        for turn in range(count):
            self.outbox.append(draft(None if turn % 3 == 0 else heartbeat()))

    def verdict(self) -> None:
        """All of it is there, once, and the chain is whole."""
        self.run_until(lambda: self.uplink.idle, "all receipts")
        assert [body.seq for body in self.store.bodies()] == list(range(1, RECORDS + 1))
        assert self.store.chain_faults() == []
        assert self.service.counters.rejected == {}


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BareBroker]:
    with closing(BareBroker(request.param, tmp_path / "broker")) as one:
        yield one


def test_300_records_pass_any_broker_that_is_killed_once(
    broker: BareBroker, tmp_path: Path
) -> None:
    """kill -9 in the middle: nothing is lost, nothing comes twice, and orders still arrive."""
    with ExitStack() as opened:
        town = Town(opened, tmp_path, broker.url, broker.url)
        town.say(100)
        town.run_until(lambda: town.outbox.backlog() < 60, "the first receipts")
        broker.kill()
        town.say(100)
        town.run_until(lambda: bool(town.uplink.trouble), "word of the broker's death")
        broker.start()
        town.say(100)
        town.verdict()
        assert town.uplink.counters.connects >= 2
        operator = MqttLink(MqttOptions(broker.url, "operator"))
        with closing(operator):
            courier = Collector(operator)
            operator.connect()
            courier.wait(Connected)
            operator.publish(f"{IDENTITY.topic}/command/ping", b"an order")
            town.run_until(lambda: ("ping", b"an order") in town.orders, "an order")


def test_a_bridge_between_pole_and_centre_may_be_killed_twice(tmp_path: Path) -> None:
    """Mosquitto at the pole carries to Mosquitto at the centre; what it loses is said again."""
    with ExitStack() as opened:
        far = opened.enter_context(closing(BareBroker("mosquitto", tmp_path / "centre")))
        bridge = (
            f"connection centre\naddress 127.0.0.1:{far.port}\nrestart_timeout 1\n"
            "topic earshot/v1/# both 1\n"
        )
        near = opened.enter_context(closing(BareBroker("mosquitto", tmp_path / "pole", bridge)))
        town = Town(opened, tmp_path, near.url, far.url)
        for killed in range(3):
            town.say(RECORDS // 3)
            if killed < 2:
                left = (RECORDS // 3) // 2
                town.run_until(lambda most=left: town.outbox.backlog() < most, "some receipts")
                near.kill()
                town.run_until(lambda: bool(town.uplink.trouble), "word of the bridge's death")
                near.start()
        town.verdict()
