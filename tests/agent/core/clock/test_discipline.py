"""Which marks are believed, and what sigma says while that is open."""

import numpy as np
import pytest

from agent.core.clock.discipline import Discipline
from agent.core.units import NS_PER_MS, NS_PER_S

UTC_0_NS = 1_800_000_000 * NS_PER_S


def locked(seconds: int = 60, jitter_ns: float = 1000.0) -> Discipline:
    rng = np.random.default_rng(1)
    line = Discipline()
    for second in range(seconds):
        axis_ns = second * NS_PER_S + round(rng.normal(0, jitter_ns))
        assert line.offer(axis_ns, UTC_0_NS + second * NS_PER_S, 100) == "good"
    return line


def error_ns(line: Discipline, at_s: float) -> float:
    return line.at(round(at_s * NS_PER_S))[0] - UTC_0_NS - round(at_s * NS_PER_S)


@pytest.mark.parametrize("off_ns", [NS_PER_MS, -NS_PER_MS, 40 * NS_PER_MS, 400 * NS_PER_MS])
def test_a_pulse_off_rate_is_refused_and_changes_nothing(off_ns: int) -> None:
    """More than 500 ppm off the last second: refused, whatever the sign; sigma stays small."""
    line = locked()
    before = line.at(60 * NS_PER_S)
    assert line.offer(60 * NS_PER_S + off_ns, UTC_0_NS + 60 * NS_PER_S, 100) == "off rate"
    assert line.at(60 * NS_PER_S) == before


def test_a_small_step_is_refused_and_sigma_covers_it_while_it_is_open() -> None:
    """20 us off is no rate error, and no chance either: for three pulses sigma admits both."""
    line = locked()
    assert line.offer(60 * NS_PER_S + 20_000, UTC_0_NS + 60 * NS_PER_S, 100) == "phase step"
    assert line.at(61 * NS_PER_S)[1] >= 19_000
    assert line.offer(61 * NS_PER_S, UTC_0_NS + 61 * NS_PER_S, 100) == "good"
    assert line.at(61 * NS_PER_S)[1] < 2_000


def test_a_step_is_followed_only_once_the_oscillator_could_be_that_wrong() -> None:
    """Pulses that stay 100 us off wait for minutes, on a good crystal; sigma keeps the dispute."""
    line = locked(300)
    second = 300
    while line.offer(second * NS_PER_S + 100_000, UTC_0_NS + second * NS_PER_S, 100) != "good":
        assert abs(error_ns(line, second)) < 60_000
        second += 1
    assert 330 < second < 3000
    assert line.at(second * NS_PER_S)[1] > 50_000


def test_scatter_is_measured_not_believed() -> None:
    """The scatter that is used is what the marks show, within a quarter."""
    for jitter_ns in (300.0, 5000.0):
        measured = locked(120, jitter_ns).scatter_ns
        assert measured == pytest.approx(jitter_ns, rel=0.25)


def test_an_unsteady_start_is_begun_again() -> None:
    """A false first pulse costs seconds, not the lock."""
    line = Discipline()
    line.offer(-400 * NS_PER_MS, UTC_0_NS, 100)
    for second in range(1, 20):
        line.offer(second * NS_PER_S, UTC_0_NS + second * NS_PER_S, 100)
    assert line.good_in_a_row >= 15
    assert abs(error_ns(line, 20)) < 1_000


def test_nothing_is_told_before_a_mark() -> None:
    """Without a mark there is no UTC."""
    line = Discipline()
    assert not line.is_known
    with pytest.raises(ValueError, match="no mark"):
        line.at(0)
