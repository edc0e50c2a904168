"""From the microphone to whoever listens at the broker: how long an impulse takes, and where."""

import random
import secrets
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from agent.adapters.host import SystemClock, SystemTimeReference
from agent.adapters.microphone import FileMicrophone
from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.adapters.outbox import SqliteOutbox
from agent.adapters.vitals import SystemVitals
from agent.app.daemon import Daemon
from agent.app.keeping import Keeping
from agent.app.node import Node, NodeSettings
from agent.app.uplink import Uplink
from agent.core.audio import AudioBlock, AudioFormat
from agent.core.clock.timebase import ClockSettings
from agent.core.records import Draft
from agent.core.records.chain import Sealed
from agent.core.records.kinds import Impulse
from agent.core.units import NS_PER_MS, NS_PER_S
from agent.ports import Message
from tests.support.drafts import LOCATOR_KEYS, identity_of, sealed_status, sealer_of
from tests.support.links import until, world_of
from tests.support.sound import RATE_HZ, add_blast, as_int16, noise

BLOCK_SAMPLES = 1024
BLASTS = 30
SILENCE_S = 3.0
STAGES = ("block", "look-ahead", "seal and fsync", "queue", "publish")
SIGNED_AFTER = 3
IDENTITY = identity_of("n1")


class Microphone:
    """The file microphone, and when each of its blocks was handed over."""

    def __init__(self, path: Path, clock: SystemClock) -> None:
        self._file, self._clock = FileMicrophone(path, BLOCK_SAMPLES, clock), clock
        self.begun_ns = 0
        self.handed_over_ns: list[int] = []

    @property
    def format(self) -> AudioFormat:
        return self._file.format

    def read(self) -> AudioBlock | None:
        self.begun_ns = self.begun_ns or self._clock.monotonic_ns()
        block = self._file.read()
        self.handed_over_ns.append(self._clock.monotonic_ns())
        return block

    def close(self) -> None:
        self._file.close()


class Store:
    """The outbox, and when each impulse was said and came out durable."""

    def __init__(self, outbox: SqliteOutbox) -> None:
        self._outbox = outbox
        self.said_ns: dict[int, int] = {}
        self.kept: list[tuple[Impulse, int, int, bytes]] = []

    def append_all(self, drafts: Sequence[Draft]) -> list[Sealed]:
        kept = self._outbox.append_all(drafts)
        now_ns = time.monotonic_ns()
        for draft, sealed in zip(drafts, kept, strict=False):
            if isinstance(draft.data, Impulse):
                said_ns = self.said_ns[id(draft)]
                self.kept.append((draft.data, said_ns, now_ns, sealed.envelope))
        return kept

    def __getattr__(self, name: str) -> Any:
        return getattr(self._outbox, name)


class Recorder:
    """The keeper's queue, and when each draft was put into it."""

    def __init__(self, keeping: Keeping, store: Store) -> None:
        self._keeping, self._store = keeping, store

    def append(self, draft: Draft) -> None:
        self._store.said_ns[id(draft)] = time.monotonic_ns()
        self._keeping.append(draft)


class Link(MqttLink):
    """The real link, and when each payload was handed to it."""

    published_ns: dict[bytes, int]

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        self.published_ns.setdefault(payload, time.monotonic_ns())
        return super().publish(topic, payload, retain=retain)


class Reader:
    """Someone at the broker, and when each payload came, noted by the network's own thread."""

    def __init__(self, url: str) -> None:
        self.came_ns: dict[bytes, int] = {}
        options = MqttOptions(url, "reader", subscriptions=("earshot/v1/#",))
        self.link = MqttLink(options, self._note)
        self.link.connect()
        self._lock = threading.Lock()

    def _note(self) -> None:
        now_ns = time.monotonic_ns()
        for event in self.link.poll():
            if isinstance(event, Message):
                self.came_ns.setdefault(event.payload, now_ns)


def street(path: Path) -> None:
    """Noise with a blast about every second, at no fixed place within the blocks."""
    rng = np.random.default_rng(4)
    sound = noise(SILENCE_S + BLASTS + 1.0)
    for number in range(BLASTS):
        add_blast(sound, (SILENCE_S + number + rng.uniform(0, 0.2)) * RATE_HZ, 0.5)
    soundfile.write(path, as_int16(sound), RATE_HZ)


def test_microphone_to_broker(tmp_path: Path, capsys) -> None:
    """Prints p50 and p99 of each stage, through the real daemon, disk and Mosquitto on loopback."""
    street(tmp_path / "street.wav")
    clock, wake = SystemClock(), threading.Event()
    microphone = Microphone(tmp_path / "street.wav", clock)
    outbox = SqliteOutbox(tmp_path / "o.db", sealer_of("n1"), partial(secrets.token_hex, 16))
    store = Store(outbox)
    keeping = Keeping(store, clock.monotonic_ns)
    settings = NodeSettings("bench", "0" * 64, outbox.previous_run, ClockSettings(source="sim"))
    node = Node(settings, microphone.format, Recorder(keeping, store), SystemVitals())
    with world_of("mosquitto") as world:
        reader = Reader(world.broker.url)
        link = Link(MqttOptions(world.broker.url, "n1"), wake.set)
        link.published_ns = {}
        status = partial(sealed_status, "n1")
        uplink = Uplink(IDENTITY, keeping, link, LOCATOR_KEYS, status, random.Random(1))
        reference = SystemTimeReference(clock, NS_PER_MS, "sim")
        Daemon(microphone, [reference], clock, node, uplink, wake, keeper=keeping).run()
        until(lambda: all(one[3] in reader.came_ns for one in store.kept), "the last record")
        link.close()
        reader.link.close()
    outbox.close()
    rows = []
    for impulse, before_ns, kept_ns, envelope in store.kept:
        sounded_ns = microphone.begun_ns + impulse.sample_index * NS_PER_S // RATE_HZ
        heard_ns = microphone.handed_over_ns[impulse.sample_index // BLOCK_SAMPLES]
        published_ns = link.published_ns[envelope]
        moments = (sounded_ns, heard_ns, before_ns, kept_ns, published_ns, reader.came_ns[envelope])
        rows.append(np.diff(moments) / NS_PER_MS)
    stages = np.array(rows)
    with capsys.disabled():
        print(f"\nmicrophone to broker, {len(rows)} impulses, ms:      p50      p99")
        for name, column in zip(STAGES, stages.T, strict=True):
            print(f"  {name:36} {np.percentile(column, 50):8.1f} {np.percentile(column, 99):8.1f}")
        signed, totals = stages[:, :SIGNED_AFTER].sum(axis=1), stages.sum(axis=1)
        for name, column in (("impulse to signed and durable", signed), ("all", totals)):
            print(f"  {name:36} {np.percentile(column, 50):8.1f} {np.percentile(column, 99):8.1f}")
        print(
            f"  {'wanted: a block and 300 ms':36} {'':8} {BLOCK_SAMPLES / RATE_HZ * 1e3 + 300:8.1f}"
        )
    assert len(rows) >= BLASTS
