"""What is written to the outbox: records, and those that tell what became of others.

Plain steps within an open transaction, for one voice. All raise StoreError where nothing can be
signed, and sqlite3.Error.
"""

import sqlite3
from collections.abc import Callable
from typing import Literal

from msgspec.structs import replace

from agent.adapters.outbox import rows
from agent.adapters.outbox.damage import is_whole
from agent.adapters.outbox.owned import OwnedFile
from agent.adapters.outbox.shedding import worth_less
from agent.core.records import Draft, Sealer
from agent.core.records.chain import Sealed, draft_of
from agent.core.records.remote_records import KeyChange
from agent.core.records.store_records import Damaged, Rollback, Shed
from agent.errors import MalformedRecord, StoreError, TokenError

PreviousRun = Literal["new-store", "clean", "unclean"]
BATCH = 64  # records; more in one transaction would outgrow the WAL's room
WORTH_IT = 16


class Writer:
    """Writes to `file` what `sealer` seals. `new_chain` names a chain that begins."""

    def __init__(self, file: OwnedFile, sealer: Sealer, new_chain: Callable[[], str]) -> None:
        self._file, self._sealer, self._new_chain = file, sealer, new_chain
        self._heir = ""

    def take_over(self, db: sqlite3.Connection) -> PreviousRun:
        """Make the store ours, or begin it; tells how the last run ended.

        Where a power cut came between a change of keys and its end, that is ended here.
        """
        identity = self._sealer.identity
        owner = rows.take_over(db, identity, self._new_chain)
        if owner is None:
            return "new-store"
        source, keyid, was_running = owner
        if source != identity.source or not self._sealer.turn_to(keyid):
            raise StoreError(
                f"{self._file.path}: store of {source} with key {keyid}, not of {identity.source} "
                f"with key {identity.keyid}: give each node and key a directory of its own"
            )
        return "unclean" if was_running else "clean"

    def add(self, db: sqlite3.Connection, draft: Draft) -> Sealed:
        """The next record of the chain."""
        try:
            sealed = self._sealer.seal(draft, rows.head(db))
        except TokenError as error:
            raise StoreError(f"{self._file.path}: nothing can be signed: {error}") from None
        rows.add(db, sealed)
        if isinstance(draft.data, KeyChange):
            rows.hand_over(db, draft.data.keyid)
            self._file.tally.key_changes += (sealed.head.seq,)
        self._file.tally.backlog += 1
        return sealed

    def expect(self, heir: str) -> None:
        """The chain names `heir` as the key of all that follows, and is on the disk."""
        self._heir = heir

    def turn_to_heir(self) -> None:
        """Before anything more is written: the key that the chain named last is in force."""
        try:
            is_there = not self._heir or self._sealer.turn_to(self._heir)
        except TokenError as error:
            raise StoreError(f"{self._file.path}: nothing can be signed: {error}") from None
        if not is_there:
            raise StoreError(f"{self._file.path}: key {self._heir}, which follows, is not there")
        self._heir = ""

    def shed(self, db: sqlite3.Connection, draft: Draft) -> bool:
        """Give up some of what is worth less than `draft`, told with its clock; False if none.

        What tells of it needs room too: so a few go for an alert only.
        """
        found = worth_less(db, draft.priority, BATCH)
        links = rows.settle(db, found if len(found) >= WORTH_IT or draft.priority == 0 else [])
        if links:
            self._file.tally.backlog -= len(links)
            told = Shed(reason="the store is full", links=links, unsaid=())
            self.add(db, replace(draft, data=told))
        return bool(links)

    def begin_again(self, db: sqlite3.Connection, draft: Draft, reason: str) -> None:
        """Leave the chain, told with the clock of `draft`, and say again what was not receipted.

        What cannot be read, or was said by newer software, is kept as a dead letter.
        """
        old, waiting = rows.head(db), []
        for row, raw in rows.held(db):
            try:
                waiting.append(_believed(row, raw))
            except Exception as error:
                why = f"cannot be said again: {type(error).__name__}: {error}"
                rows.bury(db, [row], why, is_told=True)
        rows.empty_into(db, self._new_chain())
        self._file.tally.backlog, self._file.tally.key_changes = 0, ()
        told = Rollback(
            reason=reason, chain=old.chain, seq=old.seq, digest=old.digest, said_again=len(waiting)
        )
        for again in (replace(draft, data=told), *waiting):
            self.add(db, again)

    def begin_after(
        self, db: sqlite3.Connection, draft: Draft, reason: str, set_aside: str
    ) -> None:
        """Tell, with the clock of `draft`, of a damaged store, and say again what it still held."""
        db.execute("DELETE FROM damage")
        again = self._file.salvaged
        told = Damaged(reason=reason, set_aside=set_aside, said_again=len(again))
        for one in (replace(draft, data=told), *again):
            self.add(db, one)

    def bridge(self, db: sqlite3.Connection, draft: Draft) -> None:
        """Tell of what was set aside, with the clock of `draft`."""
        while links := rows.unbridged(db, BATCH):
            rows.mark_bridged(db, links)
            told = Shed(reason="no locator can verify them: kept aside", links=links, unsaid=())
            self.add(db, replace(draft, data=told))
        self._file.tally.is_unbridged = False


def _believed(row: rows.Row, raw: bytes) -> Draft:
    """What the record says. Raises MalformedRecord, or what `draft_of` does."""
    if not is_whole(raw, row[1]):
        raise MalformedRecord("its bytes do not match its digest")
    return draft_of(raw)
