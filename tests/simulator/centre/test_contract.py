"""The published wire contract says what the code does, and refuses what the code refuses."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jsonschema import Draft202012Validator

from agent.core.records import (
    chain,
    envelope,
    kinds,
    remote_records,
    store_records,
    succession,
    visit_records,
)
from agent.core.records.position import Position
from agent.core.trust import commands
from simulator.centre import contract
from tests.support.corrected import CORRECTION
from tests.support.drafts import THINNED, heartbeat, signer_of

SCHEMAS = contract.schemas()
CLOCK = kinds.TimeQuality(
    state="locked", source="pps", sigma_ns=900, mark_age_ms=120, oscillator_ppm=-3.25
)
FEATURES = kinds.Features(
    peak_dbfs=-3.0,
    peak_db_spl=None,
    snr_db=31.5,
    noise_dbfs=-61.0,
    rise_us=40.0,
    duration_ms=3.0,
    crest_db=18.0,
    centroid_hz=950.0,
    envelope_db=(0.0, -6.0, -12.5),
    clipped=False,
    gap_in_window=False,
)
IMPULSE = kinds.Impulse(
    toa_utc_ns="1700000000123456789",
    sigma_noise_ns=800,
    sigma_total_ns=1200,
    sample_index=123_456,
    subsample=0.25,
    rate_hz=48_000,
    features=FEATURES,
    verdict=kinds.Verdict(accepted=True, score=0.93, reason="impulse"),
    time_pairs=(
        kinds.TimePair(samples=48_000, utc_ns="1700000000000000000"),
        kinds.TimePair(samples=48_001, utc_ns="1000000000"),
    ),
)
SAMPLES: dict[str, kinds.Data] = {
    "impulse": IMPULSE,
    "heartbeat": heartbeat(),
    "gap": kinds.Gap(first_sample=10, lost_samples=480, reason="overflow"),
    "timebase": kinds.TimebaseChange(before="acquiring", after="locked", reason="10 marks"),
    "position": Position(
        event="surveyed",
        latitude_deg=48.1173,
        longitude_deg=11.5167,
        height_m=520.4,
        sigma_m=1.6,
        fixes=14_400,
        span_s=14_400,
        off_m=None,
    ),
    "correction": CORRECTION,
    "start": kinds.Start(
        software="0.1.0", settings_sha256="a" * 64, rate_hz=48_000, reason="new-store"
    ),
    "stop": kinds.Stop(reason="SIGTERM"),
    "shed": store_records.Shed(
        reason="the store is full",
        links=(
            store_records.Link(seq=4, digest="d" * 64),
            store_records.Link(seq=9, digest="e" * 64),
        ),
        unsaid=(
            store_records.Unsaid(kind="impulse", count=3, first_host_ns="5", last_host_ns="77"),
        ),
    ),
    "damaged": store_records.Damaged(reason="malformed", set_aside="o.damaged-1", said_again=3),
    "rollback": store_records.Rollback(
        reason="a receipt covers more", chain="d" * 32, seq=4, digest="e" * 64, said_again=2
    ),
    "command": remote_records.CommandOutcome(
        id="1" * 32, verb="ping", outcome="done", reason="", keyid="2" * 16, count=1
    ),
    "config": remote_records.ConfigChange(
        before="a" * 64, after="b" * 64, outcome="trying", reason="log.level"
    ),
    "clap": visit_records.Clap(
        toa_utc_ns="1700000000123456789",
        sigma_total_ns=1200,
        peak_dbfs=-12.5,
        peak_db_spl=None,
        snr_db=31.0,
        score=0.08,
        reason="unlike a shot",
    ),
    "calibration": visit_records.Calibration(
        level_db_spl=94.0,
        level_dbfs=-29.0,
        full_scale_db_spl=123.0,
        before_db_spl=None,
        tone_hz=1000.0,
        purity_db=41.0,
        spread_db=0.05,
        seconds=5.0,
    ),
    "key": succession.change_to(signer_of("heir"), "urn:earshot:s:c:n1", "2" * 16),
    "thinned": THINNED,
}


class Seal:
    """An evidence key in memory."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        self.keyid = envelope.key_id(self._key.public_key())

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    @property
    def keys(self) -> dict[str, Any]:
        return {self.keyid: self._key.public_key()}


def sealed(data: kinds.Data, utc_ns: int | None) -> tuple[Any, Any]:
    """The envelope and the body of one record, as a receiver parses them."""
    seal = Seal()
    identity = kinds.Identity(site="s", cell="c", node="n1", keyid=seal.keyid, boot="b" * 32)
    draft = kinds.Draft(data=data, clock=CLOCK, host_ns=77, utc_ns=utc_ns)
    raw = chain.Sealer(identity, seal).seal(draft, chain.Head("c" * 32)).envelope
    return json.loads(raw), json.loads(envelope.open_envelope(raw, seal.keys).payload)


def valid(name: str, instance: Any) -> bool:
    checker = Draft202012Validator.FORMAT_CHECKER
    return Draft202012Validator(SCHEMAS[name], format_checker=checker).is_valid(instance)


def test_the_files_in_config_are_what_the_code_generates() -> None:
    """Nobody edits the contract by hand; `python -m simulator.centre.contract` repairs it."""
    on_disk = {
        str(path.relative_to(contract.CONFIG)): path.read_text(encoding="utf-8")
        for path in (*contract.CONFIG.glob("schemas/*"), contract.CONFIG / "asyncapi.yaml")
    }
    assert on_disk == contract.files()


def test_writing_gives_exactly_those_files(tmp_path: Path) -> None:
    """The generator writes what `files` tells, and nothing beside it."""
    contract.write(tmp_path)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == contract.files().keys()


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_a_valid_schema(name: str) -> None:
    """JSON Schema 2020-12's own meta-schema accepts each, and each reference resolves."""
    Draft202012Validator.check_schema(SCHEMAS[name])
    references = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(SCHEMAS[name])))
    assert references == SCHEMAS[name].get("$defs", {}).keys()


def test_there_is_a_sample_of_every_kind() -> None:
    """A new record kind cannot be added without a sample here."""
    assert SAMPLES.keys() == contract.KINDS.keys()


@pytest.mark.parametrize("utc_ns", [None, 1_700_000_000_123_456_789])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_record_validates_as_its_own_kind_only(name: str, utc_ns: int | None) -> None:
    """The envelope and the body of a sealed record fit; the body fits no other kind."""
    wrapped, body = sealed(SAMPLES[name], utc_ns)
    assert valid("envelope", wrapped)
    assert [kind for kind in SCHEMAS if valid(kind, body)] == [name]


def altered(body: dict[str, Any]) -> list[dict[str, Any]]:
    """`body` with each name missing, and each value of a wrong type."""
    missing = [{k: v for k, v in body.items() if k != name} for name in body if name != "time"]
    mistyped = [{**body, name: [None]} for name in body]
    return [*missing, *mistyped]


@pytest.mark.parametrize("name", SAMPLES)
def test_an_altered_record_does_not_validate(name: str) -> None:
    """Anything missing or mistyped is refused, in the body and in its data."""
    _, body = sealed(SAMPLES[name], 1_700_000_000_000_000_000)
    inner = [{**body, "data": data} for data in altered(body["data"])]
    for wrong in [*altered(body), *inner, {**body, "time": "yesterday"}, {**body, "seq": 0}]:
        assert not valid(name, wrong), wrong


@pytest.mark.parametrize("name", SAMPLES)
def test_a_record_of_a_later_version_validates(name: str) -> None:
    """A name too many is for those who know it: receivers must not refuse what a later one adds."""
    _, body = sealed(SAMPLES[name], 1_700_000_000_000_000_000)
    more = {**body, "of_tomorrow": 1, "data": {**body["data"], "of_tomorrow": 1}}
    assert valid(name, more)


def test_an_altered_envelope_does_not_validate() -> None:
    """One signature, base64, known payload types, nothing else."""
    wrapped, _ = sealed(IMPULSE, None)
    twice = {**wrapped, "signatures": wrapped["signatures"] * 2}
    foreign = {**wrapped, "payloadType": "text/plain"}
    more = {**wrapped, "extra": 1}
    for wrong in [*altered(wrapped), twice, foreign, more, {**wrapped, "payload": "a b"}]:
        assert not valid("envelope", wrong), wrong


def test_what_is_not_in_the_chain_validates() -> None:
    """Receipts, status, commands and replies fit their schemas, and nothing altered does."""
    receipt = kinds.Receipt(
        source="urn:earshot:s:c:n1",
        chain="c" * 32,
        upto_seq=7,
        head="d" * 64,
        extra=((9, 12),),
        received_at="2026-01-01T00:00:00.000000000Z",
    )
    status = kinds.Status(
        source=receipt.source, online=True, boot="b" * 32, backlog=0, connects=1, software="0.1.0"
    )
    order = commands.Command(
        id="1" * 32,
        source=receipt.source,
        verb="set-config",
        issued_utc_ns="1",
        expires_utc_ns="2",
        changes={"log.level": "debug"},
    )
    reply = commands.Reply(
        id=order.id, source=receipt.source, outcome="done", reason="", keyid="2" * 16
    )
    told = {"receipt": receipt, "status": status, "order": order, "reply": reply}
    for name, struct in told.items():
        fields = json.loads(msgspec.json.encode(struct))
        assert valid(name, fields)
        assert not any(valid(name, wrong) for wrong in altered(fields))
        assert valid(name, {**fields, "of_tomorrow": 1}) is not (name == "order")  # obeyed whole


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    """References inside the document and to the schema files all resolve."""
    document = contract.asyncapi()
    references = re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))
    assert len(references) > 10
    for reference in references:
        if reference.startswith("#/"):
            place = document
            for step in reference[2:].split("/"):
                place = place[step]
        else:
            assert reference in contract.files()


def test_the_topics_are_those_of_the_identity() -> None:
    """The documented addresses are the topics that nodes use."""
    identity = kinds.Identity(
        site="{site}", cell="{cell}", node="{node}", keyid="0" * 16, boot="b" * 32
    )
    addresses = [channel["address"] for channel in contract.asyncapi()["channels"].values()]
    tails = ("event/{kind}", "status", "receipt", "command/{verb}", "reply/{id}")
    assert addresses == [f"{identity.topic}/{tail}" for tail in tails]


def test_yaml_is_written_as_blocks_with_quoted_strings() -> None:
    """Nested tables, lists, empty ones and awkward strings all come out as YAML 1.2."""
    value = {"a": {"b-c": [1, "x: y"], "d": {}}, "e f": [{"g": None}, []]}
    assert contract.yaml_lines(value) == [
        "a:",
        "  b-c:",
        "    - 1",
        '    - "x: y"',
        "  d: {}",
        '"e f":',
        "  -",
        "    g: null",
        "  - []",
    ]
