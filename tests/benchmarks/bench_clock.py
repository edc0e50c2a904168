"""What the clock costs: every block mapped to UTC, as a share of one core at 48 kHz."""

import time

from agent.core.audio import AudioBlock
from agent.core.clock import Timebase
from simulator.trials.clocks import scenario as scenarios
from simulator.trials.clocks.trial import settings_for
from simulator.trials.clocks.world import BLOCK_SAMPLES, RATE_HZ, World


def test_mapping_samples_to_utc() -> None:
    """Ten minutes of 1024-sample blocks, pulses and reports; a stamp and a state each block."""
    one = scenarios.load("xo_half_ms")
    world = World(one, 1)
    items = list(world.items())
    timebase = Timebase(RATE_HZ, settings_for(one))
    started = time.process_time()
    for item in items:
        timebase.on_time(item.host_ns)
        if isinstance(item, AudioBlock):
            timebase.on_block(item)
            if timebase.state == "locked":
                timebase.stamp_sample(item.first_sample + 0.5)
        else:
            timebase.on_sign(item)
    spent_s = time.process_time() - started
    blocks = sum(isinstance(item, AudioBlock) for item in items)
    heard_s = blocks * BLOCK_SAMPLES / RATE_HZ
    print(
        f"\nclock: {1e6 * spent_s / blocks:.1f} us a block of {BLOCK_SAMPLES}, a stamp with each: "
        f"{spent_s / heard_s:.3%} of one core (allowed 1 %)"
    )
    assert spent_s / heard_s < 0.01
