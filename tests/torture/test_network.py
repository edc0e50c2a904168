"""A network that cuts, stalls and spoils what it carries: nothing is lost and nothing forged."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.core.records.kinds import Data
from agent.core.units import NS_PER_S
from simulator.grid.broker import Broker
from tests.support.drafts import heartbeat
from tests.support.links import world_of
from tests.support.network import NODE, Network
from tests.support.proxy import Fault, Proxy

pytestmark = pytest.mark.system

HANDSHAKE_BYTES = 220  # CONNECT, CONNACK, SUBSCRIBE, SUBACK of both directions
SESSION_BYTES = 6_000  # these, the status, two records and their receipts
MESSAGES = 20
CUTS_PER_NODE = 2_000  # then one with an empty store goes on
STALL_HURRY = 20
REFUSALS_5 = (
    *(0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C),
    *(0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F),
)
REFUSALS_311 = (1, 2, 3, 4, 5)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with world_of("mosquitto") as world:
        yield world.broker


@contextmanager
def behind_proxy(
    directory: Path, broker: Broker, faults: Iterable[Fault], hurry: int = 1, **options: Any
) -> Iterator[tuple[Network, deque[Fault]]]:
    """The node behind a proxy, one connection per fault and then good ones; all must arrive."""
    script = deque(faults)
    proxy = Proxy(broker.url, lambda: script.popleft() if script else Fault())
    network = Network(directory, proxy.url, broker.url, hurry=hurry, **options)
    try:
        network.until(lambda: network.centre.is_listening, "the locator")
        yield network, script
        network.append(1)
        held = network.settle()
        assert held == list(range(1, network.outbox.head().seq + 1))
        assert network.is_patient()
    finally:
        network.close()
        proxy.close()


def spoil(
    directory: Path,
    broker: Broker,
    faults: Iterable[Fault],
    hurry: int = 1,
    messages: int = 1,
    data: Data | None = None,
    **options: Any,
) -> Network:
    """Have `messages` wait before each connection and whenever none does, until all faults came."""
    script_of = behind_proxy(directory, broker, [*faults, Fault()], hurry, **options)
    with script_of as (network, script):
        while script:
            left = len(script)
            if network.link.is_down or network.outbox.backlog() == 0:
                network.append(max(0, messages - network.outbox.backlog()), data)
            network.until(
                lambda left=left: len(script) < left or network.uplink.idle, "the next fault"
            )
    return network


def session_bytes(directory: Path, broker: Broker) -> int:
    """How many bytes pass, both ways, from CONNECT to the last answer to MESSAGES records."""
    proxy = Proxy(broker.url)
    network = Network(directory, proxy.url, broker.url)
    network.await_locator()
    network.append(MESSAGES, heartbeat())
    network.settle()
    network.close()
    proxy.close()
    return proxy.passed


@pytest.mark.parametrize(
    "every",
    [pytest.param(151, id="some"), pytest.param(1, id="every", marks=pytest.mark.torture)],
)
def test_a_connection_may_end_after_any_byte(memory: Path, broker: Broker, every: int) -> None:
    """Handshake, subscription, status, 20 records and receipts: cut anywhere, all arrives once."""
    (memory / "whole").mkdir()
    length = session_bytes(memory / "whole", broker)
    places, lost, records = range(0, length, every), 0, 0
    for first in range(0, len(places), CUTS_PER_NODE):
        directory = memory / f"from-{first}"
        directory.mkdir()
        cuts = [Fault("cut", after) for after in places[first : first + CUTS_PER_NODE]]
        told = {"messages": MESSAGES, "data": heartbeat(), "protocol": "5"}
        network = spoil(directory, broker, cuts, **told)
        lost += len(network.link.reasons)
        records += network.said
        assert network.centre.rejected == 0
        rmtree(directory)
        print(f"\n{first + len(cuts)} of {len(places)} cuts in {length} bytes", end="", flush=True)
    assert lost >= len(places)
    print(f"\ncut after each of {len(places)} bytes: {records} records, each held once")


@pytest.mark.parametrize(("protocol", "codes"), [("5", REFUSALS_5), ("3.1.1", REFUSALS_311)])
def test_a_node_turned_away_waits_and_says_what_to_put_right(
    memory: Path, broker: Broker, protocol: str, codes: tuple[int, ...]
) -> None:
    """Each code of CONNACK: one line, with the remedy after the words of the standard."""
    faults = [Fault("refuse", code) for code in codes]
    network = spoil(memory, broker, faults, messages=3, protocol=protocol)
    for code, told in zip(codes, network.link.reasons, strict=True):
        where, _, advice = told.partition(" refused this node: ")
        words = advice.partition(": ")[2] or where.partition(" does not speak ")[2]
        assert len(words.split()) >= 4, (hex(code), told)
        assert "\n" not in told


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
    assert network.is_patient()
    thief.close()
    network.close()
