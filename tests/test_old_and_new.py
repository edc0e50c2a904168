"""Old and new talk: what 0.1.0 said, kept and exported is read, and what a later one adds is kept.

`tests/golden/0.1.0` was left by commit 9a91ff4 and never changes. What 0.1.0 itself makes of this
version is tried in `test_first_release`, with its own code.
"""

import base64
import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from agent.adapters.statefile import read_state
from agent.cli.main import main
from agent.core.records.chain import Head
from agent.core.records.envelope import load_public_key, open_envelope, seal
from agent.core.records.kinds import (
    PAYLOAD_TYPE,
    STATUS_TYPE,
    Body,
    Receipt,
    Status,
    parse,
)
from agent.core.trust.commands import CommandJudge, Now, Obeyed, Refused
from simulator.centre.locator import registry
from simulator.centre.locator.service import LocatorService
from simulator.centre.locator.store import Admitted, EventStore
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from tests.support.cells import Cell
from tests.support.drafts import (
    LOCATOR,
    LOCATOR_KEYS,
    NOW,
    UTC_NS,
    chain_of,
    draft,
    heartbeat,
    identity_of,
    outbox_of,
    receipt,
    registry_of,
    sealed_status,
    sealer_of,
    signer_of,
)
from tests.support.golden import HEIR

FIRST = Path(__file__).parent / "golden" / "0.1.0"
TOPIC = identity_of("n1").topic
KEYS = {signer_of(n).keyid: load_public_key(signer_of(n).public_key()) for n in ("n1", HEIR)}
OPERATORS = {signer_of("op").keyid: load_public_key(signer_of("op").public_key())}


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A copy of the golden set that may be written to."""
    return Path(shutil.copytree(FIRST, tmp_path / "0.1.0"))


def messages(tail: str) -> list[tuple[str, bytes]]:
    lines = [json.loads(line) for line in (FIRST / "messages.jsonl").read_text().splitlines()]
    return [(one["topic"], one["payload"].encode()) for one in lines if tail in one["topic"]]


def with_more(raw: bytes, signer, *path: str) -> bytes:
    """The envelope `raw`, signed afresh with an unknown field in the object at `path`."""
    fields = json.loads(raw)
    payload = json.loads(base64.b64decode(fields["payload"]))
    inner = payload
    for name in path:
        inner = inner[name]
    inner["of_tomorrow"] = {"deep": [1, 2, 3]}
    return seal(fields["payloadType"], json.dumps(payload).encode(), signer)


def retold(raw: bytes, **changes: object) -> bytes:
    """The record `raw` of n1 with other values in its body, signed afresh."""
    payload = json.loads(base64.b64decode(json.loads(raw)["payload"]))
    return seal(PAYLOAD_TYPE, json.dumps(payload | changes).encode(), signer_of("n1"))


def receipts_of(store: EventStore) -> list[Receipt]:
    told = [open_envelope(raw, LOCATOR_KEYS) for _, raw in store.receipts(NOW)]
    return [parse(one.payload, Receipt) for one in told]


def test_every_word_of_the_first_release_is_understood() -> None:
    """Each kind of record, a status, receipts, a command and a reply."""
    kinds = set()
    for topic, raw in messages("/event/"):
        body = parse(open_envelope(raw, KEYS).payload, Body)
        kinds.add(topic.rpartition("/")[2])
        assert body.type == f"earshot.{topic.rpartition('/')[2]}.v1"
    assert len(kinds) == 12
    for _, raw in messages("/receipt"):
        assert parse(open_envelope(raw, LOCATOR_KEYS).payload, Receipt).chain == "a" * 32
    ((_, status),) = messages("/status")
    assert parse(open_envelope(status, KEYS).payload, Status).backlog == 3
    ((_, command),) = messages("/command/")
    judge = CommandJudge(identity_of("n1").source, OPERATORS)
    now = Now(utc_ns=UTC_NS + 1, sigma_ns=1, began_utc_ns=UTC_NS - 10**12)
    assert isinstance(judge.judge("ping", command, now), Obeyed)


@pytest.mark.parametrize(
    ("export", "keys"), [("export", "registry"), ("replay", "replay-registry")]
)
def test_an_export_of_the_first_release_verifies(
    export: str, keys: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of it holds, with its receipt where it has one."""
    words = ["verify", str(FIRST / f"{export}.jsonl"), "--keys", str(FIRST / f"{keys}.json")]
    assert main([*words, "--locator", str(FIRST / "locator.pub.pem")]) == 0
    assert "all of it holds" in capsys.readouterr().out


def test_stores_of_the_first_release_go_on(first: Path) -> None:
    """The node delivers what waited, the locator fills its hole; nothing is said twice."""
    with closing(outbox_of("n1", first / "outbox.sqlite")) as outbox:
        waiting = outbox.pending(99, frozenset())
        assert sorted(one.head.seq for one in waiting) == [5, *range(8, 13)]
        assert outbox.append(draft()).head.seq == 13
        assert outbox.release(receipt("n1", outbox.head())) == 7
    with closing(EventStore(first / "locator.sqlite", registry_of("n1", "n2"), LOCATOR)) as store:
        assert "lacks 9 to 9" in store.chain_faults()[0]
        (lost,) = [one for one in messages("/event/") if b'"seq":9,' in body_of(one[1])]
        assert isinstance(store.admit(*lost), Admitted)
        store.commit()
        assert [one.upto_seq for one in receipts_of(store)] == [14]
        assert store.chain_faults() == []


def body_of(raw: bytes) -> bytes:
    return base64.b64decode(json.loads(raw)["payload"])


def test_the_registry_and_the_state_of_the_first_release_are_read(first: Path) -> None:
    """As they stand."""
    assert len(registry.load(first / "registry.json").stations) == 2
    state = json.loads((first / "state.json").read_text())
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (first / "state.json").write_text(json.dumps(state | {"boot": boot, "of_tomorrow": 1}))
    assert read_state(first, 10**9).source == identity_of("n1").source


def test_a_status_with_more_in_it_is_a_status() -> None:
    """So a locator can learn of tomorrow's node what it takes."""
    raw = with_more(sealed_status("n1", 5, 2), signer_of("n1"))
    opened = open_envelope(raw, KEYS)
    assert opened.payload_type == STATUS_TYPE
    assert parse(opened.payload, Status).backlog == 5


@pytest.mark.parametrize("path", [(), ("data",), ("clock",), ("data", "features")])
def test_a_record_with_more_in_it_is_understood(tmp_path: Path, path: tuple[str, ...]) -> None:
    """What is known of it counts; the chain goes on from the bytes that were signed."""
    raw = with_more(chain_of("n1", 1)[0].envelope, signer_of("n1"), *path)
    with closing(EventStore(tmp_path / "l", registry_of("n1"), LOCATOR)) as store:
        outcome = store.admit(f"{TOPIC}/event/impulse", raw)
        store.commit()
        assert isinstance(outcome, Admitted)
        assert outcome.body.data.features.snr_db == 41.0
        assert list(store.envelopes()) == [raw]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("drone", {"type": "earshot.drone.v1", "data": {"kind": "drone", "rotors": 4}}),
        ("impulse", {"type": "earshot.impulse.v2"}),
        ("impulse", {"data": {"kind": "impulse", "toa": "when it pleases"}}),
        ("impulse", {"clock": {"state": "entangled"}}),
        ("gap", {"type": "earshot.gap.v1", "data": [1, 2, 3]}),
    ],
    ids=["kind", "version", "fields", "clock", "shape"],
)
def test_what_is_not_understood_is_kept_linked_and_receipted(
    tmp_path: Path, kind: str, changes: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    """A record of tomorrow stands in its chain like any other, through a restart and in court."""
    links = chain_of("n1", 1)
    later = retold(
        sealer_of("n1").seal(draft(), links[0].head).envelope,
        **changes,
    )
    after = sealer_of("n1").seal(draft(), Head("c" * 32, 2, open_envelope(later, KEYS).digest))
    said = [("impulse", links[0].envelope), (kind, later), ("impulse", after.envelope)]
    path = tmp_path / "l"
    with closing(EventStore(path, registry_of("n1"), LOCATOR)) as store:
        for word, raw in said:
            assert isinstance(store.admit(f"{TOPIC}/event/{word}", raw), Admitted)
        store.commit()
        (told,) = receipts_of(store)
        assert (told.upto_seq, told.head, told.extra) == (3, after.head.digest, ())
    with closing(EventStore(path, registry_of("n1"), LOCATOR)) as store:
        assert store.chain_faults() == []
        assert [body.seq for body in store.bodies()] == [1, 2, 3]
    (tmp_path / "e.jsonl").write_bytes(b"\n".join(raw for _, raw in said))
    assert main(["verify", str(tmp_path / "e.jsonl"), "--keys", str(FIRST / "registry.json")]) == 0
    assert f"1 {kind} (unread)" in capsys.readouterr().out


def test_a_registry_with_more_in_it_is_read_and_the_word_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Unknown fields are ignored, but not silently: one may be a slip of the pen."""
    rows = json.loads((FIRST / "registry.json").read_text())
    rows[0]["revoked_att"] = "2026-11-24T05:00:00.000000000Z"
    rows[1]["position"]["datum"] = "ETRS89"
    assert len(registry.parse(json.dumps(rows), "r.json").stations) == 2
    (told,) = [one.getMessage() for one in caplog.records]
    assert "rows[0] 'revoked_att' is unknown, did you mean 'revoked_at'?" in told
    assert "rows[1].position 'datum'" in told


def test_a_command_with_more_in_it_is_not_obeyed() -> None:
    """What is obeyed must be understood whole: the unknown word may have been a condition."""
    ((_, command),) = messages("/command/")
    judge = CommandJudge(identity_of("n1").source, OPERATORS)
    now = Now(utc_ns=UTC_NS + 1, sigma_ns=1, began_utc_ns=UTC_NS - 10**12)
    assert isinstance(judge.judge("ping", with_more(command, signer_of("op")), now), Refused)


class Town:
    """A locator that hears statuses, and a node that reads its receipts."""

    def __init__(self, directory: Path) -> None:
        from simulator.centre.locator.service import SUBSCRIPTIONS

        self.cell, broker = Cell(), VirtualBroker()
        self.node = VirtualPublisher(broker, "n1", ("earshot/v1/lab/a/n1/receipt",))
        self.node.connect()
        self.store = EventStore(directory / "l", self.cell.registry.keys, LOCATOR)
        link = VirtualPublisher(broker, "locator", SUBSCRIPTIONS)
        self.service = LocatorService(self.store, link, self.cell.registry)
        self.now_ns = 0

    def told(self, *said: tuple[str, bytes]) -> dict[str, object]:
        """The fields of the last receipt after these messages."""
        for topic, raw in said:
            self.node.publish(topic, raw, retain=topic.endswith("status"))
        for _ in range(2):
            self.service.step(self.now_ns, lambda: NOW)
            self.now_ns += 10**9
        told = [event.payload for event in self.node.poll() if hasattr(event, "payload")]
        fields: dict[str, object] = {}
        for raw in told:
            fields = json.loads(open_envelope(raw, LOCATOR_KEYS).payload)
        return fields


def test_new_fields_of_a_receipt_go_to_those_who_take_them(tmp_path: Path) -> None:
    """By the node's signed status; one that says nothing gets what 0.1.0 knows, to the byte."""
    town = Town(tmp_path)
    topic, source = "earshot/v1/lab/a/n1/status", "urn:earshot:lab:a:n1"
    old = {"source": source, "online": True, "boot": "b" * 32, "backlog": 0, "connects": 1}

    def status(**more: object) -> tuple[str, bytes]:
        fields = old | {"software": "test"} | more
        return topic, seal(STATUS_TYPE, json.dumps(fields).encode(), signer_of("n1"))

    def event() -> tuple[str, bytes]:
        said = town.cell.say("n1", heartbeat())
        return said.topic, said.payload

    known = {"source", "chain", "upto_seq", "head", "extra", "received_at"}
    town.told()
    assert town.told(event()).keys() == known
    assert town.told(status(), event()).keys() == known
    assert town.told(status(takes=["software"]))["software"]
    assert town.told(event()).keys() == {*known, "software"}
    forged = seal(STATUS_TYPE, json.dumps(old | {"software": ""}).encode(), signer_of("n2"))
    assert "software" in town.told((topic, forged), event())
    assert town.told(status()).keys() == known
    town.store.close()
