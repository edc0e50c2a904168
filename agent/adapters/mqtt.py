"""The broker over paho-mqtt: one disposable client and thread per connection (Publisher port).

paho keeps its queue in memory, ignores its window on reconnect and loses its thread to any
exception, so nothing of it is used twice: a connection ends for good with one `Lost`, and whoever
calls `connect` again decides when. Persistence, windows and back-off are not here.
"""

import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.errors import LinkError
from agent.ports import Connected, LinkEvent, Lost, Message, Refused, Sent

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_PROTOCOLS = {
    "auto": (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311),
    "5": (MQTTProtocolVersion.MQTTv5,),
    "3.1.1": (MQTTProtocolVersion.MQTTv311,),
}
_NO_MATCHING_SUBSCRIBERS = 0x10
_UNSUPPORTED_PROTOCOL_VERSION = 0x84
_LOOP_S = 1.0
_CLOSE_S = 3.0


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """How to reach a broker. `url` is mqtt://HOST[:PORT], or mqtts://HOST[:PORT] for TLS.

    `session_expiry_s` 0 asks for a clean session; above 0 the broker keeps subscriptions and
    queued messages while we are away (MQTT 3.1.1: for as long as it likes). `will` is the topic
    and payload that the broker publishes, retained, when the connection dies. `ca`, `cert` and
    `key` are PEM files for TLS; without `ca` the system's authorities count.
    """

    url: str
    client_id: str
    protocol: Literal["auto", "3.1.1", "5"] = "auto"
    subscriptions: tuple[str, ...] = ()
    will: tuple[str, bytes] | None = None
    session_expiry_s: int = 0
    keepalive_s: int = 15
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


class MqttLink:
    """Publisher port over MQTT 5 or 3.1.1; `wakeup` is called after every event, on any thread.

    Protocol "auto" offers MQTT 5 until the broker has said that it knows only 3.1.1. Raises
    LinkError for a URL or TLS files that cannot work.
    """

    def __init__(self, options: MqttOptions, wakeup: Callable[[], None] = lambda: None) -> None:
        host, port, secure = _parse_url(options.url)
        tls = _tls_context(options) if secure else None
        self._route = _Route(options, host, port, tls, list(_PROTOCOLS[options.protocol]))
        self._wakeup = wakeup
        self._lock = threading.Lock()
        self._events: list[LinkEvent] = []
        self._generation = 0
        self._current: _Connection | None = None
        self._running: list[_Connection] = []

    def connect(self) -> None:
        """Drop any connection and start a new one; `Connected` or `Lost` follows in `poll`."""
        with self._lock:
            self._drop_current()
            self._generation += 1
            fresh = _Connection(self._route, self._generation, self._report)
            self._running = [one for one in self._running if one.is_alive()] + [fresh]
            self._current = fresh
        fresh.start()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Hand over one QoS 1 message; its token returns in `Sent` or `Refused`, if ever."""
        client = self._current.client if self._current else None
        mid = client.publish(topic, payload, qos=1, retain=retain).mid if client else 0
        return _token(self._generation, mid)

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

    def _report(self, connection: "_Connection", event: LinkEvent) -> None:
        with self._lock:
            if connection is not self._current:
                return
            self._events.append(event)
        self._wakeup()


@dataclass(frozen=True, slots=True)
class _Route:
    """Where to connect and how; `protocols` gets shorter when the broker refuses a version."""

    options: MqttOptions
    host: str
    port: int
    tls: ssl.SSLContext | None
    protocols: list[MQTTProtocolVersion]

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class _Connection(threading.Thread):
    """One way to the broker from its beginning to its `Lost`; the thread runs the network."""

    def __init__(
        self,
        route: _Route,
        generation: int,
        report: Callable[["_Connection", LinkEvent], None],
    ) -> None:
        super().__init__(name=f"mqtt-{generation}", daemon=True)
        self.client: Client | None = None
        self._route = route
        self._generation = generation
        self._emit = report
        self._ending = threading.Event()
        self._version_refused = False
        self._reason = ""

    def run(self) -> None:
        """Whatever ends this thread, a bug in a callback too, is told as `Lost`."""
        protocols = self._route.protocols
        try:
            self._converse(protocols[0])
            if self._version_refused and len(protocols) > 1:
                del protocols[0]
                self._reason = ""
                self._converse(protocols[0])
        except Exception as error:
            self._reason = _explain(error, self._route)
        finally:
            self.client = None
        self._emit(self, Lost(self._reason or f"connection to {self._route} lost"))

    def end(self) -> None:
        """Say good-bye and let the thread end within seconds; never waits."""
        self._ending.set()
        if client := self.client:
            client.disconnect()

    def _converse(self, protocol: MQTTProtocolVersion) -> None:
        route, clean = self._route, not self._route.options.session_expiry_s
        where = (route.host, route.port, route.options.keepalive_s)
        is_v5 = protocol == MQTTProtocolVersion.MQTTv5
        self.client = client = self._new_client(protocol, None if is_v5 else clean)
        if is_v5:
            lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            lasting.SessionExpiryInterval = route.options.session_expiry_s
            client.connect(*where, clean_start=clean, properties=lasting)
        else:
            client.connect(*where)
        if self._ending.is_set():
            return
        while client.loop(_LOOP_S) == MQTTErrorCode.MQTT_ERR_SUCCESS:
            if self._ending.is_set():
                client.loop(_LOOP_S)  # writes the DISCONNECT
                return

    def _new_client(self, protocol: MQTTProtocolVersion, clean_session: bool | None) -> Client:
        options = self._route.options
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id,
            clean_session=clean_session,
            protocol=protocol,
            reconnect_on_failure=False,
        )
        if options.will:
            client.will_set(*options.will, qos=1, retain=True)
        if self._route.tls:
            client.tls_set_context(self._route.tls)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        # With this set, `publish` leaves all writing to the one thread that runs `loop`.
        client.on_socket_register_write = lambda *_: None
        return client

    def _on_connect(self, client: Client, _: Any, __: Any, code: ReasonCode, ___: Any) -> None:
        if code.is_failure:
            self._version_refused = code.value == _UNSUPPORTED_PROTOCOL_VERSION
            self._reason = f"{self._route} refused this node: {code}"
        elif self._route.options.subscriptions:
            client.subscribe([(topic, 1) for topic in self._route.options.subscriptions])
        else:
            self._emit(self, Connected())

    def _on_subscribe(
        self, client: Client, _: Any, __: int, codes: list[ReasonCode], ___: Any
    ) -> None:
        refused = [
            f"{topic}: {code}"
            for topic, code in zip(self._route.options.subscriptions, codes, strict=True)
            if code.is_failure
        ]
        if refused:
            self._reason = f"{self._route} refused to subscribe {', '.join(refused)}"
            client.disconnect()
        else:
            self._emit(self, Connected())

    def _on_publish(self, _: Client, __: Any, mid: int, code: ReasonCode, ___: Any) -> None:
        token = _token(self._generation, mid)
        failed = code.is_failure or code.value == _NO_MATCHING_SUBSCRIBERS
        self._emit(self, Refused(token, str(code)) if failed else Sent(token))

    def _on_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        self._emit(self, Message(message.topic, bytes(message.payload)))

    def _on_disconnect(self, _: Client, __: Any, flags: Any, code: ReasonCode, ___: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self._reason = self._reason or f"{self._route} ended the connection: {code}"


def _token(generation: int, mid: int) -> int:
    """paho numbers the messages of one client from 1 to 65535."""
    return generation << 16 | mid


def _parse_url(url: str) -> tuple[str, int, bool]:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise LinkError(f"{url!r} is no broker: write mqtt://HOST[:PORT] or mqtts://...") from None
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username:
        raise LinkError(f"{url!r} is no broker: write mqtt://HOST[:PORT] and nothing more")
    return parts.hostname, port, parts.scheme == "mqtts"


def _tls_context(options: MqttOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if options.cert:
            context.load_cert_chain(options.cert, options.key)
    except OSError as error:
        files = ", ".join(str(path) for path in (options.ca, options.cert, options.key) if path)
        raise LinkError(f"TLS files {files} cannot be used: {error.strerror or error}") from None
    return context


def _explain(error: Exception, route: _Route) -> str:
    match error:
        case ConnectionRefusedError():
            return f"connection refused by {route}: is the broker running?"
        case TimeoutError():
            return f"no answer from {route}: check the network and the address"
        case socket.gaierror():
            return f"{route.host} is unknown: check the name and the DNS"
        case ssl.SSLCertVerificationError():
            return f"certificate of {route} is not to be trusted: {error.verify_message}"
        case ssl.SSLError():
            return f"no TLS with {route}: {error.reason}"
        case OSError():
            return f"{route} cannot be reached: {error.strerror or error}"
        case _:
            return f"network thread of {route} died: {type(error).__name__}: {error}"
