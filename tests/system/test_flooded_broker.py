"""The settings of config/mosquitto under one node that floods, while the locator is away."""

import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.app.presence import seal_status
from agent.app.uplink import Uplink
from simulator.centre.locator.registry import Registry, Station
from simulator.centre.locator.service import SESSION_EXPIRY_S, SUBSCRIPTIONS, LocatorService
from simulator.centre.locator.store import EventStore
from simulator.grid.broker import free_port
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
from tests.support.links import until
from tests.support.mosquitto import CONFIG, PROGRAM

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(PROGRAM is None, reason="mosquitto is not installed"),
]

NODES = 200
TIMES_FASTER = 10
LASTS_S = 25.0
CALM_S = 20.0
FLOODER, TIMED = f"n{NODES}", f"n{NODES + 1}"
PATIENCE_S = 240.0
OF_THE_DOOR = ("listener", "tls_", "cafile", "certfile", "keyfile", "crlfile", "require_", "use_")


class Broker:
    """Mosquitto with what is kept, capped and refused by config/mosquitto, without its TLS."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.directory = directory
        directory.mkdir()
        kept = [
            line
            for line in (CONFIG / "earshot.conf").read_text().splitlines()
            if not line.startswith((*OF_THE_DOOR, "acl_file", "allow_anonymous"))
        ]
        conf = "\n".join(kept)
        user = "user root\n" if os.geteuid() == 0 else ""
        listener = f"\nlistener {self.port} 127.0.0.1\nallow_anonymous true\n"
        (directory / "conf").write_text(user + conf + listener)
        with (directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(PROGRAM), "-c", str(directory / "conf")], stdout=log, stderr=log
            )
        until(self._answers, "the broker")

    @property
    def written(self) -> int:
        """Octets that it had the kernel write to disks, or will."""
        told = Path(f"/proc/{self._process.pid}/io").read_text()
        return int(re.search(r"^write_bytes: (\d+)", told, re.MULTILINE)[1])

    @property
    def memory_mb(self) -> float:
        told = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+)", told, re.MULTILINE)[1]) / 1024

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self.directory / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Client:
    """A `rawclient` in a process of its own."""

    def __init__(self, what: str, broker: Broker, node: str) -> None:
        words = [what, str(broker.port), f"raw-{node}", identity_of(node).topic]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.rawclient", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def end(self) -> str:
        return self._process.communicate(input="over\n", timeout=60)[0]


class City:
    """The uplinks of NODES honest nodes, in a time that passes TIMES_FASTER."""

    def __init__(self, opened: ExitStack, directory: Path, url: str) -> None:
        self._begun_ns = time.monotonic_ns()
        self.uplinks, self.outboxes, self._speak_at_s = [], [], []
        self._rng = random.Random(1)
        for number in range(NODES):
            name = f"n{number}"
            identity = identity_of(name)
            outbox = opened.enter_context(closing(outbox_of(name, directory / f"{name}.db")))
            options = MqttOptions(
                url, identity.source, subscriptions=(f"{identity.topic}/receipt",)
            )
            link = opened.enter_context(closing(MqttLink(options)))
            status = partial(seal_status, sealer_of(name), True)
            rng = random.Random(number)
            self.uplinks.append(Uplink(identity, outbox, link, LOCATOR_KEYS, status, rng))
            self.outboxes.append(outbox)
            self._speak_at_s.append(self._rng.uniform(0, 60))

    @property
    def now_ns(self) -> int:
        return (time.monotonic_ns() - self._begun_ns) * TIMES_FASTER

    def step(self, *, may_speak: bool) -> None:
        """A heartbeat a minute of each, and an alert now and then."""
        for number, uplink in enumerate(self.uplinks):
            now_ns = self.now_ns
            if may_speak and now_ns / 1e9 >= self._speak_at_s[number]:
                self._speak_at_s[number] += 60
                data = None if self._rng.random() < 0.2 else heartbeat()
                self.outboxes[number].append(draft(data, host_ns=now_ns))
            uplink.step(now_ns)

    def run(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.step(may_speak=True)
            time.sleep(0.01)


def p99_ms(client: Client) -> float:
    waits_s = sorted(json.loads(client.end()))
    return 1_000 * waits_s[round(0.99 * (len(waits_s) - 1))]


def locator_at(opened: ExitStack, directory: Path, url: str) -> LocatorService:
    names = [*(f"n{number}" for number in range(NODES)), FLOODER]
    known = registry_of(*names)
    stations = {
        source: Station(source, *source.split(":")[2:], key, (0.0, 0.0, 3.0), 1.0)
        for source, key in known.items()
    }
    store = opened.enter_context(closing(EventStore(directory / "l.db", known, LOCATOR)))
    options = MqttOptions(
        url, "locator", subscriptions=SUBSCRIPTIONS, session_expiry_s=SESSION_EXPIRY_S
    )
    link = opened.enter_context(closing(MqttLink(options)))
    return LocatorService(store, link, Registry(stations, None))


def test_one_node_that_floods_harms_no_other(tmp_path: Path) -> None:
    """200 honest nodes, the locator away: the broker writes at most three times what it queued, an
    honest PUBACK takes at most twice as long as without the flood, and all honest records arrive
    once the locator is back."""
    with ExitStack() as opened:
        broker = opened.enter_context(closing(Broker(tmp_path / "broker")))
        city = City(opened, tmp_path, broker.url)
        away = ExitStack()
        locator_before = locator_at(away, tmp_path, broker.url)
        until(
            lambda: (
                locator_before.step(time.monotonic_ns(), lambda: NOW) or locator_before.is_listening
            )
        )
        away.close()  # its session lasts
        city.run(10.0)
        timed = Client("time", broker, TIMED)
        city.run(CALM_S)
        calm_ms, before = p99_ms(timed), broker.written
        flooder, timed = Client("flood", broker, FLOODER), Client("time", broker, TIMED)
        city.run(LASTS_S)
        flooded_ms, written = p99_ms(timed), broker.written - before
        queued = int(flooder.end())
        waiting = sum(one.backlog() for one in city.outboxes)
        service, began_s = locator_at(opened, tmp_path, broker.url), time.monotonic()
        while not all(one.idle for one in city.uplinks):
            left = sum(one.backlog() for one in city.outboxes)
            assert time.monotonic() < began_s + PATIENCE_S, f"{left} of {waiting} wait still"
            city.step(may_speak=False)
            service.step(time.monotonic_ns(), lambda: NOW)
        drained_s, memory_mb = time.monotonic() - began_s, broker.memory_mb
    print(
        f"\nflood {queued / 1e6:.0f} MB acknowledged, {written / 1e6:.1f} MB written; PUBACK p99 "
        f"{calm_ms:.2f} ms calm, {flooded_ms:.2f} ms flooded; broker at most {memory_mb:.0f} MB; "
        f"{waiting} honest records drained in {drained_s:.0f} s"
    )
    assert queued > 50e6
    assert written <= 3 * queued
    assert flooded_ms <= 2 * calm_ms
