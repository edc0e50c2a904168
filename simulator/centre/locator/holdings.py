"""The records that the locator's store holds: its rows, what is known beside them, what they say.

Whatever is read is verified again; transactions are `store`'s.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.core.records import Body
from agent.core.records.chain import shed_by
from agent.core.records.foreign import Foreign
from agent.core.records.remote_records import KeyChange
from agent.errors import StoreError
from simulator.centre.locator import inspection
from simulator.centre.locator.chains import Chains, count_again
from simulator.centre.locator.ledger import ANY_PREV, Chain, Entry
from simulator.centre.locator.past import Index
from simulator.centre.locator.trust import Row, Trust

_ROWS = (
    "SELECT source, chain, seq, event.digest, envelope FROM event "
    "JOIN chain ON chain_id = id WHERE "
)


class Holdings:
    """What is in the open store `db` at `path`. Raises sqlite3.Error, and StoreError in reading."""

    def __init__(
        self, db: sqlite3.Connection, path: Path, trust: Trust, chains: Chains, index: Index
    ) -> None:
        self._db, self._path, self._trust = db, path, trust
        self._chains, self._index = chains, index

    def select(self, query: str, *values: str | int | None) -> Iterator[Any]:
        """Rows of any query. Raises StoreError."""
        try:
            for row in self._db.execute(query, values):  # noqa: UP028  # `from` would close a cursor,
                yield row  # which a reader who is let go after the store's end cannot
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error

    def rows(self, source: str | None = None) -> Iterator[Row]:
        """The records of a node, or all, by source, chain and seq."""
        condition = "? IS NULL OR source = ? ORDER BY source, chain, seq"
        yield from self.select(_ROWS + condition, source, source)

    def bodies(
        self, condition: str = "1 ORDER BY source, chain, seq", *values: Any
    ) -> Iterator[Body]:
        """What the records that meet a condition say, where they verify."""
        yield from self._trust.good(self.select(_ROWS + condition, *values))

    def read(self, source: str, name: str, seq: int) -> Body | None:
        """One record, if it is held and verifies."""
        return next(self.bodies("source = ? AND chain = ? AND seq = ?", source, name, seq), None)

    def faults(self) -> list[str]:
        """One sentence for each signature, link or gap that is wrong."""
        return inspection.chain_faults(self.rows(), self._chains.shed(), self._trust.verify_row)

    def understand(self, chain: Chain, body: Body, row_id: int | None) -> list[Entry]:
        """Take what a record of `chain` says into the tables beside it; the traces it tells of."""
        shed = traces(body)
        self._chains.cross(chain, shed)
        self._index.note(row_id, chain.row_id, body)
        place = (chain.row_id, body.seq)
        if isinstance(body.data, KeyChange):
            self._db.execute("INSERT INTO handover VALUES (?, ?) ON CONFLICT DO NOTHING", place)
        if isinstance(body.data, Foreign):
            self._db.execute("INSERT INTO unread VALUES (?, ?) ON CONFLICT DO NOTHING", place)
        return shed

    def inspect(self) -> None:
        """Look whether the file is what it was, where receipts rest on it; index an old one."""
        if inspection.is_cut_off(self._db, self._path):
            raise StoreError(f"{self._path}: was cut off: move it away and keep it as evidence")
        if self._index.is_missing:
            self._db.execute("BEGIN IMMEDIATE")
            for body in self.bodies():
                self.understand(self._chain_of(body), body, None)
            self._index.begin()
            self._index.write()
            self._db.execute("COMMIT")
        for chain in self._chains.inspect(self._trust, self._path):
            rows = list(self.select(_ROWS + "chain_id = ? ORDER BY seq", chain.row_id))
            held = [(body, row[3]) for row in rows for body in self._trust.good([row])]
            shed = {seq: digest for body, _ in held for seq, digest in shed_by(body).items()}
            count_again(chain, held, shed)

    def read_again(self, software: str) -> list[Body]:
        """What other software did not understand and this one does: once for each `software`."""
        if self._db.execute("SELECT software FROM reader").fetchone() == (software,):
            return []
        understood = []
        self._db.execute("BEGIN IMMEDIATE")
        unread = "(chain_id, seq) IN (SELECT chain_id, seq FROM unread) ORDER BY event.rowid"
        for body in list(self.bodies(unread)):
            if not isinstance(body.data, Foreign):
                chain = self._chain_of(body)
                self.understand(chain, body, None)
                self._trust.follow(body)
                understood.append(body)
                place = (chain.row_id, body.seq)
                self._db.execute("DELETE FROM unread WHERE chain_id = ? AND seq = ?", place)
        self._db.execute("DELETE FROM reader")
        self._db.execute("INSERT INTO reader VALUES (?)", (software,))
        self._db.execute("COMMIT")
        return understood

    def _chain_of(self, body: Body) -> Chain:
        chain = self._chains.find(body.source, body.chain)
        assert chain  # noqa: S101 - a record that is held has one
        return chain


def traces(body: Body) -> list[Entry]:
    """What a record says was shed, as its chain crosses it."""
    return [Entry(seq, digest, ANY_PREV) for seq, digest in shed_by(body).items()]
