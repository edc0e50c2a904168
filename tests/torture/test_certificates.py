"""A node with a certificate that the broker must not take, or before a broker not to be trusted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.ports import Connected, Lost
from tests.support.fortress import ANOTHERS, Fortress, fortress_in, open_doors
from tests.support.links import Collector
from tests.support.network import Network

pytestmark = pytest.mark.system


@pytest.fixture
def fortress(tmp_path: Path) -> Iterator[Fortress]:
    with fortress_in(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("none", "set broker.certificate and its key"),
        ("expired", "this node's certificate ended"),
        ("early", "or its clock is before 20"),
        ("revoked", "this node's certificate was revoked: enrol this node again"),
        ("another authority's", "another authority made this node's certificate"),
        ("foreign broker", "is broker.ca the authority of this broker?"),
    ],
)
def test_a_bad_certificate_delays_but_loses_nothing(
    tmp_path: Path, fortress: Fortress, kind: str, told: str
) -> None:
    """The log says what to put right; until then records wait, and then they arrive.

    Now and then the broker's reset overtakes its alert, and that attempt can only say "hung up".
    """
    bad, good = fortress.credentials(kind), fortress.credentials("good")
    open_doors(fortress)
    side_url = fortress.broker.url
    shut_out = Network(tmp_path, fortress.front_url, side_url, **bad)
    shut_out.append(3)
    reasons = shut_out.link.reasons
    shut_out.until(lambda: sum(told in reason for reason in reasons) == 2, "two told refusals")
    assert all(told in reason or "hung up" in reason for reason in reasons), reasons
    assert shut_out.uplink.counters.published == 0
    shut_out.centre.kill()
    assert shut_out.centre.held() == []
    assert shut_out.is_patient()
    shut_out.close()
    admitted = Network(tmp_path, fortress.front_url, side_url, **good)
    assert admitted.settle() == [1, 2, 3]
    admitted.close()


def test_a_node_with_anothers_certificate_says_nothing(tmp_path: Path, fortress: Fortress) -> None:
    """The broker takes no word for another node's; the log leads to its access list."""
    bad, good = fortress.credentials("another node's"), fortress.credentials("good")
    open_doors(fortress)
    misled = Network(tmp_path, fortress.front_url, fortress.broker.url, **bad)
    misled.await_locator()
    misled.append(3)
    misled.until(lambda: misled.uplink.counters.refused > 3, "refusals")
    told = "Not authorized: name this node in the broker's access list (ACL)"
    assert told in misled.uplink.trouble
    assert misled.is_patient()
    misled.centre.kill()
    assert misled.centre.held() == []
    misled.close()
    admitted = Network(tmp_path, fortress.front_url, fortress.broker.url, **good)
    assert admitted.settle() == [1, 2, 3]
    admitted.close()


def test_another_nodes_client_id_is_of_no_use(tmp_path: Path, fortress: Fortress) -> None:
    """With its own certificate a node delivers under any id, and throws nobody out."""
    good, anothers = fortress.credentials("good"), fortress.credentials("another node's")
    open_doors(fortress)
    victim = Collector(
        MqttLink(MqttOptions(url=fortress.front_url, client_id=ANOTHERS, **anothers))
    )
    victim.publisher.connect()
    victim.wait(Connected)
    network = Network(tmp_path, fortress.front_url, fortress.broker.url, client_id=ANOTHERS, **good)
    network.await_locator()
    network.append(3)
    assert network.settle() == [1, 2, 3]
    assert network.uplink.counters.connects == 1
    assert victim.seen(Lost) == []
    assert network.is_patient()
    network.close()
    victim.publisher.close()
