"""The reference locator: signed records in, receipts and incidents out, as one step function.

A record is receipted once it is on disk, and located once, however often it comes. No thread and
no clock is here. After a restart what was not told, and the latest of what was, is located afresh
from the store and told again; an incident's id depends on the records it rests on, so that readers
know it again.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice

import msgspec

import agent
from agent.core.records import Body
from agent.core.records.correction import Correction
from agent.core.records.messages import TAKES_BRIEF, TAKES_CLOCK, TAKES_SOFTWARE
from agent.core.units import NS_PER_S, parse_rfc3339_ns
from agent.errors import StoreError
from agent.ports import Publisher
from simulator.centre.locator.admission import Admission, Fresh, ServiceCounters
from simulator.centre.locator.air import is_warmth, warmth_of
from simulator.centre.locator.announcer import Announcer
from simulator.centre.locator.arrival import Arrival, arrival_of, is_possible
from simulator.centre.locator.incident import Incident
from simulator.centre.locator.ledger import Words
from simulator.centre.locator.listed import first_of, listing_of
from simulator.centre.locator.mishaps import Mishaps, told_of
from simulator.centre.locator.post import Letter, Post
from simulator.centre.locator.presence import Presences
from simulator.centre.locator.quota import Effort, Quota
from simulator.centre.locator.reception import Reception
from simulator.centre.locator.refusals import Refusals
from simulator.centre.locator.registry import Registry, Station
from simulator.centre.locator.store import EventStore
from simulator.centre.locator.timebounds import Judged, TimeBounds
from simulator.centre.locator.watch import Watch
from simulator.centre.locator.windows import MEMORY, CellBelief, Revision
from simulator.centre.stated_clock import NOBODY, CentreClock, Present

EVENTS = "earshot/v1/+/+/+/event/#"
STATUSES = "earshot/v1/+/+/+/status"
SUBSCRIPTIONS = (EVENTS, STATUSES)
SESSION_EXPIRY_S = 3600
SETTLE_NS = 5 * NS_PER_S
TOLD_AGAIN = 1024
START_RECORDS = 4096  # located afresh before the first step: a second
STEP_MESSAGES = 1024  # verified in one step: half a second of one core
STEP_WINDOWS = 8.0  # searched in one step, some 30 ms each


class LocatorService:
    """Serves every cell of `registry` over one link that subscribes SUBSCRIPTIONS.

    Each cell remembers about `memory` arrivals, and finds older ones in the store; None is for
    runs that end: everything is remembered. `announce` is told how the belief changes. What one
    node sends beyond `quota` waits and comes again. `watch` raises alarms. `clock` bounds times;
    without one what `step` is told is believed, and no receipt says that anybody vouches for it.

    Raises StoreError, and must then not be stepped again: nothing unwritten was receipted.
    """

    def __init__(
        self,
        store: EventStore,
        publisher: Publisher,
        registry: Registry,
        settle_ns: int = SETTLE_NS,
        rng: random.Random | None = None,
        memory: int | None = MEMORY,
        announce: Callable[[Revision], None] = lambda revision: None,
        quota: Quota | None = None,
        clock: CentreClock | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.counters = ServiceCounters()
        self._store = store
        self._bounds = TimeBounds(clock)
        self._present: Present | None = None
        self._presences = Presences()
        self._watch = watch
        self._mishaps = Mishaps(self.counters.rejected, "messages set aside")
        self._lateness = Mishaps(Counter(), "messages over quota, to be receipted later")
        self._reception = Reception(
            quota or Quota(), store.source_of, store.is_hole, self._postpone
        )
        self._post = Post(publisher, rng or random.Random())  # noqa: S311 - jitter, not a secret
        self._announcer = Announcer(self._post.say, registry.origin_wgs84, self._mishaps.note)
        self._refusals = Refusals(self._presences.takes)
        self._admission = Admission(
            store,
            self._bounds,
            self._presences,
            self._mishaps,
            self._refusals,
            self.counters,
            frozenset(
                f"earshot/v1/{one.site}/{one.cell}/{one.node}"
                for one in registry.stations.values()
                if one.is_revoked
            ),
            self._postpone,
            self._reception.begin_chain,
        )
        stations: dict[tuple[str, str], dict[str, Station]] = {}
        for source, station in registry.stations.items():
            stations.setdefault((station.site, station.cell), {})[source] = station
        self._announce_to = announce
        self._cells = {
            cell: CellBelief(known, settle_ns)
            if memory is None
            else CellBelief(known, settle_ns, store.past(*cell), _memory_of(memory, len(known)))
            for cell, known in stations.items()
        }
        self._untold = store.latest(None if memory is None else TOLD_AGAIN)
        self._tell_again(START_RECORDS if memory else None, now_ns=0)

    @property
    def incidents(self) -> list[Incident]:
        """The present belief as far as it is remembered, oldest first."""
        found = [one for cell in self._cells.values() for one in cell.incidents]
        return sorted(found, key=lambda one: (one.utc_ns, one.site, one.cell, one.id))

    @property
    def arrivals(self) -> list[Arrival]:
        """What the nodes heard and is remembered, cell by cell, oldest first."""
        return [one for cell in self._cells.values() for one in cell.arrivals]

    @property
    def is_listening(self) -> bool:
        """True while the broker brings us what nodes say."""
        return self._post.is_up

    @property
    def trouble(self) -> str:
        """Why the link was lost last, for a person; empty if it never was."""
        return self._post.trouble

    @property
    def idle(self) -> bool:
        """True when the broker has answered for all that was published."""
        return self._post.idle and not self.is_busy

    @property
    def is_busy(self) -> bool:
        """True while something that came has not had its turn: step again at once."""
        return self._reception.is_waiting

    def step(self, now_ns: int, utc_text: Callable[[], str]) -> None:
        """One turn at monotonic time `now_ns`, 0 or later; never waits.

        `utc_text` tells UTC in RFC 3339, for receipts. Raises StoreError, and nothing else.
        """
        at, self._present = utc_text(), self._bounds.now()
        is_vouched = not self._bounds.is_unvouched(self._present)
        dated = at if is_vouched else f"{at} (nobody vouches)"
        for message in self._post.receive(now_ns):
            self._reception.put(message)
        taken = self._reception.take(STEP_MESSAGES, now_ns)
        admitted = self._admission.admit(taken, dated, now_ns)
        self._store.commit()
        owed = self._store.receipts(at, self._words_for, now_ns)
        for topic, receipt in owed:
            self._post.say(Letter(topic, receipt, retain=True))
        for topic, refusal in self._refusals.letters(at, self._store.seal):
            self._post.say(Letter(topic, refusal))
        for one in admitted:
            self._feed(one, now_ns)
        self._look_after([one.body for one in admitted], now_ns, at, is_vouched=is_vouched)
        is_all_fed = self._tell_again(STEP_MESSAGES, now_ns)
        effort = Effort(STEP_WINDOWS)
        utc_ns = parse_rfc3339_ns(at) if is_vouched else None
        by_urgency = {name: cell.urgency(now_ns, utc_ns) for name, cell in self._cells.items()}
        for name in sorted(by_urgency, key=by_urgency.__getitem__, reverse=True):
            settle = partial(self._cells[name].settle, now_ns, effort, utc_ns)
            self._settle(name, settle)
        is_located = is_all_fed and not any(cell.is_waiting for cell in self._cells.values())
        if is_located and self._post.idle:
            self._store.mark_told()
        self._mishaps.tell(now_ns)
        self._lateness.tell(now_ns)
        self._post.send(now_ns)

    def _look_after(
        self, admitted: Iterable[Body], now_ns: int, at: str, *, is_vouched: bool
    ) -> None:
        """How the nodes are, told retained, cell by cell."""
        if self._watch is None:
            return
        for body in admitted:
            self._watch.hear(body, at, is_vouched=is_vouched)
        for report in self._watch.step(now_ns, at, is_listening=self.is_listening):
            topic = f"earshot/v1/{report.site}/{report.cell}/nodes"
            self._post.say(Letter(topic, msgspec.json.encode(report), retain=True))

    def flush(self) -> None:
        """Locate at once what still waits for late arrivals; the next `step` tells of it."""
        for name, cell in self._cells.items():
            self._settle(name, cell.settle_all)

    def _postpone(self, source: str, reason: str) -> None:
        self.counters.late[source] += 1
        self._lateness.note(reason, source)

    def _words_for(self, source: str) -> Words:
        """What its receipts say beyond what 0.1.0 knew."""
        takes, present = self._presences.takes, self._present
        is_told = takes(source, TAKES_CLOCK)
        return Words(
            software=agent.__version__ if takes(source, TAKES_SOFTWARE) else "",
            clock=(present.whose if present else NOBODY) if is_told else "",
            bound_ms=present.bound_ms if present and is_told else None,
            is_brief=takes(source, TAKES_BRIEF),
        )

    def _tell_again(self, limit: int | None, now_ns: int) -> bool:
        """Feed what the run before had not told, so much of it; True when there is no more."""
        page = list(islice(self._untold, limit))
        for body in page:
            self._feed(Fresh(body, self._judged(body)), now_ns)
        return limit is None or len(page) < limit

    def _judged(self, body: Body) -> Judged | None:
        """What the time of a record was taken for when it came."""
        arrival = arrival_of(body) or first_of(listing_of(body))
        return (
            self._store.arrivals.judged(arrival, body) if arrival and is_possible(arrival) else None
        )

    def _feed(self, fresh: Fresh, now_ns: int) -> None:
        """Hand a record to the belief of its cell; where that fails it is kept all the same."""
        body = fresh.body
        try:
            if reason := self._believe(body, fresh.judged, now_ns):
                self._mishaps.note(reason, body.source)
        except StoreError:
            raise
        except Exception as error:
            self._mishaps.note(f"record {body.id} is not located: {told_of(error)}", body.source)

    def _believe(self, body: Body, judged: Judged | None, now_ns: int) -> str:
        """Why a record that verifies cannot be used; empty if it can."""
        _, _, site, cell, _ = body.source.split(":")
        belief = self._cells[site, cell]
        if judged:
            listing = listing_of(body)
            if judged.arrival and listing:
                belief.enlist(listing.moved(judged.arrival.toa_utc_ns - listing.first_ns), now_ns)
            elif judged.arrival:
                belief.hear(judged.arrival, now_ns)
            return judged.told
        if arrival_of(body):
            return f"an impulse of {body.source} has impossible values: not located"
        if isinstance(body.data, Correction):
            return belief.correct(body.source, body.data, now_ns)
        if warmth := warmth_of(body):
            belief.feel(*warmth, now_ns)
        elif is_warmth(body):
            return f"a heartbeat of {body.source} has an impossible air temperature"
        return ""

    def _settle(self, cell: tuple[str, str], settle: Callable[[], Revision]) -> None:
        """Tell how the belief of a cell changes; one that cannot be settled stops no other."""
        where = "/".join(cell)
        try:
            revision = settle()
        except StoreError:
            raise
        except Exception as error:
            self._mishaps.note(f"cell {where} cannot be settled: {told_of(error)}")
            return
        for failure in revision.failures:
            self._mishaps.note(f"a window of cell {where}: {failure}")
        self._announce_to(revision)
        self._announcer.announce(revision)


def _memory_of(memory: int, stations: int) -> int:
    """In a large cell the usual memory also holds the minute and a half in which clocks are held
    against each other, at 300 candidates an hour and node."""
    return memory if memory < MEMORY else max(memory, 8 * stations)
