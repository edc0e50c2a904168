"""One key after another: who knows the first can follow, and no other key gets in."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.adapters.keyfile import Ed25519FileSigner, EvidenceKeyFile
from agent.adapters.outbox import SqliteOutbox
from agent.core.records import Sealer
from agent.core.records.audit import Auditor
from agent.core.records.chain import draft_of
from agent.core.records.envelope import load_public_key
from agent.core.records.succession import change_to
from agent.errors import KeyFileError
from simulator.centre.locator.store import EventStore
from tests.support.drafts import LOCATOR, NOW, draft, identity_of, registry_of


def pole(directory: Path) -> tuple[EvidenceKeyFile, Sealer]:
    keys = EvidenceKeyFile(directory / "evidence.pem")
    identity = replace(identity_of("n1"), keyid=keys.signer.keyid)
    return keys, Sealer(identity, keys.signer, keys)


def rotate(keys: EvidenceKeyFile, sealer: Sealer, outbox: SqliteOutbox) -> None:
    change = change_to(keys.heir(), sealer.identity.source, sealer.identity.keyid)
    outbox.append(draft(change))


@pytest.fixture
def rotated(tmp_path: Path):
    """A node's first public key, and its six records with a change of keys after the third."""
    first = Ed25519FileSigner.create(tmp_path / "evidence.pem")
    keys, sealer = pole(tmp_path)
    outbox = SqliteOutbox(tmp_path / "outbox", sealer, lambda: "c" * 32)
    for _ in range(3):
        outbox.append(draft())
    rotate(keys, sealer, outbox)
    for _ in range(2):
        outbox.append(draft())
    records = sorted(outbox.pending(99, frozenset()), key=lambda one: one.head.seq)
    yield first, records, tmp_path
    outbox.close()


def known(first: Ed25519FileSigner) -> dict[str, object]:
    return {next(iter(registry_of("n1"))): load_public_key(first.public_key())}


def test_an_audit_follows_the_keys_of_a_chain(rotated) -> None:
    """The registered key alone suffices to verify what the next one signed."""
    first, records, _ = rotated
    auditor = Auditor(known(first), {})
    faults = [f for one in records for f in auditor.record("here", one.envelope)]
    assert [*faults, *auditor.finish()] == []


def test_without_the_change_the_new_key_is_a_stranger(rotated) -> None:
    """A record that only the new key signed proves nothing where the change is missing."""
    first, records, _ = rotated
    auditor = Auditor(known(first), {})
    kept = [one for one in records if one.kind != "key"]
    faults = [f for one in kept for f in auditor.record("here", one.envelope)]
    assert len(faults) == 2


def test_the_locator_follows_too_and_after_a_restart(rotated) -> None:
    """Old key before the change, new key after it, whatever overtakes, in one store."""
    first, records, directory = rotated
    topic = f"{identity_of('n1').topic}/event/"
    change_first = sorted(records, key=lambda one: one.kind != "key")
    for part in (change_first[:3], change_first[3:]):
        store = EventStore(directory / "locator", known(first), LOCATOR)
        for one in part:
            store.admit(topic + one.kind, one.envelope)
        store.commit()
        store.close()
    store = EventStore(directory / "locator", known(first), LOCATOR)
    assert store.chain_faults() == []
    assert len(list(store.envelopes())) == 6
    store.receipts(NOW)
    store.close()


def test_a_power_cut_between_the_record_and_the_file_is_healed(tmp_path: Path) -> None:
    """The store names the new key while the file still holds the old one: the start ends it."""
    Ed25519FileSigner.create(tmp_path / "evidence.pem")
    keys, sealer = pole(tmp_path)
    old = (tmp_path / "evidence.pem").read_bytes()
    outbox = SqliteOutbox(tmp_path / "outbox", sealer, lambda: "c" * 32)
    heir = keys.heir()
    new = (tmp_path / "evidence.pem.next").read_bytes()
    rotate(keys, sealer, outbox)
    outbox.close()
    (tmp_path / "evidence.pem").write_bytes(old)
    (tmp_path / "evidence.pem.next").write_bytes(new)
    (tmp_path / "evidence.pem.next").chmod(0o600)
    _, sealer = pole(tmp_path)
    SqliteOutbox(tmp_path / "outbox", sealer, lambda: "c" * 32).close()
    assert sealer.identity.keyid == heir.keyid
    assert EvidenceKeyFile(tmp_path / "evidence.pem").signer.keyid == heir.keyid


def test_half_an_heir_is_made_again(tmp_path: Path) -> None:
    """A power cut while the next key was written leaves rotation possible."""
    Ed25519FileSigner.create(tmp_path / "evidence.pem")
    (tmp_path / "evidence.pem.next").write_bytes(b"-----BEG")
    keys, _ = pole(tmp_path)
    assert keys.heir().keyid == keys.heir().keyid != keys.signer.keyid


def test_a_change_that_is_said_again_changes_nothing(rotated) -> None:
    """A chain that is begun anew repeats it, signed by the new key: nobody stumbles over it."""
    first, records, directory = rotated
    keys, sealer = pole(directory)
    change = next(one for one in records if one.kind == "key")
    again = sealer.seal(draft_of(change.envelope), records[-1].head)
    auditor = Auditor(known(first), {})
    faults = [f for one in (*records, again) for f in auditor.record("here", one.envelope)]
    assert faults == []
    store = EventStore(directory / "locator", known(first), LOCATOR)
    for one in (*records, again):
        store.admit(f"{identity_of('n1').topic}/event/{one.kind}", one.envelope)
    store.commit()
    assert store.chain_faults() == []
    store.close()
    assert keys.signer.keyid == sealer.identity.keyid


def test_a_key_that_may_be_the_heir_is_never_thrown_away(tmp_path: Path) -> None:
    """At the start, the store may name a key whose file cannot be read now: it stays as it is."""
    Ed25519FileSigner.create(tmp_path / "evidence.pem")
    keys, _ = pole(tmp_path)
    heir = keys.heir()
    beside = tmp_path / "evidence.pem.next"
    beside.chmod(0o644)
    before = beside.read_bytes()
    with pytest.raises(KeyFileError, match="chmod 600"):
        keys.turn_to(heir.keyid)
    assert beside.read_bytes() == before
