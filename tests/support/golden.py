"""Leaves a small golden set: what this version says, keeps and exports, for all later ones to read.

`python -m tests.support.golden DIRECTORY` at each release; what it wrote is committed under
`tests/golden/VERSION` and never changed again. Keys come from names, so that tests can sign too.
"""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import soundfile

from agent.core.clock.node_state import NodeState
from agent.core.clock.timebase import ClockSettings, Timebase
from agent.core.records.chain import Head, Sealed
from agent.core.records.envelope import seal
from agent.core.records.kinds import (
    REPLY_TYPE,
    Gap,
    Rollback,
    Stop,
    TimebaseChange,
)
from agent.core.records.position import Position
from agent.core.records.remote_records import CommandOutcome, ConfigChange
from agent.core.records.store_records import Link, Shed
from agent.core.records.succession import change_to
from agent.core.trust.commands import Command, Reply, seal_command
from simulator.centre.locator.store import EventStore
from tests.support.drafts import (
    LOCATOR,
    NOW,
    UTC_NS,
    draft,
    heartbeat,
    identity_of,
    impulse,
    outbox_of,
    receipt,
    registry_of,
    sealed_receipt,
    sealed_status,
    sealer_of,
    signer_of,
    start,
)

CHAIN = "a" * 32
HEIR = "n1, second key"
_HEX = "e" * 32


def main(directory: Path) -> None:
    """Write the whole set below `directory`."""
    directory.mkdir(parents=True)
    said = _said()
    lines = [one.envelope for one in said]
    last = sealed_receipt(receipt("n1", said[-1].head))
    _write_lines(directory / "export.jsonl", [*lines, last])
    topic = identity_of("n1").topic
    messages = [(f"{topic}/event/{one.kind}", one.envelope) for one in said]
    messages += [
        (f"{topic}/status", sealed_status("n1", 3, 1)),
        (f"{topic}/receipt", last),
        (f"{topic}/receipt", sealed_receipt(receipt("n1", said[2].head, [(5, 6), (9, 9)]))),
        (f"{topic}/command/ping", _command()),
        (f"{topic}/reply/{_HEX}", _reply()),
    ]
    told = [json.dumps({"topic": name, "payload": raw.decode()}).encode() for name, raw in messages]
    _write_lines(directory / "messages.jsonl", told)
    write_registry(directory / "registry.json")
    (directory / "locator.pub.pem").write_text(LOCATOR.public_pem())
    (directory / "state.json").write_bytes(msgspec.json.encode(_state()))
    _leave_outbox(directory / "outbox.sqlite")
    _leave_locator(directory / "locator.sqlite", messages[: len(said)])
    _leave_replay(directory)


def write_registry(path: Path) -> None:
    """The rows of n1 and n2."""
    path.write_text(json.dumps(_registry(), indent=1) + "\n")


def _said() -> list[Sealed]:
    """One record of every kind in one chain; two heartbeats were shed, and the key changes."""
    sealer, head = sealer_of("n1"), Head(CHAIN)
    kept: list[Sealed] = []
    shed: list[Link] = []
    outcome = CommandOutcome(
        id=_HEX, verb="ping", outcome="done", reason="", keyid=signer_of("op").keyid, count=1
    )
    position = Position(
        event="surveyed", latitude_deg=45.0, longitude_deg=7.0, height_m=240.0,
        sigma_m=0.6, fixes=3600, span_s=3600, off_m=None,
    )  # fmt: skip
    change = ConfigChange(before="0" * 64, after="1" * 64, outcome="trying", reason="by command")
    clock = TimebaseChange(before="acquiring", after="locked", reason="10 good marks")
    data = [
        start(), clock, position, impulse(), heartbeat(), None, heartbeat(), impulse(),
        Gap(first_sample=48_000, lost_samples=480, reason="overflow"), outcome, change,
        Rollback(reason="older", chain="b" * 32, seq=7, digest="2" * 64, said_again=0),
        Stop(reason="asked to"),
        change_to(signer_of(HEIR), identity_of("n1").source, signer_of("n1").keyid),
    ]  # fmt: skip
    for number, one in enumerate(data, 1):
        if one is None:
            one = Shed(reason="the store is full", links=tuple(shed), unsaid=())
        record = sealer.seal(draft(one, number), head)
        head = record.head
        if number == 5:
            shed.append(Link(seq=head.seq, digest=head.digest))
        else:
            kept.append(record)
    return kept


def _command() -> bytes:
    return seal_command(
        Command(
            id=_HEX, source=identity_of("n1").source, verb="ping", issued_utc_ns=str(UTC_NS),
            expires_utc_ns=str(UTC_NS + 10**11), changes={},
        ),
        signer_of("op"),
    )  # fmt: skip


def _reply() -> bytes:
    reply = Reply(
        id=_HEX, source=identity_of("n1").source, outcome="done", reason="",
        keyid=signer_of("op").keyid,
    )  # fmt: skip
    return seal(REPLY_TYPE, msgspec.json.encode(reply), signer_of("n1"))


def _registry() -> list[dict[str, object]]:
    return [
        {
            "site": "town", "cell": "north", "node": node, "key": signer_of(node).public_pem(),
            "position": {"enu_m": [east, 0.0, 5.0]}, "sigma_m": 0.1,
        }
        for node, east in (("n1", 0.0), ("n2", 300.0))
    ]  # fmt: skip


def _state() -> NodeState:
    return NodeState(
        source=identity_of("n1").source, boot="", pid=1, host_ns=10**9, utc_ns=UTC_NS,
        clock=Timebase(48_000, ClockSettings(latency_bound_ns=500_000)).report(10**9),
        air_temperature_c=8.0, is_surveyed=True, place_sigma_m=0.6, has_moved=False,
    )  # fmt: skip


def _leave_outbox(path: Path) -> None:
    """Twelve records: the first four receipted, 6 to 7 above a hole too, the rest waits."""
    with closing(outbox_of("n1", path)) as outbox:
        heads = [
            outbox.append(draft(heartbeat() if n % 3 else impulse(), n)).head for n in range(12)
        ]
        outbox.release(receipt("n1", heads[3], [(6, 7)]))


def _leave_locator(path: Path, messages: list[tuple[str, bytes]]) -> None:
    """All that was said but record 9, so that there is a hole."""
    with closing(EventStore(path, registry_of("n1", "n2"), LOCATOR)) as store:
        for topic, raw in messages[:7] + messages[8:]:
            store.admit(topic, raw)
        store.commit()
        store.receipts(NOW)


def _leave_replay(directory: Path) -> None:
    """The record lines of `earshot-sim replay --json`, and the registry that verifies them."""
    sound = np.random.default_rng(7).normal(0, 0.01, 32_000)
    sound[16_000:16_200] += 0.5 * np.exp(-np.arange(200) / 30)
    soundfile.write(directory / "street.wav", sound, 16_000)
    ended = subprocess.run(
        [sys.executable, "-m", "simulator.cli.main", "replay", "--json", "--at", "45.0,7.0",
         "--start", "2026-03-14T21:00:00Z", str(directory / "street.wav")],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    (directory / "street.wav").unlink()
    (directory / "replay.jsonl").write_text(ended.stdout)
    row = ended.stderr.partition("registry row: ")[2].strip()
    (directory / "replay-registry.json").write_text(f"[{row}]\n")


def _write_lines(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
