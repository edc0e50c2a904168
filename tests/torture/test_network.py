"""A network that cuts, stalls and spoils what it carries: nothing is lost and nothing forged."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.core.units import NS_PER_S
from simulator.broker import Broker
from tests.support.links import world_of
from tests.support.network import NODE, Network
from tests.support.proxy import Fault, Proxy

HANDSHAKE_BYTES = 220  # CONNECT, CONNACK, SUBSCRIBE, SUBACK of both directions
SESSION_BYTES = 6_000  # these, the status, two records and their receipts
STALL_HURRY = 20


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with world_of("mosquitto") as world:
        yield world.broker


@contextmanager
def behind_proxy(
    directory: Path, broker: Broker, faults: Iterable[Fault], hurry: int = 1
) -> Iterator[tuple[Network, deque[Fault]]]:
    """The node behind a proxy, one connection per fault and then good ones; all must arrive."""
    script = deque(faults)
    proxy = Proxy(broker.url, lambda: script.popleft() if script else Fault())
    network = Network(directory, proxy.url, broker.url, hurry=hurry)
    try:
        network.until(lambda: network.centre.is_listening, "the locator")
        yield network, script
        network.append(1)
        held = network.settle()
        assert held == list(range(1, network.outbox.head().seq + 1))
        attempts_ns = network.link.attempts_ns
        assert min(after - before for before, after in pairwise(attempts_ns)) >= NS_PER_S
    finally:
        network.close()
        proxy.close()


def spoil(directory: Path, broker: Broker, faults: Iterable[Fault], hurry: int = 1) -> Network:
    """Say a record whenever none waits, until every fault has been met."""
    with behind_proxy(directory, broker, [*faults, Fault()], hurry) as (network, script):
        while script:
            left = len(script)
            if network.outbox.backlog() == 0:
                network.append(1)
            network.until(
                lambda left=left: len(script) < left or network.uplink.idle, "the next fault"
            )
    return network


@pytest.mark.parametrize(
    "every",
    [
        pytest.param((11, 251), id="some"),
        pytest.param((1, 1), id="every", marks=pytest.mark.torture),
    ],
)
def test_a_connection_may_end_after_any_byte(
    tmp_path: Path, broker: Broker, every: tuple[int, int]
) -> None:
    """Handshake, subscription, status, records and receipts: cut anywhere, all arrives once."""
    places = [
        *range(0, HANDSHAKE_BYTES, every[0]),
        *range(HANDSHAKE_BYTES, SESSION_BYTES, every[1]),
    ]
    network = spoil(tmp_path, broker, [Fault("cut", after) for after in places])
    assert len(network.link.reasons) >= len(places)
    assert network.centre.rejected == 0


@pytest.mark.parametrize("kind", ["duplicate", "reorder", "drip"])
@pytest.mark.parametrize(
    "times", [pytest.param(4, id="some"), pytest.param(200, id="many", marks=pytest.mark.torture)]
)
def test_spoilt_bytes_neither_lose_nor_forge(
    tmp_path: Path, broker: Broker, kind: str, times: int
) -> None:
    """Whatever nonsense the broker makes of them: the store holds the chain, whole and once."""
    faults = [Fault(kind, 1 + number * SESSION_BYTES // times) for number in range(times)]
    spoil(tmp_path, broker, faults, hurry=STALL_HURRY)


@pytest.mark.parametrize("after", [0, 40, 1_000, 4_000])
def test_a_half_open_link_is_noticed_within_30_s(
    tmp_path: Path, broker: Broker, after: int
) -> None:
    """Nothing passes any more and nobody is told: the node gives up and connects anew."""
    with behind_proxy(tmp_path, broker, [Fault("stall", after)], STALL_HURRY) as (network, script):
        network.append(6)
        network.until(lambda: not script, "the stall")
        since_ns = network.now_ns
        waiting = "no answer from the broker for 25 s: check antenna, cable and modem"
        network.until(lambda: waiting in network.uplink.trouble, "notice")
        assert network.now_ns - since_ns <= 30 * NS_PER_S


def test_a_thief_of_the_nodes_name_stops_nothing(tmp_path: Path, broker: Broker) -> None:
    """Someone who connects as this node throws it out each time; the log leads to them."""
    network = Network(tmp_path, broker.url)
    thief = MqttLink(MqttOptions(broker.url, NODE, protocol="5"))
    network.until(lambda: network.centre.is_listening, "the locator")
    for _ in range(5):
        network.append(3)
        network.until(lambda: network.uplink.idle, "receipts")
        thrown_out = len(network.link.reasons)
        thief.connect()
        network.until(lambda n=thrown_out: len(network.link.reasons) > n, "the thief")
    assert network.settle() == list(range(1, 16))
    assert all("no other has our node.id" in told for told in network.link.reasons)
    thief.close()
    network.close()
