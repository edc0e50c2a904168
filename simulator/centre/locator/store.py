"""The locator's durable store: verify, dedupe, keep, and sign receipts for what is on disk.

A record counts only if the key registered for its node signed it and it says the same about its
origin as the topic did. Raw envelopes are kept, so that anyone can verify them again; a start
verifies only what receipts rest on. Where the chains stand is `chains`, what is where in time
`past`; what the records mean is for the rest of the locator.
"""

import logging
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import agent
from agent.adapters.outbox import open_database
from agent.core.records import Body
from agent.core.records.envelope import Opened, SignsBytes, seal
from agent.core.records.kinds import Status, kind_of
from agent.core.records.receipts import seal_receipt
from agent.errors import ForgedRecord, MalformedRecord, StoreError
from simulator.centre.locator.arrivals import Arrivals
from simulator.centre.locator.batch import Batch
from simulator.centre.locator.chains import Chains
from simulator.centre.locator.dues import Dues
from simulator.centre.locator.holdings import Holdings, traces
from simulator.centre.locator.ledger import Chain, Entry, Words
from simulator.centre.locator.letters import Letters
from simulator.centre.locator.past import CellPast, Index, place_of
from simulator.centre.locator.quota import MAX_HOLES
from simulator.centre.locator.schema import STEPS
from simulator.centre.locator.trust import Trust

_NAME = "([A-Za-z0-9-]{1,32})"
_EVENT_TOPIC = re.compile(rf"earshot/v1/{_NAME}/{_NAME}/{_NAME}/event/([a-z]{{1,32}})")
_STATUS_TOPIC = re.compile(rf"earshot/v1/{_NAME}/{_NAME}/{_NAME}/status")

_LATEST_CHAINS = 4
_PAGE = 256

log = logging.getLogger("earshot.locator")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A record that is new; durable after the next `commit`."""

    body: Body


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A record that is already held, byte for byte in what was signed."""

    body: Body


class EventStore:
    """Every record of every node in `registry`, durable, once. One process owns the file.

    `registry` maps a node's source (`urn:earshot:SITE:CELL:NODE`) to its public key; `signer` is
    the locator's own key. Raises StoreError.
    """

    def __init__(
        self,
        path: Path,
        registry: Mapping[str, Ed25519PublicKey],
        signer: SignsBytes,
        max_holes: int = MAX_HOLES,
    ) -> None:
        self._path = path
        self._registry, self._trust = registry, Trust(registry)
        self._signer = signer
        self._dues = Dues()
        self._batch = Batch(max_holes)
        self._understood: list[Body] = []
        self._db = open_database(path, STEPS)
        try:
            self._letters = Letters(self._db)
            self._index, self._chains = Index(self._db), Chains(self._db)
            self.arrivals = Arrivals(self._db, path, self._chains)
            self._held = Holdings(self._db, path, self._trust, self._chains, self._index)
            self._load()
            self._held.inspect()
            if understood := self._held.read_again(agent.__version__):
                self._understood = understood
                self._load()
        except sqlite3.Error as error:
            self._db.close()
            raise StoreError(f"{path}: cannot be read: {error}") from error
        except StoreError:
            self._db.close()
            raise

    def admit(
        self,
        topic: str,
        raw: bytes,
        begin_chain: Callable[[str], None] = lambda source: None,
    ) -> Admitted | Duplicate:
        """Verify one message and take it into the open batch; `begin_chain` may raise OverQuota.

        Raises MalformedRecord or ForgedRecord for what must not be kept, and OverQuota for what
        would open too many holes in its node's chains; the batch is unharmed.
        """
        match = _EVENT_TOPIC.fullmatch(topic)
        if not match:
            raise MalformedRecord(f"{topic!r} is no topic of an event")
        *place, kind = match.groups()
        body, opened = self._trust.verify(":".join(["urn:earshot", *place]), raw)
        if kind != kind_of(body.data):
            raise ForgedRecord(f"record {body.id} of kind {kind_of(body.data)} came as {kind}")
        try:
            with self._alone():
                return self._insert(body, opened, raw, begin_chain)
        except (sqlite3.IntegrityError, sqlite3.DataError) as error:
            raise MalformedRecord(f"record {body.id} does not fit the store: {error}") from error
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error

    def set_aside(self, topic: str, raw: bytes, reason: str, at: str) -> None:
        """Keep a message that could not be taken as a dead letter; `at` is RFC 3339. StoreError."""
        try:
            with self._alone():
                self._letters.add(self.source_of(topic), topic, raw, reason, at)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error

    def seal(self, payload_type: str, words: bytes) -> bytes:
        """Something said with the locator's key beside its receipts."""
        return seal(payload_type, words, self._signer)

    def is_event(self, topic: str) -> bool:
        """Whether records of a registered node come on that topic."""
        return bool(_EVENT_TOPIC.fullmatch(topic)) and bool(self.source_of(topic))

    def source_of(self, topic: str) -> str:
        """The registered node whose topic that is; empty if there is none."""
        source = ":".join(["urn:earshot", *topic.split("/")[2:5]])
        return source if source in self._registry else ""

    def status(self, topic: str, raw: bytes) -> Status:
        """What a node says of itself. Raises MalformedRecord or ForgedRecord."""
        if not (match := _STATUS_TOPIC.fullmatch(topic)):
            raise MalformedRecord(f"{topic!r} is no topic of a status")
        return self._trust.status(":".join(["urn:earshot", *match.groups()]), raw)

    def tell_again(self, source: str) -> None:
        """The receipts of its latest chains are due, for it takes other words than before."""
        latest = self._chains.of(source)[-_LATEST_CHAINS:]
        self._dues.add(latest, is_urgent=True)

    def is_hole(self, source: str, name: str, seq: int) -> bool:
        """Whether a chain lacks that number, though higher ones are held."""
        chain = self._chains.find(source, name)
        return chain is not None and chain.is_missing(seq)

    def commit(self) -> None:
        """Make every admitted record durable. Raises StoreError; nothing then counts as held."""
        touched = self._batch.touched()
        try:
            for chain, entry in self._batch.entries:
                self._chains.extend(chain, entry)
                chain.asked.add(entry.seq)
            self._chains.write(touched.values())
            if self._db.in_transaction:
                self._index.write()
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._index.load()
            self._letters.load()
            self._load()
            raise StoreError(f"{self._path}: {error}") from error
        self._dues.add((touched | self._batch.asked_again).values())
        self._dues.add(self._batch.forked.values(), is_urgent=True)
        self._batch.clear()

    def receipts(
        self,
        received_at: str,
        words_for: Callable[[str], Words] = lambda source: Words(),
        now_ns: int | None = None,
    ) -> list[tuple[str, bytes]]:
        """Topic and signed receipt for every chain that is owed one by `now_ns`: see `dues`.

        Only committed records are covered. `received_at` is RFC 3339; `words_for` a node what it
        takes. Publish them retained: a node that reconnects learns what need not be sent again.
        """
        told = []
        for chain in self._dues.take(now_ns):
            topic = "/".join(["earshot/v1", *chain.source.split(":")[2:], "receipt"])
            words = words_for(chain.source)
            for one in chain.receipts(received_at, words):
                told.append((topic, seal_receipt(one, self._signer, is_brief=words.is_brief)))
        return told

    def envelopes(self, source: str | None = None) -> Iterator[bytes]:
        """Every envelope held (of one node), by source, chain and seq: lines of an export."""
        for _, _, _, _, raw in self._held.rows(source):
            yield raw

    def bodies(self) -> Iterator[Body]:
        """What every envelope held says, verified again; `chain_faults` tells of the others."""
        yield from self._held.bodies()

    def chain_faults(self) -> list[str]:
        """One sentence for each signature, link or gap that is wrong in what is held."""
        return self._held.faults()

    def latest(self, at_least: int | None) -> Iterator[Body]:
        """What was not yet told, and the last `at_least` records or all, in the order of coming.

        It may be left in the middle while others come. Before them stands what older software held
        without understanding it.

        Verified again, like `bodies`.
        """
        yield from self._understood
        since, upto = self._index.latest(at_least)
        page = "event.rowid > ? AND event.rowid <= ? ORDER BY event.rowid"
        for first in range(since, upto, _PAGE):
            yield from list(self._held.bodies(page, first, min(first + _PAGE, upto)))

    def mark_told(self) -> None:
        """What is committed has been located and told: `latest` need not bring it again."""
        self._index.mark_told()

    def past(self, site: str, cell: str) -> CellPast:
        """Where the cell's belief finds again what it has forgotten."""
        return CellPast(self._held.select, place_of(f"urn:earshot:{site}:{cell}:"), self._held.read)

    def close(self) -> None:
        """Free the file; what was not committed is lost."""
        self._db.close()

    def _insert(
        self, body: Body, opened: Opened, raw: bytes, begin_chain: Callable[[str], None]
    ) -> Admitted | Duplicate:
        chain = self._chains.find(body.source, body.chain)
        if chain is None:
            begin_chain(body.source)
            chain = self._chains.begin(body)
        shed = traces(body)
        entry = Entry(body.seq, opened.digest, body.prev)
        for one in (entry, *shed):
            self._refuse_fork(chain, one)
        inserted = self._db.execute(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (chain.row_id, entry.seq, entry.digest, raw, entry.prev),
        )
        if not inserted.rowcount:
            self._batch.asked_again[chain.row_id] = chain
            chain.asked.add(body.seq)
            return Duplicate(body)
        self._batch.limit_holes(self._chains, chain, [one.seq for one in (entry, *shed)])
        self._held.understand(chain, body, inserted.lastrowid)
        self._trust.follow(body)
        self._chains.add(chain)
        self._batch.add(chain, (entry, *shed))
        return Admitted(body)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """What fails in here leaves nothing in the open batch."""
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("SAVEPOINT one")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK TO one")
                self._db.execute("RELEASE one")
            raise
        self._db.execute("RELEASE one")

    def _refuse_fork(self, chain: Chain, entry: Entry) -> None:
        try:
            self._chains.refuse_fork(chain, entry)
        except ForgedRecord:
            self._batch.forked[chain.row_id] = chain  # the receipt tells how we differ
            raise

    def _load(self) -> None:
        """Read where the chains stand; forget the open batch."""
        self._dues.clear()
        self._batch.clear()
        try:
            self._trust.load(self._db)
            self._chains.load()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error
