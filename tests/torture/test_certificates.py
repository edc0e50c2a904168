"""A node with a certificate that the broker must not take, or before a broker not to be trusted."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.ports import Connected, Lost
from simulator.broker import Broker
from tests.support.links import Collector, world_of
from tests.support.mosquitto import CONFIG
from tests.support.network import IDENTITY, Network
from tests.support.pki import Authority

OURS = f"{IDENTITY.site}/{IDENTITY.cell}/{IDENTITY.node}"
ANOTHERS = f"{IDENTITY.site}/{IDENTITY.cell}/n2"

PAHO_LEAKS_ON_FAILED_HANDSHAKE = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)


@dataclass
class Fortress:
    """A broker that asks nodes for certificates, and lets the locator in by a side door."""

    broker: Broker
    ours: Authority
    theirs: Authority
    front_port: int

    @property
    def front_url(self) -> str:
        return f"mqtts://127.0.0.1:{self.front_port}"

    def credentials(self, kind: str) -> dict[str, Path]:
        good = {"ca": self.ours.ca}
        match kind:
            case "none":
                return good
            case "another authority's":
                return good | self.theirs.issue(OURS)
            case "another node's":
                return good | self.ours.issue(ANOTHERS)
            case "foreign broker":
                return {"ca": self.theirs.ca} | self.ours.issue(OURS)
            case _:
                return good | self.ours.issue(
                    OURS, expired=kind == "expired", revoked=kind == "revoked"
                )


@pytest.fixture
def fortress(tmp_path: Path) -> Iterator[Fortress]:
    with world_of("mosquitto") as world, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        made = Fortress(
            world.broker,
            Authority(tmp_path / "ours"),
            Authority(tmp_path / "theirs"),
            probe.getsockname()[1],
        )
        probe.close()
        yield made


def open_doors(fortress: Fortress) -> None:
    """Restart the broker with its two listeners, as the revocation list now is.

    The front one has the rules of config/mosquitto.
    """
    server = fortress.ours.issue("broker")
    side_port = fortress.broker.url.rpartition(":")[2]
    conf = fortress.broker._log.with_name("broker.conf")
    conf.write_text(
        f"""\
{"user root" if os.geteuid() == 0 else ""}
per_listener_settings true
listener {side_port} 127.0.0.1
allow_anonymous true
listener {fortress.front_port} 127.0.0.1
allow_anonymous false
cafile {fortress.ours.ca}
certfile {server["cert"]}
keyfile {server["key"]}
crlfile {fortress.ours.crl}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
acl_file {CONFIG / "earshot.acl"}
"""
    )
    fortress.broker.restart()


@PAHO_LEAKS_ON_FAILED_HANDSHAKE
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("none", "set broker.certificate and its key"),
        ("expired", "this node's certificate has expired: enrol this node again"),
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


@PAHO_LEAKS_ON_FAILED_HANDSHAKE
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
