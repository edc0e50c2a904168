"""Where all chains stand, on disk: the tables that name them, and what was shed of them.

Transactions are `store`'s; all methods raise sqlite3.Error.
"""

import logging
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

from agent.core.records import Body
from agent.core.records.kinds import GENESIS_PREV
from agent.errors import ForgedRecord
from simulator.centre.locator import inspection
from simulator.centre.locator.ledger import ANY_PREV, Chain, Entry
from simulator.centre.locator.trust import Trust

log = logging.getLogger("earshot.locator")

_ABOVE = (
    "SELECT chain_id, seq, digest, prev FROM ("
    "SELECT chain_id, seq, event.digest, prev FROM event JOIN chain ON chain_id = id "
    "WHERE seq > upto_seq UNION ALL SELECT chain_id, seq, shed.digest, ? FROM shed "
    "JOIN chain ON chain_id = id WHERE seq > upto_seq) ORDER BY chain_id, seq"
)


class Chains:
    """Every chain of every node in `db`, by source and name; `holes` by source."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._chains: dict[tuple[str, str], Chain] = {}
        self._of: dict[str, list[Chain]] = {}
        self.holes: Counter[str] = Counter()

    def load(self) -> None:
        """Read where they stand; what was not committed is forgotten."""
        query = "SELECT id, source, chain, upto_seq, head, began_with FROM chain"
        chains = {row[0]: Chain(*row) for row in self._db.execute(query)}
        for row_id, *entry in self._db.execute(_ABOVE, (ANY_PREV,)):
            chains[row_id].extend(Entry(*entry))
        self._chains, self._of, self.holes = {}, {}, Counter()
        for chain in chains.values():
            self.add(chain)

    def find(self, source: str, name: str) -> Chain | None:
        """A chain that is known."""
        return self._chains.get((source, name))

    def of(self, source: str) -> list[Chain]:
        """All of one node, the latest last."""
        return self._of.get(source, [])

    def extend(self, chain: Chain, entry: Entry) -> None:
        """Take in one more of a known chain; `holes` counts those above each node's chains."""
        before = len(chain.above)
        chain.extend(entry)
        self.holes[chain.source] += len(chain.above) - before

    def begin(self, body: Body) -> Chain:
        """A chain whose first record has come; `add` makes it known."""
        row_id = self._db.execute(
            "INSERT INTO chain (source, chain, upto_seq, head, began_with) VALUES (?, ?, 0, ?, ?)",
            (body.source, body.chain, GENESIS_PREV, body.keyid),
        ).lastrowid
        assert row_id is not None  # noqa: S101 - an INSERT that did not raise has one
        return Chain(row_id, body.source, body.chain, began_with=body.keyid)

    def add(self, chain: Chain) -> None:
        """Know a chain from now on."""
        if self._chains.setdefault((chain.source, chain.name), chain) is chain:
            siblings = self._of.setdefault(chain.source, [])
            if not siblings or siblings[-1] is not chain:
                siblings.append(chain)
                self.holes[chain.source] += len(chain.above)

    def refuse_fork(self, chain: Chain, entry: Entry) -> None:
        """A number has one digest for ever, whether its record is held or was shed.

        Raises ForgedRecord.
        """
        held = self._db.execute(
            "SELECT digest FROM event WHERE chain_id = ? AND seq = ? "
            "UNION SELECT digest FROM shed WHERE chain_id = ? AND seq = ?",
            2 * (chain.row_id, entry.seq),
        ).fetchall()
        if any(digest != entry.digest for (digest,) in held):
            told = f"{chain.name}/{entry.seq}"
            raise ForgedRecord(f"fork: {chain.source} signed two different records {told}")

    def cross(self, chain: Chain, shed: Iterable[Entry]) -> None:
        """Keep the digests of what was shed."""
        self._db.executemany(
            "INSERT INTO shed VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [(chain.row_id, one.seq, one.digest) for one in shed],
        )

    def write(self, touched: Iterable[Chain]) -> None:
        """Put into the open transaction how far these are whole."""
        self._db.executemany(
            "UPDATE chain SET upto_seq = ?, head = ? WHERE id = ?",
            [(chain.upto_seq, chain.head, chain.row_id) for chain in touched],
        )

    def shed(self) -> dict[tuple[str, str], dict[int, str]]:
        """Digests by seq of what each (source, chain) crosses without holding it."""
        query = (
            "SELECT source, chain, seq, digest FROM shed JOIN chain ON chain_id = id "
            "ORDER BY chain_id"
        )
        return {
            key: {seq: digest for _, _, seq, digest in rows}
            for key, rows in groupby(self._db.execute(query), key=lambda row: (row[0], row[1]))
        }

    def inspect(self, trust: Trust, path: Path) -> list[Chain]:
        """Look whether the file at `path` is what it was where receipts rest on it.

        The log tells what is missing; returned are the chains that must be counted again.
        """
        found: list[Chain] = []
        heads = inspection.heads(self._db)
        missing = inspection.missing(self._db)
        for chain in self._chains.values():
            if not trust.knows(chain.source, chain.began_with):
                continue
            damage = f"{path}: damaged: chain {chain.name} of {chain.source} has lost"
            if not inspection.is_head_held(chain, heads.get(chain.row_id)):
                log.error("%s its record %d, or it was altered", damage, chain.upto_seq)
                found.append(chain)
            elif gone := missing.get(chain.row_id, 0):
                log.error("%s %d of %d records", damage, gone, chain.upto_seq)
        return found


def count_again(chain: Chain, held: Iterable[tuple[Body, str]], shed: Mapping[int, str]) -> None:
    """Receipts must not cover what is not there: begin with the first record that is.

    `held` are the records that verify, with their digests, by seq.
    """
    chain.upto_seq, chain.head, chain.above = 0, GENESIS_PREV, []
    for body, digest in held:
        chain.extend(Entry(body.seq, digest, body.prev))
    for seq, digest in shed.items():
        chain.extend(Entry(seq, digest, ANY_PREV))
