"""A token that is pulled out while the node runs: what it hears waits, and nothing is lost."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.app.evidence import evidence_key
from agent.app.keeping import RETRY_NS, Keeping
from agent.core.records.audit import Auditor
from agent.core.records.envelope import load_public_key
from agent.core.records.remote_records import KeyChange
from agent.core.records.succession import change_to
from agent.errors import StoreError, TokenError
from tests.support.drafts import draft, identity_of
from tests.support.keywork import outbox_in
from tests.support.softtoken import SoftToken

pytestmark = pytest.mark.system

SOURCE = identity_of("n1").source


class Node:
    """What hears with a token's key: its store, and patience in front of it."""

    def __init__(self, token: SoftToken, directory: Path, stack: ExitStack) -> None:
        self.token, self.said = token, 0
        self.key = stack.enter_context(evidence_key(token.uri(), "either"))
        self.first = load_public_key(self.key.signer.public_key())
        self.outbox, self.sealer = outbox_in(directory, self.key)
        stack.callback(self.outbox.close)
        self.keeping = Keeping(self.outbox)

    def hear(self, count: int, data: KeyChange | None = None) -> list[bool]:
        """Say `count` things, a millisecond apart; which of them are durable."""
        kept = []
        for _ in range(count):
            self.said += 1
            self.keeping.append(draft(data, self.said * 1_000_000))
            self.keeping.step(self.said * 1_000_000)
            kept.append(self.keeping.waiting == 0)
        return kept

    def change(self) -> KeyChange:
        return change_to(self.key.heir(), SOURCE, self.sealer.identity.keyid)

    def check(self) -> list[str]:
        """That all is there, in order, and verifies; the kinds of all records."""
        records = sorted(self.outbox.pending(999, frozenset()), key=lambda one: one.head.seq)
        auditor = Auditor({SOURCE: self.first}, {})
        faults = [f for one in records for f in auditor.record("here", one.envelope)]
        assert [*faults, *auditor.finish()] == []
        assert len(records) == self.said
        return [one.kind for one in records]


def test_what_is_heard_without_a_token_is_kept_when_it_is_back(
    token: SoftToken, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One line when it goes, one when it is back; in between, every record waits in order."""
    with ExitStack() as stack, caplog.at_level("INFO", "earshot"):
        node = Node(token, tmp_path, stack)
        assert node.hear(3) == [True] * 3
        token.unplug()
        assert node.hear(5) == [False] * 5
        while node.keeping.step(2 * RETRY_NS):
            pass
        with pytest.raises(StoreError, match="nothing can be signed: "):
            node.keeping.flush()
        assert (node.keeping.waiting, node.outbox.backlog()) == (5, 3)
        token.plug_in()
        while node.keeping.step(4 * RETRY_NS):
            pass
        assert node.keeping.waiting == 0
        assert node.hear(2) == [True] * 2
        assert node.check() == ["impulse"] * 10
    down, up = caplog.messages
    assert down.startswith("store fails, records wait in memory: ")
    assert up == "store keeps again, no record waits"


def test_a_change_of_keys_waits_as_well(token: SoftToken, tmp_path: Path) -> None:
    """Said before the token went, kept when it is back: then the new key signs, and only then."""
    with ExitStack() as stack:
        node = Node(token, tmp_path, stack)
        old, change = node.sealer.identity.keyid, node.change()
        node.hear(1)
        token.unplug()
        with pytest.raises(TokenError):
            node.change()
        assert node.hear(1, change) == [False]
        assert node.sealer.identity.keyid == old
        token.plug_in()
        while node.keeping.step(2 * RETRY_NS):
            pass
        assert node.sealer.identity.keyid == change.keyid != old
        node.hear(1)
        assert node.check() == ["impulse", "key", "impulse"]


def test_an_old_key_that_could_not_be_put_away_is_at_the_next_change(
    token: SoftToken, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The token goes in the moment of the change: the heir signs on, and later all is in order."""
    with ExitStack() as stack:
        node = Node(token, tmp_path, stack)
        heir = node.key.heir()
        token.unplug()
        assert node.key.turn_to(heir.keyid) is heir
        assert f"not yet replaced by the key {heir.keyid}" in caplog.text
        token.plug_in()
        heir.sign(b"shot")
        names = [label for _, label in token.objects()]
        assert sorted(names) == ["evidence"] * 2 + ["evidence.next"] * 2
        third = node.key.heir()
        assert third.keyid != heir.keyid
        assert node.key.turn_to(third.keyid) is third
    assert [label for _, label in token.objects()] == ["evidence"] * 2
