"""Runs a fleet: real agents on virtual hardware, a broker, and the locator at the other end.

Three ways: virtual (in-process broker and virtual time, deterministic to the byte), fast (nodes
hear as fast as they can, links and locator in real time over a real broker), live (all in real
time). What the nodes sign is the same in all of them. Cells are run in batches, so that
memory stays bounded; a node's link lives from its first sound to its last receipt.
"""

import hashlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.core.units import NS_PER_S, rfc3339
from agent.errors import LinkError, StoreError
from agent.ports import Publisher
from simulator.centre.locator.admission import ServiceCounters
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.incident import Incident
from simulator.centre.locator.registry import Registry, Station
from simulator.centre.locator.service import SUBSCRIPTIONS, LocatorService
from simulator.centre.locator.store import EventStore
from simulator.grid.fleet import NodePlan, VirtualNode, locator_signer, registry_of
from simulator.grid.pace import FastPace, LivePace, Pace, VirtualPace
from simulator.grid.wires import LinkTo, real_wire, virtual_wire
from simulator.scene.randomness import stream

__all__ = ["Grid", "GridResult", "NodePlan", "Progress", "run"]

STORE_NAME = "locator.sqlite"
MAX_ALIVE = 64
CONNECT_NS = 15 * NS_PER_S
BARRIER_NS = 120 * NS_PER_S
FAREWELL_NS = 5 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come; `node` was stepped last, `backlog` counts records not receipted."""

    node: str
    nodes_done: int
    nodes: int
    audio_s: float
    records: int
    backlog: int
    incidents: int


@dataclass(frozen=True, slots=True)
class GridResult:
    """What a run left behind. `cpu_s` is this process alone, without the broker.

    `chains` holds for each source the SHA-256 over its envelopes, in order, each with a newline:
    the digest of an export. `records_verified` were verified again in the locator's store.
    """

    incidents: list[Incident]
    arrivals: list[Arrival]
    stations: dict[str, Station]
    counters: ServiceCounters
    records_published: int
    records_verified: int
    chain_faults: list[str]
    chains: dict[str, str]
    audio_s: float
    wall_s: float
    cpu_s: float
    broker: str


def run(
    plans: Sequence[NodePlan],
    *,
    seed: int,
    mode: Literal["virtual", "fast", "live"],
    broker: Literal["auto", "mosquitto", "nats"] | None,
    directory: Path | None,
    progress: Callable[[Progress], None],
    max_alive: int = MAX_ALIVE,
) -> GridResult:
    """Run all nodes to the end of their sound, and locate what they heard.

    The locator's store stays in `directory` as STORE_NAME if one is given. No more than about
    `max_alive` nodes run at a time, except that a cell is never parted; live runs all at once.
    Virtual mode takes no `broker`. Raises EarshotError; LinkError when records are not receipted.
    """
    started_s, cpu_started_s = time.perf_counter(), time.process_time()
    paces: dict[str, Callable[[], Pace]] = {"fast": FastPace, "live": LivePace}
    pace = paces.get(mode, VirtualPace)()
    wire = virtual_wire() if mode == "virtual" else real_wire(broker or "auto")
    with ExitStack() as stack:
        link_to, broker_name = stack.enter_context(wire)
        folder = directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        grid = stack.enter_context(closing(Grid(plans, seed, folder, link_to, pace, progress)))
        grid.await_locator()
        for batch in batches(plans, len(plans) if mode == "live" else max_alive):
            grid.run_batch(batch)
        grid.finish()
        chain_faults, held = grid.store.chain_faults(), list(grid.store.envelopes())
        return GridResult(
            incidents=grid.service.incidents,
            arrivals=grid.service.arrivals,
            stations=grid.registry.stations,
            counters=grid.service.counters,
            records_published=grid.records,
            records_verified=max(0, len(held) - len(chain_faults)),
            chain_faults=chain_faults,
            chains={source: export_digest(grid.store, source) for source in grid.registry.stations},
            audio_s=grid.audio_s,
            wall_s=time.perf_counter() - started_s,
            cpu_s=time.process_time() - cpu_started_s,
            broker=broker_name,
        )


def batches(plans: Sequence[NodePlan], max_alive: int) -> Iterator[list[NodePlan]]:
    """Whole cells, as many as fit into `max_alive` nodes, and at least one."""
    cells: dict[tuple[str, str], list[NodePlan]] = {}
    for plan in plans:
        cells.setdefault((plan.site, plan.cell), []).append(plan)
    batch: list[NodePlan] = []
    for cell in cells.values():
        if batch and len(batch) + len(cell) > max_alive:
            yield batch
            batch = []
        batch += cell
    if batch:
        yield batch


class Grid:
    """A run under way: one locator, and one batch of nodes at a time.

    Everything is stepped on the caller's thread; `progress` is called after every turn.
    """

    def __init__(
        self,
        plans: Sequence[NodePlan],
        seed: int,
        directory: Path,
        link_to: LinkTo,
        pace: Pace,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.registry: Registry = registry_of(plans, seed)
        self.records, self.audio_s = 0, 0.0
        self._seed, self._directory = seed, directory
        self._link_to, self._pace, self._progress = link_to, pace, progress
        self._locator = locator_signer(seed)
        self._nodes: list[VirtualNode] = []
        self._nodes_done = self._utc_ns = 0
        if (directory / STORE_NAME).exists():
            raise StoreError(f"{directory / STORE_NAME}: exists; give each run a folder of its own")
        self.open_locator()

    def open_locator(self) -> None:
        """Start the locator on its store: at first, or again after `drop_locator`."""
        self.store = EventStore(self._directory / STORE_NAME, self.registry.keys, self._locator)
        self._link: Publisher = self._link_to("earshot-locator", *SUBSCRIPTIONS, lasting=True)
        rng = random.Random(stream(self._seed, "locator jitter").bytes(16))  # noqa: S311
        self.service = LocatorService(
            self.store, self._link, self.registry, self._pace.settle_ns, rng, memory=None
        )

    def await_locator(self) -> None:
        """Wait until the locator listens. Raises LinkError."""
        give_up_ns = self._pace.after_rest() + CONNECT_NS
        while not self.service.is_listening:
            if (now_ns := self._pace.after_rest()) > give_up_ns:
                trouble = self.service.trouble or "no answer from the broker"
                raise LinkError(f"the locator has no connection to the broker: {trouble}")
            self._turn(now_ns)

    def drop_locator(self) -> None:
        """Let go of the locator with all that it has not written."""
        self._link.close()
        self.store.close()

    def close(self) -> None:
        """Free everything."""
        self.drop_locator()

    def run_batch(self, plans: Sequence[NodePlan]) -> None:
        """Run nodes from their first sound until the locator holds all that they said."""
        with tempfile.TemporaryDirectory(prefix="earshot-nodes-") as folder, ExitStack() as stack:
            for plan in plans:
                node = VirtualNode(plan, self._seed, Path(folder), self._link_to, self._locator)
                self._nodes.append(stack.enter_context(closing(node)))
            while not all(node.is_done for node in self._nodes):
                for node in self._nodes:
                    node.hear(self._pace.slice_ns)
                self._turn(self._pace.after_slice())
            self._await_receipts()
            self.records += sum(node.records for node in self._nodes)
            self.audio_s += sum(node.heard_s for node in self._nodes)
            self._nodes_done += len(self._nodes)
            self._nodes = []

    def finish(self) -> None:
        """Locate what still waits for late arrivals, and tell of it while the broker answers."""
        self.service.flush()
        now_ns = self._pace.after_rest()
        give_up_ns = now_ns + FAREWELL_NS
        self._turn(now_ns)
        while not self.service.idle and now_ns < give_up_ns:
            now_ns = self._pace.after_rest()
            self._turn(now_ns)

    def _turn(self, now_ns: int) -> None:
        for node in self._nodes:
            node.deliver(now_ns)
            self._utc_ns = max(self._utc_ns, node.utc_ns)
        self.service.step(now_ns, self._utc_text)
        self._tell()

    def _await_receipts(self) -> None:
        least, since_ns = self._backlog(), self._pace.after_rest()
        while waiting := [node for node in self._nodes if not node.is_delivered]:
            now_ns = self._pace.after_rest()
            self._turn(now_ns)
            if (backlog := self._backlog()) < least:
                least, since_ns = backlog, now_ns
            elif now_ns - since_ns > BARRIER_NS:
                late = max(waiting, key=lambda node: node.backlog)
                raise LinkError(
                    f"{late.source}: {late.backlog} records without a receipt, and no progress "
                    f"for {BARRIER_NS // NS_PER_S} s: {late.trouble}"
                )

    def _backlog(self) -> int:
        return sum(node.backlog for node in self._nodes)

    def _utc_text(self) -> str:
        """The time of receipts: the nodes', for virtual time is theirs."""
        return rfc3339(self._utc_ns)

    def _tell(self) -> None:
        nodes = self._nodes
        self._progress(
            Progress(
                node=nodes[-1].source if nodes else "",
                nodes_done=self._nodes_done + sum(node.is_done for node in nodes),
                nodes=len(self.registry.stations),
                audio_s=self.audio_s + sum(node.heard_s for node in nodes),
                records=self.records + sum(node.records for node in nodes),
                backlog=self._backlog(),
                incidents=len(self.service.incidents),
            )
        )


def export_digest(store: EventStore, source: str) -> str:
    """SHA-256 of the export of one node: its envelopes in order, one a line."""
    digest = hashlib.sha256()
    for envelope in store.envelopes(source):
        digest.update(envelope + b"\n")
    return digest.hexdigest()
