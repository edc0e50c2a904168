"""An MQTT broker and its links inside the process, for virtual time: same calls, same events.

It behaves as a broker at QoS 1 does towards the Publisher port: retained messages, wildcards,
last wills, sessions that may outlive a connection. Nothing happens but in a caller's call, so
that a run is deterministic; delay and bandwidth are not modelled. Faults are methods.
"""

from dataclasses import dataclass, field

from paho.mqtt.client import topic_matches_sub

from agent.ports import Connected, LinkEvent, Lost, Message, Refused, Sent, Will


@dataclass(slots=True)
class _Session:
    """What the broker knows of a client; `queue` is for one that is away."""

    filters: set[str] = field(default_factory=set)
    link: "VirtualPublisher | None" = None
    queue: list[Message] = field(default_factory=list)


class VirtualBroker:
    """Accepts `VirtualPublisher` links; starts up and running."""

    def __init__(self) -> None:
        self._down_reason = ""
        self._refusal = ""
        self._acknowledges = True
        self._forgets = False
        self._forget_all()

    def kill(self) -> None:
        """Die at once, as a broker without persistence: sessions, queues and retained go too."""
        self._down_reason = "connection refused by the virtual broker: is the broker running?"
        links = [session.link for session in self._sessions.values() if session.link]
        self._forget_all()
        for link in links:
            link.lose("connection to the virtual broker lost")

    def restart(self) -> None:
        """Accept connections again."""
        self._down_reason = ""

    def cut(self, client_id: str) -> None:
        """Break one client's connection; the broker speaks its will. It may connect again."""
        session = self._sessions.get(client_id)
        if session and (link := session.link):
            self._end(link)
            if link.last_words:
                self.route(*link.last_words, retain=True)
            link.lose("connection to the virtual broker lost")

    def refuse(self, reason: str = "") -> None:
        """Answer every publish with a failure until called without a reason."""
        self._refusal = reason

    def drop_pubacks(self, dropping: bool = True) -> None:
        """Route what is published but say nothing to the publisher."""
        self._acknowledges = not dropping

    def forget(self, forgetting: bool = True) -> None:
        """Acknowledge what is published and then lose it, as real brokers have done."""
        self._forgets = forgetting

    def accept(self, link: "VirtualPublisher") -> str:
        """Take a connection in place of the client's earlier one, or say why not."""
        if self._down_reason:
            return self._down_reason
        self.cut(link.client_id)
        if not link.persistent:
            self._drop_session(link.client_id)
        session = self._sessions.setdefault(link.client_id, _Session())
        session.link = link
        session.filters |= set(link.subscriptions)
        for topic_filter in link.subscriptions:
            self._subscribers.setdefault(topic_filter, {})[link.client_id] = session
        link.push(Connected())
        for message in session.queue:
            link.push(message)
        session.queue = []
        for topic, payload in self._retained.items():
            if any(topic_matches_sub(one, topic) for one in link.subscriptions):
                link.push(Message(topic, payload))
        return ""

    def release(self, link: "VirtualPublisher") -> None:
        """A clean good-bye: no will is spoken."""
        self._end(link)

    def take(self, topic: str, payload: bytes, *, retain: bool) -> str | None:
        """One publish: "" for success, a reason for failure, None for no answer at all."""
        if self._refusal:
            return self._refusal
        found = self._forgets or self.route(topic, payload, retain=retain)
        answer = "" if found else "No matching subscribers"
        return answer if self._acknowledges else None

    def route(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        """Hand a message to every session that wants it, once; True if there was any."""
        if retain:
            self._retained[topic] = payload
        wanted = dict(self._subscribers.get(topic, {}))
        for topic_filter, sessions in self._subscribers.items():
            if ("+" in topic_filter or "#" in topic_filter) and (
                topic_matches_sub(topic_filter, topic)
            ):
                wanted |= sessions
        for session in wanted.values():
            message = Message(topic, payload)
            if session.link:
                session.link.push(message)
            else:
                session.queue.append(message)
        return bool(wanted)

    def _end(self, link: "VirtualPublisher") -> None:
        session = self._sessions.get(link.client_id)
        if session and session.link is link:
            session.link = None
            if not link.persistent:
                self._drop_session(link.client_id)

    def _drop_session(self, client_id: str) -> None:
        if session := self._sessions.pop(client_id, None):
            for topic_filter in session.filters:
                del self._subscribers[topic_filter][client_id]

    def _forget_all(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._subscribers: dict[str, dict[str, _Session]] = {}
        self._retained: dict[str, bytes] = {}


class VirtualPublisher:
    """Publisher port over a `VirtualBroker`; `persistent` sessions outlive a connection."""

    def __init__(
        self,
        broker: VirtualBroker,
        client_id: str,
        subscriptions: tuple[str, ...] = (),
        will: Will | None = None,
        *,
        persistent: bool = False,
    ) -> None:
        self.client_id, self.subscriptions = client_id, subscriptions
        self._will, self.persistent = will, persistent
        self.last_words: tuple[str, bytes] | None = None
        self._broker = broker
        self._events: list[LinkEvent] = []
        self._is_up = False
        self._token = 0

    def connect(self) -> None:
        """Leave any connection and start a new one; `Connected` or `Lost` follows in `poll`."""
        self.close()
        self._is_up, self.last_words = True, self._will() if self._will else None
        if reason := self._broker.accept(self):
            self.lose(reason)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Hand over one QoS 1 message; its token returns in `Sent` or `Refused`, if ever."""
        self._token += 1
        if self._is_up:
            answer = self._broker.take(topic, payload, retain=retain)
            if answer is not None:
                self.push(Refused(self._token, answer) if answer else Sent(self._token))
        return self._token

    def poll(self) -> list[LinkEvent]:
        """What happened since the last call, in order. Tokens die with their connection."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Disconnect cleanly and free everything."""
        self._is_up = False
        self._broker.release(self)
        self._events = [event for event in self._events if isinstance(event, Message)]

    def push(self, event: LinkEvent) -> None:
        """The broker's side of the wire: something for `poll`."""
        self._events.append(event)

    def lose(self, reason: str) -> None:
        """The broker's side of the wire: it is gone."""
        self._is_up = False
        self.push(Lost(reason))
