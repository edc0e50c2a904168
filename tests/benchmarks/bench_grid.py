"""How much faster than real time six nodes run, with their locator and alone."""

import tempfile
import time
from pathlib import Path

from simulator.grid import grid
from simulator.grid.fleet import VirtualNode, locator_signer
from simulator.grid.virtual_broker import VirtualBroker
from tests.support.links import World
from tests.support.runs import SEED, plans_of

NODES = 6


def test_a_virtual_run_against_its_nodes_alone(capsys) -> None:
    """Synthesis and hearing are the floor; broker, locator and receipts come on top."""
    plans = plans_of("quickstart")[:NODES]
    alone_s, sound_s = seconds_for_hearing(plans)
    result = grid.run(
        plans, seed=SEED, mode="virtual", broker=None, directory=None, progress=lambda _: None
    )
    with capsys.disabled():
        print(
            f"\n{NODES} nodes, {sound_s:.0f} s: {sound_s / result.wall_s:.0f}x real time "
            f"({result.wall_s:.2f} s); nodes alone {sound_s / alone_s:.0f}x ({alone_s:.2f} s); "
            f"ratio {result.wall_s / alone_s:.2f}"
        )


def seconds_for_hearing(plans: list[grid.NodePlan]) -> tuple[float, float]:
    """Sound made and heard by node after node, nothing delivered; and how long the sound is."""
    link_to, locator = World(VirtualBroker()).link, locator_signer(SEED)
    with tempfile.TemporaryDirectory() as folder:
        start_s = time.perf_counter()
        for plan in plans:
            node = VirtualNode(plan, SEED, Path(folder), link_to, locator)
            while not node.is_done:
                node.hear(500_000_000)
            node.close()
        return time.perf_counter() - start_s, node.heard_s
