"""config/mosquitto, started as shipped but for folder and port: who gets in, who says what."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.ports import Connected, Lost, Message, Refused, Sent
from tests.support.links import Collector, until
from tests.support.mosquitto import PROGRAM, ShippedBroker
from tests.support.pki import Authority

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(PROGRAM is None, reason="mosquitto is not installed"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
    ),  # paho leaves the socket of a failed handshake to the garbage collector
]


class City:
    """The broker of the shipped files, an authority, and links by the name on a certificate."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        broker = self.authority.issue("broker")
        shutil.copy(broker["cert"], directory / "broker.crt")
        shutil.copy(broker["key"], directory / "broker.key")
        self.directory, self._links = directory, 0
        self._open: list[Collector] = []
        self._deliver_authority()
        self._broker = ShippedBroker(directory)

    def _deliver_authority(self) -> None:
        shutil.copy(self.authority.ca, self.directory / "ca.crt")
        shutil.copy(self.authority.crl, self.directory / "ca.crl")

    def restart(self) -> None:
        """The broker, with the latest list of the revoked."""
        self._close_links()
        self._broker.stop()
        self._deliver_authority()
        self._broker.start()

    def link(
        self, cert: dict[str, Path] | None, *subscriptions: str, client_id: str = ""
    ) -> Collector:
        self._links += 1
        options = MqttOptions(
            url=f"mqtts://127.0.0.1:{self._broker.port}",
            client_id=client_id or f"link-{self._links}",
            subscriptions=subscriptions,
            ca=self.directory / "ca.crt",
            **(cert or {}),
        )
        collector = Collector(MqttLink(options))
        collector.publisher.connect()
        self._open.append(collector)
        return collector

    def member(self, common: str, *subscriptions: str) -> Collector:
        """A link that is in."""
        one = self.link(self.authority.issue(common), *subscriptions)
        one.wait(Connected)
        return one

    def close(self) -> None:
        self._close_links()
        self._broker.stop()

    def _close_links(self) -> None:
        for one in self._open:
            one.publisher.close()


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """One broker for all tests; each makes the certificates it needs."""
    one = City(tmp_path_factory.mktemp("city"))
    yield one
    one.close()


def heard(one: Collector) -> list[tuple[str, bytes]]:
    return [(event.topic, event.payload) for event in one.seen(Message)]


def test_a_node_reaches_the_locator_and_gets_its_receipt(city: City) -> None:
    """Events and status go out, receipts and commands come in, each on the node's own topics."""
    locator = city.member("locator", "earshot/v1/+/+/+/event/#")
    node = city.member("town/north/n1", "earshot/v1/town/north/n1/receipt")
    node.publisher.publish("earshot/v1/town/north/n1/event/impulse", b"bang")
    until(lambda: heard(locator), "the event")
    assert heard(locator) == [("earshot/v1/town/north/n1/event/impulse", b"bang")]
    locator.publisher.publish("earshot/v1/town/north/n1/receipt", b"held")
    until(lambda: heard(node), "the receipt")


def test_nobody_speaks_or_hears_in_anothers_place(city: City) -> None:
    """What is said on a foreign topic is refused and never arrives, what is right does."""
    locator = city.member("locator", "earshot/v1/+/+/+/event/#")
    victim = city.member("town/north/n3", "earshot/v1/town/north/n3/receipt")
    spy = city.member(
        "town/north/n2", "earshot/v1/town/north/n3/receipt", "earshot/v1/+/+/+/event/#"
    )
    for number, topic in enumerate(
        (
            "earshot/v1/town/north/n3/event/impulse",
            "earshot/v1/town/north/n3/receipt",
            "earshot/v1/town/north/t2/receipt",
            "earshot/v1/town/north/t3/command/ping",
            "elsewhere",
        )
    ):
        thief = city.member(f"town/north/t{number}")
        thief.publisher.publish(topic, b"forged")
        thief.wait(Refused)
    victim.publisher.publish("earshot/v1/town/north/n3/event/impulse", b"true")
    locator.publisher.publish("earshot/v1/town/north/n3/receipt", b"held")
    until(lambda: heard(locator) and heard(victim), "what is right")
    time.sleep(0.3)
    assert [payload for _, payload in heard(locator)] == [b"true"]
    assert [payload for _, payload in heard(victim)] == [b"held"]
    assert heard(spy) == []


def test_an_operator_commands_and_hears_who_replies_and_by_which_key(city: City) -> None:
    """Of what nodes say only replies, changes of keys and status come; nothing is said for them."""
    node = city.member("town/north/n7", "earshot/v1/town/north/n7/command/+")
    operator = city.member("operator", "earshot/v1/+/+/+/#")
    for tail in ("event/impulse", "event/heartbeat", "clip/1", "event/key", "reply/1", "status"):
        node.publisher.publish(f"earshot/v1/town/north/n7/{tail}", tail.encode())
    until(lambda: len(heard(operator)) == 3, "what an operator may hear")
    operator.publisher.publish("earshot/v1/town/north/n7/command/ping", b"do")
    until(lambda: heard(node), "the command")
    time.sleep(0.3)
    assert [payload for _, payload in heard(operator)] == [b"event/key", b"reply/1", b"status"]
    for tail in ("receipt", "event/key", "status", "reply/1"):
        liar = city.member("operator")  # afresh: Mosquitto hangs up after a refusal
        liar.publisher.publish(f"earshot/v1/town/north/n7/{tail}", b"forged")
        liar.wait(Refused)
    assert [payload for _, payload in heard(node)] == [b"do"]


def test_an_operator_hears_how_the_nodes_are_from_the_locator_alone(city: City) -> None:
    """What it retained comes to `earshot-sim nodes`; a node cannot say it in its place."""
    topic = "earshot/v1/town/north/nodes"
    liar = city.member("town/north/n8")
    liar.publisher.publish(topic, b"all is well", retain=True)
    liar.wait(Refused)
    locator = city.member("locator")
    locator.publisher.publish(topic, b"n8 is deaf", retain=True)
    until(lambda: locator.seen(Sent) or locator.seen(Refused), "an answer")
    operator = city.member("operator", "earshot/v1/+/+/nodes")
    until(lambda: heard(operator), "the report")
    assert heard(operator) == [(topic, b"n8 is deaf")]


def test_a_stolen_client_id_is_of_no_use(city: City) -> None:
    """The certificate names the session: the victim stays connected."""
    cert = city.authority.issue("town/north/n4")
    victim = city.link(cert, "earshot/v1/town/north/n4/receipt", client_id="town/north/n4")
    victim.wait(Connected)
    thief = city.link(city.authority.issue("town/north/n5"), client_id="town/north/n4")
    thief.wait(Connected)
    time.sleep(0.5)
    assert victim.seen(Lost) == []


@pytest.mark.parametrize("who", ["nobody", "rogue", "expired", "too early", "revoked"])
def test_who_is_not_certified_does_not_get_in(city: City, who: str) -> None:
    """No certificate, a rogue authority's, an expired, an early or a revoked one: one line each."""
    cert: dict[str, Path] | None = None
    if who == "rogue":
        cert = Authority(city.directory / "rogue").issue("town/north/n6")
    elif who == "expired":
        cert = city.authority.issue("town/north/n6", expired=True)
    elif who == "too early":
        cert = city.authority.issue("town/north/n6", early=True)
    elif who == "revoked":
        cert = city.authority.issue("town/north/n6", revoked=True)
        city.restart()
    (lost,) = city.link(cert).wait(Lost)
    assert "\n" not in lost.reason
    assert "TLS" in lost.reason or "certificate" in lost.reason
