"""UTC for a sample: right, with a sigma that covers the error, and never a false `locked`."""

import msgspec
import numpy as np
import pytest

from agent.core.audio import AudioBlock, AudioGap
from agent.core.clock import Timebase
from agent.core.clock.time_signs import Edge, Pulse, TimeMark
from agent.core.clock.timebase import ClockSettings
from agent.core.units import NS_PER_MS, NS_PER_S
from simulator.trials.clocks import scenario as scenarios
from simulator.trials.clocks import world as room
from simulator.trials.clocks.trial import settings_for

RATE_HZ = 48_000
BLOCK = np.zeros(1_024, np.int16)
HOST_0_NS, UTC_0_NS = 5_000 * NS_PER_S, 1_700_000_000 * NS_PER_S


class World:
    """One node's crystals: sample k is taken k / true_rate after the start of UTC."""

    def __init__(self, seed: int, adc_ppm: float, host_ppm: float, delay_us: float) -> None:
        self.rng = np.random.default_rng(seed)
        self.adc_ppm, self.host_ppm, self.delay_us = adc_ppm, host_ppm, delay_us
        self.timebase = Timebase(RATE_HZ, ClockSettings(latency_ns=0))
        self.sample, self.second = 0, 1
        self.changes = []

    def utc_of(self, sample: float) -> int:
        return UTC_0_NS + round(sample / RATE_HZ / (1 + self.adc_ppm * 1e-6) * NS_PER_S)

    def host_of(self, utc_ns: int) -> int:
        return HOST_0_NS + round((utc_ns - UTC_0_NS) * (1 + self.host_ppm * 1e-6))

    def run(self, seconds: float, *, pps: bool = True, mark_error_ns: int = 0) -> None:
        for _ in range(round(seconds * RATE_HZ / len(BLOCK))):
            first, self.sample = self.sample, self.sample + len(BLOCK)
            late_ns = round(self.rng.exponential(self.delay_us * 1_000))
            host_ns = self.host_of(self.utc_of(self.sample)) + late_ns
            while self.host_of(UTC_0_NS + self.second * NS_PER_S) <= host_ns:
                utc_ns = UTC_0_NS + self.second * NS_PER_S
                jitter_ns = round(self.rng.normal(0, 1_000))
                mark = TimeMark(
                    self.host_of(utc_ns) + jitter_ns + mark_error_ns, utc_ns, 1_000, "pps"
                )
                if pps:
                    self._note(self.timebase.on_sign(mark))
                self.second += 1
            self._note(self.timebase.on_time(host_ns))
            self.timebase.on_block(AudioBlock(first, BLOCK, host_ns))

    def _note(self, change) -> None:
        if change:
            self.changes.append((change.before, change.after))

    def error_ns(self, sample: float) -> int:
        return (self.timebase.stamp_sample(sample).utc_ns or 0) - self.utc_of(sample)


@pytest.mark.parametrize(
    ("delay_us", "rms_limit_ns", "bias_limit_ns"), [(500, 5_000, 2_000), (2_000, 10_000, 10_000)]
)
def test_a_minute_after_lock_time_is_good_to_microseconds(
    delay_us: float, rms_limit_ns: int, bias_limit_ns: int
) -> None:
    """Whatever the crystals' offsets, one-sided delivery delay does not become an error."""
    errors = []
    for seed in range(12):
        world = World(seed, adc_ppm=18.0 - 3 * seed, host_ppm=-12.0 + 2 * seed, delay_us=delay_us)
        world.run(62.0)
        errors.append(world.error_ns(world.sample - 4_800.5))
    assert float(np.sqrt(np.mean(np.square(errors)))) <= rms_limit_ns
    assert abs(float(np.mean(errors))) <= bias_limit_ns


def test_sigma_covers_the_error() -> None:
    """|error| <= 2 sigma in nearly every case, locked and in holdover."""
    within = []
    for seed in range(16):
        world = World(seed, 9.0, -4.0, 500)
        world.run(40.0)
        for pps in (True, False):
            world.run(10.0, pps=pps)
            stamp = world.timebase.stamp_sample(world.sample)
            within.append(abs(world.error_ns(world.sample)) <= 2 * stamp.sigma_ns)
    assert np.mean(within) >= 0.93


def test_states_follow_the_pulses() -> None:
    """Ten good pulses lock, three silent seconds are holdover, pulses lock again."""
    world = World(1, 0.0, 0.0, 100)
    world.run(9.5)
    assert world.timebase.state == "acquiring"
    world.run(2.0)
    assert world.timebase.state == "locked"
    world.run(2.0, pps=False)
    assert world.timebase.state == "locked"
    world.run(1.0, pps=False)
    assert world.timebase.state == "holdover"
    world.run(12.0)
    assert world.timebase.state == "locked"
    assert world.changes == [
        ("unsynchronised", "acquiring"),
        ("acquiring", "locked"),
        ("locked", "holdover"),
        ("holdover", "acquiring"),
        ("acquiring", "locked"),
    ]


def test_before_marks_there_is_no_utc() -> None:
    """A node without a time source says so instead of guessing."""
    world = World(1, 0.0, 0.0, 100)
    world.run(5.0, pps=False)
    stamp = world.timebase.stamp_sample(1_000)
    assert (stamp.utc_ns, stamp.sigma_ns) == (None, None)
    assert world.timebase.quality(HOST_0_NS).state == "unsynchronised"


def test_a_few_false_pulses_change_nothing() -> None:
    """Marks that contradict the oscillator by more than 500 ppm are refused."""
    world = World(2, 3.0, 3.0, 300)
    world.run(30.0)
    world.run(1.0, mark_error_ns=40 * NS_PER_MS)
    world.run(1.5)
    assert world.timebase.state == "locked"
    assert abs(world.error_ns(world.sample)) < 20_000


def test_after_lost_samples_sigma_admits_a_miscount() -> None:
    """Right after a gap its count may be wrong by milliseconds; a second later that is known."""
    world = World(3, 3.0, 3.0, 300)
    world.run(30.0)
    world.timebase.on_gap(AudioGap(world.sample, 777, HOST_0_NS, "overflow"))
    assert world.timebase.stamp_sample(world.sample).sigma_ns > 100_000
    world.sample += 777
    world.run(0.4)
    assert abs(world.error_ns(world.sample)) < 50_000
    world.run(2.0)
    assert abs(world.error_ns(world.sample)) < 15_000


@pytest.mark.parametrize("seed", range(6))
def test_another_device_after_a_gap_is_another_crystal(seed: int) -> None:
    """A stick that is exchanged may be 300 ppm off the old one: until that is learnt nothing is
    stamped, and what is stamped then lies within four sigma."""
    world = World(seed, 3.0, 3.0, 300)
    world.run(60.0)
    gap = AudioGap(world.sample, 480_000, HOST_0_NS, "unplugged", is_reopened=True)
    world.timebase.on_gap(gap)
    assert world.timebase.stamp_sample(world.sample).utc_ns is None
    world.sample += 480_000
    at_utc_ns, then = world.utc_of(world.sample), world.sample
    world.adc_ppm += 300.0
    drifted_ns = world.utc_of(then) - at_utc_ns
    world.utc_of = lambda sample: World.utc_of(world, sample) - drifted_ns
    world.second = -(-(world.utc_of(world.sample) - UTC_0_NS) // NS_PER_S)
    stamped = 0
    for _ in range(40):
        world.run(0.1)
        stamp = world.timebase.stamp_sample(world.sample)
        if stamp.sigma_ns is not None:
            stamped += 1
            assert abs(world.error_ns(world.sample)) <= 4 * stamp.sigma_ns + 1_000
    assert stamped > 20


def test_pairs_let_anyone_repeat_the_stamp() -> None:
    """The last marks, as (sample, UTC), lie on the sample clock to within their jitter."""
    world = World(4, 5.0, -5.0, 300)
    world.run(40.0)
    pairs = world.timebase.pairs()
    assert len(pairs) == 16
    samples = np.cumsum([pair.samples for pair in pairs])
    utc_ns = np.cumsum([int(pair.utc_ns) for pair in pairs])
    truth = [world.utc_of(sample) for sample in samples]
    assert np.abs(np.array(utc_ns) - truth).max() < 40_000


def test_a_constant_delay_is_measured_where_a_pulse_is_seen_twice() -> None:
    """300 us that every block has alike: invisible from inside, told by the kernel's pulse."""
    one = scenarios.load("pps_adc")
    delivery = msgspec.structs.replace(one.delivery, floor_us=300.0)
    world = room.World(msgspec.structs.replace(one, delivery=delivery, duration_s=200), 3)
    timebase = Timebase(RATE_HZ, settings_for(one))
    assert timebase.report(0).measured_latency_us is None
    for item in world.items():
        if isinstance(item, AudioBlock):
            timebase.on_block(item)
        elif isinstance(item, Edge):
            timebase.on_edge(item)
            second = round((item.host_ns - world.host_ns(0.05)) / NS_PER_S)
            timebase.on_sign(Pulse(world.host_ns(second), 1_000))
        else:
            timebase.on_sign(item)
    report = timebase.report(item.host_ns)
    assert report.measured_latency_us == pytest.approx(300.0, abs=5.0)
    assert report.latency == "calibrated"
