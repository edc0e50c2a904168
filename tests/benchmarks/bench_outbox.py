"""How much a signed, chained, durable record costs over the bare fsync it cannot do without."""

import os
import time
from pathlib import Path

from agent.adapters.keyfile import Ed25519FileSigner
from agent.adapters.outbox import SqliteOutbox
from agent.core.records import Draft, Sealer
from agent.core.records.kinds import Gap, Identity, TimeQuality

RECORDS = 300
BURST = 20
CLOCK = TimeQuality(
    state="locked", source="pps", sigma_ns=900, mark_age_ms=120, oscillator_ppm=-3.25
)
DRAFT = Draft(
    data=Gap(first_sample=1, lost_samples=480, reason="input overflow"),
    clock=CLOCK,
    host_ns=1,
    utc_ns=1_700_000_000_000_000_000,
)


def seconds_for_fsyncs(path: Path, record: bytes) -> float:
    """Append `record` RECORDS times to a file, each with its own fsync."""
    with path.open("wb", buffering=0) as file:
        start_s = time.perf_counter()
        for _ in range(RECORDS):
            file.write(record)
            os.fsync(file.fileno())
        return time.perf_counter() - start_s


def seconds_for_appends(outbox: SqliteOutbox) -> float:
    """Seal and store RECORDS drafts, each durable before the next."""
    start_s = time.perf_counter()
    for _ in range(RECORDS):
        outbox.append(DRAFT)
    return time.perf_counter() - start_s


def seconds_for_bursts(outbox: SqliteOutbox) -> float:
    """The same in bursts of BURST, as the keeper has them that were said while it was at work."""
    start_s = time.perf_counter()
    for _ in range(RECORDS // BURST):
        left = (DRAFT,) * BURST
        while left:
            left = left[len(outbox.append_all(left)) :]
    return time.perf_counter() - start_s


def test_append_against_fsync(tmp_path: Path) -> None:
    """Prints all rates and their ratios; best of three, taken in turns on the same disk."""
    signer = Ed25519FileSigner.from_seed(bytes(32))
    identity = Identity(site="s", cell="c", node="n", keyid=signer.keyid, boot="b" * 32)
    outbox = SqliteOutbox(tmp_path / "outbox", Sealer(identity, signer), lambda: "c" * 32)
    record = outbox.append(DRAFT).envelope
    rounds = [
        (
            seconds_for_fsyncs(tmp_path / "floor", record),
            seconds_for_appends(outbox),
            seconds_for_bursts(outbox),
        )
        for _ in range(3)
    ]
    assert outbox.head().seq == 1 + 6 * RECORDS
    outbox.close()
    floor_s, append_s, burst_s = (min(column) for column in zip(*rounds, strict=True))
    print(
        f"\nappend {RECORDS / append_s:6.0f} records/s, bare fsync {RECORDS / floor_s:6.0f}/s, "
        f"{append_s / floor_s:.2f}x the floor ({len(record)} bytes each); in bursts of {BURST} "
        f"{RECORDS / burst_s:6.0f} records/s, {burst_s / floor_s:.2f}x the floor"
    )
