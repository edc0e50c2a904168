"""A network that swallows all, and an uplink that never comes back: hearing misses nothing."""

import random
import secrets
import socket
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from agent.adapters.host import SystemClock, SystemTimeReference
from agent.adapters.microphone import open_portaudio
from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.adapters.outbox import SqliteOutbox
from agent.app.daemon import Daemon, Item
from agent.app.uplink import Uplink
from agent.core.audio import AudioBlock, AudioGap
from agent.core.units import NS_PER_MS
from tests.support.drafts import LOCATOR_KEYS, identity_of, sealed_status, sealer_of
from tests.support.simmic import Card, plugged_in

pytestmark = pytest.mark.system

RATE_HZ, SECONDS = 48_000, 60
SOUND = np.random.default_rng(8).integers(-30_000, 30_000, 7 * RATE_HZ).astype(np.int16)


class Comparer:
    """A node that holds each block against what was played."""

    def __init__(self, card: Card) -> None:
        self.card, self.samples = card, 0
        self.faults: list[object] = []

    def step(self, item: Item) -> None:
        if isinstance(item, AudioGap):
            self.faults.append(item)
        if isinstance(item, AudioBlock):
            start = self.card.first_read()
            at = np.arange(item.first_sample + start, item.end_sample + start) % len(SOUND)
            is_next = item.first_sample == self.samples
            if not (is_next and np.array_equal(item.samples >> 16, SOUND[at])):
                self.faults.append(item.first_sample)
            self.samples += len(item.samples)

    def stop(self, host_ns: int, reason: str) -> None:
        pass


class Swallowed:
    """The real uplink on a network without answers; later its step does not return at all."""

    def __init__(self, uplink: Uplink, hangs_after_s: float) -> None:
        self._uplink, self._hangs_at_s = uplink, time.monotonic() + hangs_after_s
        self.unhang, self.has_hung = threading.Event(), False

    @property
    def idle(self) -> bool:
        return True

    @property
    def trouble(self) -> str:
        return self._uplink.trouble

    def step(self, now_ns: int) -> None:
        if time.monotonic() < self._hangs_at_s:
            self._uplink.step(now_ns)
        else:
            self.has_hung = True
            self.unhang.wait()


def test_sixty_seconds_are_exact_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of them while a broker accepts and never answers, half while the uplink hangs: each
    sample arrives once, in order, as it was played."""
    card = Card(tmp_path, SOUND, RATE_HZ, 30.0)
    plugged_in(card, monkeypatch)
    clock, node = SystemClock(), Comparer(card)
    outbox = SqliteOutbox(tmp_path / "o.db", sealer_of("n1"), partial(secrets.token_hex, 16))
    with socket.create_server(("127.0.0.1", 0)) as hole:
        link = MqttLink(MqttOptions(f"mqtt://127.0.0.1:{hole.getsockname()[1]}", "n1"))
        status = partial(sealed_status, "n1")
        real = Uplink(identity_of("n1"), outbox, link, LOCATOR_KEYS, status, random.Random(1))
        uplink = Swallowed(real, SECONDS / 2)
        microphone = open_portaudio("simmic", RATE_HZ, 1024, clock)
        reference = SystemTimeReference(clock, NS_PER_MS, "sim")
        daemon = Daemon(microphone, [reference], clock, node, uplink, threading.Event())
        ends = threading.Timer(SECONDS + 2, lambda: (uplink.unhang.set(), daemon.request_stop("")))
        ends.start()
        daemon.run()
        link.close()
    outbox.close()
    assert uplink.has_hung
    assert node.faults == []
    assert node.samples >= SECONDS * RATE_HZ
    assert card.losses() == []
