"""This version beside 0.1.0 itself, over a real broker: neither loses anything by the other."""

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from agent.adapters.keyfile import Ed25519FileSigner, load_public_key_file
from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.app.presence import seal_status
from agent.app.uplink import Uplink
from agent.cli.main import main
from agent.core.records import kinds
from agent.core.records.chain import Head
from agent.core.records.envelope import key_id, open_envelope
from agent.core.records.kinds import Heartbeat
from agent.ports import Message
from simulator.centre.locator import registry
from simulator.centre.locator.service import LocatorService
from simulator.centre.locator.store import EventStore
from simulator.cli.main import main as sim
from tests.support.centre import Centre
from tests.support.drafts import (
    NOW,
    chain_of,
    draft,
    heartbeat,
    identity_of,
    outbox_of,
    sealer_of,
)
from tests.support.first_release import FirstRelease
from tests.support.golden import write_registry
from tests.support.links import Collector, world_of
from tests.support.pole import Pole

pytestmark = pytest.mark.system

TIMES_FASTER = 40
PATIENCE_S = 60.0
OLD_RECEIPT = {"source", "chain", "upto_seq", "head", "extra", "received_at"}

LOOK = """
import sys
from pathlib import Path
from tests.support.drafts import outbox_of
outbox = outbox_of("n1", Path(sys.argv[1]))
print(*(one.head.seq for one in outbox.pending(9, frozenset())))
outbox.close()
"""


class Later(Heartbeat, frozen=True, kw_only=True, tag_field="kind", tag="later"):
    """A kind that 0.1.0 has never heard of."""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> FirstRelease:
    return FirstRelease(tmp_path_factory.mktemp("0.1.0"))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Later]:
    """This version as if it had one more kind of record."""
    monkeypatch.setitem(kinds.PRIORITY, Later, 1)
    fields = {name: getattr(heartbeat(), name) for name in Heartbeat.__struct_fields__}
    return lambda: Later(**fields)


def test_a_node_of_the_first_release_under_this_centre(tmp_path: Path, first: FirstRelease) -> None:
    """All that it says is delivered and receipted, and its receipts hold what it knows, no more."""
    with world_of("mosquitto") as world:
        pole = Pole(tmp_path, world.broker.url, seconds=6.0, blast_every_s=1.0)
        ears = Collector(world.link("ears", "earshot/v1/s/c/n1/receipt"))
        ears.publisher.connect()
        with Centre(pole, tmp_path) as centre:
            daemon = pole.start(first.env)
            try:
                assert daemon.wait(PATIENCE_S) == 0
                centre.wait(lambda: centre.upto_seq() > 4, "receipts")
            finally:
                daemon.kill()
                assert daemon.stderr
                daemon.stderr.close()
        told = ears.seen(Message)
        assert centre.store.chain_faults() == []
        assert centre.service.counters.rejected == {}
        centre.store.close()
    public = load_public_key_file(pole.public)
    receipts = [
        json.loads(open_envelope(one.payload, {key_id(public): public}).payload) for one in told
    ]
    assert receipts
    assert {frozenset(one) for one in receipts} == {frozenset(OLD_RECEIPT)}
    with closing(EventStore(tmp_path / "locator.sqlite", {}, _signer(pole))) as store:
        assert len(list(store.envelopes())) == receipts[-1]["upto_seq"]


def _signer(pole: Pole) -> Ed25519FileSigner:
    return Ed25519FileSigner.load(pole.home / "node.pem")


class OldCentre:
    """The locator of 0.1.0 as a process, and this version's on the same store and key after it."""

    def __init__(self, first: FirstRelease, directory: Path, url: str) -> None:
        self._directory, self._url = directory, url
        words = ("--registry", directory / "r.json", "--store", self.store, "--key", self.key)
        self._process = first.start("simulator.cli.main", "locate", "--broker", url, *words)
        assert self._process.stdout
        assert "locating for" in self._process.stdout.readline()

    @property
    def store(self) -> Path:
        return self._directory / "locator.sqlite"

    @property
    def key(self) -> Path:
        return self._directory / "locator.pem"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()

    def upgraded(self) -> Iterator[EventStore]:
        """This version's locator in its place: one step at each turn."""
        from simulator.centre.locator.service import SUBSCRIPTIONS

        known = registry.load(self._directory / "r.json")
        signer = Ed25519FileSigner.load(self.key)
        options = MqttOptions(self._url, "earshot-locator", subscriptions=SUBSCRIPTIONS)
        with (
            closing(EventStore(self.store, known.keys, signer)) as store,
            closing(MqttLink(options)) as link,
        ):
            service = LocatorService(store, link, known)
            while True:
                service.step(time.monotonic_ns(), lambda: NOW)
                yield store


def test_this_node_under_a_centre_of_the_first_release(
    tmp_path: Path, first: FirstRelease, later: Callable[[], Later]
) -> None:
    """What the old one understands is receipted, alerts first; the rest waits, and is delivered
    once the centre is of this version. Nothing is lost, and the node says what is the matter."""
    write_registry(tmp_path / "r.json")
    with world_of("mosquitto") as world:
        centre = OldCentre(first, tmp_path, world.broker.url)
        try:
            outbox = outbox_of("n1", tmp_path / "o.db")
            for turn in range(30):
                outbox.append(draft(later() if turn % 10 == 9 else heartbeat(), turn))
            public = Ed25519FileSigner.load(centre.key).public_pem()
            (tmp_path / "l.pub").write_text(public)
            key = load_public_key_file(tmp_path / "l.pub")
            topic = f"{identity_of('n1').topic}/receipt"
            uplink = Uplink(
                identity_of("n1"),
                outbox,
                world.link("urn", topic),
                {key_id(key): key},
                partial(seal_status, sealer_of("n1"), True),
                random.Random(1),
            )
            step = _hurried(uplink)
            _until(lambda: outbox.backlog() == 3, step)
            while not uplink.counters.is_locator_older:
                outbox.append(draft(heartbeat()))
                _until(lambda: outbox.backlog() == 3, step)
            outbox.append(draft())
            _until(lambda: outbox.backlog() == 3, step)
            said = outbox.head().seq
        finally:
            centre.kill()
        turns = centre.upgraded()
        store = next(turns)
        _until(lambda: uplink.idle, step, lambda: next(turns))
        assert not uplink.counters.is_locator_older
        assert store.chain_faults() == []
        assert [body.seq for body in store.bodies()] == list(range(1, said + 1))
        turns.close()
        outbox.close()


def _hurried(uplink: Uplink) -> Callable[[], None]:
    """Steps it in a time that passes TIMES_FASTER, for its patience is minutes."""
    begun_ns = time.monotonic_ns()

    def step() -> None:
        uplink.step((time.monotonic_ns() - begun_ns) * TIMES_FASTER)
        time.sleep(0.002)

    return step


def _until(is_true: Callable[[], bool], *steps: Callable[[], object]) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < give_up_s
        for step in steps:
            step()


def test_the_first_release_verifies_what_this_one_exports(
    tmp_path: Path, first: FirstRelease
) -> None:
    """A court that has not upgraded reads our chains."""
    write_registry(tmp_path / "r.json")
    lines = b"\n".join(one.envelope for one in chain_of("n1", 5))
    (tmp_path / "e.jsonl").write_bytes(lines)
    ended = first.run(
        "agent.cli.main", "verify", tmp_path / "e.jsonl", "--keys", tmp_path / "r.json"
    )
    assert (ended.returncode, "all of it holds" in ended.stdout) == (0, True)


def test_the_first_release_takes_back_stores_that_went_down(
    tmp_path: Path, first: FirstRelease, later: Callable[[], Later]
) -> None:
    """One command each, and yesterday's software goes on with all that is held."""
    write_registry(tmp_path / "r.json")
    with closing(outbox_of("n1", tmp_path / "o.db")) as outbox:
        for turn in range(3):
            outbox.append(draft(host_ns=turn))
    assert main(["store", "down", str(tmp_path / "o.db")]) == 0
    (tmp_path / "look.py").write_text(LOOK)
    told = first.script(tmp_path / "look.py", tmp_path / "o.db")
    assert told.stdout.split() == ["1", "2", "3"], told.stderr
    signer = Ed25519FileSigner.create(tmp_path / "l.pem")
    keys = registry.load(tmp_path / "r.json").keys
    with closing(EventStore(tmp_path / "l.db", keys, signer)) as store:
        sealer, head = sealer_of("n1"), Head("c" * 32)
        for data in (heartbeat(), later(), heartbeat()):
            said = sealer.seal(draft(data), head)
            store.admit(f"{identity_of('n1').topic}/event/{said.kind}", said.envelope)
            head = said.head
        store.commit()
    assert sim(["store", "down", str(tmp_path / "l.db")]) == 0
    with world_of("mosquitto") as world:
        ended = first.run(
            "simulator.cli.main", "locate", "--broker", world.broker.url, "--for", "1",
            "--registry", tmp_path / "r.json", "--store", tmp_path / "l.db",
            "--key", tmp_path / "l.pem",
        )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    with closing(EventStore(tmp_path / "l.db", keys, signer)) as store:
        assert store.chain_faults() == []
        assert len(list(store.bodies())) == 3
