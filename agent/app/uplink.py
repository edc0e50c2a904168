"""Delivery: from the durable line to the locator's signed receipt, as one plain step function.

The broker's acknowledgement only opens the window; a record leaves the outbox when a receipt by
a pinned locator key covers it. No thread, clock or socket is here: the caller says what time it
is, the publisher port does the talking. What commands say is for others; here they only pass.
"""

import logging
import random
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.app.feed import Feed, Waiting
from agent.app.window import Budget
from agent.core.records.chain import RecordKey, Sealed
from agent.core.records.kinds import Identity, Receipt
from agent.core.records.messages import Refusal
from agent.core.records.receipts import open_word
from agent.core.trust.backoff import BackOff
from agent.core.units import NS_PER_S
from agent.errors import ForgedRecord, RecordError, TokenError
from agent.ports import Connected, LinkEvent, Lost, Message, Publisher, Refused, Sent

SILENCE_NS = 25 * NS_PER_S
MAX_PROBE_NS = 20 * NS_PER_S
STATUS_PERIOD_NS = 30 * NS_PER_S
INTRODUCTION_NS = 60 * NS_PER_S  # until a locator that could has told who it is
MAX_REPLIES = 32
PACKET_OCTETS = 8  # of a PUBLISH at QoS 1, beside topic and payload

log = logging.getLogger("earshot")


class CountedOutbox(Waiting, Protocol):
    """The delivering half of an outbox that knows how much it holds."""

    def release(self, receipt: Receipt) -> int: ...

    def set_aside(self, key: RecordKey, reason: str) -> bool:
        """Keep a waiting record, but never send it again; False if none of that name waits."""


@dataclass(slots=True)
class UplinkCounters:
    """What the link did since the start; `last_reason` is the latest trouble, for a person.

    `is_locator_older`: it may not take what only this version says, which waits until it does.
    """

    connects: int = 0
    published: int = 0
    receipts: int = 0
    delivered: int = 0
    refused: int = 0
    bad_receipts: int = 0
    set_aside: int = 0
    is_locator_older: bool = False
    last_reason: str = ""


class Uplink:
    """Feeds one outbox to one broker until receipts have emptied it.

    `status` seals the status message for (backlog, connects); `on_command` is told the verb and
    payload of what comes on a command topic. When `keyid` tells another key than when the
    connection began, it is made afresh, once all replies are gone: its last will was signed by the
    key before. As much is without the broker's answer as fills the line, at most `window` records,
    and at most MAX_UNRECEIPTED are without a receipt. Alerts do not count there: a receipt tells of
    so many gaps only, and what fills them must not wait for it. What is no young alert takes
    `max_kbit_s` of the line at most, if that is above 0. A broker may lose what it acknowledged,
    above all while no locator listens yet. So until a receipt comes on a connection, one record,
    the scout, is repeated from HASTY_NS on; and a receipt for a record tells that those handed over
    before it, if it lacks them, are lost.
    """

    def __init__(
        self,
        identity: Identity,
        outbox: CountedOutbox,
        publisher: Publisher,
        locator_keys: Mapping[str, Ed25519PublicKey],
        status: Callable[[int, int], bytes],
        rng: random.Random,
        window: int = 16,
        on_command: Callable[[str, bytes], None] = lambda verb, payload: None,
        keyid: Callable[[], str] = lambda: "",
        max_kbit_s: float = 0,
    ) -> None:
        self.counters = UplinkCounters()
        self._topic, self._source = identity.topic, identity.source
        self._outbox, self._publisher = outbox, publisher
        self._locator_keys = locator_keys
        self._seal_status = status
        self._window, self._budget = window, Budget(max_kbit_s)
        self._on_command = on_command
        self._keyid, self._keyid_of_will = keyid, ""
        self._replies: deque[tuple[str, bytes]] = deque(maxlen=MAX_REPLIES)
        self._reconnects, self._probes = BackOff(rng), BackOff(rng, MAX_PROBE_NS)
        self._link: Literal["down", "connecting", "up"] = "down"
        self._connect_at_ns = self._answered_ns = 0
        self._receipted: tuple[tuple[int, int], ...] = ()
        self._forget_connection(now_ns=0)

    @property
    def trouble(self) -> str:
        """Why nothing can be delivered, for a person; empty while all is well."""
        if self._link == "up":
            return self._refusal
        return self.counters.last_reason or "not connected yet"

    @property
    def is_up(self) -> bool:
        """Whether the broker has accepted us, whatever it then refuses."""
        return self._link == "up"

    @property
    def idle(self) -> bool:
        """True when every record is receipted and nothing is in flight."""
        return self._outbox.backlog() == 0 and not self._feed.in_flight

    def is_receipted(self, seq: int) -> bool:
        """Whether the latest receipt of this run names record `seq`; for any thread."""
        return any(first <= seq <= last for first, last in self._receipted)

    def reply(self, command_id: str, envelope: bytes) -> None:
        """Publish the answer to a command soon, from any thread; kept by nobody."""
        self._replies.append((f"{self._topic}/reply/{command_id}", envelope))

    def step(self, now_ns: int) -> None:
        """One turn at monotonic time `now_ns`, 0 or later; never waits. Raises StoreError."""
        if self._link == "down" and now_ns >= self._connect_at_ns:
            self._connect(now_ns)
        for event in self._publisher.poll():
            self._take(event, now_ns)
        if self._is_stalled(now_ns):
            waited = f"no answer from the broker for {SILENCE_NS // NS_PER_S} s"
            self._lose(f"{waited}: check antenna, cable and modem, then the broker", now_ns)
        if self._link == "up":
            while self._replies:
                self._replying.add(self._publisher.publish(*self._replies.popleft()))
            if self._keyid() != self._keyid_of_will and not self._replying:
                self.counters.last_reason = "connecting afresh, for the new key"
                self._connect(now_ns)
            else:
                self._send(now_ns)
                self._tell_status(now_ns)

    def _connect(self, now_ns: int) -> None:
        self._link, self._answered_ns, self._keyid_of_will = "connecting", now_ns, self._keyid()
        self._publisher.connect()

    def _take(self, event: LinkEvent, now_ns: int) -> None:
        match event:
            case Connected():
                self._link, self._answered_ns = "up", now_ns
                self.counters.connects += 1
                self._forget_connection(now_ns)
            case Lost(reason):
                self._lose(reason, now_ns)
            case Sent(token):
                self._reconnects.reset()
                self._replying.discard(token)
                self._on_sent(token, now_ns)
            case Refused(token, reason):
                self._replying.discard(token)
                self._on_refused(token, reason, now_ns)
            case Message(topic, payload):
                if topic == f"{self._topic}/receipt":
                    self._on_receipt(payload, now_ns)
                elif topic.startswith(f"{self._topic}/command/"):
                    self._on_command(topic.rpartition("/")[2], payload)

    def _forget_connection(self, now_ns: int) -> None:
        """What an earlier broker acknowledged it may have lost: all of it counts as unsent."""
        self._feed = Feed(self._window, self._budget, now_ns)
        self._replying: set[int] = set()
        self._refusal = ""
        self._open_window, self._feed_at_ns = self._window, 0
        self._told_backlog: int | None = None
        self._tell_at_ns = 0
        self._locator, self._introduced_ns = "", -1

    def _lose(self, reason: str, now_ns: int) -> None:
        if self._link == "down":
            return
        self._link = "down"
        self._feed.in_flight.clear()
        self._connect_at_ns = now_ns + self._reconnects.next_delay_ns()
        self.counters.last_reason = reason

    def _is_stalled(self, now_ns: int) -> bool:
        expecting = self._link == "connecting" or (
            self._link == "up" and bool(self._feed.in_flight)
        )
        return expecting and now_ns - self._answered_ns > SILENCE_NS

    def _send(self, now_ns: int) -> None:
        if now_ns >= self._feed_at_ns:
            for sealed in self._feed.next(self._outbox, self._open_window, now_ns):
                self._publish(sealed, now_ns)

    def _publish(self, sealed: Sealed, now_ns: int) -> None:
        if not self._feed.in_flight:
            self._answered_ns = now_ns
        topic = f"{self._topic}/event/{sealed.kind}"
        token = self._publisher.publish(topic, sealed.envelope)
        octets = PACKET_OCTETS + len(topic) + len(sealed.envelope)
        self._feed.hand_over(token, sealed, octets, now_ns)
        self.counters.published += 1

    def _on_sent(self, token: int, now_ns: int) -> None:
        if key := self._feed.answered(token, now_ns):
            self._answered_ns = now_ns
            self._feed.attempts.taken(key, now_ns)
            self._probes.reset()
            self._open_window, self._refusal = self._window, ""

    def _on_refused(self, token: int, reason: str, now_ns: int) -> None:
        """One record at a time goes out, ever more seldom, until the broker takes one again."""
        if key := self._feed.answered(token, now_ns):
            self._answered_ns = now_ns
            self._feed.attempts.refused(key, now_ns)
            if now_ns >= self._feed_at_ns:
                self._feed_at_ns = now_ns + self._probes.next_delay_ns()
            self._open_window = 1
            self.counters.refused += 1
            self.counters.last_reason = self._refusal = f"broker refused a record: {reason}"

    def _on_receipt(self, raw: bytes, now_ns: int) -> None:
        try:
            receipt = open_word(raw, self._locator_keys)
            if isinstance(receipt, Refusal):
                self._on_refusal(receipt, now_ns)
                return
            self._outbox.release(receipt)
        except RecordError as error:
            self.counters.bad_receipts += 1
            self.counters.last_reason = f"receipt ignored: {error}"
            return
        self.counters.receipts += 1
        self._meet(receipt.software, now_ns)
        ranges = [(1, receipt.upto_seq), *receipt.extra]
        self._receipted = tuple(ranges)
        attempts, was_refused = self._feed.attempts, bool(self._refusal)
        covered = attempts.settle(receipt.chain, ranges, was_refused=was_refused)
        self.counters.delivered += len(covered)
        self._feed.land(covered, now_ns)
        self._feed_at_ns = 0

    def _on_refusal(self, refusal: Refusal, now_ns: int) -> None:
        """What can never be a record is set aside, so that it is not sent for ever."""
        if refusal.source != self._source:
            raise ForgedRecord(f"refusal is for {refusal.source}")
        for never in refusal.refused:
            key = self._feed.attempts.find(never.sha256)
            if key is not None and self._outbox.set_aside(key, never.reason):
                log.error("record %s/%d is set aside, it can never verify: %s", *key, never.reason)
                self._feed.attempts.drop(key)
                self._feed.land({key}, now_ns)
                self.counters.set_aside += 1

    def _meet(self, software: str, now_ns: int) -> None:
        """Learn which locator it is; what another one did not take may go out at once."""
        if software and software != self._locator:
            self._locator, self.counters.is_locator_older = software, False
            self._feed.attempts.begin_again()
        knows_us = 0 <= self._introduced_ns < now_ns - INTRODUCTION_NS
        if not software and knows_us and not self.counters.is_locator_older:
            self.counters.is_locator_older = True
            log.warning("the locator is older than this node: what it does not know waits here")

    def _tell_status(self, now_ns: int) -> None:
        """At once on a new connection, later only when the backlog has changed markedly."""
        backlog, told = self._outbox.backlog(), self._told_backlog
        is_news = told is None or abs(backlog - told) >= max(self._window, told // 2)
        if not is_news or now_ns < self._tell_at_ns:
            return
        self._tell_at_ns = now_ns + STATUS_PERIOD_NS
        with suppress(TokenError):  # nothing can be signed now: told again in a while
            payload = self._seal_status(backlog, self.counters.connects)
            self._publisher.publish(f"{self._topic}/status", payload, retain=True)
            self._told_backlog = backlog
            self._introduced_ns = max(self._introduced_ns, 0) or now_ns
