"""The locator's wire: one connection that is made again whenever it is lost.

What was handed to the broker without an answer is handed to it again on the next connection, so
a letter may arrive twice. A broker may forget what it retained: the latest retained letter of each
topic is said again on each connection, which also tells the nodes that the locator is there. A
broker that refuses a letter is not asked again: it knows no reader, or does not allow us to speak.
"""

import logging
import random
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from agent.core.trust.backoff import BackOff
from agent.core.units import NS_PER_S
from agent.ports import Connected, LinkEvent, Lost, Message, Publisher, Refused, Sent

SILENCE_NS = 30 * NS_PER_S

log = logging.getLogger("earshot.locator")


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to publish."""

    topic: str
    payload: bytes
    retain: bool = False


class Post:
    """Takes and brings messages over one Publisher; `rng` spreads the reconnects.

    `trouble` is the latest reason for a lost connection; `refused` counts letters by reason.
    """

    def __init__(self, publisher: Publisher, rng: random.Random) -> None:
        self.refused: Counter[str] = Counter()
        self.trouble = ""
        self._publisher = publisher
        self._back_off = BackOff(rng)
        self._link: Literal["down", "connecting", "up"] = "down"
        self._connect_at_ns = self._answered_ns = 0
        self._waiting: list[Letter] = []
        self._in_flight: dict[int, Letter] = {}
        self._retained: dict[str, Letter] = {}

    @property
    def is_up(self) -> bool:
        """True while the broker has accepted us and knows what we want to hear."""
        return self._link == "up"

    @property
    def idle(self) -> bool:
        """True when the broker has answered for every letter."""
        return not self._waiting and not self._in_flight

    def receive(self, now_ns: int) -> list[Message]:
        """What has come by `now_ns`, monotonic, 0 or later; connects where needed, never waits."""
        if self._link == "down" and now_ns >= self._connect_at_ns:
            self._link, self._answered_ns = "connecting", now_ns
            self._publisher.connect()
        messages = []
        for event in self._publisher.poll():
            if isinstance(event, Message):
                messages.append(event)
            else:
                self._take(event, now_ns)
        expecting = self._link == "connecting" or self._in_flight
        if expecting and now_ns - self._answered_ns > SILENCE_NS:
            self._lose(f"no answer from the broker for {SILENCE_NS // NS_PER_S} s", now_ns)
        return messages

    def say(self, letter: Letter) -> None:
        """Publish `letter` with the next `send` that finds a connection."""
        if letter.retain:
            self._retained[letter.topic] = letter
        self._waiting.append(letter)

    def send(self, now_ns: int) -> None:
        """Hand over what waits."""
        if self._link != "up":
            return
        if not self._in_flight:
            self._answered_ns = now_ns
        for letter in self._waiting:
            token = self._publisher.publish(letter.topic, letter.payload, retain=letter.retain)
            self._in_flight[token] = letter
        self._waiting = []

    def _take(self, event: LinkEvent, now_ns: int) -> None:
        self._answered_ns = now_ns
        match event:
            case Connected():
                self._link = "up"
                self._back_off.reset()
                passing = [letter for letter in self._waiting if not letter.retain]
                self._waiting = [*passing, *self._retained.values()]
                log.info("connected to the broker")
            case Lost(reason):
                self._lose(reason, now_ns)
            case Sent(token):
                self._in_flight.pop(token, None)
            case Refused(token, reason):
                if self._in_flight.pop(token, None):
                    self.refused[reason] += 1

    def _lose(self, reason: str, now_ns: int) -> None:
        if self._link == "down":
            return
        self._link = "down"
        self._connect_at_ns = now_ns + self._back_off.next_delay_ns()
        self._waiting = [*self._in_flight.values(), *self._waiting]
        self._in_flight = {}
        self.trouble = reason
        log.warning("%s; trying again", reason)
