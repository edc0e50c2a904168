"""The outbox: records are numbered, linked, signed and stored in one transaction.

On a full store statistics are shed, oldest first, and a signed `Shed` record bridges the chain.
After a failed read, write or sync the file is opened again and its tail verified before anything
is added. A receipt that knows more than the store shows that the store was rolled back: a new
chain begins with the next record. Waiting for better days is `app.keeping`'s.
"""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from agent.adapters.outbox import rows
from agent.adapters.outbox.damage import DamagedStore, is_whole
from agent.adapters.outbox.owned import OwnedFile
from agent.adapters.outbox.writing import BATCH, PreviousRun, Writer
from agent.core.records import Draft, Sealer
from agent.core.records.chain import Head, RecordKey, Sealed
from agent.core.records.kinds import Receipt, Start
from agent.core.records.remote_records import KeyChange
from agent.errors import ForgedRecord, FullStore, StoreError

DEFAULT_BYTES = 64 * 1024 * 1024
CLOSING_S = 10.0


class SqliteOutbox:
    """Outbox port over one file; may be used from several threads, by one process.

    `new_chain` names a chain that begins: 32 hex digits, never the same twice. The store takes at
    most `max_bytes` of disk. `durable` False leaves the writing to the operating system and the
    size without a limit: a power cut then loses records. It is for virtual time only, where
    thousands of stores live in a temporary directory. Raises StoreError if the file cannot be
    owned or is another node's; but where the disk takes longer than `patience_s` to tell, it is
    opened meanwhile, for whoever appends first, and the first `Start` is told then how the run
    before it ended.
    """

    def __init__(
        self,
        path: Path,
        sealer: Sealer,
        new_chain: Callable[[], str],
        *,
        durable: bool = True,
        max_bytes: int = DEFAULT_BYTES,
        patience_s: float | None = None,
    ) -> None:
        self._file = OwnedFile(path, max_bytes, self._check, durable=durable)
        self._writer = Writer(self._file, sealer, new_chain)
        self._last_kept: Head | None = None
        self._in_doubt: tuple[Draft, list[Sealed]] | None = None
        self._previous_run: PreviousRun | None = None
        self._failure: BaseException | None = None
        self._found: Head | None = None
        opening = threading.Thread(target=self._open, name="opening the store", daemon=True)
        opening.start()
        opening.join(patience_s)
        self._is_late = opening.is_alive()
        if failure := self._failure:
            self._failure = None
            raise failure

    @property
    def previous_run(self) -> PreviousRun:
        """How the run before this one ended, as seen when the store was opened first; "unclean"
        while that is not known."""
        return self._previous_run or "unclean"

    def found(self) -> Head | None:
        """The end of the chain as it was when the store was opened first; None while that is not
        known. Never waits."""
        return self._found

    def append(self, draft: Draft) -> Sealed:
        """Number, link, sign and store in one transaction; durable on return. StoreError."""
        return self.append_all((draft,))[0]

    def append_all(self, drafts: Sequence[Draft]) -> list[Sealed]:
        """The same for the first of `drafts`, in one transaction for all of them.

        As many as there is room for, and at least one; never one that follows a change of keys.
        """
        while True:
            try:
                return self._append_all(drafts)
            except FullStore:
                if not (self._file.grow() or self._shed(drafts[0])):
                    raise

    def pending(
        self, limit: int, skip: frozenset[RecordKey], young_above: int | None = None
    ) -> list[Sealed]:
        """Up to `limit` unreceipted records not in `skip`: see the port."""
        with self._file.transaction() as db:
            return self._offer(db, limit, skip, young_above)

    def try_pending(
        self, limit: int, skip: frozenset[RecordKey], young_above: int | None = None
    ) -> list[Sealed] | None:
        """The same, or None where another thread waits for the disk."""
        with self._file.transaction_if_idle() as db:
            return None if db is None else self._offer(db, limit, skip, young_above)

    def release(self, receipt: Receipt) -> int:
        """Forget what `receipt` covers; how many went. ForgedRecord if it contradicts us."""
        before = self.backlog()
        while self.release_some(receipt):
            pass
        return before - self.backlog()

    def release_some(self, receipt: Receipt) -> bool:
        """Forget a part of it, in one transaction; True if there is more. ForgedRecord."""
        with self._file.transaction() as db:
            if contradiction := rows.contradiction(db, receipt):
                rows.mark_rolled_back(db, contradiction)
            else:
                count, is_more = rows.forget_some(db, receipt, BATCH)
                self._file.tally.backlog -= count
        if contradiction:
            raise ForgedRecord(f"{contradiction}: it was rolled back, a new chain begins")
        return is_more

    def set_aside(self, key: RecordKey, reason: str) -> bool:
        """Keep a waiting record as a dead letter; False if none of that name waits. StoreError.

        The next record that is appended comes after a `Shed` record that bridges the chain.
        """
        with self._file.transaction() as db:
            return self._put_aside(db, key, reason)

    def tidy(self) -> None:
        """To be called when nothing waits and the disk is quick: it costs syncs. StoreError."""
        self._file.tidy()

    def head(self) -> Head:
        """The last link that was stored."""
        with self._file.transaction() as db:
            return rows.head(db)

    def backlog(self) -> int:
        """How many records wait for a receipt; never waits."""
        return self._file.tally.backlog

    def free_share(self) -> float:
        """How much of the store is free, 0 to 1; never waits."""
        room = self._file.room
        return 1.0 if room is None else room.free_share

    def close(self, *, clean: bool = True) -> None:
        """Free the file; `clean` says that this run ended in order. Closing twice is harmless."""
        self._file.close("UPDATE node SET running = 0" if clean else "", CLOSING_S)

    def _offer(
        self,
        db: sqlite3.Connection,
        limit: int,
        skip: frozenset[RecordKey],
        young_above: int | None,
    ) -> list[Sealed]:
        """What waits, but for what is not what was kept: nobody could verify it."""
        found = rows.first(db, limit, skip, young_above, self._file.tally.key_changes)
        whole = [one for one in found if is_whole(one.envelope, one.head.digest)]
        for one in found:
            if one not in whole:
                self._put_aside(db, one.head.key, "its bytes do not match its digest")
        return whole

    def _put_aside(self, db: sqlite3.Connection, key: RecordKey, reason: str) -> bool:
        if found := rows.at(db, key):
            rows.bury(db, found, reason)
            rows.settle(db, found)
            self._file.tally.backlog -= 1
            self._file.tally.is_unbridged = True
        return bool(found)

    def _open(self) -> None:
        try:
            with self._file.transaction():
                pass  # opened, and found to be ours
        except BaseException as error:
            self._file.let_go()
            self._failure = error

    def _append_all(self, drafts: Sequence[Draft]) -> list[Sealed]:
        self._writer.turn_to_heir()
        with self._file.transaction() as db:
            kept = self._kept_after_all(db, drafts[0])
            if not kept:
                kept = self._write(db, drafts)
                self._in_doubt = drafts[0], kept
        self._in_doubt, self._last_kept = None, kept[-1].head
        self._is_late = self._is_late and not any(one.kind == "start" for one in kept)
        last = drafts[len(kept) - 1].data
        if isinstance(last, KeyChange):
            self._writer.expect(last.keyid)
            with suppress(StoreError):  # the record is kept; what follows waits for the key
                self._writer.turn_to_heir()
        return kept

    def _write(self, db: sqlite3.Connection, drafts: Sequence[Draft]) -> list[Sealed]:
        kept: list[Sealed] = []
        if told := rows.damage(db):
            self._writer.begin_after(db, drafts[0], *told)
        elif reason := rows.why_rolled_back(db):
            self._writer.begin_again(db, drafts[0], reason)
        elif self._is_short():
            raise FullStore(f"{self._file.path}: the store is full")
        if self._file.tally.is_unbridged:
            self._writer.bridge(db, drafts[0])
        for draft in drafts[:BATCH]:
            if kept and self._is_short():
                break
            kept.append(self._writer.add(db, self._in_time(draft)))
            if isinstance(draft.data, KeyChange):
                break
        return kept

    def _in_time(self, draft: Draft) -> Draft:
        """`draft`, but with what a node could not know that began before its store was open."""
        if self._is_late and isinstance(draft.data, Start):
            return replace(draft, data=replace(draft.data, reason=self.previous_run))
        return draft

    def _is_short(self) -> bool:
        return self._file.room is not None and self._file.room.is_short()

    def _kept_after_all(self, db: sqlite3.Connection, first: Draft) -> list[Sealed]:
        """The records of drafts from `first` on whose commit failed, and yet it is on the disk."""
        said, kept = self._in_doubt or (None, [])
        return kept if said is first and kept and kept[-1].head == rows.head(db) else []

    def _shed(self, draft: Draft) -> bool:
        with self._file.transaction() as db:
            return self._writer.shed(db, draft)

    def _check(self, db: sqlite3.Connection) -> None:
        """The file is ours, its tail is there, and so is what was acknowledged; or else its numbers
        must not be used again."""
        if rows.is_nobodys(db):
            raise DamagedStore("it does not say whose records it holds")
        previous_run = self._writer.take_over(db)
        self._previous_run = self._previous_run or previous_run
        if not rows.is_tail_whole(db):
            raise DamagedStore("the last record is missing")
        tail, kept = rows.head(db), self._last_kept or rows.head(db)
        self._found = self._found or tail
        if tail.chain == kept.chain and tail.seq <= kept.seq and tail != kept:
            told = f"the disk lost records after seq {tail.seq} that it had acknowledged"
            rows.mark_rolled_back(db, told)
        self._last_kept = kept if tail.chain == kept.chain else tail
