"""Cells whose nodes speak on command: signed records of shots, as they would come over the wire."""

import math
from collections.abc import Iterable, Mapping

import msgspec

from agent.core.records import Draft, Sealer
from agent.core.records.chain import Head, Sealed
from agent.core.records.kinds import Data, Identity
from agent.core.units import NS_PER_S, sound_speed_mps
from agent.ports import Message
from simulator.centre.locator.registry import Registry
from tests.support.drafts import draft, heartbeat, impulse, signer_of
from tests.support.located import NODES_ENU_M, START_NS, Point, stations

SHOT: Point = (120.0, 165.0, 1.5)


class Cell:
    """The nodes of one cell, each with a key and a chain; `air_c` is what sound travels in."""

    def __init__(
        self,
        cell: str = "a",
        site: str = "lab",
        nodes: Mapping[str, Point] = NODES_ENU_M,
        air_c: float = 15.0,
    ) -> None:
        self.stations = stations(cell, site, nodes)
        self._speed_mps = sound_speed_mps(air_c)
        self._nodes = {station.node: station for station in self.stations.values()}
        self._sealers = {
            node: Sealer(
                Identity(
                    site=site, cell=cell, node=node, keyid=signer_of(node).keyid, boot="b" * 32
                ),
                signer_of(node),
            )
            for node in nodes
        }
        self._heads = {node: Head(f"{index:032x}") for index, node in enumerate(nodes, 1)}

    @property
    def registry(self) -> Registry:
        """What a locator is told of it."""
        return Registry(self.stations, None)

    def say(self, node: str, data: Data, utc_ns: int = START_NS) -> Message:
        """The next record of a node, as its message."""
        said = draft(data)
        record = self.seal(node, Draft(data=data, clock=said.clock, host_ns=1, utc_ns=utc_ns))
        return self.message(node, record)

    def seal(self, node: str, said: Draft) -> Sealed:
        """The next link of a node's chain."""
        sealed = self._sealers[node].seal(said, self._heads[node])
        self._heads[node] = sealed.head
        return sealed

    def message(self, node: str, sealed: Sealed) -> Message:
        """A record on its topic."""
        return Message(f"{self._sealers[node].identity.topic}/event/{sealed.kind}", sealed.envelope)

    def shot(
        self, at_s: float, nodes: Iterable[str] = NODES_ENU_M, enu_m: Point = SHOT
    ) -> list[Message]:
        """What these nodes say of a shot `at_s` after START_NS."""
        return [self._hears(node, at_s, enu_m) for node in nodes]

    def warmth(self, celsius: Mapping[str, float], at_s: float = 0.0) -> list[Message]:
        """A heartbeat of each of these nodes, with the air's temperature."""
        utc_ns = START_NS + round(at_s * NS_PER_S)
        return [
            self.say(node, msgspec.structs.replace(heartbeat(), air_temperature_c=value), utc_ns)
            for node, value in celsius.items()
        ]

    def _hears(self, node: str, at_s: float, enu_m: Point) -> Message:
        travel_s = math.dist(self._nodes[node].enu_m, enu_m) / self._speed_mps
        toa_ns = START_NS + round((at_s + travel_s) * NS_PER_S)
        heard = msgspec.structs.replace(
            impulse(), toa_utc_ns=str(toa_ns), sigma_noise_ns=50_000, sigma_total_ns=200_000
        )
        return self.say(node, heard, toa_ns)
