"""Work on the host makes deliveries late: it is seen for what it is, and moves no line."""

import numpy as np
import pytest

from agent.core.clock.lags import Lags
from agent.core.clock.lateness import Lateness
from agent.core.clock.pace import Pace
from agent.core.clock.sample_clock import SampleClock
from agent.core.units import NS_PER_MS, NS_PER_S, straight_line

RATE_HZ, BLOCK = 48_000, 1_024
PER_S = RATE_HZ / BLOCK
HOST_0_NS = 77 * NS_PER_S


def delays_ns(law: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Late by half a millisecond or so, by laws of which the clock assumes none but the first."""
    if law == "exponential":
        return rng.exponential(500_000.0, count)
    if law == "gamma":
        return rng.gamma(2.0, 200_000.0, count)
    return 300_000.0 * np.exp(0.8 * rng.standard_normal(count))


def tracked(clock: SampleClock, late_ns: np.ndarray, first: int) -> list[tuple[float, float]]:
    """Error and sigma (ns) of a sample half a second ago, once in a dozen blocks."""
    told = []
    for number, late in enumerate(late_ns):
        end = (first + number + 1) * BLOCK
        clock.observe(end, HOST_0_NS + round(end * NS_PER_S / RATE_HZ + late))
        if number % 12 == 11:
            sample = end - RATE_HZ // 2
            true_ns = HOST_0_NS + round(sample * NS_PER_S / RATE_HZ)
            told.append((clock.host_ns_at(sample) - true_ns, clock.sigma_ns_at(sample)))
    return told


@pytest.mark.parametrize("law", ["exponential", "gamma", "lognormal"])
@pytest.mark.parametrize("seed", range(3))
def test_a_minute_of_load_is_no_drift(law: str, seed: int) -> None:
    """Ten times later than usual for a minute: seen were 150 us of error at a sigma of 20, and
    afterwards a sigma of 350 at an error of 50."""
    rng, clock = np.random.default_rng(seed), SampleClock(RATE_HZ)
    quiet, busy = round(150 * PER_S), round(60 * PER_S)
    before = np.array(tracked(clock, delays_ns(law, quiet, rng), 0))[-200:]
    told = np.array(tracked(clock, 10.0 * delays_ns(law, busy, rng), quiet))
    off = np.abs(told[:, 0]) / told[:, 1]
    assert np.mean(off <= 2) >= 0.95
    assert np.max(off) < 4
    after = np.array(tracked(clock, delays_ns(law, quiet, rng), quiet + busy))[40:]
    assert np.mean(after[:, 0]) < np.mean(before[:, 0]) + 10_000
    assert np.median(after[:, 1]) < np.median(before[:, 1]) + 10_000


def test_a_busy_second_is_told_by_its_spread_and_chance_is_not() -> None:
    """Ten times as wide is busy, by about so much; what stays so for minutes is usual."""
    rng, lateness = np.random.default_rng(1), Lateness()
    for _ in range(100):
        lateness.on_second(sorted(rng.exponential(500_000.0, 47)))
        assert lateness.busy == 1.0
    usual_ns = lateness.usual_ns
    lateness.on_second(sorted(rng.exponential(5_000_000.0, 47)))
    assert 4.0 < lateness.busy < 20.0
    assert lateness.usual_ns == usual_ns
    for _ in range(300):
        lateness.on_second(sorted(rng.exponential(5_000_000.0, 47)))
    assert lateness.busy == 1.0
    assert lateness.usual_ns > 5 * usual_ns


def test_a_lag_is_of_the_samples_from_its_block_on() -> None:
    """What came in time after a sample shows that nothing was lost before it; what came before it
    shows nothing."""
    lags = Lags()
    assert lags.least_from(0.0) == 0.0
    for end, lag_ns in ((1_000, 10.0), (2_000, 2e9), (3_000, 2e9)):
        lags.observe(end, lag_ns)
    assert lags.least_from(500.0) == 10.0
    assert lags.least_from(1_000.0) == 2e9
    assert lags.least_of_last(2) == 2e9
    lags.on_gap()
    lags.observe(4_000, 3.0)
    assert lags.least_of_last(2) == 0.0
    assert lags.least_from(2_500.0) == 3.0


def test_the_rate_is_that_of_the_last_minute_through_noise_and_a_change() -> None:
    """Within a ppm at 30 us of scatter, and within two 25 s after a clock changed its pace."""
    rng, pace = np.random.default_rng(2), Pace()
    assert pace.ppm is None
    for second in range(120):
        pace.on_usual(second, -70_000.0 * second + rng.normal(0.0, 30_000.0))
    assert pace.ppm == pytest.approx(70.0, abs=1.0)
    for second in range(25):
        late_ns = -70_000.0 * 120 - 110_000.0 * second
        pace.on_usual(120 + second, late_ns + rng.normal(0.0, 30_000.0))
    assert pace.ppm == pytest.approx(110.0, abs=6.0)
    pace.begin()
    assert pace.ppm is None


def test_a_straight_line_has_honest_errors() -> None:
    """Level, pace and both sigmas against many draws of known noise."""
    rng, xs = np.random.default_rng(3), np.arange(40.0)
    lines = [
        straight_line([(x, 5.0 + 2.0 * x + rng.normal(0.0, 3.0)) for x in xs]) for _ in range(400)
    ]
    paces = np.array([line.pace for line in lines])
    assert paces.mean() == pytest.approx(2.0, abs=0.01)
    assert np.mean([line.level for line in lines]) == pytest.approx(5.0, abs=0.2)
    assert np.mean([line.scatter for line in lines]) == pytest.approx(3.0, rel=0.05)
    assert np.mean([line.pace_sigma for line in lines]) == pytest.approx(paces.std(), rel=0.1)
    assert straight_line([(0, 1), (1, 1), (2, 1)]).scatter == 0.0 * NS_PER_MS
