"""What looking for pulses on the second channel costs over reading its samples once."""

import time

from agent.core.audio import AudioBlock, to_float
from agent.core.clock.pps_edge import EdgePicker
from agent.core.units import NS_PER_S
from simulator.scene.oscillators import PERFECT, AdcClock, Oscillator
from simulator.scene.pps_line import PpsLine, PpsWiring
from simulator.scene.randomness import stream

RATE_HZ = 48_000
BLOCK_SAMPLES = 1024
SECONDS = 60


def blocks() -> list[AudioBlock]:
    """A minute of pulses."""
    adc = AdcClock(Oscillator(NS_PER_S // 3, 0.0, PERFECT, stream(1, "adc")), RATE_HZ)
    line = PpsLine(adc, PpsWiring(), stream(1, "pulses"))
    starts = range(0, SECONDS * RATE_HZ, BLOCK_SAMPLES)
    channels = ((at, line.samples(at, BLOCK_SAMPLES)) for at in starts)
    return [AudioBlock(at, channel, 0, channel) for at, channel in channels]


def seconds_for_one_pass(sound: list[AudioBlock]) -> float:
    """Every sample as a float, and the loudest of each block."""
    start_s = time.perf_counter()
    for block in sound:
        to_float(block.samples).max()
    return time.perf_counter() - start_s


def seconds_for_edges(sound: list[AudioBlock]) -> float:
    """Every edge of every pulse."""
    picker = EdgePicker(RATE_HZ)
    start_s = time.perf_counter()
    found = sum(len(picker.on_block(block)) for block in sound)
    spent_s = time.perf_counter() - start_s
    assert found == SECONDS
    return spent_s


def test_edges_against_one_pass() -> None:
    """Prints both and their ratio; best of three, taken in turns."""
    sound = blocks()
    rounds = [(seconds_for_one_pass(sound), seconds_for_edges(sound)) for _ in range(3)]
    pass_s, edges_s = (min(column) for column in zip(*rounds, strict=True))
    print(
        f"\nedges {1e6 * edges_s / len(sound):.1f} us a block, one pass "
        f"{1e6 * pass_s / len(sound):.1f} us, {edges_s / pass_s:.1f}x the floor; "
        f"{100 * edges_s / SECONDS:.3f} % of one core"
    )
