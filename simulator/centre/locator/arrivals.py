"""When impulses and lists first came, and what their times were taken for, beside the records.

The centre judges a time by when its record came. After a restart, and for what has left its memory,
that moment is over: what was judged then is kept, in the transaction that keeps the record.
"""

import sqlite3
from pathlib import Path
from typing import Any

from agent.core.records import Body
from agent.errors import StoreError
from simulator.centre.locator.arrival import Arrival, moved
from simulator.centre.locator.chains import Chains
from simulator.centre.locator.past import JUDGED, place_of
from simulator.centre.locator.timebounds import Judged
from simulator.centre.stated_clock import Present

_AT = "WHERE place = ? AND toa_ns = ? AND chain_id = ? AND seq = ?"
_FORGET = f"DELETE FROM heard {_AT}"  # noqa: S608 - nothing of it comes from outside
_MOVE = f"UPDATE heard SET toa_ns = toa_ns + ? {_AT}"  # noqa: S608
_OF = "WHERE place = ? AND first_ns = ? AND chain_id = ? AND seq = ?"
_UNLIST = f"DELETE FROM listed {_OF}"  # noqa: S608
_RELIST = f"UPDATE listed SET first_ns = first_ns + ?, last_ns = last_ns + ? {_OF}"  # noqa: S608


class Arrivals:
    """In the store's database `db` at `path`. Raises StoreError."""

    def __init__(self, db: sqlite3.Connection, path: Path, chains: Chains) -> None:
        self._db, self._path, self._chains = db, path, chains

    def keep(self, claimed: Arrival, body: Body, judged: Judged, at: Present | None) -> None:
        """`body` has just been admitted; in the index it stands at the time that is believed."""
        chain = self._chains.find(body.source, body.chain)
        assert chain  # noqa: S101 - a record that was admitted has one
        add_ns = judged.arrival.toa_utc_ns - claimed.toa_utc_ns if judged.arrival else None
        when = (at.utc_ns, at.bound_ns, at.whose) if at else (None, None, "")
        row = (chain.row_id, body.seq, *when, add_ns)
        self._select("INSERT INTO arrived VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", *row)
        place = (place_of(body.source), claimed.toa_utc_ns, chain.row_id, body.seq)
        if add_ns is None:
            self._select(_FORGET, *place)
            self._select(_UNLIST, *place)
        elif add_ns:
            self._select(_MOVE, add_ns, *place)
            self._select(_RELIST, add_ns, add_ns, *place)

    def judged(self, claimed: Arrival, body: Body) -> Judged:
        """As it was when it came. What older software kept was not judged."""
        rows = self._select(JUDGED, body.source, body.chain, body.seq)
        if not rows:
            return Judged(claimed)
        ((add_ns,),) = rows
        return Judged(None if add_ns is None else moved(claimed, claimed.toa_utc_ns + add_ns))

    def first(self, source: str, name: str, seq: int) -> Present | None:
        """When a record of an impulse first came; None where nobody vouched for the time."""
        rows = self._select(
            "SELECT utc_ns, bound_ns, whose FROM arrived JOIN chain ON chain_id = id "
            "WHERE source = ? AND chain = ? AND seq = ? AND utc_ns IS NOT NULL",
            *(source, name, seq),
        )
        return Present(*rows[0]) if rows else None

    def _select(self, query: str, *values: str | int | None) -> list[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error
