"""A thin line in virtual time: a Publisher whose messages take their turn, at so many bit/s.

Each way is a queue of packets before a line of one rate, then a delay; TCP and IP take 40 octets a
segment of 1 400. The broker at the far end is the virtual one. Nothing is ever lost.
"""

from collections import deque
from dataclasses import dataclass, field

from agent.core.units import NS_PER_S
from agent.ports import Connected, LinkEvent, Lost, Message, Refused, Sent, Will
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher

SEGMENT_OCTETS, HEADER_OCTETS = 1_400, 40
PUBLISH_OCTETS, PUBACK_OCTETS = 8, 4


@dataclass
class OneWay:
    """`octets` counts what MQTT put on the line, without TCP and IP."""

    bit_s: float
    delay_ns: int
    octets: int = 0
    _free_ns: int = 0
    _under_way: deque[tuple[int, object]] = field(default_factory=deque)

    def put(self, what: object, octets: int, now_ns: int) -> None:
        segments = -(-octets // SEGMENT_OCTETS)
        on_line = octets + segments * HEADER_OCTETS
        self.octets += octets
        self._free_ns = max(self._free_ns, now_ns) + round(on_line * 8 * NS_PER_S / self.bit_s)
        self._under_way.append((self._free_ns + self.delay_ns, what))

    def due(self, now_ns: int) -> list[tuple[int, object]]:
        """What has come out at the far end by now, and when."""
        found = []
        while self._under_way and self._under_way[0][0] <= now_ns:
            found.append(self._under_way.popleft())
        return found

    def clear(self) -> None:
        self._under_way.clear()


class ThinLine:
    """Publisher port over a line; whoever runs the time calls `advance` at every step."""

    def __init__(
        self,
        broker: VirtualBroker,
        client_id: str,
        subscriptions: tuple[str, ...],
        will: Will | None = None,
        *,
        bit_s: float,
        round_trip_ns: int,
    ) -> None:
        self.up = OneWay(bit_s, round_trip_ns // 2)
        self.down = OneWay(bit_s, round_trip_ns // 2)
        self._inner = VirtualPublisher(broker, client_id, subscriptions, will)
        self._tokens: dict[int, int] = {}  # of the broker's end: ours
        self._token, self._now_ns = 0, 0

    def connect(self) -> None:
        """The handshakes take two round trips."""
        self.up.clear()
        self.down.clear()
        self.up.put(None, 300, self._now_ns)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        self._token += 1
        octets = PUBLISH_OCTETS + len(topic) + len(payload)
        self.up.put((self._token, topic, payload, retain), octets, self._now_ns)
        return self._token

    def poll(self) -> list[LinkEvent]:
        return [event for _, event in self.down.due(self._now_ns)]

    def close(self) -> None:
        self._inner.close()

    def advance(self, now_ns: int) -> None:
        """Let time pass at both ends."""
        self._now_ns = now_ns
        for came_ns, said in self.up.due(now_ns):
            if said is None:
                self._inner.connect()
            else:
                token, topic, payload, retain = said
                self._tokens[self._inner.publish(topic, payload, retain=retain)] = token
            self._bring(came_ns)
        self._bring(now_ns)

    def _bring(self, now_ns: int) -> None:
        for event in self._inner.poll():
            match event:
                case Sent(token):
                    self.down.put(Sent(self._tokens.pop(token)), PUBACK_OCTETS, now_ns)
                case Refused(token, reason):
                    self.down.put(Refused(self._tokens.pop(token), reason), PUBACK_OCTETS, now_ns)
                case Message(topic, payload):
                    octets = PUBLISH_OCTETS + len(topic) + len(payload)
                    self.down.put(event, octets, now_ns)
                    self.up.octets += PUBACK_OCTETS
                case Connected() | Lost():
                    self.down.put(event, PUBACK_OCTETS, now_ns)
