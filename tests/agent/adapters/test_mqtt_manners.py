"""Brokers as they are: whatever one makes of a CONNECT, the link finds out how to speak to it.

Each broker here is scripted byte for byte; the real ones are in `tests/system`.
"""

import threading
from collections.abc import Callable

import pytest

from agent.adapters.mqtt import connection
from agent.adapters.mqtt.manner import LOYAL, SHORT_ID, V5, V311, Manner, Manners
from agent.app.uplink import SILENCE_NS
from agent.ports import Connected, Lost, Refused, Sent
from tests.support.links import until
from tests.support.tiny_broker import CONNECT, PUBLISH, SUBSCRIBE, suback_5

WILL = lambda: ("a/status", b"gone")  # noqa: E731 - a constant that is called
CONNACK_311 = bytes.fromhex("20020000")
LONG_ID = "urn:earshot:town:north:some-node"


def is_v5(packet: bytes) -> bool:
    return packet[6] == 5


def client_id(packet: bytes) -> bytes:
    at = 10 + (1 + packet[10] if is_v5(packet) else 0)
    return packet[at + 2 : at + 2 + int.from_bytes(packet[at : at + 2], "big")]


def has_will(packet: bytes) -> bool:
    return bool(packet[7] & 0x04)


def will_is_retained(packet: bytes) -> bool:
    return bool(packet[7] & 0x20)


class Clerk:
    """Answers CONNECT by `rule`, None for silence, and remembers what it was told."""

    def __init__(self, rule: Callable[[bytes], bytes | None]) -> None:
        self.rule, self.asked = rule, list[bytes]()

    def __call__(self, packet: bytes) -> bytes:
        self.asked.append(packet)
        answer = self.rule(packet)
        if answer is None:
            threading.Event().wait(1.0)
        return answer or b""


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "UNANSWERED_NS", 8 * 10**8)
    monkeypatch.setattr(connection, "SLOW_NS", 9 * 10**8)
    monkeypatch.setattr(connection, "_LOOP_S", 0.05)


@pytest.mark.parametrize("answer", [b"", None, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 9])
def test_a_broker_that_knows_no_mqtt_5_and_cannot_say_so(
    serve, link_to, answer: bytes | None
) -> None:
    """A hang-up, silence or nonsense: MQTT 3.1.1 is tried on the spot, and remembered."""
    clerk = Clerk(lambda packet: answer if is_v5(packet) else CONNACK_311)
    broker = serve({CONNECT: clerk})
    link = link_to(broker.port)
    link.wait(Connected)
    link.publisher.connect()
    link.wait(Connected, 2)
    assert [is_v5(one) for one in clerk.asked] == [True, False, False]


def test_a_broker_that_is_told_its_version_is_not_asked_for_another(serve, link_to) -> None:
    """With broker.protocol = "5" a hang-up is a hang-up, and the reason names the broker."""
    clerk = Clerk(lambda packet: b"")
    (lost,) = link_to(serve({CONNECT: clerk}).port, protocol="5").wait(Lost)
    assert "hung up: is it a broker" in lost.reason
    assert all(is_v5(one) for one in clerk.asked)


def test_a_silent_other_end_is_named_as_such(serve, link_to) -> None:
    """When no manner is answered, the reason says what was seen."""
    clerk = Clerk(lambda packet: None)
    (lost,) = link_to(serve({CONNECT: clerk}).port).wait(Lost)
    assert lost.reason.endswith("takes the connection and says nothing: is it a broker?")


@pytest.mark.parametrize("code", [0x80, 0x81, 0x82, 0x83, 0x84])
def test_a_vague_refusal_of_mqtt_5_is_worth_another_try(serve, link_to, code: int) -> None:
    """Brokers that half know MQTT 5 refuse what they do not like in it."""
    refusal = bytes([0x20, 3, 0, code, 0])
    clerk = Clerk(lambda packet: refusal if is_v5(packet) else CONNACK_311)
    link_to(serve({CONNECT: clerk}).port).wait(Connected)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_that_takes_short_client_ids_alone(serve, link_to, protocol: str) -> None:
    """23 characters are all that MQTT 3.1.1 promises: one made of the full id, always the same."""
    accepted = bytes.fromhex("2003000000") if protocol == "5" else CONNACK_311
    refused = bytes([0x20, 3, 0, 0x85, 0]) if protocol == "5" else bytes([0x20, 2, 0, 2])
    clerk = Clerk(lambda packet: accepted if len(client_id(packet)) <= SHORT_ID else refused)
    broker = serve({CONNECT: clerk})
    for _ in range(2):
        link = link_to(broker.port, protocol=protocol, client_id=LONG_ID)
        link.wait(Connected)
        link.publisher.close()
    used = [client_id(one) for one in clerk.asked]
    assert used[0] == used[2] == LONG_ID.encode()
    assert used[1] == used[3]
    assert used[1].isalnum()


def test_a_refused_id_that_is_short_already_is_a_refusal(serve, link_to) -> None:
    """Then the certificate wants another one, and that is said."""
    clerk = Clerk(lambda packet: bytes([0x20, 3, 0, 0x85, 0]))
    (lost,) = link_to(serve({CONNECT: clerk}).port, protocol="5").wait(Lost)
    assert "client id that this node's certificate names" in lost.reason


def test_a_broker_that_retains_nothing(serve, link_to) -> None:
    """0x9A for the will: it is not retained then, and nothing else that is said."""

    def take(packet: bytes) -> bytes:
        return b"\x40\x02" + packet[2 + int.from_bytes(packet[:2], "big") :][:2]

    clerk = Clerk(
        lambda packet: (
            bytes([0x20, 3, 0, 0x9A, 0])
            if will_is_retained(packet)
            else bytes.fromhex("2003000000")
        )
    )
    broker = serve({CONNECT: clerk, PUBLISH: take})
    link = link_to(broker.port, will=WILL)
    link.wait(Connected)
    link.publisher.publish("a/status", b"here", retain=True)
    link.wait(Sent)
    retained = [bool(one & 1) for one in broker.flags_of(PUBLISH)]
    assert retained == [False]
    assert [has_will(one) for one in clerk.asked] == [True, True]


def test_a_broker_of_311_that_hangs_up_over_a_will(serve, link_to) -> None:
    """It cannot say why; without a will it accepts, and nothing depends on that."""
    clerk = Clerk(lambda packet: b"" if is_v5(packet) or has_will(packet) else CONNACK_311)
    link_to(serve({CONNECT: clerk}).port, will=WILL).wait(Connected)
    assert [has_will(one) for one in clerk.asked] == [True, True, False]


def test_a_broker_that_hangs_up_over_a_retained_message(serve, link_to) -> None:
    """Twice is a habit: from then on nothing is published retained."""
    broker = serve({CONNECT: lambda _: CONNACK_311, PUBLISH: lambda packet: b""})
    link = link_to(broker.port, protocol="3.1.1")
    for count in (1, 2, 3):
        link.wait(Connected, count)
        link.publisher.publish("a/status", b"here", retain=True)
        link.wait(Lost, count)
        link.publisher.connect()
    assert [bool(one & 1) for one in broker.flags_of(PUBLISH)] == [True, True, False]


def test_a_broker_that_says_what_it_cannot_do_is_heeded(serve, link_to) -> None:
    """Receive Maximum 1, Maximum QoS 0, Retain Available 0, Maximum Packet Size 100."""
    limits = bytes.fromhex("210001240025002700000064")
    connack = bytes([0x20, 3 + len(limits), 0, 0, len(limits)]) + limits
    broker = serve({CONNECT: lambda _: connack})
    link = link_to(broker.port)
    link.wait(Connected)
    large = link.publisher.publish("t", b"x" * 200)
    (refused,) = link.wait(Refused)
    assert refused.token == large
    assert "raise the broker's limit on the size of packets" in refused.reason
    small = link.publisher.publish("t", b"x", retain=True)
    assert [one.token for one in link.wait(Sent)] == [small]
    until(lambda: broker.flags_of(PUBLISH))
    assert broker.flags_of(PUBLISH) == [0x30]


def test_a_subscription_that_is_never_confirmed_holds_up_no_alert(
    serve, link_to, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while the link counts as up: what is said gets out at least."""
    monkeypatch.setattr(connection, "UNCONFIRMED_NS", 3 * 10**8)
    broker = serve({CONNECT: lambda _: CONNACK_311})
    link = link_to(broker.port, protocol="3.1.1", subscriptions=("a/receipt",))
    link.wait(Connected)
    assert SUBSCRIBE in broker.heard


def test_a_confirmation_with_fewer_answers_than_questions(serve, link_to) -> None:
    """What is not refused is taken for granted."""
    broker = serve(
        {CONNECT: lambda _: bytes.fromhex("2003000000"), SUBSCRIBE: lambda p: suback_5(p, 1)}
    )
    link_to(broker.port, subscriptions=("a/receipt", "a/command/+")).wait(Connected)


def test_what_worked_is_not_doubted_at_once() -> None:
    """A broker that dies in the middle of a CONNECT is no reason to forget what it speaks."""
    manners = Manners((V5, V311), LONG_ID, has_will=True)
    manners.worked(Manner(V5))
    for _ in range(LOYAL):
        assert manners.first() == Manner(V5)
        assert manners.next([Manner(V5)], None) is None
        manners.failed()
    assert manners.next([Manner(V5)], None) == Manner(V311)


def test_silence_is_given_up_before_the_uplink_gives_up() -> None:
    """A broker that is slow to answer is waited for in the last version that there is to try."""
    assert connection.UNANSWERED_NS + connection.SLOW_NS < SILENCE_NS
    manners = Manners((V5, V311), LONG_ID, has_will=True)
    assert manners.next([Manner(V5)], None, is_silent=True) == Manner(V311)
    assert manners.next([Manner(V5), Manner(V311)], None, is_silent=True) is None


@pytest.mark.parametrize("known", [None, Manner(V311)])
@pytest.mark.parametrize("code", [None, 0x80, 0x84, 0x85, 0x9A, 0x9B, 0x87, 0x97])
def test_no_broker_makes_the_link_try_for_ever(known: Manner | None, code: int | None) -> None:
    """At most four connections in a row, each in another manner."""
    manners = Manners((V5, V311), LONG_ID, has_will=True)
    if known:
        manners.worked(known)
    tried = [manners.first()]
    while manner := manners.next(tried, code):
        tried.append(manner)
    assert len(tried) == len(set(tried)) <= 4
