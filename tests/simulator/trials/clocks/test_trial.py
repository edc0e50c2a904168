"""The clock scenarios, held to their limits; and the judge itself, shown to be able to fail."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.core.clock.lock import ClockSettings
from simulator.grid.scenario import ScenarioError
from simulator.trials.clocks import scenario as scenarios
from simulator.trials.clocks import trial

QUICK = [name for name in scenarios.names() if not scenarios.load(name).long]


def test_the_catalogue_is_worth_its_name() -> None:
    """At least twenty quick scenarios, each named like its file and saying what happens."""
    assert len(QUICK) >= 20
    for name in scenarios.names():
        one = scenarios.load(name)
        assert one.name == name
        assert one.about.endswith(".")


@pytest.mark.parametrize("name", QUICK)
def test_a_scenario_keeps_its_limits(name: str) -> None:
    """Error, bias, state, doubts and the promise of sigma, over a few seeds."""
    one = scenarios.load(name)
    outcome = trial.judge(one, [trial.run(one, seed) for seed in (1, 2, 3)])
    assert outcome.faults == ()


@pytest.mark.torture
@pytest.mark.parametrize("name", QUICK)
def test_the_promise_holds_over_a_hundred_seeds(name: str) -> None:
    """|error| <= sigma in 63-80 % and <= 2 sigma in 93 % of seconds, over 3 sigma in 0.3 %."""
    one = scenarios.load(name)
    outcome = trial.judge(one, [trial.run(one, seed) for seed in range(trial.POOLED_SEEDS)])
    assert outcome.faults == ()


@pytest.mark.torture
def test_a_month_without_one_error_over_three_sigma() -> None:
    """30 virtual days with random loss: no second, locked or not, breaks the promise."""
    one = scenarios.load("thirty_days")
    assert trial.judge(one, [trial.run(one, 1)]).faults == ()


def test_holdover_is_declared_in_time() -> None:
    """Within 3 s of the last good pulse the state says so; ten good pulses undo it."""
    one = scenarios.load("holdover_ten_minutes")
    answers = trial.run(one, 3)
    states = np.array(answers.state)
    assert states[answers.at_s > 603.0][0] == "holdover"
    back = states[(answers.at_s > 1200.0) & (answers.at_s < 1208.0)]
    assert "locked" not in back


def test_the_judge_sees_an_error_that_sigma_hides() -> None:
    """An uncalibrated floor of 300 us that the node is told not to have breaks every promise."""
    one = scenarios.load("latency_floor_bounded")
    calm = scenarios.load("xo_half_ms")
    strict = msgspec.structs.replace(one, limits=calm.limits)
    outcome = trial.judge(strict, [trial.run(one, 1)])
    assert len(outcome.faults) >= 3


def test_runs_are_repeatable() -> None:
    """The same seed gives the same answers to the nanosecond; another seed does not."""
    one = scenarios.load("false_pulses")
    first, again, other = trial.run(one, 1), trial.run(one, 1), trial.run(one, 2)
    assert np.array_equal(first.error_ns, again.error_ns, equal_nan=True)
    assert not np.array_equal(first.error_ns, other.error_ns, equal_nan=True)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name = 1", "name"),
        ('name = "x"\nabout = "y."\n[puls]\n', "puls"),
        ('name = "x"\nabout = "y."\nduration_s = 3', "duration_s"),
        ("=", "is not TOML"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    """Malformed scenarios name the file and the fault."""
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=complaint) as caught:
        scenarios.load(path)
    assert "\n" not in str(caught.value)
    assert "wrong.toml" in str(caught.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    """A typo is answered with what there is."""
    with pytest.raises(ScenarioError, match=r"known: .*pps_adc"):
        scenarios.load("nonesuch")


def test_settings_of_a_node_default_to_honest_ones() -> None:
    """Nothing is taken as calibrated unless someone says so."""
    assert ClockSettings().latency_ns is None
