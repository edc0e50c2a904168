"""Integers of the wire are never wider than what takes them, here and in the files that follow."""

import base64
import json
from contextlib import closing

import pytest

from agent.core.records.audit import Auditor
from agent.core.records.envelope import seal
from agent.core.records.fields import MAX_SEQ
from agent.core.records.kinds import PAYLOAD_TYPE
from agent.errors import MalformedRecord
from agent.ports import Message
from simulator.centre.locator.store import EventStore
from tests.simulator.centre.locator.test_service import Centre
from tests.support.cells import Cell
from tests.support.drafts import (
    LOCATOR,
    LOCATOR_KEYS,
    chain_of,
    identity_of,
    impulse,
    registry_of,
    signer_of,
)

TOPIC = "earshot/v1/lab/a/n1/event"
LAST_NS = (2**63 - 1, 2**63 - 3_600 * 10**9)


@pytest.fixture
def centre(tmp_path):
    made = Centre(tmp_path / "locator.sqlite", Cell())
    yield made
    made.store.close()


def rewritten(message: Message, **changes: object) -> Message:
    """What n1 says, with other values, signed afresh; `data` is changed, not replaced."""
    body = json.loads(base64.b64decode(json.loads(message.payload)["payload"]))
    body |= {**changes, "data": body["data"] | changes.get("data", {})}
    if "seq" in changes:
        body["id"] = f"{body['chain']}/{body['seq']}"
    kind = body["data"]["kind"]
    raw = seal(PAYLOAD_TYPE, json.dumps(body | {"type": f"earshot.{kind}.v1"}).encode(), N1)
    return Message(f"{TOPIC}/{kind}", raw)


N1 = signer_of("n1")


def shed_of(seq: int) -> dict[str, object]:
    link = [seq, "d" * 64]
    return {"kind": "shed", "reason": "the store is full", "links": [link], "unsaid": []}


@pytest.mark.parametrize(
    "changes",
    [
        *({"seq": seq} for seq in (MAX_SEQ + 1, 2**63 - 1, 2**63, 2**64, 10**40)),
        *({"data": shed_of(seq)} for seq in (2**63 - 1, 2**63, 10**40)),
        {"seq": MAX_SEQ, "data": shed_of(MAX_SEQ - 1)},
        *({"data": {"toa_utc_ns": str(ns)}} for ns in (2**63, -(2**63))),
        *({"data": {"toa_utc_ns": str(ns)}} for ns in LAST_NS),
        {"data": {"sigma_total_ns": 2**63, "sample_index": 2**64, "rate_hz": 10**30}},
        {"time": "9999-12-31T23:59:59.999999999Z"},
        {"host_ns": "9" * 20},
    ],
)
def test_no_number_ends_the_service_or_a_later_start(centre, changes):
    """Signed by a registered key: others are heard and located, now and after a restart."""
    liar = rewritten(centre.cell.say("n1", impulse()), **changes)
    for round_ in range(2):
        centre.tell([liar])
        centre.tell(centre.cell.shot(30.0 * round_, ["n2", "n3", "n4", "n5"]))
        centre.run(10)
        assert len(centre.service.incidents) == 1 + round_
        centre.kill()
        centre.open()
        centre.run(10)
    receipts = centre.said()[1]
    assert {one.upto_seq for one in receipts if one.source[-2:] != "n1"} == {1, 2}


@pytest.mark.parametrize("celsius", [15.0, 1e308, -1e400])
def test_no_time_of_a_temperature_does(centre, celsius):
    """A heartbeat from the end of time is evidence, and warms nothing."""
    (warm,) = centre.cell.warmth({"n1": 15.0})
    text = base64.b64decode(json.loads(warm.payload)["payload"]).decode()
    body = json.loads(text) | {"time": "2262-04-11T23:00:00.000000000Z"}
    said = f'"air_temperature_c": {celsius}'
    spoilt = json.dumps(body).replace('"air_temperature_c": 15.0', said)
    centre.tell([Message(warm.topic, seal(PAYLOAD_TYPE, spoilt.encode(), N1))])
    centre.tell(centre.cell.shot(0.0))
    centre.run(10)
    assert [one.status for one in centre.service.incidents] == ["located"]


def test_a_number_that_fits_nothing_is_malformed(tmp_path):
    """Not unknown and not forged: no key can ever make it a record."""
    raw = chain_of("n1", 1)[0].envelope
    body = json.loads(base64.b64decode(json.loads(raw)["payload"]))
    body |= {"seq": 2**63, "id": f"{body['chain']}/{2**63}"}
    far = seal(PAYLOAD_TYPE, json.dumps(body).encode(), N1)
    with (
        closing(EventStore(tmp_path / "l", registry_of("n1"), LOCATOR)) as store,
        pytest.raises(MalformedRecord, match="seq"),
    ):
        store.admit(f"{identity_of('n1').topic}/event/impulse", far)


@pytest.mark.parametrize("seq", [3 * 10**9, MAX_SEQ])
def test_an_export_that_begins_far_up_is_checked_at_once(seq):
    """What is missing is told as a range: time and memory go by what is there."""
    auditor = Auditor(registry_of("n1"), LOCATOR_KEYS)
    raw = chain_of("n1", 1)[0].envelope
    body = json.loads(base64.b64decode(json.loads(raw)["payload"]))
    body |= {"seq": seq, "id": f"{body['chain']}/{seq}"}
    far = seal(PAYLOAD_TYPE, json.dumps(body).encode(), N1)
    assert list(auditor.record("line 1", far)) == []
    (fault,) = auditor.finish()
    assert fault.what == f"Records 1 to {seq - 1} of the chain are missing."
