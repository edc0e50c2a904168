"""One node and the locator with a broker between them, stepped on the caller's thread.

The uplink's time is real, but jumps over the waits between two connections, so that thousands of
them take seconds; `hurry` makes all of it pass faster.
"""

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.adapters.outbox import SqliteOutbox
from agent.app.uplink import Uplink
from agent.core.records.chain import Sealed
from agent.core.records.kinds import Data
from agent.core.units import NS_PER_MS, NS_PER_S
from agent.ports import LinkEvent, Lost, Message, Publisher
from simulator.centre.locator.registry import Registry
from simulator.centre.locator.service import SUBSCRIPTIONS, LocatorService
from simulator.centre.locator.store import EventStore
from simulator.grid.broker import Broker
from tests.support.drafts import (
    LOCATOR,
    LOCATOR_KEYS,
    NOW,
    draft,
    identity_of,
    sealed_status,
    sealer_of,
)
from tests.support.located import Point, stations

NODE = "n1"
IDENTITY = identity_of(NODE)
PLACES: dict[str, Point] = {NODE: (0.0, 0.0, 5.0)}
PATIENCE_S = 240.0
JUMP_NS = 200 * NS_PER_MS


class Watched:
    """A publisher that remembers: when it was told to connect, what ended it, what it brought."""

    def __init__(self, link: Publisher, now_ns: Callable[[], int]) -> None:
        self._link, self._now_ns = link, now_ns
        self.is_down = True
        self.attempts_ns: list[int] = []
        self.reasons: list[str] = []
        self.heard: list[bytes] = []

    def connect(self) -> None:
        self.attempts_ns.append(self._now_ns())
        self.is_down = False
        self._link.connect()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        return self._link.publish(topic, payload, retain=retain)

    def poll(self) -> list[LinkEvent]:
        events = self._link.poll()
        for event in events:
            if isinstance(event, Lost):
                self.is_down = True
                self.reasons.append(event.reason)
            if isinstance(event, Message):
                self.heard.append(event.payload)
        return events

    def close(self) -> None:
        self._link.close()


class Centre:
    """The locator, which can be killed and started again on its store."""

    def __init__(self, path: Path, url: str) -> None:
        self._path, self._url = path, url
        self._registry = Registry(stations("north", "town", PLACES), None)
        self.duplicates = self.rejected = 0
        self.arrived: dict[bytes, float] = {}
        self.start()

    def start(self) -> None:
        self._store = EventStore(self._path, self._registry.keys, LOCATOR)
        options = MqttOptions(
            url=self._url, client_id="locator", subscriptions=SUBSCRIPTIONS, session_expiry_s=3600
        )
        self._link = Watched(MqttLink(options), time.monotonic_ns)
        self._service: LocatorService | None = LocatorService(
            self._store, self._link, self._registry, rng=random.Random(1)
        )

    def step(self, now_ns: int) -> None:
        """One turn; `arrived` tells when (monotonic s) each payload was first on its disk."""
        if self._service:
            self._service.step(now_ns, lambda: NOW)
            for payload in self._link.heard:
                self.arrived.setdefault(payload, time.monotonic())
            self._link.heard = []

    @property
    def is_up(self) -> bool:
        return self._service is not None

    @property
    def is_listening(self) -> bool:
        return self._service is not None and self._service.is_listening

    def kill(self) -> None:
        """Gone, with all that came and was not committed; the broker has been answered for it."""
        assert self._service
        self.duplicates += self._service.counters.duplicates
        self.rejected += sum(self._service.counters.rejected.values())
        self._service = None
        self._link.close()
        self._store.close()

    def held(self, chain: str | None = None) -> list[int]:
        """The number of each record (of `chain`) in its store, once it was killed; all verified.

        A broker that has served another trial may still bring a record of that one's chain.
        """
        store = EventStore(self._path, self._registry.keys, LOCATOR)
        seqs = [body.seq for body in store.bodies() if chain in (None, body.chain)]
        faults = [fault for fault in store.chain_faults() if " lacks " not in fault]
        store.close()
        assert faults == []
        return seqs


class Network:
    """The node at the broker behind `url`, the locator at the broker behind `locator_url`.

    `options` are more of those of the node's link; `said` counts the node's records.
    """

    def __init__(
        self,
        directory: Path,
        url: str,
        locator_url: str = "",
        *,
        hurry: int = 1,
        durable: bool = False,
        **options: Any,
    ) -> None:
        self._hurry, self._skipped_ns, self.said = hurry, 0, 0
        self._is_centre_apart = False
        self._begun_ns = time.monotonic_ns()
        self.outbox = SqliteOutbox(
            directory / "outbox.sqlite",
            sealer_of(NODE),
            partial(secrets.token_hex, 16),
            durable=durable,
        )
        receipts = f"{IDENTITY.topic}/receipt"
        ours = {"url": url, "client_id": NODE, "subscriptions": (receipts,), **options}
        self.link = Watched(MqttLink(MqttOptions(**ours)), lambda: self.now_ns)
        self.uplink = Uplink(
            IDENTITY,
            self.outbox,
            self.link,
            LOCATOR_KEYS,
            lambda backlog, connects: sealed_status(NODE, backlog, connects),
            random.Random(2),
        )
        self.centre = Centre(directory / "locator.sqlite", locator_url or url)

    @property
    def now_ns(self) -> int:
        return (time.monotonic_ns() - self._begun_ns) * self._hurry + self._skipped_ns

    def append(self, count: int, data: Data | None = None) -> list[Sealed]:
        self.said += count
        return [self.outbox.append(draft(data)) for _ in range(count)]

    def step(self) -> None:
        self.uplink.step(self.now_ns)
        if self.link.is_down:
            self._skipped_ns += JUMP_NS
            return
        if not self._is_centre_apart:
            self.centre.step(time.monotonic_ns())
        time.sleep(0.0005)

    @contextmanager
    def centre_apart(self) -> Iterator[None]:
        """Meanwhile the locator has a thread of its own, as it has a computer of its own."""

        def serve() -> None:
            while self._is_centre_apart:
                self.centre.step(time.monotonic_ns())
                time.sleep(0.002)

        self._is_centre_apart = True
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            self._is_centre_apart = False
            thread.join()

    def await_locator(self) -> None:
        """Let the locator come first: the broker refuses nothing for want of a reader."""
        give_up_s = time.monotonic() + PATIENCE_S
        while not self.centre.is_listening:
            assert time.monotonic() < give_up_s, "the locator does not listen"
            self.centre.step(time.monotonic_ns())
            time.sleep(0.001)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        give_up_s = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > give_up_s:
                pytest.fail(f"waited {PATIENCE_S} s for {what}; {self.uplink.counters}")
            self.step()

    def settle(self) -> list[int]:
        """Deliver all; the numbers that the locator then holds."""
        self.until(lambda: self.uplink.idle, "all receipts")
        self.centre.kill()
        return self.centre.held(self.outbox.head().chain)

    def is_patient(self) -> bool:
        """True if the node never tried to connect twice within a second of its own time."""
        return all(b - a >= NS_PER_S for a, b in pairwise(self.link.attempts_ns))

    def close(self) -> None:
        self.link.close()
        self.outbox.close()


def mosquitto_by_default(broker: Broker) -> None:
    """Restart `broker` as Mosquitto is without configuration: nothing outlives its death."""
    port = broker.url.rpartition(":")[2]
    conf = broker._log.with_name("broker.conf")
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    broker.restart()
