"""Checks an export of records, line by line, as a court would: who signed, in what order, what is
missing.

Pure and streaming: feed it lines, then ask for the end. It trusts nothing but the public keys it
is given and keeps a few values per chain, whatever the length of the export. Finding files and
keys is the command's matter.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.core.records.chain import shed_by
from agent.core.records.clock_audit import ClockAudit
from agent.core.records.envelope import Opened, key_id, open_envelope
from agent.core.records.foreign import Foreign
from agent.core.records.kinds import (
    GENESIS_PREV,
    PAYLOAD_TYPE,
    RECEIPT_TYPE,
    Body,
    Receipt,
    kind_of,
    parse,
)
from agent.core.records.reading import read_body, type_fits
from agent.core.records.remote_records import KeyChange
from agent.core.records.succession import KeyLine
from agent.core.units import NS_PER_S
from agent.errors import ForgedRecord, RecordError

_BACK_IN_TIME_NS = 2 * NS_PER_S
_DIGESTS_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken promise: where it shows (file and line, or a chain) and what it means."""

    where: str
    what: str


Reader = Callable[[str, Body], Iterable[Fault]]
"""Where a record stands, and what it says: what is wrong with that."""


@dataclass(slots=True)
class ChainAudit:
    """What was seen of one chain of one node."""

    source: str
    chain: str
    first_seq: int = 0
    last_seq: int = 0
    head: str = GENESIS_PREV
    first_time: str = ""
    last_time: str = ""
    kinds: Counter[str] = field(default_factory=Counter)
    boot: str = ""
    host_ns: int = 0
    recent: dict[int, str] = field(default_factory=dict)
    shed: dict[int, str] = field(default_factory=dict)
    gaps: list[tuple[int, int, str, str]] = field(default_factory=list)
    clock: ClockAudit = field(default_factory=ClockAudit)

    @property
    def records(self) -> int:
        """How many of its records were good by themselves."""
        return sum(self.kinds.values())


class Auditor:
    """`keys` are the nodes' public keys by source, `locators` those of locators by key id.

    `revoked_at` tells by source since when a node's word counts no more, in RFC 3339.
    `read` is shown every good record, and tells what is wrong with what it says.
    `receipts` found anywhere in the export are best fed first: they tell where chains must reach.
    `notes` are no faults: what this export does not suffice to check.
    """

    def __init__(
        self,
        keys: Mapping[str, Ed25519PublicKey],
        locators: Mapping[str, Ed25519PublicKey],
        revoked_at: Mapping[str, str] | None = None,
        read: Reader = lambda where, body: (),
    ) -> None:
        self._locators, self._revoked_at, self._read = locators, revoked_at or {}, read
        self._lines = {source: KeyLine(key, by_time=True) for source, key in keys.items()}
        self._keys = {key_id(key): key for key in keys.values()}
        self._receipts: dict[tuple[str, str], list[tuple[str, Receipt]]] = {}
        self.chains: dict[tuple[str, str], ChainAudit] = {}
        self.receipts_read = 0
        self.notes: list[Fault] = []

    def receipt(self, where: str, raw: bytes) -> Iterator[Fault]:
        """A line that claims to be a receipt."""
        try:
            opened = open_envelope(raw, self._locators)
            if opened.payload_type != RECEIPT_TYPE:
                return
            receipt = parse(opened.payload, Receipt)
        except RecordError as error:
            yield Fault(where, f"This receipt proves nothing: {error}.")
            return
        self.receipts_read += 1
        self._receipts.setdefault((receipt.source, receipt.chain), []).append((where, receipt))

    def record(self, where: str, raw: bytes) -> Iterator[Fault]:
        """A line that claims to be a record. Lines of a chain must come in its order."""
        try:
            body, opened = self._open(raw)
        except RecordError as error:
            yield Fault(where, f"This is no record of a registered node: {error}.")
            return
        chain = self.chains.setdefault(
            (body.source, body.chain), ChainAudit(body.source, body.chain)
        )
        self._follow(body)
        yield from _place(chain, body, opened.digest, where)
        yield from self._receipted(chain, body.seq, opened.digest)
        yield from self._outlived(body, where)
        yield from (Fault(where, told) for told in chain.clock.hear(body))
        self.notes += [Fault(where, told) for told in chain.clock.unchecked]
        chain.clock.unchecked.clear()
        yield from self._read(where, body)

    def finish(self) -> Iterator[Fault]:
        """What only the end tells: gaps that nothing explains, chains that end too early."""
        for chain in self.chains.values():
            name, shed = f"{chain.source}, chain {chain.chain[:8]}", sorted(chain.shed)
            for first, last, prev, where in chain.gaps:
                missing = list(_not_in(shed, first, last))
                if missing:
                    yield Fault(where, f"Records {_told(missing)} of the chain are missing.")
                elif chain.shed[last] != prev:
                    yield Fault(where, f"Record {last} was shed, but not the one told of.")
            for where, receipt in self._receipts.pop((chain.source, chain.chain), []):
                if receipt.upto_seq > chain.last_seq:
                    yield Fault(
                        name,
                        f"The export ends at record {chain.last_seq}, but the locator held it up "
                        f"to {receipt.upto_seq} ({where}): its end was cut off.",
                    )
        for (source, chain_id), receipts in self._receipts.items():
            where, receipt = receipts[-1]
            if receipt.upto_seq:
                yield Fault(
                    f"{source}, chain {chain_id[:8]}",
                    f"The locator held {receipt.upto_seq} records ({where}), none is here.",
                )

    def _open(self, raw: bytes) -> tuple[Body, Opened]:
        opened = open_envelope(raw, self._keys)
        if opened.payload_type != PAYLOAD_TYPE:
            raise ForgedRecord(f"its payload is of type {opened.payload_type}")
        body = read_body(opened.payload)
        if body.keyid != opened.keyid:
            raise ForgedRecord("the key it names inside is not the one that signed")
        line = self._lines.get(body.source)
        if line is None or opened.keyid not in line.keys:
            raise ForgedRecord(f"it claims to be of {body.source}, whose key is another")
        line.check(body)
        if body.id != f"{body.chain}/{body.seq}" or not type_fits(body, kind_of(body.data)):
            raise ForgedRecord("its id or type does not fit what it holds")
        return body, opened

    def _follow(self, body: Body) -> None:
        line = self._lines[body.source]
        line.follow(body)
        if isinstance(body.data, KeyChange):
            self._keys |= line.keys

    def _outlived(self, body: Body, where: str) -> Iterator[Fault]:
        end = self._revoked_at.get(body.source)
        if end and isinstance(body.time, str) and body.time >= end:
            yield Fault(
                where, f"Record {body.seq} was made after its node was revoked at {end[:19]}Z."
            )

    def _receipted(self, chain: ChainAudit, seq: int, digest: str) -> Iterator[Fault]:
        for where, receipt in self._receipts.get((chain.source, chain.chain), ()):
            if receipt.upto_seq == seq and receipt.head != digest:
                yield Fault(
                    where, f"The locator receipted another record {seq} than this: the chain forks."
                )


def _place(chain: ChainAudit, body: Body, digest: str, where: str) -> Iterator[Fault]:
    """Put a record in its place in the chain, and tell what is wrong with that place."""
    if body.seq <= chain.last_seq:
        known = chain.recent.get(body.seq)
        again = "again" if known == digest else "again, and another one: the chain forks"
        yield Fault(where, f"Record {body.seq} stands here out of order, or {again}.")
        return
    if not chain.last_seq and body.seq > 1:
        chain.gaps.append((1, body.seq - 1, body.prev, where))
    elif body.seq > chain.last_seq + 1:
        chain.gaps.append((chain.last_seq + 1, body.seq - 1, body.prev, where))
    elif body.prev != chain.head:
        yield Fault(
            where,
            f"Record {body.seq} does not follow the record {body.seq - 1} that stands before it: "
            "one of them was replaced.",
        )
    if body.boot == chain.boot and int(body.host_ns) < chain.host_ns - _BACK_IN_TIME_NS:
        yield Fault(where, f"Record {body.seq} was made before the one that it follows.")
    chain.first_seq = chain.first_seq or body.seq
    chain.last_seq, chain.head = body.seq, digest
    chain.boot, chain.host_ns = body.boot, int(body.host_ns)
    if isinstance(body.time, str):
        chain.first_time, chain.last_time = chain.first_time or body.time, body.time
    chain.kinds[_told_kind(body)] += 1
    chain.shed.update(shed_by(body))
    chain.recent[body.seq] = digest
    if len(chain.recent) > _DIGESTS_KEPT:
        del chain.recent[next(iter(chain.recent))]


def _not_in(known: list[int], first: int, last: int) -> Iterator[tuple[int, int]]:
    """The ranges of `first` to `last` between the ascending numbers `known`.

    A gap may be as wide as any number on the wire: only what is known is walked.
    """
    for seq in known[bisect_left(known, first) : bisect_right(known, last)]:
        if first < seq:
            yield first, seq - 1
        first = seq + 1
    if first <= last:
        yield first, last


def _told(ranges: list[tuple[int, int]]) -> str:
    names = [str(low) if low == high else f"{low} to {high}" for low, high in ranges[:20]]
    more = f" and {len(ranges) - 20} ranges more" if len(ranges) > 20 else ""
    return ", ".join(names) + more


def _told_kind(body: Body) -> str:
    word = kind_of(body.data)
    return f"{word} (unread)" if isinstance(body.data, Foreign) else word
