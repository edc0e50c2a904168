"""A receiver's pulses on the second channel: real enough that the node's own picker reads them."""

from collections.abc import Iterator

import numpy as np
import pytest

from agent.core.audio import AudioBlock, AudioFormat
from agent.core.clock.pps_edge import EdgePicker
from agent.core.clock.time_signs import Edge
from agent.core.units import NS_PER_S
from simulator.grid.hardware import Board, assemble
from simulator.scene.oscillators import XO, AdcClock, Oscillator
from simulator.scene.pps_line import PpsLine, PpsWiring
from simulator.scene.randomness import stream

RATE_HZ = 48_000
START = 1_773_522_000 * NS_PER_S + 400_000_000


def wandering_adc() -> AdcClock:
    """A converter 17 ppm fast that wanders, so pulses fall anywhere between two samples."""
    return AdcClock(Oscillator(START, 17.0, XO, stream(5, "adc")), RATE_HZ)


def line(wiring: PpsWiring, outages: tuple[tuple[int, int], ...] = ()) -> PpsLine:
    return PpsLine(wandering_adc(), wiring, stream(5, "pulses"), outages)


def taken(pulses: PpsLine, seconds: float, cut: int = 1000) -> np.ndarray:
    count = round(seconds * RATE_HZ)
    parts = [pulses.samples(at, min(cut, count - at)) for at in range(0, count, cut)]
    return np.concatenate(parts)


class Silence:
    """A quiet street, digitised by a converter that wanders."""

    def __init__(self, seconds: int) -> None:
        self.format = AudioFormat(RATE_HZ)
        self.clock = wandering_adc()
        self._seconds = seconds

    def chunks(self) -> Iterator[np.ndarray]:
        for _ in range(self._seconds):
            yield np.zeros(RATE_HZ, np.int16)


def edges_heard(board: Board, seconds: int) -> list[Edge]:
    microphone = assemble(Silence(seconds), board, "n1", 1, 10.0).microphone
    picker, found = EdgePicker(RATE_HZ), []
    while (piece := microphone.read()) is not None:
        found += picker.on_block(piece) if isinstance(piece, AudioBlock) else []
    return found


def off_second_ns(found: list[Edge]) -> np.ndarray:
    """How far each edge is from the nearest true second, in ns."""
    utc_ns = np.array([wandering_adc().utc_ns_at(edge.sample) for edge in found])
    return (utc_ns + NS_PER_S // 2) % NS_PER_S - NS_PER_S // 2


def test_the_node_reads_every_second_of_five_minutes() -> None:
    """With 20 ns of jitter: each second once, no other edge, 0.2 us RMS, within its sigma."""
    found = edges_heard(Board(pps_wiring=PpsWiring()), 300)
    off_ns = off_second_ns(found)
    sigma_ns = np.hypot([edge.sigma_samples * NS_PER_S / RATE_HZ for edge in found], 20.0)
    assert len(found) == 300
    assert np.sqrt(np.mean(off_ns**2.0)) < 200
    assert 0.8 <= np.sqrt(np.mean((off_ns / sigma_ns) ** 2)) <= 1.25
    assert abs(off_ns.mean()) < 50


@pytest.mark.parametrize(
    "wiring",
    [
        PpsWiring(coupling_s=0.01),
        PpsWiring(height=-0.3),
        PpsWiring(width_s=0.001),
        PpsWiring(height=0.1, noise_dbfs=-50.0),
        PpsWiring(height=3.0),
    ],
)
def test_any_wiring_can_be_read(wiring: PpsWiring) -> None:
    """Behind a capacitor, low, short, faint or beyond full scale: each second is still found."""
    found = edges_heard(Board(pps_wiring=wiring), 20)
    sigma_ns = np.array([edge.sigma_samples * NS_PER_S / RATE_HZ for edge in found])
    assert len(found) == 20
    assert (np.abs(off_second_ns(found)) < 4 * np.hypot(sigma_ns, 20.0) + 50).all()


def test_an_outage_leaves_out_its_pulses_only() -> None:
    """Without satellites there are no pulses, and the ones after are where they belong."""
    outage = (START + 3 * NS_PER_S, START + 6 * NS_PER_S)
    found = edges_heard(Board(pps_wiring=PpsWiring(), pps_outages=(outage,)), 10)
    seconds = [round((wandering_adc().utc_ns_at(e.sample) - START) / NS_PER_S, 3) for e in found]
    assert seconds == [0.6, 1.6, 2.6, 6.6, 7.6, 8.6, 9.6]


def test_lost_samples_are_lost_on_both_channels() -> None:
    """The second channel has the microphone's gaps, and stays in step with it."""
    board = Board(pps_wiring=PpsWiring(), losses=((40_000, 30_000),))
    found = edges_heard(board, 6)
    assert len(found) == 5
    assert np.abs(off_second_ns(found)).max() < 1000


def test_the_cut_of_blocks_does_not_matter() -> None:
    """The same line gives the same samples in pieces of any size."""
    whole, pieces = (taken(line(PpsWiring(coupling_s=0.02)), 3.0, cut) for cut in (144_000, 777))
    np.testing.assert_array_equal(whole, pieces)


def test_a_pulse_has_its_height_and_width() -> None:
    """Direct coupling holds the level for the pulse's length, over noise of the stated level."""
    heard = taken(line(PpsWiring(height=0.5, width_s=0.2, noise_dbfs=-60.0)), 2.0) / 32_768
    start = wandering_adc().sample_at(START + 600_000_000)
    high = np.flatnonzero(heard > 0.25)
    inside = heard[round(start) + 100 : round(start) + 9_500]
    assert high[0] == pytest.approx(start, abs=1)
    assert high[np.flatnonzero(np.diff(high) > 1)[0]] == pytest.approx(start + 9_600, abs=1)
    assert inside.mean() == pytest.approx(0.5, abs=1e-3)
    assert 20 * np.log10(heard[: round(start) - 100].std()) == pytest.approx(-60.0, abs=0.2)


def test_a_capacitor_lets_the_level_decay() -> None:
    """After one time constant 37 % are left, and the end of the pulse goes below zero."""
    heard = taken(line(PpsWiring(height=0.5, coupling_s=0.02, noise_dbfs=-90.0)), 2.0) / 32_768
    start = wandering_adc().sample_at(START + 600_000_000)
    assert heard[round(start) + 960] == pytest.approx(0.5 / np.e, rel=0.01)
    assert heard[round(start) + 4_800 + 10] == pytest.approx(-0.5, rel=0.03)


def test_without_wiring_there_is_one_channel() -> None:
    """A board whose pulse goes elsewhere has a microphone only."""
    block = assemble(Silence(1), Board(), "n1", 1, 10.0).microphone.read()
    assert isinstance(block, AudioBlock)
    assert block.pps is None


def test_each_node_has_noise_of_its_own() -> None:
    """The second channel is repeated exactly by its seed and node, and differs for others."""

    def first_block(node: str, seed: int) -> bytes:
        board = Board(pps_wiring=PpsWiring())
        block = assemble(Silence(1), board, node, seed, 10.0).microphone.read()
        assert isinstance(block, AudioBlock)
        assert block.pps is not None
        assert block.pps.shape == block.samples.shape
        return block.pps.tobytes()

    assert first_block("n1", 1) == first_block("n1", 1)
    assert len({first_block("n1", 1), first_block("n2", 1), first_block("n1", 2)}) == 3
