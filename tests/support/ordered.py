"""A node's side of orders, without the node: its keys one after another, replies and records."""

import secrets

import msgspec

from agent.core.records import Sealer
from agent.core.records.chain import Head, Sealed
from agent.core.records.envelope import load_public_key, seal
from agent.core.records.kinds import REPLY_TYPE, STATUS_TYPE, Status
from agent.core.records.succession import change_to
from agent.core.trust import Command, Reply
from agent.core.units import NS_PER_S
from simulator.centre.locator.registry import Station
from tests.support.drafts import UTC_NS, draft, identity_of, registry_of, signer_of

SOURCE = identity_of("n1").source
TOPIC = identity_of("n1").topic
FRESH = Head("c" * 32)


def station_of(node: str, *, is_revoked: bool = False) -> Station:
    source = identity_of(node).source
    return Station(
        source=source,
        site="town",
        cell="north",
        node=node,
        key=registry_of(node)[source],
        enu_m=(0.0, 0.0, 5.0),
        sigma_m=1.0,
        is_revoked=is_revoked,
    )


def command_for(node: str = "n1", verb: str = "ping", life_s: int = 60) -> Command:
    return Command(
        id=secrets.token_hex(16),
        source=identity_of(node).source,
        verb=verb,
        issued_utc_ns=str(UTC_NS),
        expires_utc_ns=str(UTC_NS + life_s * NS_PER_S),
        changes={},
    )


def reply_to(command: Command, signed_by: str = "n1", **changed: str) -> bytes:
    """What the node says to `command`, or somebody in its name."""
    told = Reply(id=command.id, source=command.source, outcome="done", reason="", keyid="0" * 16)
    told = msgspec.structs.replace(told, **changed)
    return seal(REPLY_TYPE, msgspec.json.encode(told), signer_of(signed_by))


def status_of(signed_by: str, *, online: bool) -> bytes:
    told = Status(
        source=SOURCE, online=online, boot="b" * 32, backlog=0, connects=1, software="test"
    )
    return seal(STATUS_TYPE, msgspec.json.encode(told), signer_of(signed_by))


def change_of_keys(old: str, new: str, head: Head = FRESH, node: str = "n1") -> Sealed:
    """The record by which the key of `old` hands over to that of `new`."""
    identity = msgspec.structs.replace(identity_of(node), keyid=signer_of(old).keyid)
    change = change_to(signer_of(new), identity.source, identity.keyid)
    return Sealer(identity, signer_of(old)).seal(draft(change), head)


def key_of(name: str) -> object:
    return load_public_key(signer_of(name).public_key())
