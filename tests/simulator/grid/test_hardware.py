"""Virtual ports: what an agent sees of time is only what a real host would show it."""

import numpy as np
import pytest

from agent.core.audio import AudioBlock, AudioGap
from agent.core.clock.time_signs import TimeMark
from agent.core.units import NS_PER_MS, NS_PER_S
from simulator.grid.hardware import Board, RecordedAudio, assemble, items

START = 1_773_522_000 * NS_PER_S + 250_000_000
RATE_HZ = 12_000
SOUND = (np.arange(60_000) % 32_768).astype(np.int16)
BOARD = Board(block_samples=512, host_ppm=15.0, delay_floor_us=80.0, delay_mean_us=700.0)


def hardware(board=BOARD, node="n1", seed=1, samples=SOUND):
    return assemble(RecordedAudio(samples, RATE_HZ, START), board, node, seed, 8.0)


def run(board=BOARD, **rest):
    ports = hardware(board, **rest)
    return ports, list(items(ports.microphone, ports.reference))


def of(kind, happened):
    return [item for item in happened if isinstance(item, kind)]


def test_a_recording_comes_through_untouched():
    """Blocks, put together by their indices, are the recording; the last may be short."""
    _, happened = run()
    blocks = of(AudioBlock, happened)
    assert [block.first_sample for block in blocks] == list(range(0, 60_000, 512))
    np.testing.assert_array_equal(np.concatenate([block.samples for block in blocks]), SOUND)
    assert {block.samples.dtype for block in blocks} == {np.dtype(np.int16)}


def test_blocks_are_late_by_a_one_sided_delay():
    """No block is handed over before its last sample's period is over, on the host's own clock."""
    ports, happened = run()
    late_ns = np.array(
        [
            block.host_ns
            - ports.clock.time.host_ns_at(START + block.end_sample * NS_PER_S // RATE_HZ)
            for block in of(AudioBlock, happened)
        ]
    )
    assert late_ns.min() >= 80_000 - 1
    assert np.median(late_ns) == pytest.approx(80_000 + 700_000 * np.log(2), rel=0.35)


def test_everything_comes_in_order_of_host_time():
    """Blocks, gaps and marks are one stream that a node can take in step by step."""
    _, happened = run(Board(block_samples=512, delay_mean_us=60_000.0, losses=((9_000, 700),)))
    times = [item.host_ns for item in happened]
    assert times == sorted(times)
    assert len(of(TimeMark, happened)) == 5


def test_the_clock_shows_the_moment_of_the_last_event():
    """Reading is what lets virtual time pass; the host's wall clock then is true UTC."""
    ports = hardware()
    block = ports.microphone.read()
    assert ports.clock.monotonic_ns() == block.host_ns
    assert START < ports.clock.realtime_ns() < START + 60 * NS_PER_MS
    ports.clock.advance_to(0)
    assert ports.clock.monotonic_ns() == block.host_ns


def test_a_mark_is_not_told_before_its_second():
    """Marks wait for the host's clock to reach them, and each is told once."""
    ports = hardware()
    assert ports.reference.poll() == []
    ports.clock.advance_to(ports.clock.monotonic_ns() + 2 * NS_PER_S)
    assert [mark.utc_ns % NS_PER_S for mark in ports.reference.poll()] == [0, 0]
    assert ports.reference.poll() == []


@pytest.mark.parametrize("loss", [(1000, 700), (1024, 512), (0, 100), (59_000, 5_000)])
def test_lost_samples_become_a_gap_of_the_right_size(loss):
    """Indices go on counting through a loss, and every sample is either heard or told lost."""
    _, happened = run(Board(block_samples=512, losses=(loss,)))
    pieces = of((AudioBlock, AudioGap), happened)
    (gap,) = of(AudioGap, pieces)
    assert (gap.first_sample, gap.lost) == (loss[0], min(loss[1], 60_000 - loss[0]))
    at = 0
    for piece in pieces:
        assert piece.first_sample == at
        at += piece.lost if isinstance(piece, AudioGap) else len(piece.samples)
        if isinstance(piece, AudioBlock):
            span = slice(piece.first_sample, piece.end_sample)
            np.testing.assert_array_equal(piece.samples, SOUND[span])
    assert at == 60_000


def test_a_closed_microphone_has_ended():
    """After close, and after the end, read says None; closing twice is harmless."""
    ports = hardware()
    ports.microphone.read()
    ports.microphone.close()
    ports.microphone.close()
    assert ports.microphone.read() is None
    empty = hardware(samples=np.empty(0, np.int16))
    assert empty.microphone.read() is None


def test_same_seed_same_node_same_times():
    """A node's hardware is repeated exactly; another node's is its own."""

    def times(node, seed):
        return tuple(item.host_ns for item in run(node=node, seed=seed)[1])

    assert times("n1", 1) == times("n1", 1)
    assert len({times("n1", 1), times("n2", 1), times("n1", 2)}) == 3


def test_vitals_tell_the_air_temperature():
    """The locator takes the speed of sound from what the nodes say of the air."""
    assert hardware().vitals.read().air_temperature_c == 8.0


def test_a_box_in_the_sun_moves_the_host_clock():
    """Warming by 36 C an hour at 0.3 ppm/C makes 0.003 ppm more each second."""
    cool, warm = (
        hardware(Board(host_ppm=0.0, warming_c_per_hour=warming)).clock.time
        for warming in (0.0, 36.0)
    )
    end = START + 1000 * NS_PER_S
    gained = [time.host_ns_at(end) - time.host_ns_at(START) for time in (cool, warm)]
    assert gained[1] - gained[0] == pytest.approx(0.003e-6 * 1000**2 / 2 * NS_PER_S, rel=0.01)
