"""What busy streets only listed: onsets of a cell, found by time when something is located there.

A list comes up to a minute after what it holds, and may hold thousands an hour: its onsets open no
window and found no incident. They stand beside what was told, for `support` to ask.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from agent.core.records import Body
from agent.core.records.thinned import Thinned, unpacked
from agent.core.units import NS_PER_S
from agent.errors import MalformedRecord
from simulator.centre.locator.arrival import Arrival, is_possible
from simulator.centre.locator.support import RATE_OVER_S

LEAST_TOLD = 3
PATIENCE_NS = 60 * NS_PER_S  # nodes list by the minute, each by its own
AROUND_NS = round(RATE_OVER_S * NS_PER_S)
NEAR_NS = 3 * NS_PER_S  # sound is no longer under way between two nodes of a cell
_REMEMBERED = 512  # lists; of a street as busy as can be some 20 kB each
_FRESH = 4096


@dataclass(frozen=True, slots=True)
class Listing:
    """One list of one node: it tells of all it listed from `first_ns` to `last_ns`, UTC."""

    source: str
    record_id: str
    first_ns: int
    last_ns: int
    onsets: tuple[Arrival, ...]

    def moved(self, by_ns: int) -> "Listing":
        """The same at another time, as `Judged` wants it."""
        if not by_ns:
            return self
        onsets = tuple(
            replace(one, toa_utc_ns=one.toa_utc_ns + by_ns, confirmed=False) for one in self.onsets
        )
        return replace(
            self, first_ns=self.first_ns + by_ns, last_ns=self.last_ns + by_ns, onsets=onsets
        )


class ListPast(Protocol):
    """All lists that a cell ever got, what is in memory too."""

    def listings(self, first_ns: int, last_ns: int) -> Iterator[tuple[str, str, int]]:
        """Source, chain and seq of those that reach into that time."""

    def listing(self, source: str, chain: str, seq: int) -> Listing | None:
        """The list of that name, if it can still be believed."""


def listing_of(body: Body) -> Listing | None:
    """The list in a record; None if it is none, or its node did not know UTC.

    Values that no honest node has are left out, and so is a list that cannot be read.
    """
    data = body.data
    if not isinstance(data, Thinned) or data.first_utc_ns is None:
        return None
    first_ns, is_confirmed = int(data.first_utc_ns), body.clock.confirmed is not False
    try:
        rows = list(unpacked(data.listed))
    except MalformedRecord:
        return None
    onsets = tuple(
        Arrival(
            source=body.source,
            record_id=body.id,
            toa_utc_ns=first_ns + one.after_ns,
            sigma_ns=one.sigma_ns,
            snr_db=one.snr_db,
            peak_dbfs=one.peak_dbfs,
            score=one.score,
            confirmed=is_confirmed,
            sigma_noise_ns=one.sigma_ns,  # what of it is the clock's is not said
            is_listed=True,
        )
        for one in rows
    )
    onsets = tuple(filter(is_possible, onsets))
    if not onsets:
        return None
    first_ns, last_ns = onsets[0].toa_utc_ns, onsets[-1].toa_utc_ns
    return Listing(body.source, body.id, first_ns, last_ns, onsets)


def first_of(listing: Listing | None) -> Arrival | None:
    """Its first onset: by that the time of all of them is judged."""
    return listing.onsets[0] if listing else None


class Listed:
    """Of one cell. Without a past all are remembered."""

    def __init__(self, past: ListPast | None) -> None:
        self._past = past
        self._held: dict[str, Listing] = {}
        self._fresh: dict[str, None] = {}
        self._spans: list[tuple[int, int]] = []
        self._due_ns = 0

    def add(self, listing: Listing, now_ns: int) -> None:
        """Take one that has just come, however late it is."""
        if listing.record_id in self._fresh:
            return
        self._fresh[listing.record_id] = None
        if len(self._fresh) > _FRESH:
            del self._fresh[next(iter(self._fresh))]
        self._remember(listing)
        if not self._spans:
            self._due_ns = now_ns + PATIENCE_NS
        self._spans.append((listing.first_ns - NEAR_NS, listing.last_ns + NEAR_NS))

    def due(self, now_ns: int) -> list[tuple[int, int]]:
        """Spans of time of which more is known than before, each at most once in PATIENCE_NS."""
        if not self._spans or now_ns < self._due_ns:
            return []
        spans, self._spans = sorted(self._spans), []
        whole = [spans[0]]
        for first_ns, last_ns in spans[1:]:
            if first_ns <= whole[-1][1]:
                whole[-1] = (whole[-1][0], max(whole[-1][1], last_ns))
            else:
                whole.append((first_ns, last_ns))
        return whole

    def around(
        self, window: Sequence[tuple[int, str, str]], *, before: bool = False
    ) -> list[Arrival]:
        """What was listed around arrivals (time, source, record), oldest first; nothing where too
        few nodes told of any.

        Or `before` the lists that came in this run.
        """
        if len({source for _, source, _ in window}) < LEAST_TOLD:
            return []
        first_ns, last_ns = window[0][0] - AROUND_NS, window[-1][0] + AROUND_NS
        found = [
            onset
            for one in self._that_reach(first_ns, last_ns)
            if not (before and one.record_id in self._fresh)
            for onset in one.onsets
            if first_ns <= onset.toa_utc_ns <= last_ns
        ]
        return sorted(found, key=lambda one: (one.toa_utc_ns, one.source, one.record_id))

    def _that_reach(self, first_ns: int, last_ns: int) -> Sequence[Listing]:
        if self._past is None:
            held = self._held.values()
            return [one for one in held if one.first_ns <= last_ns and one.last_ns >= first_ns]
        names = list(self._past.listings(first_ns, last_ns))
        return [one for name in names if (one := self._listing(*name)) is not None]

    def _listing(self, source: str, chain: str, seq: int) -> Listing | None:
        record_id = f"{chain}/{seq}"
        if record_id not in self._held and self._past is not None:
            if (listing := self._past.listing(source, chain, seq)) is None:
                return None
            self._remember(listing)
        return self._held[record_id]

    def _remember(self, listing: Listing) -> None:
        self._held[listing.record_id] = listing
        if self._past is not None and len(self._held) > _REMEMBERED:
            del self._held[next(iter(self._held))]
