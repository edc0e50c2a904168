"""Whatever a known key signs: nobody else is harmed by it, now or after a restart."""

import base64
import json
import random
import re
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.adapters.keyring import load_keyring
from agent.app.uplink import Uplink
from agent.core.records.audit import Auditor
from agent.core.records.envelope import seal
from agent.core.records.kinds import (
    COMMAND_TYPE,
    PAYLOAD_TYPE,
    RECEIPT_TYPE,
    REFUSAL_TYPE,
    STATUS_TYPE,
)
from agent.core.trust.commands import CommandJudge, Now, Obeyed, Refused
from agent.core.units import NS_PER_S
from agent.errors import KeyFileError, MalformedRecord
from agent.ports import Message
from simulator.centre.locator import registry
from simulator.centre.locator.registry import RegistryError
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from tests.simulator.centre.locator.test_service import Centre
from tests.support.cells import Cell
from tests.support.disk import in_memory
from tests.support.drafts import (
    LOCATOR,
    LOCATOR_KEYS,
    UTC_NS,
    draft,
    heartbeat,
    identity_of,
    outbox_of,
    receipt,
    registry_of,
    sealed_status,
    signer_of,
)
from tests.support.located import START_NS
from tests.support.signable import payloads

FIRST = Path(__file__).parent / "golden" / "0.1.0"
SIZES = [
    pytest.param(300, id="some"),
    pytest.param(20_000, id="many", marks=pytest.mark.torture),
]
RESTART_EVERY, SETTLE_EVERY = 50, 10
SHOTS_APART_NS = 20 * NS_PER_S
N1 = signer_of("n1")


def said(tail: str) -> list[bytes]:
    """Payloads of the golden set."""
    lines = [json.loads(line) for line in (FIRST / "messages.jsonl").read_text().splitlines()]
    envelopes = [json.loads(one["payload"]) for one in lines if tail in one["topic"]]
    return [base64.b64decode(one["payload"]) for one in envelopes]


def of_the_lab(payload: bytes) -> bytes:
    """The same record, of the node n1 that the locator below knows, and of the time of a shot."""
    payload = payload.replace(str(UTC_NS).encode(), str(START_NS + SHOTS_APART_NS).encode())
    return payload.replace(b"urn:earshot:town:north:n1", b"urn:earshot:lab:a:n1")


def sealed(payload_type: str, payload: bytes, signer: Any) -> bytes:
    """What its key makes of it; too large a one goes out all the same."""
    return seal(payload_type, payload, signer, limit=1 << 30)


def tried(examples: int) -> settings:
    """So many, the same in each run of `make test`."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=examples < 1_000,
        suppress_health_check=list(HealthCheck),
    )


def event(number: int, payload: bytes) -> Message:
    """A record of chain `number`; now and then on the topic of another kind, or as a status."""
    payload = payload.replace(b"a" * 32, b"%032x" % number)
    found = re.search(rb'"kind": *"([a-z]{1,32})"', payload[payload.rfind(b'"data"') :])
    kind = found[1].decode() if found and number % 10 else "impulse"
    raw = sealed(STATUS_TYPE if number == 99 else PAYLOAD_TYPE, payload, N1)
    return Message(f"earshot/v1/lab/a/n1/event/{kind}", raw)


class Lab:
    """A locator under one hostile node, and an honest one beside it."""

    def __init__(self, directory: Path) -> None:
        self.cell = Cell()
        self.centre = Centre(directory / "l.sqlite", self.cell)
        self.count = self.shots = 0

    def suffer(self, messages: list[Message]) -> None:
        """Let these come, and see that the others are served."""
        self.count += 1
        self.centre.tell([*messages, self.cell.say("n2", heartbeat())])
        self.centre.run(1)
        told = {one.source: one.upto_seq for one in self.centre.said()[1]}
        assert told["urn:earshot:lab:a:n2"] == self.count + self.shots
        if self.count % SETTLE_EVERY == 0:
            self.centre.run(7)
        if self.count % RESTART_EVERY == 0:
            self._restart()

    def _restart(self) -> None:
        self.centre.kill()
        self.centre.open()
        self.shots += 1
        at_s = self.shots * SHOTS_APART_NS / NS_PER_S
        self.centre.tell(self.cell.shot(at_s, ["n2", "n3", "n4", "n5"]))
        self.centre.run(10)
        assert "located" in [one.status for one in self.centre.service.incidents]


@pytest.mark.parametrize("examples", SIZES)
def test_whatever_a_node_signs_the_others_are_served(examples: int) -> None:
    """The locator's step returns, the others' records are admitted, and a restart comes up."""
    bodies = [of_the_lab(one) for one in said("/event/")]
    status = base64.b64decode(json.loads(sealed_status("n1", 1, 1))["payload"])
    events = st.builds(event, st.integers(0, 99), payloads(*bodies))
    statuses = st.builds(
        lambda payload: Message("earshot/v1/lab/a/n1/status", sealed(STATUS_TYPE, payload, N1)),
        payloads(of_the_lab(status)),
    )
    with in_memory() as directory:
        lab = Lab(directory)

        @tried(examples)
        @given(st.lists(events | events | events | statuses, min_size=1, max_size=5))
        def suffered(messages: list[Message]) -> None:
            lab.suffer(messages)

        suffered()
        lab.centre.store.close()
        assert lab.count >= examples


@pytest.mark.parametrize("examples", SIZES)
def test_whatever_the_locator_signs_the_node_goes_on(examples: int) -> None:
    """The uplink's step returns, the next record is kept, and a restart comes up."""
    chain = receipt("n1", outbox_head()).chain
    sound = [msgspec.json.encode(receipt("n1", outbox_head(), [(3, 4)]))]
    refusal = {"source": identity_of("n1").source, "at": "", "refused": [["0" * 64, "never"]]}
    sound.append(json.dumps(refusal).encode())
    with in_memory() as directory:
        path, broker, turn = directory / "o.db", VirtualBroker(), [0]
        held = [outbox_of("n1", path)]
        held[0].append(draft(heartbeat()))
        here = held[0].head().chain
        sound = [one.replace(chain.encode(), here.encode()) for one in sound]
        mouth = VirtualPublisher(broker, "locator")
        mouth.connect()

        def uplinked() -> Uplink:
            link = VirtualPublisher(broker, "n1", (f"{identity_of('n1').topic}/receipt",))
            status = lambda backlog, connects: sealed_status("n1", backlog, connects)  # noqa: E731
            return Uplink(identity_of("n1"), held[0], link, LOCATOR_KEYS, status, random.Random(1))

        node = [uplinked()]

        @tried(examples)
        @given(st.sampled_from((RECEIPT_TYPE, REFUSAL_TYPE, "\ud800")), payloads(*sound))
        def heard(payload_type: str, payload: bytes) -> None:
            turn[0] += 1
            try:
                raw = sealed(payload_type, payload, LOCATOR)
            except UnicodeEncodeError:
                raw = sealed("x", payload, LOCATOR).replace(b'"x"', b'"\\ud800"')
            mouth.publish(f"{identity_of('n1').topic}/receipt", raw)
            for _ in range(2):
                node[0].step(turn[0] * NS_PER_S)
            assert held[0].append(draft(heartbeat())).head == held[0].head()
            if turn[0] % RESTART_EVERY == 0:
                held[0].close()
                held[0] = outbox_of("n1", path)
                node[0] = uplinked()

        heard()
        held[0].close()


def outbox_head() -> Any:
    """Where a node stood after four records."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(outbox_of("n1", Path(folder) / "o.db")) as outbox,
    ):
        for number in range(4):
            outbox.append(draft(heartbeat(), number))
        return outbox.head()


@pytest.mark.parametrize("examples", SIZES)
def test_whatever_an_operator_signs_is_judged(examples: int) -> None:
    """Obeyed or refused, with a reason that a record holds."""
    judge = CommandJudge(
        identity_of("n1").source, {signer_of("op").keyid: registry_of("op").popitem()[1]}
    )
    now = Now(utc_ns=UTC_NS + 1, sigma_ns=1, began_utc_ns=UTC_NS - 10**12)

    @tried(examples)
    @given(payloads(*said("/command/")))
    def judged(payload: bytes) -> None:
        verdict = judge.judge("ping", sealed(COMMAND_TYPE, payload, signer_of("op")), now)
        assert isinstance(verdict, Obeyed) or (isinstance(verdict, Refused) and verdict.reason)

    judged()


@pytest.mark.parametrize("examples", SIZES)
def test_whatever_stands_in_a_registry_is_read_or_refused_in_one_line(
    tmp_path: Path, examples: int
) -> None:
    """By the locator, and by those who only want keys."""
    path = tmp_path / "r.json"

    @tried(examples)
    @given(payloads((FIRST / "registry.json").read_bytes()))
    def read(payload: bytes) -> None:
        path.write_bytes(payload)
        for load, refusal in ((registry.load, RegistryError), (load_keyring, KeyFileError)):
            told = ""
            try:
                load(path)
            except refusal as error:
                told = str(error)
            assert "\n" not in told

    read()


@pytest.mark.parametrize("examples", SIZES)
def test_whatever_stands_in_an_export_is_a_finding(examples: int) -> None:
    """An audit comes to its end, over any lines that registered keys have signed."""
    records, receipts = said("/event/"), said("/receipt")

    @tried(examples)
    @given(st.lists(payloads(*records), max_size=4), payloads(*receipts))
    def audited(lines: list[bytes], last: bytes) -> None:
        auditor = Auditor(registry_of("n1"), LOCATOR_KEYS)
        found = list(auditor.receipt("receipt", sealed(RECEIPT_TYPE, last, LOCATOR)))
        for number, line in enumerate(lines):
            found += auditor.record(f"line {number}", sealed(PAYLOAD_TYPE, line, N1))
        assert all(fault.what for fault in (*found, *auditor.finish()))

    audited()


def test_half_a_surrogate_is_no_payload_type() -> None:
    """JSON can name what no bytes can spell; it must not end whoever reads it."""
    from agent.core.records.envelope import open_envelope

    raw = sealed("x", b"{}", LOCATOR).replace(b'"x"', b'"\\ud800"')
    with pytest.raises(MalformedRecord, match="is no text"):
        open_envelope(raw, LOCATOR_KEYS)
