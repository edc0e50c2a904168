"""One way to the broker from its beginning to its `Lost`; the thread runs the network.

paho keeps its queue in memory, ignores its window on reconnect and loses its thread to any
exception, so nothing of it is used twice. Who connects again, and when, is not known here.
"""

import re
import threading
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.adapters.mqtt.incoming import MAX_PACKET_BYTES, Incoming
from agent.adapters.mqtt.route import Route, explain
from agent.core.trust import link_advice
from agent.ports import Connected, LinkEvent, Lost, Message, Refused, Sent

_NO_MATCHING_SUBSCRIBERS = 0x10
_UNSUPPORTED_PROTOCOL_VERSION = 0x84
_KEEP_ALIVE_TIMEOUT = 0x8D
_TLS_ALERT = re.compile(r"\[SSL: (\w+)\]")
_LOOP_S = 1.0
_GOOD_BYE_S = 3.0


class Connection(threading.Thread):
    """Tells `report` all that happens, from any thread; `Lost` comes last, and once.

    It lets `former` say its good-bye first, so that the broker does not take it for dead.
    """

    def __init__(
        self,
        route: Route,
        generation: int,
        report: Callable[["Connection", LinkEvent], None],
        former: "Connection | None" = None,
    ) -> None:
        super().__init__(name=f"mqtt-{generation}", daemon=True)
        self.client: Client | None = None
        self._route = route
        self._generation = generation
        self._emit, self._former = report, former
        self._ending = threading.Event()
        self._version_refused = self._is_answered = False
        self._reason = ""

    def run(self) -> None:
        """Whatever ends this thread, a bug in a callback too, is told as `Lost`."""
        protocols = self._route.protocols
        if self._former:
            self._former.join(_GOOD_BYE_S)
            self._former = None
        try:
            self._converse(protocols[0])
            if self._version_refused and len(protocols) > 1:
                del protocols[0]
                self._reason = ""
                self._converse(protocols[0])
        except Exception as error:
            self._reason = explain(error, self._route)
        finally:
            self.client = None
        self._emit(self, Lost(self._reason or self._why_silent()))

    def end(self) -> None:
        """Say good-bye and let the thread end within seconds; never waits."""
        self._ending.set()
        if client := self.client:
            client.disconnect()

    def _why_silent(self) -> str:
        if self._is_answered:
            often = "if this is frequent, check the network, and that no other has our node.id"
            return f"connection to {self._route} lost: {often}"
        return f"{self._route} hung up: is it a broker, and with TLS if broker.url says mqtts?"

    def _converse(self, protocol: MQTTProtocolVersion) -> None:
        route, clean = self._route, not self._route.options.session_expiry_s
        where = (route.host, route.port, route.options.keepalive_s)
        is_v5 = protocol == MQTTProtocolVersion.MQTTv5
        self.client = client = self._new_client(protocol, None if is_v5 else clean)
        if is_v5:
            lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            lasting.SessionExpiryInterval = route.options.session_expiry_s
            lasting.MaximumPacketSize = MAX_PACKET_BYTES
            client.connect(*where, clean_start=clean, properties=lasting)
        else:
            client.connect(*where)
        if self._ending.is_set():
            return
        incoming = Incoming(client)
        while (ended := client.loop(_LOOP_S)) == MQTTErrorCode.MQTT_ERR_SUCCESS:
            if self._ending.is_set():
                client.loop(_LOOP_S)  # writes the DISCONNECT
                return
            if excess := incoming.excess(time.monotonic_ns()):
                self._reason = f"connection to {route} lost: it sent a packet with {excess}"
                return
        if ended == MQTTErrorCode.MQTT_ERR_PROTOCOL:
            self._reason = self._reason or self._why_no_mqtt(is_v5)

    def _why_no_mqtt(self, is_v5: bool) -> str:
        if self._is_answered:
            often = "if this is frequent, look at the broker's log, and at what lies between"
            return f"connection to {self._route} lost: it sent what is no MQTT: {often}"
        spoken = "MQTT 5" if is_v5 else "MQTT 3.1.1"
        return f"{self._route} does not speak {spoken}: is it a broker? Then set broker.protocol"

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
            client.will_set(*options.will(), qos=1, retain=True)
        if self._route.tls:
            client.tls_set_context(self._route.tls)
            client.on_log = self._on_log
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        # With this set, `publish` leaves all writing to the one thread that runs `loop`.
        client.on_socket_register_write = lambda *_: None
        return client

    def _on_log(self, _: Client, __: Any, level: int, told: str) -> None:
        """paho only logs what the broker says of our certificate under TLS 1.3."""
        if level == LogLevel.MQTT_LOG_ERR and (alert := _TLS_ALERT.search(told)):
            self._reason = self._route.tls_failure(alert[1])

    def _on_connect(self, client: Client, _: Any, __: Any, code: ReasonCode, ___: Any) -> None:
        self._is_answered = True
        if code.is_failure:
            self._version_refused = code.value == _UNSUPPORTED_PROTOCOL_VERSION
            self._reason = f"{self._route} refused this node: {_told(code)}"
        elif self._route.options.subscriptions:
            client.subscribe([(topic, 1) for topic in self._route.options.subscriptions])
        else:
            self._emit(self, Connected())

    def _on_subscribe(
        self, client: Client, _: Any, __: int, codes: list[ReasonCode], ___: Any
    ) -> None:
        refused = [
            f"{topic}: {_told(code)}"
            for topic, code in zip(self._route.options.subscriptions, codes, strict=True)
            if code.is_failure
        ]
        if refused:
            self._reason = f"{self._route} refused to subscribe {', '.join(refused)}"
            client.disconnect()
        else:
            self._emit(self, Connected())

    def _on_publish(self, _: Client, __: Any, mid: int, code: ReasonCode, ___: Any) -> None:
        token = token_of(self._generation, mid)
        failed = code.is_failure or code.value == _NO_MATCHING_SUBSCRIBERS
        self._emit(self, Refused(token, _told(code)) if failed else Sent(token))

    def _on_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        self._emit(self, Message(message.topic, bytes(message.payload)))

    def _on_disconnect(self, _: Client, __: Any, flags: Any, code: ReasonCode, ___: Any) -> None:
        if flags.is_disconnect_packet_from_server or code.value == _KEEP_ALIVE_TIMEOUT:
            self._reason = self._reason or f"connection to {self._route} lost: {_told(code)}"


def token_of(generation: int, mid: int) -> int:
    """paho numbers the messages of one client from 1 to 65535."""
    return generation << 16 | mid


def _told(code: ReasonCode) -> str:
    return link_advice.refusal(code.value, str(code))
