"""`earshot verify`: every change to an export is caught, and said in a sentence."""

import base64
import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.core.records.audit import Auditor
from agent.core.records.chain import Head, Sealed
from agent.core.records.envelope import pae
from agent.core.records.store_records import Link, Shed
from agent.core.units import rfc3339
from tests.support.drafts import (
    LOCATOR,
    LOCATOR_KEYS,
    UTC_NS,
    draft,
    heartbeat,
    identity_of,
    impulse,
    receipt,
    registry_of,
    sealed_receipt,
    sealer_of,
    signer_of,
)

CHAIN = "c" * 32


def chain_of(count: int = 8, node: str = "n1", shed: tuple[int, ...] = ()) -> list[Sealed]:
    """Impulses and heartbeats in turn; with `shed`, a last record that tells of those left out."""
    sealer, head, links = sealer_of(node), Head(CHAIN), []
    said: list[Sealed] = []
    for number in range(1, count + 1):
        data = heartbeat() if number % 2 else impulse()
        said.append(sealer.seal(draft(data, number), head))
        head = said[-1].head
        if number in shed:
            links.append(Link(seq=head.seq, digest=head.digest))
    if shed:
        told = Shed(reason="the store is full", links=tuple(links), unsaid=())
        said.append(sealer.seal(draft(told, count + 1), head))
    return [one for one in said if one.head.seq not in shed]


def receipt_of(last: Sealed) -> bytes:
    return sealed_receipt(receipt("n1", last.head))


def faults(
    lines: list[bytes], *receipts: bytes, revoked_at: dict[str, str] | None = None
) -> list[str]:
    auditor = Auditor(registry_of("n1", "n2"), LOCATOR_KEYS, revoked_at)
    found = [f for raw in receipts for f in auditor.receipt("receipts", raw)]
    for number, raw in enumerate(lines, 1):
        found += auditor.record(f"line {number}", raw)
    return [f"{fault.where}: {fault.what}" for fault in (*found, *auditor.finish())]


def envelopes(count: int = 8) -> list[bytes]:
    return [one.envelope for one in chain_of(count)]


def test_a_whole_export_holds() -> None:
    """Two nodes' chains, one after the other or interleaved, and a receipt."""
    ours, theirs = chain_of(), chain_of(6, "n2")
    lines = [one.envelope for one in ours + theirs]
    woven = [one.envelope for pair in zip(ours, theirs, strict=False) for one in pair]
    assert faults(lines, receipt_of(ours[-1])) == []
    assert faults(woven) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda x: x[:3] + x[4:], "line 4: Records 4 of the chain are missing."),
        (lambda x: x[2:], "line 1: Records 1 to 2 of the chain are missing."),
        (lambda x: [*x[:4], x[5], x[4], *x[6:]], "stands here out of order"),
        (lambda x: [*x[:4], x[3], *x[4:]], "stands here out of order, or again."),
        (lambda x: [*x[:4], chain_of(4, "n2")[3].envelope, *x[4:]], "Records 1 to 3"),
        (lambda x: x[:-2], "its end was cut off"),
        (lambda x: [], "none is here"),
        (lambda x: [*x, _other_eighth()], "the chain forks"),
        (lambda x: [*x[:7], _other_eighth()], "The locator receipted another record 8"),
        (lambda x: [*x[:3], _other_fourth(), *x[4:]], "one of them was replaced"),
    ],
)  # fmt: skip
def test_every_change_of_a_chain_is_caught(
    change: Callable[[list[bytes]], list[bytes]], expected: str
) -> None:
    """Delete, insert, swap, duplicate, truncate at either end, fork and replace."""
    said = chain_of()
    found = faults(change([one.envelope for one in said]), receipt_of(said[-1]))
    assert any(expected in fault for fault in found), found


def _other_eighth() -> bytes:
    before = chain_of(7)[-1].head
    return sealer_of("n1").seal(draft(impulse(), 9), before).envelope


def _other_fourth() -> bytes:
    before = chain_of(3)[-1].head
    return sealer_of("n1").seal(draft(heartbeat(), 4), before).envelope


def test_what_was_shed_and_told_is_no_fault() -> None:
    """A signed `shed` record bridges the chain; one that tells less does not."""
    whole = chain_of(8, shed=(3, 4, 7))
    assert faults([one.envelope for one in whole]) == []
    silent = [one.envelope for one in chain_of(8) if one.head.seq not in (3, 4)]
    assert faults(silent) == ["line 3: Records 3 to 4 of the chain are missing."]


def test_what_a_revoked_node_says_later_is_a_fault() -> None:
    """Up to its last moment its word counts; another node's always does."""
    source, first = identity_of("n1").source, UTC_NS
    lines = [one.envelope for one in chain_of(2)] + [one.envelope for one in chain_of(2, "n2")]
    assert faults(lines, revoked_at={source: rfc3339(first + 1)}) == []
    assert faults(lines, revoked_at={source: rfc3339(first)}) == [
        f"line {number}: Record {number} was made after its node was revoked at "
        f"{rfc3339(first)[:19]}Z."
        for number in (1, 2)
    ]


def test_every_bit_of_an_envelope_counts() -> None:
    """Each single-bit flip of a heartbeat, and one in nine of an impulse, is caught."""
    for raw, step in ((envelopes(1)[0], 1), (envelopes(2)[1], 9)):
        for bit in range(0, 8 * len(raw), step):
            flipped = bytearray(raw)
            flipped[bit // 8] ^= 1 << bit % 8
            assert faults([bytes(flipped)]), bit


@pytest.mark.torture
def test_every_bit_of_every_kind_counts() -> None:
    """All flips of all envelopes of a chain with shed records."""
    for one in chain_of(4, shed=(3,)):
        for bit in range(8 * len(one.envelope)):
            flipped = bytearray(one.envelope)
            flipped[bit // 8] ^= 1 << bit % 8
            assert faults([bytes(flipped)]), bit


def test_random_changes_of_a_chain_are_caught() -> None:
    """Any deletion, duplication or swap of a longer chain, wherever it is."""
    rng, whole = random.Random(7), chain_of(40)
    held = receipt_of(whole[-1])
    for _ in range(60):
        lines = [one.envelope for one in whole]
        at, other = sorted(rng.sample(range(40), 2))
        kind = rng.choice(["delete", "duplicate", "swap"])
        if kind == "delete":
            del lines[at : rng.choice([at + 1, other])]
        elif kind == "duplicate":
            lines.insert(other, lines[at])
        else:
            lines[at], lines[other] = lines[other], lines[at]
        assert faults(lines, held), (kind, at, other)


def test_a_stranger_and_a_neighbour_are_no_witnesses() -> None:
    """Unknown keys, a neighbour who signs in our name, and receipts of strangers are refused."""
    stranger = sealer_of("n9").seal(draft(impulse()), Head(CHAIN)).envelope
    assert "unknown key" in faults([stranger])[0]
    posing = type(sealer_of("n1"))(identity_of("n1"), signer_of("n2"))
    assert (
        "the key it names inside"
        in faults([posing.seal(draft(impulse()), Head(CHAIN)).envelope])[0]
    )
    said = chain_of(2)
    forged = receipt_of(said[-1]).replace(b'"keyid":"', b'"keyid":"0', 1)
    assert "proves nothing" in faults([one.envelope for one in said], forged)[0]


def export(directory: Path, lines: list[bytes], *nodes: str) -> tuple[Path, Path]:
    records, registry = directory / "records.jsonl", directory / "nodes.json"
    records.write_bytes(b"".join(line + b"\n" for line in lines))
    rows = [
        {
            "site": "town", "cell": "north", "node": node, "sigma_m": 1.0,
            "key": base64.b64encode(signer_of(node).public_key()).decode(),
            "position": {"enu_m": [0, 0, 5]},
        }
        for node in nodes or ("n1",)
    ]  # fmt: skip
    registry.write_text(json.dumps(rows))
    return records, registry


def test_the_command_says_all_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0, a line per chain, a verdict; a directory is searched."""
    said = chain_of()
    lines = [*(one.envelope for one in said), receipt_of(said[-1])]
    records, registry = export(tmp_path, lines)
    key = tmp_path / "locator.pub.pem"
    key.write_text(LOCATOR.public_pem())
    for what in (records, tmp_path):
        words = ["verify", str(what), "--keys", str(registry), "--locator", str(key)]
        assert main(words) == 0
        told = capsys.readouterr()
        assert "8 records in 1 chains, 1 receipts: all of it holds" in told.out
        assert told.err == ""


def test_the_command_names_file_line_and_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1; without receipts it says what cannot be seen."""
    lines = envelopes()
    del lines[4]
    records, registry = export(tmp_path, lines)
    assert main(["verify", str(records), "--keys", str(registry)]) == 1
    told = capsys.readouterr()
    assert f"{records}:5: Records 5 of the chain are missing." in told.out
    assert "cut off cannot be seen" in told.err
    assert main(["verify", str(records), "--keys", str(registry), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["faults"][0]["where"] == f"{records}:5"


@pytest.mark.parametrize("what", ["missing", "empty", "no keys", "bad keys", "small order"])
def test_what_cannot_be_checked_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    """Exit 2 and one line, whatever is wrong with the files."""
    records, registry = export(tmp_path, [] if what == "empty" else envelopes())
    if what == "missing":
        records.unlink()
    elif what == "no keys":
        registry.unlink()
    elif what == "bad keys":
        registry.write_text('[{"site": 1}]')
    elif what == "small order":
        rows = json.loads(registry.read_text())
        rows[0]["key"] = base64.b64encode(bytes(32)).decode()
        registry.write_text(json.dumps(rows))
    assert main(["verify", str(records), "--keys", str(registry)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("earshot: ")
    assert told.count("\n") == 1


@pytest.mark.system
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_agrees(tmp_path: Path) -> None:
    """The signature over the DSSE bytes holds for a tool that knows nothing of Earshot."""
    fields = json.loads(envelopes(1)[0])
    message = pae(fields["payloadType"], base64.b64decode(fields["payload"]))
    (tmp_path / "pae").write_bytes(message)
    (tmp_path / "sig").write_bytes(base64.b64decode(fields["signatures"][0]["sig"]))
    (tmp_path / "key.pem").write_text(signer_of("n1").public_pem())
    words = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin"]
    done = subprocess.run(
        [*words, "-in", "pae", "-sigfile", "sig"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "pae").write_bytes(message[:-1] + b" ")
    done = subprocess.run(
        [*words, "-in", "pae", "-sigfile", "sig"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode != 0
