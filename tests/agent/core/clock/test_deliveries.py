"""How blocks are handed over: frames and thin beginnings are seen, bursts not taken for them."""

import numpy as np
import pytest

from agent.core.clock.deliveries import Deliveries
from agent.core.clock.frames import Frames
from agent.core.clock.rate_memory import RateMemory
from agent.core.units import NS_PER_MS, NS_PER_S, NS_PER_US

RATE_HZ = 48_000
Late = np.ndarray


def heard(block: int, late_ns: Late, rate_hz: int = RATE_HZ) -> Deliveries:
    """Blocks that end on time and are handed over so late; then a look at what was made of it."""
    deliveries = Deliveries(rate_hz)
    per_s = round(rate_hz / block)
    ends = np.arange(1, len(late_ns) + 1) * block
    for end, late in zip(ends, late_ns, strict=True):
        deliveries.observe(int(end), round(end * NS_PER_S / rate_hz + late))
    for second in range(len(late_ns) // per_s):
        early_ns = float(late_ns[second * per_s : (second + 1) * per_s].min())
        deliveries.on_earliest(early_ns, early_ns)
    return deliveries


def framed(block: int, count: int, frame_ns: float, ppm: float = 30.0) -> Late:
    """What waiting for the frames of another crystal does, and a little more."""
    rng = np.random.default_rng(3)
    end_ns = np.arange(1, count + 1) * block * NS_PER_S / RATE_HZ * (1 + ppm * 1e-6)
    return np.asarray(-end_ns % frame_ns + rng.exponential(20_000.0, count))


@pytest.mark.parametrize("frame_ns", [125 * NS_PER_US, NS_PER_MS, 8 * NS_PER_MS])
def test_frames_are_seen_in_the_intervals(frame_ns: int) -> None:
    """Multiples of a frame, though blocks are not: the widest gap between phases may be hidden."""
    deliveries = heard(1_024, framed(1_024, 3_000, frame_ns))
    assert deliveries.law == "quantised"
    assert deliveries.quantum_ns == pytest.approx(frame_ns / 3, rel=0.01)
    assert 0 < deliveries.shape_sigma_ns < frame_ns


def test_blocks_of_whole_frames_could_hide_them() -> None:
    """Where nothing can be seen a frame is assumed: it cannot know."""
    rng = np.random.default_rng(4)
    deliveries = heard(480, rng.exponential(100_000.0, 6_000))
    assert deliveries.law == "quantised"
    assert deliveries.shape_sigma_ns > 0.6 * NS_PER_MS


@pytest.mark.parametrize("frame_ns", [NS_PER_MS, 4 * NS_PER_MS])
def test_the_widest_frame_that_could_hide_counts_until_one_slides_past(frame_ns: int) -> None:
    """Blocks of 20 ms hide interrupts every 4 ms: seen were 6 ms at a sigma of 1.8, and 3 sigma."""
    still = heard(960, framed(960, 1_500, frame_ns, ppm=0.0))
    assert still.shape_sigma_ns > 0.6 * 4 * NS_PER_MS
    slid = heard(960, framed(960, 50 * 400, frame_ns, ppm=40.0))
    assert slid.quantum_ns == pytest.approx(frame_ns)


def test_delays_are_thin_at_their_earliest_until_they_show_otherwise() -> None:
    """The first minute of exponential delays cannot be told from log-normal ones."""
    rng = np.random.default_rng(7)
    late_ns = rng.exponential(500_000.0, 47 * 300)
    assert heard(1_024, late_ns[: 47 * 20]).shape_sigma_ns > 10_000.0 / 2
    assert heard(1_024, late_ns).shape_sigma_ns < 0.05 * 500_000.0


@pytest.mark.parametrize("mean_us", [20.0, 500.0, 3_000.0])
def test_the_assumed_law_is_recognised(mean_us: float) -> None:
    """Random delays, dense at their earliest, add nothing to sigma."""
    rng = np.random.default_rng(5)
    deliveries = heard(1_024, rng.exponential(mean_us * 1_000, 47 * 300))
    assert deliveries.law == "fits"
    assert deliveries.shape_sigma_ns < 0.05 * mean_us * 1_000


@pytest.mark.parametrize("spread", [0.5, 0.8, 1.0])
def test_a_thin_beginning_widens_sigma(spread: float) -> None:
    """Log-normal delays are rarely near their floor: sigma says about how far away it may be."""
    rng = np.random.default_rng(6)
    late_ns = 300_000.0 * np.exp(spread * rng.standard_normal(47 * 300))
    deliveries = heard(1_024, late_ns - late_ns.min())  # the line cannot know of the floor
    assert deliveries.law == "thin start"
    assert deliveries.shape_sigma_ns > 0.5 * late_ns.min()


def test_catching_up_is_no_frame() -> None:
    """Stalls of 200 ms and the bursts that follow, every two seconds."""
    rng = np.random.default_rng(8)
    late_ns = rng.exponential(300_000.0, 6_000)
    at_ns = np.arange(1, 6_001) * 1_024 * NS_PER_S / RATE_HZ
    held_ns = np.maximum(0.0, 2e8 - at_ns % (2 * NS_PER_S))
    assert heard(1_024, np.maximum(late_ns, held_ns)).law != "quantised"


def test_frames_of_marks_are_suspected_until_they_show_otherwise() -> None:
    """Late by up to a millisecond at first; not any more for steady marks, or after minutes."""
    frames = Frames()
    frames.expect(NS_PER_MS, is_steady=False)
    assert frames.late_sigma_ns > 0.6 * NS_PER_MS
    frames.expect(NS_PER_MS, is_steady=True)
    assert frames.late_sigma_ns == 0.0
    for _ in range(240):
        frames.on_taken()
    frames.expect(NS_PER_MS, is_steady=False)
    assert frames.late_sigma_ns == 0.0
    assert frames.explain(1.1 * NS_PER_MS, 0.0, 0.0)
    assert not frames.explain(2.0 * NS_PER_MS, 0.0, 0.0)
    assert frames.on_jump(1.0 * NS_PER_MS)
    assert not frames.on_jump(1.0 * NS_PER_MS)
    assert frames.late_sigma_ns > 0.6 * NS_PER_MS


def test_an_interrupt_that_comes_late_is_no_frame() -> None:
    """Shorter than any frame: its lateness counts for a minute, not for hours as a frame's."""
    frames = Frames()
    frames.expect(NS_PER_MS, is_steady=True)
    assert not frames.on_jump(40.0 * NS_PER_US)
    assert frames.quantum_ns == 0.0
    assert frames.late_sigma_ns > 20 * NS_PER_US
    for _ in range(300):
        frames.on_taken()
    assert frames.late_sigma_ns < NS_PER_US


def test_a_day_that_was_seen_widens_what_is_foretold() -> None:
    """A rate that swings by 3 ppm a day foretells more stray than a prior for a calm crystal."""
    calm, swinging = RateMemory(), RateMemory()
    for number in range(6 * 48):
        at_s = 600.0 * number
        calm.observe(at_s, 0.0)
        swinging.observe(at_s, 1_500.0 * float(np.sin(2 * np.pi * at_s / 86_400.0)))
    half_day_s = 43_200.0
    assert calm.stray_ns(half_day_s, 0.05) < swinging.stray_ns(half_day_s, 0.05)
    assert swinging.stray_ns(half_day_s, 0.05) > 20 * NS_PER_MS
    assert swinging.stray_ns(0.5, 0.05) == 0.0


def test_stray_grows_with_time() -> None:
    """Monotonically, whatever was seen."""
    memory = RateMemory()
    rng = np.random.default_rng(1)
    for number in range(200):
        memory.observe(600.0 * number, float(rng.normal(0.0, 300.0)))
    strayed = [memory.stray_ns(ahead_s, 1.0) for ahead_s in np.geomspace(1.0, 2e5, 60)]
    assert strayed == sorted(strayed)
