"""A life of an outbox for those who cut its power: `python -m tests.support.storework DIR ROUNDS`.

Begins with a store of the first schema, grows to its limit, sheds, drains by receipts with and
without gaps, restarts. Each line of DIR/acks is true once it is written: it tells what was
acknowledged, and never before it was. A third argument is a value for PRAGMA synchronous.
"""

import json
import os
import random
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.adapters.outbox import open_database, owned, room, store
from agent.adapters.outbox.schema import STEPS
from agent.app.keeping import Keeping
from agent.core.records import Draft
from agent.core.records.chain import Head, Sealed, draft_of
from agent.core.records.kinds import GENESIS_PREV
from agent.core.records.store_records import Shed
from tests.support.drafts import draft, heartbeat, identity_of, receipt, sealer_of, start

MAX_BYTES = 3328 * 1024  # the WAL, and two steps of growth
OLD_RECORDS = 40
CHAIN = "c" * 32
THINGS = (None, None, start(), heartbeat(), heartbeat())


def open_outbox(path: Path) -> store.SqliteOutbox:
    return store.SqliteOutbox(path, sealer_of("n1"), lambda: CHAIN, max_bytes=MAX_BYTES)


class Acks:
    """The file of acknowledgements, one JSON line each, written by one system call each."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def say(self, **told: Any) -> None:
        os.write(self._file, json.dumps(told).encode() + b"\n")


def begin_old(path: Path, acks: Acks) -> None:
    """A store of the first schema with records in it, closed as by a crash."""
    identity, sealer, head = identity_of("n1"), sealer_of("n1"), Head(CHAIN)
    db = open_database(path, STEPS[:1])
    db.execute(
        "INSERT INTO node VALUES (?, ?, 1, ?, 0, ?, 0, ?)",
        (identity.source, identity.keyid, CHAIN, GENESIS_PREV, GENESIS_PREV),
    )
    for number in range(OLD_RECORDS):
        sealed = sealer.seal(draft(heartbeat() if number % 3 else None), head)
        head = sealed.head
        values = (head.seq, head.digest, sealed.kind, sealed.priority, sealed.envelope)
        db.execute("BEGIN")
        db.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?)", values)
        db.execute("UPDATE node SET seq = ?, digest = ?", (head.seq, head.digest))
        db.execute("COMMIT")
        acks.say(kept=[head.seq, head.digest])
    db.close()


class Life:
    """The outbox, and what a locator knows of it."""

    def __init__(self, path: Path, acks: Acks, rng: random.Random) -> None:
        self._path, self._acks, self._rng = path, acks, rng
        self._outbox = open_outbox(path)
        self._digests = {one.head.seq: one.head for one in self._pending()}

    def _pending(self) -> Sequence[Any]:
        return self._outbox.pending(100_000, frozenset())

    def append(self, count: int) -> None:
        """Say so many things, now one and now many in a moment, or as many as there is room for."""
        keeping = Keeping(self)
        while count > 0:
            burst = min(count, self._rng.choice([1, 1, 1, 5, 30]))
            for _ in range(burst):
                keeping.append(draft(self._rng.choice(THINGS)))
            count -= burst
            while keeping.step(0):
                pass
            if keeping.waiting:
                self._tell_shed()
                return

    def append_all(self, drafts: Sequence[Draft]) -> list[Sealed]:
        """As the keeper has it: what is acknowledged is told once it is durable."""
        kept = self._outbox.append_all(drafts)
        if kept[0].head.seq - 1 not in self._digests:
            self._tell_shed()
        for one in kept:
            self._digests[one.head.seq] = one.head
            self._acks.say(kept=[one.head.seq, one.head.digest])
        return kept

    def tidy(self) -> None:
        self._outbox.tidy()

    def backlog(self) -> int:
        return self._outbox.backlog()

    def _tell_shed(self) -> None:
        """What the outbox has put in of its own."""
        for one in sorted(self._pending(), key=lambda one: one.head.seq):
            data = draft_of(one.envelope).data
            if isinstance(data, Shed) and one.head.seq not in self._digests:
                self._digests[one.head.seq] = one.head
                gone = [link.seq for link in data.links]
                self._acks.say(kept=[one.head.seq, one.head.digest], shed=gone)

    def drain(self, least: int) -> None:
        """Receipts, with gaps at first, until fewer than `least` wait."""
        while len(waiting := sorted(one.head.seq for one in self._pending())) > least:
            upto = waiting[self._rng.randrange(min(90, len(waiting)))]
            later = [seq for seq in waiting if seq > upto + 3]
            extra = []
            if later and self._rng.random() < 0.5:
                first = self._rng.choice(later)
                extra = [(first, min(first + self._rng.randrange(70), waiting[-1]))]
            self._release(receipt("n1", self._digests[upto], extra))

    def _release(self, told: Any) -> None:
        ranges = [(1, told.upto_seq), *told.extra]
        self._acks.say(releasing=ranges)
        self._outbox.release(told)
        self._acks.say(released=ranges)

    def restart(self) -> None:
        self._outbox.close(clean=self._rng.random() < 0.5)
        self._outbox = open_outbox(self._path)

    def end(self) -> None:
        self._outbox.close()


def main(directory: Path, rounds: int) -> None:
    room.CHECKPOINT_PAGES = 64  # four times as often as in earnest
    acks = Acks(directory / "acks")
    begin_old(directory / "o.db", acks)
    life = Life(directory / "o.db", acks, random.Random(4))
    life.append(2000)  # more than there is room for
    life.drain(30)
    for _ in range(rounds):
        life.append(50)
        life.drain(10)
        life.restart()
    life.end()


def relax(synchronous: str) -> None:
    """Let every store be opened with another `PRAGMA synchronous`."""

    def open_relaxed(*args: Any, **options: Any) -> sqlite3.Connection:
        db = strict(*args, **options)
        db.execute(f"PRAGMA synchronous = {synchronous}")
        return db

    strict = owned.open_database
    owned.open_database = open_relaxed


if __name__ == "__main__":
    for value in sys.argv[3:]:
        relax(value)
    main(Path(sys.argv[1]), int(sys.argv[2]))
