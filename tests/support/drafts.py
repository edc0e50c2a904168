"""Things to say and those who say them: drafts, identities, keys and receipts for tests."""

import hashlib
import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from agent.adapters.keyfile import Ed25519FileSigner
from agent.adapters.outbox import SqliteOutbox
from agent.core.records import Draft, Sealer
from agent.core.records.chain import Head, Sealed
from agent.core.records.envelope import load_public_key, seal
from agent.core.records.kinds import (
    RECEIPT_TYPE,
    STATUS_TYPE,
    Data,
    Features,
    Heartbeat,
    Identity,
    Impulse,
    Receipt,
    Start,
    Status,
    TimePair,
    TimeQuality,
    Verdict,
)
from agent.core.records.thinned import ListedOnset, Thinned, ThinningRule, packed

UTC_NS = 1_795_000_000_123_456_789
NOW = "2026-11-23T17:00:00.000000000Z"


def signer_of(name: str) -> Ed25519FileSigner:
    """The key that belongs to `name`, the same in every process."""
    return Ed25519FileSigner.from_seed(hashlib.sha256(name.encode()).digest())


LOCATOR = signer_of("locator")
LOCATOR_KEYS = {LOCATOR.keyid: load_public_key(LOCATOR.public_key())}


def identity_of(node: str) -> Identity:
    return Identity(
        site="town", cell="north", node=node, keyid=signer_of(node).keyid, boot="b" * 32
    )


def sealer_of(node: str) -> Sealer:
    return Sealer(identity_of(node), signer_of(node))


def registry_of(*nodes: str) -> dict[str, object]:
    """What the locator knows of `nodes`: source to public key."""
    return {
        identity_of(node).source: load_public_key(signer_of(node).public_key()) for node in nodes
    }


def outbox_of(node: str, path: Path) -> SqliteOutbox:
    return SqliteOutbox(path, sealer_of(node), partial(secrets.token_hex, 16), durable=False)


def impulse() -> Impulse:
    """An alert, priority 0, of the size of a real one."""
    return Impulse(
        toa_utc_ns=str(UTC_NS),
        sigma_noise_ns=1_200,
        sigma_total_ns=9_000,
        sample_index=48_000_123,
        subsample=0.25,
        rate_hz=48_000,
        features=Features(
            peak_dbfs=-6.5,
            peak_db_spl=None,
            snr_db=41.0,
            noise_dbfs=-62.0,
            rise_us=80.0,
            duration_ms=3.5,
            crest_db=22.0,
            centroid_hz=900.0,
            envelope_db=(0.0, -6.0, -12.5),
            clipped=False,
            gap_in_window=False,
        ),
        verdict=Verdict(accepted=True, score=0.9, reason="impulsive"),
        time_pairs=(TimePair(samples=48_000_000, utc_ns=str(UTC_NS - 2_562_500)),),
    )


def start() -> Start:
    """A state record, priority 1."""
    return Start(software="test", settings_sha256="0" * 64, rate_hz=48_000, reason="clean")


def heartbeat() -> Heartbeat:
    """A statistic, priority 2."""
    return Heartbeat(
        uptime_s=60,
        heard_samples=2_880_000,
        lost_samples=0,
        noise_dbfs=-60.0,
        noise_db_spl=None,
        triggers=3,
        published=1,
        air_temperature_c=8.0,
    )


def draft(data: Data | None = None, host_ns: int = 1) -> Draft:
    """`data`, or an impulse, as the node would hand it to its outbox."""
    clock = TimeQuality(
        state="locked", source="sim", sigma_ns=1_000, mark_age_ms=250, oscillator_ppm=1.5
    )
    return Draft(data=data or impulse(), clock=clock, host_ns=host_ns, utc_ns=UTC_NS)


def chain_of(node: str, length: int, chain: str = "c" * 32) -> list[Sealed]:
    """The first `length` records of one chain."""
    sealer, head, links = sealer_of(node), Head(chain), []
    for number in range(length):
        links.append(sealer.seal(draft(host_ns=number), head))
        head = links[-1].head
    return links


def receipt(
    node: str, upto: Head, extra: Sequence[tuple[int, int]] = (), source: str = ""
) -> Receipt:
    return Receipt(
        source=source or identity_of(node).source,
        chain=upto.chain,
        upto_seq=upto.seq,
        head=upto.digest,
        extra=tuple(extra),
        received_at=NOW,
        clock="kernel",
        bound_ms=5,
    )


def sealed_receipt(content: Receipt, signer: Ed25519FileSigner = LOCATOR) -> bytes:
    return seal(RECEIPT_TYPE, msgspec.json.encode(content), signer)


def sealed_status(node: str, backlog: int, connects: int) -> bytes:
    status = Status(
        source=identity_of(node).source,
        online=True,
        boot="b" * 32,
        backlog=backlog,
        connects=connects,
        software="test",
    )
    return seal(STATUS_TYPE, msgspec.json.encode(status), signer_of(node))


THINNED = Thinned(
    first_sample=48_000,
    last_sample=2_927_999,
    count=3,
    peak_dbfs=(-41.2, -30.5),
    score=(0.31, 0.62),
    model_sha256="a" * 64,
    first_utc_ns=str(UTC_NS),
    listed=packed(
        ListedOnset(*row)
        for row in (
            (0, 160_000, -42, 12, 0.31, 0.0),
            (512_000_000, 210_000, -31, 24, 0.62, 3.7),
            (542_070_000, 160_000, -36, 18, 0.4, 2.9),
        )
    ),
    rule=ThinningRule(
        candidates_last_hour=301,
        not_above_dbfs=-29.7,
        not_above_score=0.64,
        within_db=4.0,
        like=((3, 2, 1, 0, 0, -1, -1, -2, -2, *[-9] * 19),),
    ),
)
