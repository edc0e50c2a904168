"""Brings one command to the broker and waits for the node's signed reply, as a step function.

The command is addressed to the run of the node that is there, as its signed status tells it: no
other run can be made to obey it.
No thread and no clock is here. A node that is just connecting again gets the command once more,
which is harmless: it obeys an id once. A reply by an unknown key waits for the record that makes
the key known.
"""

from collections.abc import Callable

from msgspec import Struct

from agent.core.records.kinds import REPLY_TYPE, STATUS_TYPE, Status, parse
from agent.core.records.messages import TAKES_BOOT
from agent.core.trust import Command, Reply
from agent.core.units import NS_PER_MS, NS_PER_S
from agent.errors import LinkError, RecordError
from agent.ports import Connected, LinkEvent, Lost, Message, Publisher, Refused, Sent
from simulator.centre.operator.node_keys import Voice

AGAIN_NS = 500 * NS_PER_MS
STATUS_NS = 3 * NS_PER_S  # a status that the broker retains comes at once
MAX_REFUSALS = 2  # by a broker where nobody listens, of a node that is offline by its own word
MAX_HELD = 16
_NOBODY = "No matching subscribers"


class Answer(Struct, frozen=True, kw_only=True):
    """A reply that holds, and the key that signed it."""

    reply: Reply
    keyid: str


def topic_of(command: Command) -> str:
    """Root of the topics of the node that is commanded."""
    return "/".join(["earshot/v1", *command.source.split(":")[2:]])


def subscriptions(command: Command) -> tuple[str, ...]:
    """What the link must bring: the reply, changes of keys, and whether the node is there."""
    topic = topic_of(command)
    return (f"{topic}/reply/{command.id}", f"{topic}/event/key", f"{topic}/status")


class Courier:
    """Carries `envelope`, which holds `command`, over a link that subscribes `subscriptions`.

    `address` makes the envelope for one run of the node; without it `envelope` goes as it is.
    `voice` is the node's; `changes` are the records by which it was followed on the way. `lost`
    tells why the connection ended after the broker had taken the command.
    """

    def __init__(
        self,
        link: Publisher,
        command: Command,
        envelope: bytes,
        voice: Voice,
        address: Callable[[str], bytes] | None = None,
    ) -> None:
        self._link, self._command, self._envelope = link, command, envelope
        self._address = address
        self._voice, self._topic = voice, topic_of(command)
        self._reply_topic, self._key_topic, self._status_topic = subscriptions(command)
        self.is_up = self._is_taken = False
        self._send_at_ns: int | None = None
        self._token = self._refusals = 0
        self._held: list[bytes] = []
        self._status: bytes | None = None
        self.lost = ""
        self.answer: Answer | None = None
        self.changes: list[bytes] = []

    @property
    def is_over(self) -> bool:
        """True when nothing more is to come."""
        is_away = self._refusals > MAX_REFUSALS and self._is_online() is False
        return self.answer is not None or bool(self.lost) or is_away

    def step(self, now_ns: int) -> None:
        """One turn at monotonic time `now_ns`. Raises LinkError where the broker is of no use."""
        for event in self._link.poll():
            self._take(event, now_ns)
        if self._send_at_ns is not None and now_ns >= self._send_at_ns:
            self._send_at_ns = None
            status = self._told() if self._address else None
            if self._address and status and TAKES_BOOT in status.takes:
                self._envelope = self._address(status.boot)
            topic = f"{self._topic}/command/{self._command.verb}"
            self._token = self._link.publish(topic, self._envelope)

    def silence(self) -> str:
        """Why there is no reply, as far as one can tell from here, and what to look at."""
        if self.lost:
            return f"{self.lost}; whether it was obeyed is told by its chain"
        if self._held:
            return (
                f"a reply came, but not signed by its key {self._voice.keyid}: if that was "
                "changed, add the record that says so to the file of --handovers; if not, "
                "somebody speaks in its name"
            )
        if not self._is_taken:
            return f"nobody listens for it at this broker: {self._presence()}"
        return (
            f"{self._presence()}; does keys.operator_public in its settings name this operator's "
            "key, and is its clock right?"
        )

    def _take(self, event: LinkEvent, now_ns: int) -> None:
        match event:
            case Connected():
                self.is_up, self._send_at_ns = True, now_ns + (STATUS_NS if self._address else 0)
            case Lost(reason) if self._is_taken:
                self.lost = reason
            case Lost(reason):
                raise LinkError(reason)
            case Sent(token) if token == self._token:
                self._is_taken = True
            case Refused(token, reason) if token == self._token:
                if not reason.startswith(_NOBODY):
                    raise LinkError(f"refused to take the command: {reason}")
                self._send_at_ns, self._refusals = now_ns + AGAIN_NS, self._refusals + 1
            case Message(topic, payload) if topic == self._status_topic:
                self._status = payload
                if self._send_at_ns is not None and self._told():
                    self._send_at_ns = min(self._send_at_ns, now_ns)
            case Message(topic, payload) if topic == self._key_topic:
                self._follow(payload)
            case Message(topic, payload) if topic == self._reply_topic:
                self._held = [*self._held, payload][-MAX_HELD:]
                self._judge()

    def _follow(self, raw: bytes) -> None:
        try:
            is_new = self._voice.follow(raw)
        except RecordError:
            return
        if is_new:
            self.changes.append(raw)
            self._judge()

    def _judge(self) -> None:
        """Take the first reply that holds; keep what an heir may have signed."""
        for raw in self._held:
            try:
                opened = self._voice.open(raw)
                reply = parse(opened.payload, Reply)
            except RecordError:
                continue
            claims = (opened.payload_type, reply.id, reply.source)
            if claims == (REPLY_TYPE, self._command.id, self._command.source):
                self.answer = Answer(reply=reply, keyid=opened.keyid)
                return

    def _presence(self) -> str:
        if self._status is None:
            return "the node has never been at this broker"
        is_online = self._is_online()
        if is_online is None:
            return "the node's status is not signed by the key we know"
        return f"the node is {'online' if is_online else 'offline'}, by its last word"

    def _is_online(self) -> bool | None:
        """What its last status says; None if there is none, signed by the key we know."""
        status = self._told()
        return status.online if status else None

    def _told(self) -> Status | None:
        """Its last status, if that is signed by the key we know."""
        try:
            opened = self._voice.open(self._status or b"")
            return parse(opened.payload, Status) if opened.payload_type == STATUS_TYPE else None
        except RecordError:
            return None
