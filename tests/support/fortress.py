"""A broker that asks nodes for certificates, and lets the locator in by a side door."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from simulator.grid.broker import Broker, free_port
from tests.support.links import world_of
from tests.support.mosquitto import CONFIG
from tests.support.network import IDENTITY
from tests.support.pki import Authority

OURS = f"{IDENTITY.site}/{IDENTITY.cell}/{IDENTITY.node}"
ANOTHERS = f"{IDENTITY.site}/{IDENTITY.cell}/n2"


@dataclass
class Fortress:
    """`ours` made the broker's certificate, and is whom it believes; `theirs` is a stranger."""

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
                    OURS,
                    expired=kind == "expired",
                    revoked=kind == "revoked",
                    early=kind == "early",
                )


@contextmanager
def fortress_in(directory: Path) -> Iterator[Fortress]:
    """Its doors are still shut; skips the test where Mosquitto is not installed."""
    with world_of("mosquitto") as world:
        yield Fortress(
            world.broker,
            Authority(directory / "ours"),
            Authority(directory / "theirs"),
            free_port(),
        )


def open_doors(fortress: Fortress, server: dict[str, Path] | None = None) -> None:
    """Restart the broker with its two listeners, as the revocation list now is.

    The front one has the rules of config/mosquitto.
    """
    server = server or fortress.ours.issue("broker")
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
