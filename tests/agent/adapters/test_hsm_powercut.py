"""A token's key changes across power cuts: whenever it comes, one key signs and all verifies."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.app.evidence import evidence_key
from agent.core.records.audit import Auditor
from agent.core.records.envelope import load_public_key
from tests.support.drafts import draft, identity_of
from tests.support.keywork import outbox_in
from tests.support.softtoken import SoftToken

pytestmark = pytest.mark.system

MADE, NAMED, SAID, PUT_AWAY, DONE = 1, 3, 4, 5, 8
"""In front of which change of an object the power goes: the next pair is made, its halves are
named, (the record is stored,) the old halves are destroyed, the new ones get their name."""


def cut(token: SoftToken, directory: Path, dies_at: int) -> None:
    """Change the key, in a process that ends in front of the Nth change."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.keywork", directory, token.uri()],
        env={**os.environ, "TOKEN_DIES_AT": str(dies_at)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == (0 if dies_at == DONE else 9), ended.stderr


def trial(token: SoftToken, directory: Path, dies_at: int) -> None:
    with evidence_key(token.uri(), "new") as key:
        first = load_public_key(key.signer.public_key())
    cut(token, directory, dies_at)
    with evidence_key(token.uri()) as key:
        outbox, sealer = outbox_in(directory, key)
        outbox.append(draft())
        keyids = {sealer.identity.keyid, key.signer.keyid}
        records = sorted(outbox.pending(99, frozenset()), key=lambda one: one.head.seq)
        outbox.close()
        assert len(keyids) == 1
        third = key.heir()
        assert key.turn_to(third.keyid)
    assert sum(one.kind == "key" for one in records) == (dies_at >= SAID)
    auditor = Auditor({identity_of("n1").source: first}, {})
    faults = [f for one in records for f in auditor.record("here", one.envelope)]
    assert [*faults, *auditor.finish()] == []
    with evidence_key(token.uri()) as key:
        assert key.signer.keyid == third.keyid
    assert token.objects() == [("PrivateKey", "evidence"), ("PublicKey", "evidence")]


@pytest.mark.parametrize("dies_at", [NAMED, SAID, PUT_AWAY, DONE])
def test_a_power_cut_leaves_one_key_that_signs(
    stern_token: SoftToken, tmp_path: Path, dies_at: int
) -> None:
    """The key that the store names is there, and rotation goes on; nothing piles up."""
    trial(stern_token, tmp_path, dies_at)


@pytest.mark.torture
@pytest.mark.parametrize("dies_at", range(MADE, DONE))
def test_any_power_cut(stern_token: SoftToken, tmp_path: Path, dies_at: int) -> None:
    """The same in front of every change there is."""
    trial(stern_token, tmp_path, dies_at)
