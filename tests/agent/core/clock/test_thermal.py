"""A crystal that is left alone is where its temperature puts it, with an error that covers."""

import numpy as np
import pytest

from agent.core.clock.discipline import Discipline
from agent.core.clock.thermal import Thermal
from agent.core.units import NS_PER_S

SLOPE = -180.0  # ns per s per C, of the offset
DAY_S = 86_400.0


def box_c(at_s: float) -> float:
    """A day in the sun, and clouds."""
    return 20.0 + 9.0 * np.sin(2 * np.pi * at_s / DAY_S) + 2.0 * np.sin(2 * np.pi * at_s / 5_000.0)


def learnt(hours: float, slope: float = SLOPE, noise_c: float = 0.5) -> Thermal:
    """What is known after so many hours of tracking, from a sensor with noise."""
    rng = np.random.default_rng(2)
    thermal = Thermal()
    for minute in range(round(60 * hours)):
        at_s = 60.0 * minute
        thermal.on_temperature(at_s, float(box_c(at_s) + rng.normal(0.0, noise_c)))
        thermal.on_mark()
        thermal.on_tracked(at_s, 4_000.0 + slope * box_c(at_s) + float(rng.normal(0.0, 5.0)))
    return thermal


@pytest.mark.parametrize("slope", [-300.0, 0.0, 150.0])
def test_the_slope_is_learnt_with_an_honest_error(slope: float) -> None:
    """Within a day, to a tenth of what crystals differ by; the error it states covers it."""
    known, sigma = learnt(24.0, slope).slope
    assert abs(known - slope) < max(3 * sigma, 0.15 * abs(slope))
    assert sigma < 30.0


def test_before_anything_was_seen_any_slope_may_be() -> None:
    """And readings alone, without marks, say nothing of the crystal."""
    thermal = Thermal()
    for minute in range(600):
        thermal.on_temperature(60.0 * minute, box_c(60.0 * minute))
    assert thermal.slope == pytest.approx((0.0, 700.0))
    assert thermal.heated_ns(36_000.0) == 0.0


def test_what_an_earlier_run_learnt_is_believed_less() -> None:
    """It may be another season by now."""
    thermal = Thermal((SLOPE, 10.0))
    assert thermal.slope == pytest.approx((SLOPE, 20.0))


def test_a_sensor_that_falls_silent_is_not_extrapolated() -> None:
    """What it showed last counts for some minutes, not for ever."""
    thermal = learnt(12.0)
    at_s = 12 * 3_600.0
    for minute in range(10):
        thermal.on_temperature(at_s + 60.0 * minute, 45.0)
    late_ns = thermal.heated_ns(at_s + 3_600.0)
    assert thermal.heated_ns(at_s + 40_000.0) == late_ns != 0.0


def test_holdover_follows_the_temperature() -> None:
    """Six hours alone while the box warms: a tenth of the error that a rate held still makes."""
    rng = np.random.default_rng(3)
    line, offset_ns, told_c = Discipline(), 0.0, 0.0
    start_s, alone_s = 20 * 3_600, 6 * 3_600
    held_ns = 0.0
    for second in range(start_s + alone_s):
        rate = 2_000.0 + SLOPE * (box_c(second) - 20.0)
        held_ns += SLOPE * (box_c(second) - box_c(start_s)) if second > start_s else 0.0
        offset_ns += rate
        at_ns = second * NS_PER_S
        if second % 60 == 0:
            told_c = float(box_c(second) + rng.normal(0.0, 0.3))
            line.holdover.on_temperature(float(second), told_c)
        if second < start_s and second % 5 == 0:
            line.offer(at_ns, at_ns + round(offset_ns + rng.normal(0.0, 500.0)), 1_000)
    utc_ns, sigma_ns = line.at(at_ns)
    error_ns = utc_ns - at_ns - offset_ns
    assert abs(error_ns) < 0.3 * abs(held_ns)
    assert abs(error_ns) <= 3 * sigma_ns
