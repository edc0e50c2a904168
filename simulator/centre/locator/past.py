"""What the locator has forgotten, found again in its store: by cell and time.

An index beside the records, made from them: at which moment a node heard something or felt how
warm it was, and up to which record all was located and told. What it points to is verified again
when it is read, by whoever reads; the temperatures are only as trusty as the file.
"""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from agent.core.records import Body
from agent.core.records.correction import Correction, faults_of
from simulator.centre.locator.air import warmth_of
from simulator.centre.locator.arrival import Arrival, arrival_of, is_possible, moved
from simulator.centre.locator.listed import Listing, listing_of
from simulator.centre.locator.recent import Key
from simulator.centre.locator.schema import BESIDE

_NOT_INDEXED = -1  # in a store of older software
_HEARD = (
    "SELECT toa_ns, source, chain || '/' || seq FROM heard JOIN chain ON chain_id = id "
    "WHERE place = ? AND toa_ns "
)
_HEARD_BY = (
    "SELECT toa_ns FROM heard WHERE chain_id IN (SELECT id FROM chain WHERE source = ?) "
    "AND toa_ns > ? AND toa_ns <= ? ORDER BY toa_ns LIMIT ?"
)
# Of those that begin in time none reaches back further than the longest of all does.
_REACHING = (
    "SELECT source, chain, {0}.seq FROM {0} JOIN chain ON chain_id = id "
    "WHERE place = ? AND first_ns <= ? AND last_ns >= ? AND first_ns >= ? - "
    "(SELECT ifnull(max(last_ns - first_ns), 0) FROM {0} WHERE place = ?) "
    "ORDER BY chain_id, {0}.seq"
)
_CORRECTED, _LISTED = _REACHING.format("corrected"), _REACHING.format("listed")
JUDGED = (
    "SELECT add_ns FROM arrived JOIN chain ON chain_id = id "
    "WHERE source = ? AND chain = ? AND seq = ?"
)
_EARLIER, _LATER = _HEARD + "<= ? ORDER BY toa_ns DESC", _HEARD + "> ? ORDER BY toa_ns"

Select = Callable[..., Iterator[Any]]  # a query and its values
Read = Callable[[str, str, int], Body | None]  # source, chain, seq: the record, if it verifies


class Index:
    """The tables of it, in the store's database `db`. All raise sqlite3.Error."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        for table in BESIDE:
            db.execute(table)
        self.load()

    @property
    def is_missing(self) -> bool:
        """True in a store whose records were never indexed: `note` them all, then `begin`."""
        return bool(self._told == _NOT_INDEXED)

    def load(self) -> None:
        """Read how far all was told; forget what was noted in a batch that failed."""
        (self._told,) = self._db.execute("SELECT upto FROM told").fetchone()
        self._last = self._db.execute("SELECT max(rowid) FROM event").fetchone()[0] or 0
        self._is_moved = False

    def begin(self) -> None:
        """All that is held was told, by older software."""
        self._told, self._is_moved = self._last, True

    def note(self, row_id: int | None, chain_id: int, body: Body) -> None:
        """Take up one record, which is the row `row_id` of the events."""
        self._last = max(self._last, row_id or 0)
        place, entry = place_of(body.source), (chain_id, body.seq)
        if (arrival := arrival_of(body)) and is_possible(arrival):
            self._db.execute(
                "INSERT INTO heard VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (place, arrival.toa_utc_ns, *entry),
            )
        if isinstance(body.data, Correction) and not any(faults_of(body.data)):
            self._db.execute(
                "INSERT INTO corrected VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (place, int(body.data.first_utc_ns), int(body.data.last_utc_ns), *entry),
            )
        if listing := listing_of(body):
            self._db.execute(
                "INSERT INTO listed VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (place, listing.first_ns, listing.last_ns, *entry),
            )
        if warmth := warmth_of(body):
            self._db.execute(
                "INSERT INTO felt VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (place, warmth[0], *entry, warmth[1]),
            )

    def mark_told(self) -> None:
        """All that was noted is located and told; on disk with the next batch that is."""
        self._is_moved = self._is_moved or self._told != self._last
        self._told = self._last

    def write(self) -> None:
        """Put the mark into the open batch."""
        if self._is_moved:
            self._db.execute("UPDATE told SET upto = ?", (self._told,))
            self._is_moved = False

    def latest(self, at_least: int | None) -> tuple[int, int]:
        """After and up to which row of the events there is what was not told.

        With it come the last `at_least` (None: all).
        """
        since = 0 if at_least is None else min(self._told, self._last - at_least)
        return max(0, since), self._last


@dataclass(frozen=True, slots=True)
class CellPast:
    """One cell's part of the index (`recent.Past`); `select` and `read` look into the store.

    A record that no longer verifies is as if it were not there. Raises what these two raise.
    """

    select: Select
    place: str
    read: Read

    def earlier(self, utc_ns: int) -> Iterator[Key]:
        """What was heard up to `utc_ns`, the latest first."""
        yield from self.select(_EARLIER, self.place, utc_ns)

    def later(self, utc_ns: int) -> Iterator[Key]:
        """What was heard after `utc_ns`, the earliest first."""
        yield from self.select(_LATER, self.place, utc_ns)

    def arrival(self, key: Key) -> Arrival | None:
        """The arrival of that key."""
        _, source, record_id = key
        chain, _, seq = record_id.partition("/")
        body = self.read(source, chain, int(seq))
        arrival = None if body is None else arrival_of(body)
        return None if arrival is None else moved(arrival, key[0])

    def heard_by(self, source: str, after_ns: int, last_ns: int, limit: int) -> list[int]:
        """When a node heard something after the one and up to the other time, the earliest few."""
        return [toa_ns for (toa_ns,) in self.select(_HEARD_BY, source, after_ns, last_ns, limit)]

    def corrected(self, first_ns: int, last_ns: int) -> list[tuple[str, str, int]]:
        """What nodes corrected of that time: source, chain and seq, a node's later word last."""
        return list(self._reaching(_CORRECTED, first_ns, last_ns - 1))

    def correction(self, source: str, chain: str, seq: int) -> Correction | None:
        """The correction of that name, if it verifies."""
        body = self.read(source, chain, seq)
        return body.data if body and isinstance(body.data, Correction) else None

    def listings(self, first_ns: int, last_ns: int) -> Iterator[tuple[str, str, int]]:
        """Source, chain and seq of the lists that reach into that time; one that was judged
        impossible when it came has none here."""
        return self._reaching(_LISTED, first_ns, last_ns)

    def listing(self, source: str, chain: str, seq: int) -> Listing | None:
        """The list of that name, if it verifies and its times were believed when it came."""
        body = self.read(source, chain, seq)
        listing = None if body is None else listing_of(body)
        (add_ns,) = next(self.select(JUDGED, source, chain, seq), (0,))
        return None if listing is None or add_ns is None else listing.moved(add_ns)

    def _reaching(self, query: str, first_ns: int, last_ns: int) -> Iterator[tuple[str, str, int]]:
        return self.select(query, self.place, last_ns, first_ns, first_ns, self.place)

    def felt(self, first_ns: int, last_ns: int) -> list[float]:
        """All temperatures of that time."""
        query = "SELECT celsius FROM felt WHERE place = ? AND utc_ns BETWEEN ? AND ?"
        return [celsius for (celsius,) in self.select(query, self.place, first_ns, last_ns)]


def place_of(source: str) -> str:
    """The cell that a source is in, as the index names it."""
    return source.rpartition(":")[0]
