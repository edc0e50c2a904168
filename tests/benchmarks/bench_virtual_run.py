"""How much faster than its own sound a grid of real agents runs, synthesis included."""

import time

import numpy as np

from simulator import grid, scenario
from simulator.cli.run import plans

NODES = 6


def seconds_to_copy(audio_s: float, rate_hz: int) -> float:
    """The floor: moving as many int16 samples once through memory as float32."""
    samples = np.zeros(round(audio_s * rate_hz), np.int16)
    start_s = time.perf_counter()
    samples.astype(np.float32)
    return time.perf_counter() - start_s


def test_virtual_run_against_real_time() -> None:
    """Prints the best of three as a multiple of real time, and beside the floor."""
    wanted = scenario.load("quickstart")
    nodes = list(plans(wanted))[:NODES]
    walls_s, floors_s = [], []
    for _ in range(3):
        start_s = time.perf_counter()
        result = grid.run(
            nodes,
            seed=wanted.seed,
            mode="virtual",
            broker=None,
            directory=None,
            progress=lambda _: None,
        )
        walls_s.append(time.perf_counter() - start_s)
        floors_s.append(seconds_to_copy(result.audio_s, wanted.rate_hz))
        assert result.records_verified == result.records_published > 0
    wall_s, floor_s = min(walls_s), min(floors_s)
    print(
        f"\n{NODES} nodes, {wanted.duration_s:.0f} s of scene in {wall_s:.2f} s: "
        f"{wanted.duration_s / wall_s:.1f}x real time, {wall_s / floor_s:.0f}x one copy in memory"
    )
