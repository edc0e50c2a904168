"""How fast `earshot verify` checks records, over bare Ed25519 verification of the same."""

import base64
import json
import time

import pytest

from agent.core.hearing.repetition import Repetition
from agent.core.records.audit import Auditor
from agent.core.records.chain import Head
from agent.core.records.envelope import pae
from tests.support.drafts import chain_of, draft, heartbeat, registry_of, sealer_of
from tests.support.hearing import shots

RECORDS = 5_000


def test_verify_against_bare_signatures() -> None:
    """Prints both and their ratio; best of three, taken in turns."""
    lines = [one.envelope for one in chain_of("n1", RECORDS)]
    keys = registry_of("n1")
    (key,) = keys.values()
    parsed = [json.loads(line) for line in lines]
    bare = [
        (base64.b64decode(p["signatures"][0]["sig"]),
         pae(p["payloadType"], base64.b64decode(p["payload"])))
        for p in parsed
    ]  # fmt: skip
    rounds = []
    for _ in range(3):
        start_s = time.perf_counter()
        for signature, message in bare:
            key.verify(signature, message)
        middle_s = time.perf_counter()
        auditor = Auditor(keys, {})
        faults = [f for n, line in enumerate(lines) for f in auditor.record(str(n), line)]
        faults += auditor.finish()
        assert not faults
        rounds.append((middle_s - start_s, time.perf_counter() - middle_s))
    bare_s, whole_s = (min(column) for column in zip(*rounds, strict=True))
    print(
        f"\nverify {RECORDS / whole_s:,.0f} records/s, bare Ed25519 {RECORDS / bare_s:,.0f}/s, "
        f"ratio {whole_s / bare_s:.2f}"
    )


@pytest.mark.parametrize("heartbeats", [0, 1])
def test_scores_repeated_against_signatures_alone(heartbeats: int) -> None:
    """What it costs to repeat the scores of an export: of nothing but impulses with all their
    features, and of one with a heartbeat for each, as a street of 60 candidates an hour has it;
    processor time, best of seven, taken in turns."""
    said = [one for shot in shots(6) for one in (shot, *[heartbeat()] * heartbeats)]
    sealer, head, lines = sealer_of("n1"), Head("c" * 32), []
    for number in range(RECORDS // 2):
        sealed = sealer.seal(draft(said[number % len(said)], number), head)
        head = sealed.head
        lines.append(sealed.envelope)
    keys, rounds = registry_of("n1"), []
    for _ in range(7):
        start_s = time.process_time()
        plain = Auditor(keys, {})
        assert not [f for n, line in enumerate(lines) for f in plain.record(str(n), line)]
        middle_s = time.process_time()
        repetition = Repetition()
        auditor = Auditor(keys, {}, read=repetition.record)
        faults = [f for n, line in enumerate(lines) for f in auditor.record(str(n), line)]
        assert not [*faults, *repetition.finish()]
        assert repetition.repeated == len(lines) // (1 + heartbeats)
        rounds.append((middle_s - start_s, time.process_time() - middle_s))
    plain_s, whole_s = (min(column) for column in zip(*rounds, strict=True))
    print(
        f"\nverify {len(lines) / whole_s:,.0f} records/s with scores, {heartbeats} heartbeats an "
        f"impulse, {len(lines) / plain_s:,.0f}/s without, ratio {whole_s / plain_s:.2f}"
    )
