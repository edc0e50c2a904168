"""Virtual clocks: exact to convert, honest about how they stray."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.units import NS_PER_S
from simulator.scene.oscillators import (
    PERFECT,
    XO,
    AdcClock,
    Crystal,
    DeliveryDelay,
    HostTime,
    Oscillator,
    PpsSource,
)
from simulator.scene.randomness import stream

EPOCH = 1_773_522_000 * NS_PER_S
HOUR_NS = 3600 * NS_PER_S


@given(since_ns=st.integers(0, 2 * HOUR_NS), ppm=st.floats(-200, 200), seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_an_oscillator_can_be_read_backwards(since_ns, ppm, seed):
    """True time to own count and back is exact to the nanosecond, for host and converter."""
    crystal = Oscillator(EPOCH, ppm, XO, stream(seed, "xo"))
    assert crystal.utc_ns_at(crystal.local_ns_at(EPOCH + since_ns)) == EPOCH + since_ns
    host = HostTime(crystal, 12_345_678_901)
    assert abs(host.utc_ns_at(host.host_ns_at(EPOCH + since_ns)) - EPOCH - since_ns) <= 1
    adc = AdcClock(crystal, 44_100)
    assert adc.utc_ns_at(adc.sample_at(EPOCH + since_ns)) == EPOCH + since_ns


def test_a_steady_oscillator_counts_by_its_rate():
    """Without wander, n seconds at p ppm are n (1 + p/1e6) own seconds; also before the epoch."""
    crystal = Oscillator(EPOCH, 25.0, PERFECT, stream(1, "steady"))
    for seconds in (-1, 0, 1, 1000):
        expected = seconds * NS_PER_S * (1 + 25e-6)
        assert crystal.local_ns_at(EPOCH + seconds * NS_PER_S) == pytest.approx(expected, abs=1e-2)
    assert AdcClock(crystal, 48_000).true_rate_hz_at(EPOCH) == pytest.approx(48_001.2)


def test_rate_wanders_as_a_random_walk():
    """Over many crystals the rate an hour on has the stated spread, a quarter hour on half."""
    rates = np.array(
        [
            [oscillator.rate_at(EPOCH + HOUR_NS // 4), oscillator.rate_at(EPOCH + HOUR_NS)]
            for oscillator in (Oscillator(EPOCH, 0.0, XO, stream(n, "w")) for n in range(200))
        ]
    )
    quarter_ppm, hour_ppm = (rates - 1.0).std(axis=0) * 1e6
    assert hour_ppm == pytest.approx(XO.wander_ppm_per_sqrt_hour, rel=0.2)
    assert quarter_ppm == pytest.approx(XO.wander_ppm_per_sqrt_hour / 2, rel=0.2)


def test_rate_follows_the_temperature():
    """Ten degrees above 25 C move the rate by ten coefficients."""
    crystal = Crystal(wander_ppm_per_sqrt_hour=0.0, ppm_per_c=0.3)
    warm = Oscillator(EPOCH, 0.0, crystal, stream(1, "t"), lambda s: 25.0 + s / 360.0)
    assert warm.rate_at(EPOCH) == pytest.approx(1.0, abs=1e-12)
    assert warm.rate_at(EPOCH + HOUR_NS) == pytest.approx(1.0 + 3e-6, abs=1e-9)


def test_the_order_of_questions_changes_nothing():
    """A clock asked about the end first gives the same answers as one asked from the start."""
    forwards, backwards = (Oscillator(EPOCH, 3.0, XO, stream(7, "same")) for _ in range(2))
    moments = [EPOCH + n * 77_777_777_777 for n in range(30)]
    there = [forwards.local_ns_at(moment) for moment in moments]
    back = [backwards.local_ns_at(moment) for moment in reversed(moments)]
    assert there == back[::-1]


def test_deliveries_are_never_early():
    """Delays have the stated floor and mean, and a tail far beyond a plain exponential's."""
    delay = DeliveryDelay(100_000, 500_000, stream(3, "delay"))
    drawn = np.array([delay.draw_ns() for _ in range(20_000)])
    assert drawn.min() >= 100_000
    assert np.median(drawn) == pytest.approx(100_000 + 500_000 * np.log(2), rel=0.05)
    assert drawn.max() > 100_000 + 16 * 500_000


def test_nodes_do_not_share_their_delays():
    """Equal delays would cancel in time differences and hide what they do."""
    one, other = (DeliveryDelay(0, 500_000, stream(3, "delay", node)) for node in ("a", "b"))
    drawn = np.array([(one.draw_ns(), other.draw_ns()) for _ in range(2000)])
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.1


def test_pulses_mark_true_seconds_with_the_stated_jitter():
    """Every mark names a whole UTC second; the host reading scatters by sigma, without bias."""
    host = HostTime(Oscillator(EPOCH + 123_456_789, 10.0, XO, stream(1, "h")), 5 * NS_PER_S)
    pps = PpsSource(host, 2_000, stream(1, "pps"))
    marks = [pps.next_mark() for _ in range(2000)]
    assert [mark.utc_ns for mark in marks] == [EPOCH + n * NS_PER_S for n in range(1, 2001)]
    jitter = np.array([mark.host_ns - host.host_ns_at(mark.utc_ns) for mark in marks])
    assert jitter.std() == pytest.approx(2_000, rel=0.06)
    assert abs(jitter.mean()) < 4 * 2_000 / 2000**0.5
    assert {(mark.sigma_ns, mark.source) for mark in marks} == {(2_000, "sim")}


def test_an_outage_leaves_out_its_pulses_and_no_others():
    """Seconds in an outage have no mark; those after it are what they would have been."""

    def marks(outages, count):
        host = HostTime(Oscillator(EPOCH, 0.0, XO, stream(1, "h")), 0)
        pps = PpsSource(host, 1_000, stream(1, "pps"), outages)
        return [pps.next_mark() for _ in range(count)]

    whole = marks((), 10)
    assert marks([(EPOCH + 3 * NS_PER_S, EPOCH + 7 * NS_PER_S)], 6) == whole[:3] + whole[7:]
