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
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.adapters.mqtt.incoming import MAX_PACKET_BYTES, Incoming
from agent.adapters.mqtt.manner import V5, Manner
from agent.adapters.mqtt.route import Route, explain
from agent.core.trust import link_advice
from agent.core.units import NS_PER_S
from agent.ports import Connected, LinkEvent, Lost, Message, Refused, Sent

_NO_MATCHING_SUBSCRIBERS = 0x10
_KEEP_ALIVE_TIMEOUT = 0x8D
_PACKET_TOO_LARGE = 0x95
_RETAIN_NOT_SUPPORTED = 0x9A
_TLS_ALERT = re.compile(r"\[SSL: (\w+)\]")
_LOOP_S = 1.0
_GOOD_BYE_S = 3.0
_MAX_IN_FLIGHT = 20
_PUBLISH_OCTETS = 16  # of the packet, beside topic and payload
UNANSWERED_NS = 7 * NS_PER_S  # a CONNECT, where another version is left to try
SLOW_NS = 17 * NS_PER_S  # else; both together before the uplink gives up
UNCONFIRMED_NS = 15 * NS_PER_S  # subscriptions: alerts do not wait for them any longer


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
        self._manner = route.manners.first()
        self._refusal: int | None = None
        self._is_answered = self._is_told = self._is_silent = False
        self._patience_ns = SLOW_NS
        self._begun_ns = 0
        self._max_octets: int | None = None
        self._qos, self._retained = 1, set[int]()
        self._is_retaining, self._prompt = False, set[int]()
        self._reason = ""

    def run(self) -> None:
        """Whatever ends this thread, a bug in a callback too, is told as `Lost`."""
        if self._former:
            self._former.join(_GOOD_BYE_S)
            self._former = None
        try:
            self._seek_manner()
        except Exception as error:
            self._reason = explain(error, self._route)
        finally:
            self.client = None
        is_open = self._is_retaining or self._retained
        if is_open and self._is_answered and not self._ending.is_set():
            self._route.manners.retained_message(is_answered=False)
        self._emit(self, Lost(self._reason or self._why_silent()))

    def end(self) -> None:
        """Say good-bye and let the thread end within seconds; never waits."""
        self._ending.set()
        if client := self.client:
            client.disconnect()

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> int:
        """Hand over one message; its number among those of this connection, 0 for no connection."""
        if not (client := self.client):
            return 0
        may_retain = retain and self._manner.retains
        octets = _PUBLISH_OCTETS + len(topic.encode()) + len(payload)
        if self._max_octets and octets > self._max_octets:
            mid = client._mid_generate()
            told = link_advice.refusal(_PACKET_TOO_LARGE, "Packet too large")
            self._emit(self, Refused(token_of(self._generation, mid), told))
            return int(mid)
        self._is_retaining = may_retain  # the answer may be here before the number is
        mid = client.publish(topic, payload, qos=self._qos, retain=may_retain).mid
        if may_retain:
            self._retained.add(mid)
            self._is_retaining = False
            if mid in self._prompt:
                self._retained_is_answered(mid)
            self._prompt.clear()
        return mid

    def _seek_manner(self) -> None:
        """Converse in the first manner that the broker answers."""
        tried: list[Manner] = []
        while True:
            tried.append(self._manner)
            self._refusal, self._is_silent = None, False
            is_last = self._route.manners.next(tried, None, is_silent=True) is None
            self._patience_ns = SLOW_NS if is_last else UNANSWERED_NS
            self._converse(self._manner)
            if self._is_answered or self._ending.is_set():
                return
            told, manners = self._reason, self._route.manners
            manner = manners.next(tried, self._refusal, is_silent=self._is_silent)
            if manner is None:
                break
            self._manner, self._reason = manner, ""
        self._route.manners.failed()
        self._reason = told

    def _why_silent(self) -> str:
        if self._is_answered:
            often = "if this is frequent, check the network, and that no other has our node.id"
            return f"connection to {self._route} lost: {often}"
        return f"{self._route} hung up: is it a broker, and with TLS if broker.url says mqtts?"

    def _converse(self, manner: Manner) -> None:
        route, clean = self._route, not self._route.options.session_expiry_s
        where = (route.host, route.port, route.options.keepalive_s)
        is_v5 = manner.version == V5
        self.client = client = self._new_client(manner, None if is_v5 else clean)
        try:
            if is_v5:
                lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                lasting.SessionExpiryInterval = route.options.session_expiry_s
                lasting.MaximumPacketSize = MAX_PACKET_BYTES
                client.connect(*where, clean_start=clean, properties=lasting)
            else:
                client.connect(*where)
            if not self._ending.is_set():
                self._loop(client, is_v5=is_v5)
        finally:
            _close(client)

    def _loop(self, client: Client, *, is_v5: bool) -> None:
        incoming = Incoming(client)
        self._begun_ns = time.monotonic_ns()
        while (ended := client.loop(_LOOP_S)) == MQTTErrorCode.MQTT_ERR_SUCCESS:
            if self._ending.is_set():
                client.loop(_LOOP_S)  # writes the DISCONNECT
                return
            now_ns = time.monotonic_ns()
            if excess := incoming.excess(now_ns):
                self._reason = f"connection to {self._route} lost: it sent a packet with {excess}"
                return
            if not self._is_answered and now_ns - self._begun_ns > self._patience_ns:
                self._is_silent = True
                self._reason = (
                    f"{self._route} takes the connection and says nothing: is it a broker?"
                )
                return
            if not self._is_told and now_ns - self._begun_ns > UNCONFIRMED_NS:
                self._tell_connected()
        if ended == MQTTErrorCode.MQTT_ERR_PROTOCOL:
            self._reason = self._reason or self._why_no_mqtt(is_v5)

    def _why_no_mqtt(self, is_v5: bool) -> str:
        if self._is_answered:
            often = "if this is frequent, look at the broker's log, and at what lies between"
            return f"connection to {self._route} lost: it sent what is no MQTT: {often}"
        spoken = "MQTT 5" if is_v5 else "MQTT 3.1.1"
        return f"{self._route} does not speak {spoken}: is it a broker? Then set broker.protocol"

    def _new_client(self, manner: Manner, clean_session: bool | None) -> Client:
        options = self._route.options
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=manner.client_id(options.client_id),
            clean_session=clean_session,
            protocol=manner.version,
            reconnect_on_failure=False,
        )
        if options.will and manner.will != "none":
            client.will_set(*options.will(), qos=1, retain=manner.will == "retained")
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

    def _on_connect(
        self, client: Client, _: Any, __: Any, code: ReasonCode, told: Properties | None
    ) -> None:
        if code.is_failure:
            self._refusal = code.value
            self._reason = f"{self._route} refused this node: {_told(code)}"
            return
        self._is_answered = True
        self._route.manners.worked(self._manner)
        self._heed(client, told)
        if self._route.options.subscriptions:
            client.subscribe([(topic, 1) for topic in self._route.options.subscriptions])
        else:
            self._tell_connected()

    def _heed(self, client: Client, told: Properties | None) -> None:
        """What a broker of MQTT 5 says that it cannot do."""
        self._max_octets = getattr(told, "MaximumPacketSize", None)
        self._qos = min(1, getattr(told, "MaximumQoS", 1))
        most = min(_MAX_IN_FLIGHT, getattr(told, "ReceiveMaximum", _MAX_IN_FLIGHT))
        client._max_inflight_messages = most  # nothing is in flight yet: paho has no way to say so
        if not getattr(told, "RetainAvailable", 1):
            self._route.manners.refuses_retained()
            self._manner = self._route.manners.first()

    def _tell_connected(self) -> None:
        self._is_told = True
        self._emit(self, Connected())

    def _on_subscribe(
        self, client: Client, _: Any, __: int, codes: list[ReasonCode], ___: Any
    ) -> None:
        answers = zip(self._route.options.subscriptions, codes, strict=False)
        refused = [f"{topic}: {_told(code)}" for topic, code in answers if code.is_failure]
        if refused:
            self._reason = f"{self._route} refused to subscribe {', '.join(refused)}"
            client.disconnect()
        elif not self._is_told:
            self._tell_connected()

    def _on_publish(self, _: Client, __: Any, mid: int, code: ReasonCode, ___: Any) -> None:
        if self._is_retaining:
            self._prompt.add(mid)
        if mid in self._retained:
            self._retained_is_answered(mid)
        token = token_of(self._generation, mid)
        failed = code.is_failure or code.value == _NO_MATCHING_SUBSCRIBERS
        self._emit(self, Refused(token, _told(code)) if failed else Sent(token))

    def _retained_is_answered(self, mid: int) -> None:
        self._retained.discard(mid)
        self._route.manners.retained_message(is_answered=True)

    def _on_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        self._emit(self, Message(message.topic, bytes(message.payload)))

    def _on_disconnect(self, _: Client, __: Any, flags: Any, code: ReasonCode, ___: Any) -> None:
        if code.value == _RETAIN_NOT_SUPPORTED:
            self._route.manners.refuses_retained()
        if flags.is_disconnect_packet_from_server or code.value == _KEEP_ALIVE_TIMEOUT:
            self._reason = self._reason or f"connection to {self._route} lost: {_told(code)}"


def token_of(generation: int, mid: int) -> int:
    """paho numbers the messages of one client from 1 to 65535."""
    return generation << 16 | mid


def _close(client: Client) -> None:
    """Whatever paho left open; it would leave that to the garbage collector."""
    if socket := client.socket():
        socket.close()


def _told(code: ReasonCode) -> str:
    return link_advice.refusal(code.value, str(code))
