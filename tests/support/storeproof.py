"""What must be true of an outbox that is opened after a crash, from the acknowledgements alone."""

import json
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.adapters.outbox.schema import priority_and_seq
from agent.core.records.chain import Head, draft_of
from agent.core.records.kinds import GENESIS_PREV
from agent.core.records.store_records import Shed
from agent.errors import EarshotError, FullStore
from tests.support.drafts import draft
from tests.support.storework import open_outbox


@dataclass(slots=True)
class Known:
    """What was acknowledged up to some moment; `digests` knows the future as well."""

    digests: dict[int, str]
    head: int = 0
    waiting: set[int] = field(default_factory=set)
    released: set[int] = field(default_factory=set)

    def take(self, told: dict[str, Any]) -> None:
        """One line of acknowledgement, as `storework` writes it."""
        if "kept" in told:
            self.head = told["kept"][0]
            self.waiting.add(self.head)
            self.waiting -= set(told.get("shed", ()))
        for first, last in told.get("releasing", ()):
            self.waiting -= set(range(first, last + 1))
        for first, last in told.get("released", ()):
            self.released |= set(range(first, last + 1))


def digests_in(acks: Path) -> dict[int, str]:
    """All that will ever be acknowledged."""
    lines = [json.loads(line) for line in acks.read_text().splitlines()]
    return dict(told["kept"] for told in lines if "kept" in told)


def faults_of(directory: Path, known: Known) -> list[str]:
    """Every promise that the store in `directory` breaks, opened as after a power cut."""
    try:
        outbox = open_outbox(directory / "o.db")
        try:
            head, following = outbox.head(), outbox.head()
            with suppress(FullStore):
                following = outbox.append(draft()).head
        finally:
            outbox.close(clean=False)
        with closing(sqlite3.connect(directory / "o.db")) as db:
            check = db.execute("PRAGMA quick_check").fetchone()[0]
            rows = db.execute("SELECT id, digest, kind, envelope FROM record").fetchall()
    except (EarshotError, sqlite3.Error) as error:
        return [f"cannot be used: {error}"] if known.head else []
    held = {priority_and_seq(row_id)[1]: rest for row_id, *rest in rows}
    said = {
        f"corrupt: {check}": check != "ok",
        f"reused: {following} after {head}": following.seq <= head.seq and following != head,
    }
    said |= _compare(head, held, known)
    return [fault for fault, is_so in said.items() if is_so]


def _compare(head: Head, held: dict[int, Any], known: Known) -> dict[str, bool]:
    """Possible faults, and whether they are there."""
    missing = known.waiting - held.keys() - _shed_in(held)
    signed = known.digests.get(head.seq, GENESIS_PREV)
    return {
        f"lost: the head was {known.head}, and is {head.seq}": head.seq < known.head,
        f"lost: {sorted(missing)}": bool(missing),
        f"broken: {head} is not what was signed": head.digest != signed,
        "broken: another digest": any(
            known.digests[seq] != held[seq][0] for seq in held if seq <= head.seq
        ),
        "returned: what was receipted": bool(held.keys() & known.released),
    }


def _shed_in(held: dict[int, Any]) -> set[int]:
    """Records that a waiting `Shed` record bridges, whether it was acknowledged yet or not."""
    told = [draft_of(raw).data for _, kind, raw in held.values() if kind == "shed"]
    return {link.seq for data in told if isinstance(data, Shed) for link in data.links}
