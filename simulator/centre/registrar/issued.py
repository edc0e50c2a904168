"""What a registrar has issued, to whom, and what of it counts no more: values, no files.

A later enrolment of a node stands after an earlier one. The registry that the locator and
`earshot verify` read is made from it.
"""

import base64
from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from agent.core.records.envelope import key_id, load_public_key
from agent.core.records.fields import Hex32, NodeId, Strict
from agent.core.trust.enrolment import EnrolmentRequest, Hardware
from agent.core.units import NS_PER_S, moment_of, rfc3339
from simulator.centre.registrar.authority import Issued, Revoked

Wgs84 = tuple[float, float, float]
Place = tuple[Wgs84, float]  # where a node hangs, and 1-sigma of that in m


class _Certified(Strict, frozen=True, kw_only=True):
    """Somebody with a certificate: its serial number in hex, and when it began, ends, ended."""

    serial: str
    issued_utc_ns: int
    until_utc_s: int
    revoked_utc_ns: int | None = None

    @property
    def issued(self) -> datetime:
        return moment_of(self.issued_utc_ns)

    @property
    def until(self) -> datetime:
        return moment_of(self.until_utc_s * NS_PER_S)

    @property
    def revoked(self) -> datetime | None:
        """Since when it counts no more."""
        return None if self.revoked_utc_ns is None else moment_of(self.revoked_utc_ns)


class Role(_Certified, frozen=True, kw_only=True):
    """The broker, or one of the users that config/mosquitto knows by `name`."""

    name: str


class Enrolled(_Certified, frozen=True, kw_only=True):
    """A node as it was enrolled once.

    `key` is base64 of the evidence key it had then, `registered` of the one that its chains begin
    with: another where keys were rotated. `sigma_m` is 1-sigma of `wgs84`.
    """

    site: NodeId
    cell: NodeId
    node: NodeId
    nonce: Hex32
    key: str
    registered: str
    wgs84: Wgs84
    sigma_m: float
    hardware: Hardware
    software: str

    @property
    def name(self) -> str:
        """SITE/CELL/NODE, as on its certificate."""
        return f"{self.site}/{self.cell}/{self.node}"

    @property
    def place(self) -> Place:
        """Where it hangs."""
        return self.wgs84, self.sigma_m

    @property
    def keyid(self) -> str:
        """Of its evidence key."""
        return key_id(load_public_key(base64.b64decode(self.key)))

    @property
    def row(self) -> dict[str, Any]:
        """Its row of the registry."""
        ended = self.revoked_utc_ns
        return {
            "site": self.site,
            "cell": self.cell,
            "node": self.node,
            "key": self.registered,
            "position": {"wgs84": self.wgs84},
            "sigma_m": self.sigma_m,
        } | ({} if ended is None else {"revoked_at": rfc3339(ended)})


class Ledger(Strict, frozen=True, kw_only=True):
    """All that was ever issued; `hosts` are the broker's names."""

    broker_url: str
    hosts: tuple[str, ...]
    roles: tuple[Role, ...] = ()
    nodes: tuple[Enrolled, ...] = ()

    def known(self) -> dict[str, Enrolled]:
        """The latest enrolment of each node by its name."""
        return {one.name: one for one in self.nodes}

    @property
    def latest_utc_ns(self) -> int:
        """When something was last issued or ended; 0 for never."""
        times = ((one.issued_utc_ns, one.revoked_utc_ns) for one in (*self.roles, *self.nodes))
        return max((ns for pair in times for ns in pair if ns is not None), default=0)

    def revoked(self) -> Iterator[Revoked]:
        """What the authority's list must hold."""
        for one in (*self.roles, *self.nodes):
            if one.revoked is not None:
                yield Revoked(int(one.serial, 16), one.revoked)

    def with_role(self, name: str, issued: Issued, utc_ns: int) -> "Ledger":
        """A role has a new certificate."""
        role = Role(name=name, **_certified(issued, utc_ns))
        return msgspec.structs.replace(self, roles=(*self.roles, role))

    def with_node(
        self,
        request: EnrolmentRequest,
        registered: str,
        issued: Issued,
        place: Place,
        utc_ns: int,
    ) -> "Ledger":
        """A node has a certificate; `registered` is the key that its chains begin with."""
        node = Enrolled(
            site=request.site,
            cell=request.cell,
            node=request.node,
            nonce=request.nonce,
            key=request.key,
            registered=registered,
            wgs84=place[0],
            sigma_m=place[1],
            hardware=request.hardware,
            software=request.software,
            **_certified(issued, utc_ns),
        )
        return msgspec.structs.replace(self, nodes=(*self.nodes, node))

    def without(self, name: str, utc_ns: int) -> "Ledger":
        """Nothing that a node or role of that name has got so far counts any more."""
        return msgspec.structs.replace(
            self,
            roles=tuple(_ended(one, name, utc_ns) for one in self.roles),
            nodes=tuple(_ended(one, name, utc_ns) for one in self.nodes),
        )


_Any = TypeVar("_Any", Role, Enrolled)


def _ended(one: _Any, name: str, utc_ns: int) -> _Any:
    if one.name != name or one.revoked_utc_ns is not None:
        return one
    return msgspec.structs.replace(one, revoked_utc_ns=utc_ns)


def _certified(issued: Issued, utc_ns: int) -> dict[str, Any]:
    return {
        "serial": f"{issued.serial:x}",
        "issued_utc_ns": utc_ns,
        "until_utc_s": int(issued.until.timestamp()),
    }
