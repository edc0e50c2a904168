"""The Publisher port over one connection at a time.

A connection ends for good with one `Lost`, and whoever calls `connect` again decides when.
"""

import threading
from collections.abc import Callable

from agent.adapters.mqtt.connection import Connection, token_of
from agent.adapters.mqtt.route import MqttOptions, route_of
from agent.ports import LinkEvent, Message

_CLOSE_S = 3.0


class MqttLink:
    """Publisher port over MQTT 5 or 3.1.1; `wakeup` is called after every event, on any thread.

    Protocol "auto" offers MQTT 5 until the broker has answered 3.1.1 alone. Raises LinkError for a
    URL or TLS files that cannot work.
    """

    def __init__(self, options: MqttOptions, wakeup: Callable[[], None] = lambda: None) -> None:
        self._route = route_of(options)
        self._wakeup = wakeup
        self._lock = threading.Lock()
        self._events: list[LinkEvent] = []
        self._generation = 0
        self._current: Connection | None = None
        self._running: list[Connection] = []

    def connect(self) -> None:
        """Leave any connection and start a new one; `Connected` or `Lost` follows in `poll`."""
        with self._lock:
            former = self._current
            self._drop_current()
            self._generation += 1
            fresh = Connection(self._route, self._generation, self._report, former)
            self._running = [one for one in self._running if one.is_alive()] + [fresh]
            self._current = fresh
        fresh.start()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Hand over one QoS 1 message; its token returns in `Sent` or `Refused`, if ever."""
        mid = self._current.publish(topic, payload, retain=retain) if self._current else 0
        return token_of(self._generation, mid)

    def poll(self) -> list[LinkEvent]:
        """What happened since the last call, in order. Tokens die with their connection."""
        with self._lock:
            events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Disconnect cleanly and free everything; waits a few seconds at most."""
        with self._lock:
            self._drop_current()
        for connection in self._running:
            connection.join(_CLOSE_S)

    def _drop_current(self) -> None:
        if self._current:
            self._current.end()
            self._current = None
        self._events = [event for event in self._events if isinstance(event, Message)]

    def _report(self, connection: Connection, event: LinkEvent) -> None:
        with self._lock:
            if connection is not self._current:
                return
            self._events.append(event)
        self._wakeup()
