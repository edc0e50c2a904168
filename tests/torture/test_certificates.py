"""A node with a certificate that the broker must not take, or before a broker not to be trusted."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator.broker import Broker
from tests.support.links import world_of
from tests.support.network import NODE, Network
from tests.support.pki import Authority

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
                return good | self.theirs.issue(NODE)
            case "foreign broker":
                return {"ca": self.theirs.ca} | self.ours.issue(NODE)
            case _:
                return good | self.ours.issue(
                    NODE, expired=kind == "expired", revoked=kind == "revoked"
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
    """Restart the broker with its two listeners, as the revocation list now is."""
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
    shut_out.close()
    admitted = Network(tmp_path, fortress.front_url, side_url, **good)
    assert admitted.settle() == [1, 2, 3]
    admitted.close()
