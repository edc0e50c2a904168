"""A node that changes its key: `python -m tests.support.keywork DIRECTORY KEY`, KEY as in settings.

Its store is DIRECTORY/outbox. It says one thing, hands over to its next key, and says another.
"""

import sys
from pathlib import Path

from msgspec.structs import replace

from agent.adapters.outbox import SqliteOutbox
from agent.app.evidence import EvidenceKey, evidence_key
from agent.core.records import Sealer
from agent.core.records.succession import change_to
from tests.support.drafts import draft, identity_of


def outbox_in(directory: Path, key: EvidenceKey) -> tuple[SqliteOutbox, Sealer]:
    """The store of a node with that key."""
    identity = replace(identity_of("n1"), keyid=key.signer.keyid)
    sealer = Sealer(identity, key.signer, key)
    return SqliteOutbox(directory / "outbox", sealer, lambda: "c" * 32), sealer


def main(directory: Path, where: str) -> None:
    with evidence_key(where) as key:
        outbox, sealer = outbox_in(directory, key)
        outbox.append(draft())
        outbox.append(draft(change_to(key.heir(), sealer.identity.source, sealer.identity.keyid)))
        outbox.append(draft())
        outbox.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
