"""Many nodes of one cell, some of them with clocks that are wrong, before a real centre.

Store, service, signatures and the stated clock are the centre's own; time is virtual. The truth is
this world's: who hears a shot and when follows from where it was fired, and a clock is wrong by
what the test says. What is judged is what the centre announces.
"""

import random
from dataclasses import dataclass, field
from math import dist
from pathlib import Path

import msgspec

import agent
from agent.adapters.host import Discipline
from agent.core.records import Draft
from agent.core.records.envelope import seal
from agent.core.records.kinds import STATUS_TYPE, Status
from agent.core.units import NS_PER_MS, NS_PER_S, rfc3339, sound_speed_mps
from agent.ports import Message
from simulator.centre.locator.incident import Incident
from simulator.centre.locator.service import SUBSCRIPTIONS, LocatorService
from simulator.centre.locator.store import EventStore
from simulator.centre.locator.windows import Revision
from simulator.centre.stated_clock import StatedClock
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from tests.support.cells import Cell
from tests.support.drafts import LOCATOR, draft, impulse, signer_of
from tests.support.located import AIR_C, Point

HEARD_WITHIN_M = 450.0
APART_S = 60.0
_STEP_NS = NS_PER_S
_SIGMA_NS = 200_000


class Wall:
    """The centre's host, whose clocks both read the true time (`off_ns` its wall clock's error)."""

    def __init__(self) -> None:
        self.utc_ns, self.off_ns = (agent.RELEASED_UTC_S + 86_400) * NS_PER_S, 0

    def monotonic_ns(self) -> int:
        return self.utc_ns

    def realtime_ns(self) -> int:
        return self.utc_ns + self.off_ns


@dataclass
class Town:
    """`nodes` of them about 150 m apart; `is_vouched` whether the kernel vouches for the centre's
    clock; `memory` is small, so that what the centre believes comes from its disk."""

    directory: Path
    nodes: int
    seed: int
    is_vouched: bool = True
    memory: int = 64
    clock_node: str = ""
    told: dict[str, Incident] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    heard: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        side_m = 150.0 * self.nodes**0.5
        self.places: dict[str, Point] = {
            f"n{number}": (self.rng.uniform(0, side_m), self.rng.uniform(0, side_m), 5.0)
            for number in range(self.nodes)
        }
        self.side_m, self.cell, self.broker = side_m, Cell(nodes=self.places), VirtualBroker()
        self.wall, self.now_ns, self.shots = Wall(), 0, []
        self.street = VirtualPublisher(self.broker, "street")
        self.street.connect()
        self.open()

    def open(self) -> None:
        source = f"urn:earshot:lab:a:{self.clock_node}" if self.clock_node else ""
        self.clock = StatedClock(
            self.wall, lambda: Discipline(self.is_vouched, NS_PER_MS, "none"), source
        )
        self.store = EventStore(self.directory / "store", self.cell.registry.keys, LOCATOR)
        self.service = LocatorService(
            self.store,
            VirtualPublisher(self.broker, "locator", SUBSCRIPTIONS, persistent=True),
            self.cell.registry,
            rng=random.Random(1),
            memory=self.memory,
            announce=self._announced,
            clock=self.clock,
        )
        self.run(3)

    def restart(self) -> None:
        """The centre is killed and starts again on what its disk holds."""
        self.names |= self.named
        self.store.close()
        self.open()

    def _announced(self, revision: Revision) -> None:
        for gone in revision.withdrawn:
            self.told.pop(gone.id, None)
        self.told |= {one.id: one for one in revision.changed}

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.service.step(self.now_ns, lambda: rfc3339(self.clock.now().utc_ns))
            self.now_ns += _STEP_NS
            self.wall.utc_ns += _STEP_NS

    def fire(
        self,
        shots: int,
        off_ns: dict[str, int] | None = None,
        unsure: frozenset[str] = frozenset(),
        late_s: float = 0.4,
    ) -> None:
        """Shots a minute apart, each told `late_s` after it was heard; then a minute of rest."""
        off_ns, held = off_ns or {}, []
        for _ in range(shots):
            at_ns, place = self.wall.utc_ns, self._somewhere()
            self.shots.append((at_ns, place))
            self.heard |= {node for node in self.places if self._is_heard(node, place)}
            said = [self._hears(node, at_ns, place, off_ns, unsure) for node in self.places]
            held.append([one for one in said if one])
            if late_s < APART_S:
                self._deliver(held.pop())
            self.run(round(APART_S))
        self.wall.utc_ns += round(late_s * NS_PER_S) if held else 0
        for messages in held:
            self._deliver(messages)
            self.run(2)
        self.run(40)

    def present(self, node: str, takes: tuple[str, ...]) -> None:
        """A node says which words it takes."""
        source = f"urn:earshot:lab:a:{node}"
        status = Status(
            source=source,
            online=True,
            boot="b" * 32,
            backlog=0,
            connects=1,
            software="",
            takes=takes,
        )
        raw = seal(STATUS_TYPE, msgspec.json.encode(status), signer_of(node))
        self.street.publish(f"earshot/v1/lab/a/{node}/status", raw)
        self.run(2)

    def receipts(self) -> list[Message]:
        """What the centre said to its nodes, as far as it is retained."""
        reader = VirtualPublisher(self.broker, "reader", ("earshot/v1/+/+/+/receipt",))
        reader.connect()
        return [one for one in reader.poll() if isinstance(one, Message)]

    def _is_heard(self, node: str, place: Point) -> bool:
        return dist(self.places[node], place) <= HEARD_WITHIN_M

    def _deliver(self, messages: list[Message]) -> None:
        self.run(2)  # the farthest have heard it by then
        for one in self.rng.sample(messages, len(messages)):
            self.street.publish(one.topic, one.payload)

    def _somewhere(self) -> Point:
        low, high = 0.2 * self.side_m, 0.8 * self.side_m
        return (self.rng.uniform(low, high), self.rng.uniform(low, high), 1.5)

    def _hears(
        self,
        node: str,
        at_ns: int,
        place: Point,
        off_ns: dict[str, int],
        unsure: frozenset[str],
    ) -> Message | None:
        if not self._is_heard(node, place):
            return None
        far_m = dist(self.places[node], place)
        toa_ns = at_ns + round(far_m / sound_speed_mps(AIR_C) * NS_PER_S)
        toa_ns += off_ns.get(node, 0) + round(self.rng.gauss(0.0, 50_000.0))
        heard = msgspec.structs.replace(
            impulse(), toa_utc_ns=str(toa_ns), sigma_noise_ns=50_000, sigma_total_ns=_SIGMA_NS
        )
        clock = draft().clock
        if node in unsure:
            clock = msgspec.structs.replace(clock, confirmed=False, alternatives=("label",))
        said = Draft(data=heard, clock=clock, host_ns=1, utc_ns=toa_ns)
        return self.cell.message(node, self.cell.seal(node, said))

    # ---- what came of it

    @property
    def located(self) -> list[Incident]:
        """What was announced and not withdrawn."""
        return [one for one in self.told.values() if one.status == "located"]

    @property
    def right(self) -> int:
        """Shots told once, at their time and place."""
        return sum(
            [self._is_of(one, at_ns, place) for one in self.located].count(True) == 1
            for at_ns, place in self.shots
        )

    @property
    def false(self) -> int:
        """Located incidents that are no shot."""
        return sum(
            not any(self._is_of(one, at_ns, place) for at_ns, place in self.shots)
            for one in self.located
        )

    @property
    def sure(self) -> list[Incident]:
        """Located, and of one second only."""
        return [one for one in self.located if not one.alternatives]

    @property
    def wrong_and_sure(self) -> list[Incident]:
        """Of a shot, at a second that it was not, and without the one that it was."""
        true_ns = [at_ns for at_ns, _ in self.shots]
        return [
            one
            for one in self.located
            if not any(
                abs(may_be.utc_ns - at_ns) < 50 * NS_PER_MS
                for may_be in (one, *one.alternatives)
                for at_ns in true_ns
            )
        ]

    def _is_of(self, one: Incident, at_ns: int, place: Point) -> bool:
        is_near = one.enu_m is not None and dist(one.enu_m[:2], place[:2]) < 15.0
        return is_near and abs(one.utc_ns - at_ns) < 50 * NS_PER_MS

    @property
    def named(self) -> set[str]:
        """Nodes whose clock is said to be wrong."""
        words = " ".join(one for one in self.service.counters.rejected if "clock" in one)
        told = set(words.replace(",", "").replace("'s", "").split())
        return self.names | {node for node in self.places if node in told}

    def close(self) -> None:
        self.store.close()
