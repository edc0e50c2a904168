"""Whole runs for tests: plans of a packaged scenario, and time that makes patience short."""

import time
from functools import partial

from simulator.grid import scenario
from simulator.grid.fleet import NodePlan
from simulator.grid.grid import Grid
from simulator.grid.pace import FastPace

HURRY = 20
SEED = 1


def plans_of(name: str = "one_shot", cells: tuple[str, ...] = ("a",)) -> list[NodePlan]:
    """The nodes of a scenario, once in each of `cells`."""
    wanted = scenario.load(name)
    return [
        NodePlan(
            site=wanted.site,
            cell=cell,
            node=node.name,
            enu_m=node.enu_m,
            sigma_m=0.1,
            hardware=partial(wanted.hardware, node),
        )
        for cell in cells
        for node in wanted.nodes
    ]


class HurriedPace(FastPace):
    """Real time, HURRY times as fast: back-off and patience pass in fractions of a second."""

    def after_slice(self) -> int:
        return time.monotonic_ns() * HURRY

    def after_rest(self) -> int:
        time.sleep(0.002)
        return self.after_slice()


def held(grid: Grid) -> list[tuple[str, int]]:
    """Chain and number of every record in the locator's store."""
    return [(body.chain, body.seq) for body in grid.store.bodies()]
