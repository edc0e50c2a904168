"""The paho link beyond the port: versions, refusals, reasons a technician can read."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.adapters.mqtt.connection import _LOOP_S
from agent.app.uplink import SILENCE_NS
from agent.core.units import NS_PER_S
from agent.errors import LinkError
from agent.ports import Connected, Lost, Message, Refused, Sent
from tests.support.links import Collector, until, world_of
from tests.support.tiny_broker import (
    CONNACK_5,
    CONNECT,
    PUBLISH,
    SUBSCRIBE,
    WELCOME,
    puback_5,
    suback_5,
)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "broker",
        "http://broker",
        "mqtt://",
        "mqtt://:1883",
        "mqtt://b:99999",
        "mqtt://b:x",
        "mqtt://b/topic",
        "mqtt://user:word@b",
        "mqtt://[::1",
        "mqtt://b?x=1",
    ],
)
def test_a_url_that_is_no_broker_is_one_line(url: str) -> None:
    """The mistake is told when the link is made, with the form that works."""
    with pytest.raises(LinkError, match=r"is no broker: write mqtt://HOST") as told:
        MqttLink(MqttOptions(url, "n1"))
    assert "\n" not in str(told.value)


def test_a_missing_tls_file_is_named(tmp_path: Path) -> None:
    """Before anything goes over the network."""
    with pytest.raises(LinkError, match=r"TLS files .*ca.pem cannot be used: No such file"):
        MqttLink(MqttOptions("mqtts://broker", "n1", ca=tmp_path / "ca.pem"))


def test_nobody_home_is_told_with_a_remedy(link_to: Callable[..., Collector]) -> None:
    """A refused connection and an unknown name read as a person would say it."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        (lost,) = link_to(port).wait(Lost)
    assert lost.reason == f"connection refused by 127.0.0.1:{port}: is the broker running?"
    nowhere = MqttLink(MqttOptions("mqtt://no-such-host.invalid", "n1"))
    nowhere.connect()
    (lost,) = Collector(nowhere).wait(Lost)
    assert lost.reason == "no-such-host.invalid is unknown: check the name and the DNS"
    nowhere.close()


def test_auto_steps_down_to_311_once_and_remembers(link_to: Callable[..., Collector]) -> None:
    """A broker that knows only MQTT 3.1.1 costs one refusal, not one per connection."""
    with world_of("nats") as world:
        port = int(world.broker.url.rpartition(":")[2])
        link = link_to(port)
        for count in (1, 2, 3):
            # NATS now and then sends one away who comes back at once
            until(lambda done=count: len(link.seen(Connected) + link.seen(Lost)) >= done)
            link.publisher.connect()
        assert link.seen(Connected)
        (lost,) = link_to(port, protocol="5").wait(Lost)
        log = (world.broker._log).read_text()
    assert lost.reason == (
        f"127.0.0.1:{port} refused this node: Unsupported protocol version: "
        "set broker.protocol to a version that the broker speaks"
    )
    assert log.count("unacceptable protocol version of 5") == 2


@pytest.mark.system
@pytest.mark.parametrize("kind", ["mosquitto"])
@pytest.mark.parametrize(("protocol", "answer"), [("auto", Refused), ("3.1.1", Sent)])
def test_no_subscriber_is_a_refusal_where_the_broker_says_so(
    link_to: Callable[..., Collector], kind: str, protocol: str, answer: type
) -> None:
    """MQTT 5's 'no matching subscribers' is formally a success; for us it is none."""
    with world_of(kind) as world:
        link = link_to(int(world.broker.url.rpartition(":")[2]), protocol=protocol)
        link.wait(Connected)
        token = link.publisher.publish("nobody/listens", b"x")
        assert link.wait(answer)[0].token == token
        link.publisher.close()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0x87, "Not authorized: name this node in the broker's access list (ACL)"),
        (0x97, "Quota exceeded: raise the broker's quota for this node"),
        (0x99, "Payload format invalid: look at the broker's log"),
    ],
)
def test_a_failed_puback_is_a_refusal(serve, link_to, code: int, reason: str) -> None:
    """paho calls it published; we do not."""
    broker = serve(WELCOME | {PUBLISH: lambda packet: puback_5(packet, code)})
    link = link_to(broker.port)
    link.wait(Connected)
    token = link.publisher.publish("t", b"x")
    assert link.wait(Refused) == [Refused(token, reason)]
    assert link.seen(Sent) == []


def test_a_refused_subscription_is_no_connection(serve, link_to) -> None:
    """Without its receipts a node is not connected; the topic is named."""
    broker = serve(WELCOME | {SUBSCRIBE: lambda packet: suback_5(packet, 0x87)})
    link = link_to(broker.port, subscriptions=("a/receipt",))
    (lost,) = link.wait(Lost)
    assert "refused to subscribe a/receipt: Not authorized: name this node" in lost.reason
    assert link.seen(Connected) == []


def test_connected_waits_for_the_subscriptions(serve, link_to) -> None:
    """As long as the broker has not confirmed them, there is no `Connected`."""
    confirm = threading.Event()

    def late(packet: bytes) -> bytes:
        confirm.wait(10)
        return suback_5(packet, 1)

    broker = serve(WELCOME | {SUBSCRIBE: late})
    link = link_to(broker.port, subscriptions=("a/receipt",))
    until(lambda: SUBSCRIBE in broker.heard)
    assert link.seen(Connected) == []
    confirm.set()
    link.wait(Connected)


REFUSED_5 = bytes.fromhex("2003008700")


@pytest.mark.parametrize(
    ("connack", "told"),
    [
        (REFUSED_5, "refused this node: Not authorized"),
        (b"", "hung up: is it a broker, and with TLS if broker.url says mqtts?"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ""),
        (b"\x20\x01\x00", ""),
        (b"\xff" * 64, ""),
    ],
)
def test_whatever_the_other_end_says_the_link_ends_in_lost(serve, link_to, connack, told) -> None:
    """A refusal, a hang-up and garbage end the connection, once, with a reason in one line."""
    broker = serve({CONNECT: lambda _: connack})
    link = link_to(broker.port, keepalive_s=1)
    (lost,) = link.wait(Lost)
    assert told in lost.reason
    assert lost.reason.strip()
    assert "\n" not in lost.reason
    assert link.seen(Connected) == []


def test_a_dying_network_thread_is_a_lost_connection(serve, link_to) -> None:
    """An exception in a callback, which kills paho's thread silently, is told as `Lost`."""
    calls: list[int] = []

    def fail_once() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("bug")

    link = link_to(serve(WELCOME).port, wakeup=fail_once)
    (lost,) = link.wait(Lost)
    assert lost.reason.endswith("died: RuntimeError: bug")


def test_the_sleeper_is_woken_for_every_event(serve, link_to) -> None:
    """A thread may sleep on `wakeup` alone and miss nothing."""
    awake = threading.Event()
    broker = serve(WELCOME | {PUBLISH: lambda packet: puback_5(packet, 0)})
    link = link_to(broker.port, wakeup=awake.set)
    for event in (Connected, Sent, Sent):
        assert awake.wait(10)
        awake.clear()
        assert [type(one) for one in link.publisher.poll()] == [event]
        link.publisher.publish("t", b"x")


def test_a_silent_broker_is_noticed_by_keepalive(serve, link_to) -> None:
    """A half-open connection ends by itself."""
    link = link_to(serve(WELCOME).port, keepalive_s=1)
    link.wait(Connected)
    (lost,) = link.wait(Lost)
    told = "lost: Keep alive timeout: the network is too slow or was away: check antenna, cable"
    assert told in lost.reason


def test_half_open_links_are_noticed_within_30_s() -> None:
    """A connection that fell silent is given up after twice the keepalive and a look or two."""
    assert 2 * MqttOptions("mqtt://broker", "n1").keepalive_s + 2 * _LOOP_S <= 30
    assert SILENCE_NS <= 28 * NS_PER_S


ADVICE_5 = {
    0x84: "set broker.protocol",
    0x85: "client id that this node's certificate names",
    0x86: "give nodes a listener that asks for certificates",
    0x87: "name this node in the broker's access list",
    0x88: "look at its log",
    0x89: "look at its log",
    0x8A: "look at its log",
    0x95: "raise the broker's limit",
    0x97: "raise the broker's quota",
    0x9A: "let the broker retain messages",
    0x9C: "ask who runs it",
    0x9D: "write its new address into broker.url",
    0x9F: "raise the broker's limit",
}


@pytest.mark.parametrize(("code", "advice"), ADVICE_5.items())
def test_every_refusal_says_what_to_put_right(serve, link_to, code: int, advice: str) -> None:
    """One line for each way in which a broker of MQTT 5 turns a node away."""
    broker = serve({CONNECT: lambda _: bytes([0x20, 3, 0, code, 0])})
    (lost,) = link_to(broker.port, protocol="5").wait(Lost)
    assert lost.reason.startswith(f"127.0.0.1:{broker.port} refused this node: ")
    assert advice in lost.reason
    assert "\n" not in lost.reason


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (2, "client id that this node's certificate names"),
        (3, "look at its log"),
        (4, "give nodes a listener that asks for certificates"),
        (5, "name this node in the broker's access list"),
        (1, "does not speak MQTT 3.1.1: is it a broker? Then set broker.protocol"),
    ],
)
def test_old_brokers_refuse_in_the_same_words(serve, link_to, code: int, advice: str) -> None:
    """What MQTT 3.1.1 can say; that it is not spoken paho keeps to itself."""
    broker = serve({CONNECT: lambda _: bytes([0x20, 2, 0, code])})
    (lost,) = link_to(broker.port, protocol="3.1.1").wait(Lost)
    assert advice in lost.reason


def test_a_stolen_name_is_told(serve, link_to) -> None:
    """Two nodes of one name throw each other out; the log must lead to the second one."""
    taken_over = CONNACK_5 + bytes([0xE0, 2, 0x8E, 0])
    (lost,) = link_to(serve({CONNECT: lambda _: taken_over}).port, protocol="5").wait(Lost)
    assert "another client has this node's name" in lost.reason


def test_a_stray_message_is_delivered_as_it_came(serve, link_to) -> None:
    """Whatever the topic: what to make of it is for whoever polls."""
    publish = b"\x30\x06\x00\x01t\x00ok"
    broker = serve({CONNECT: lambda _: CONNACK_5 + publish})
    assert link_to(broker.port).wait(Message) == [Message("t", b"ok")]
