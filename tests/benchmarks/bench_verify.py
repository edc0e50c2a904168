"""How fast `earshot verify` checks records, over bare Ed25519 verification of the same."""

import base64
import json
import time

from agent.core.records.audit import Auditor
from agent.core.records.envelope import pae
from tests.support.drafts import chain_of, registry_of

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
