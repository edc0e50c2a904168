"""Worlds that the estimator did not draw: their files, their paper, and the node in them."""

import json
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from simulator.cli import main as cli
from simulator.grid.scenario import ScenarioError
from simulator.trials.clocks import drawn, nature, verdict, witness

LENIENT = """
within_1_sigma = 0
within_2_sigma = 0
draws_beyond_3_sigma = 1
max_ratio = 1e9
locked_share = 0
sure_sigma = 1e9
"""


# ---- worlds as a node meets them

MADE_WITHOUT = 20_000  # no world was made with a look at the seeds from here on
QUICK = ["poor_pulses", "stopped_uncounted", "usb_frames"]


def verdict_of(name: str, draws: int) -> verdict.Verdict:
    """A packaged world, on seeds that it was not made with."""
    world = nature.load(name)
    seeds = range(MADE_WITHOUT, MADE_WITHOUT + draws)
    return verdict.judge(world, [witness.run(world, seed) for seed in seeds])


@pytest.mark.parametrize("name", QUICK)
def test_a_clock_is_honest_in_a_world_that_it_does_not_know(name: str) -> None:
    """Cover, state and width of sigma, over ten draws of constants that nobody was told."""
    assert verdict_of(name, 10).faults == ()


@pytest.mark.torture
@pytest.mark.parametrize("name", [n for n in nature.names() if not nature.load(n).long])
def test_a_clock_is_honest_in_fifty_draws(name: str) -> None:
    """The same bars in every packaged world."""
    assert verdict_of(name, 50).faults == ()


@pytest.mark.torture
@pytest.mark.parametrize("name", [n for n in nature.names() if nature.load(n).long])
def test_a_clock_finds_back_after_half_a_warm_day(name: str) -> None:
    """Twelve hours without satellites: locked again within a minute, sigma honest meanwhile."""
    assert verdict_of(name, 20).faults == ()


def world_of(**tables: object) -> nature.ClockWorld:
    """A world of two minutes from its tables."""
    return nature.of_table({"world": "w", "about": "A.", "duration_s": 120, **tables}, "w.toml")


def test_draws_are_repeatable_and_differ() -> None:
    """One seed, one life, to the nanosecond."""
    world = world_of()
    first, again, other = (witness.run(world, seed) for seed in (7, 7, 8))
    assert np.array_equal(first.error_ns, again.error_ns, equal_nan=True)
    assert not np.array_equal(first.error_ns[:100], other.error_ns[:100], equal_nan=True)


@pytest.mark.parametrize(
    ("given", "least", "most"),
    [(3, 3, 3), ([2, 5], 2, 5), ({"log": [1, 1000]}, 1, 1000), ({"one_of": [4, 9]}, 4, 9)],
)
def test_a_number_is_drawn_as_it_was_given(given: object, least: float, most: float) -> None:
    """A number, a range, decades alike, or one of some."""
    law = msgspec.convert(given, drawn.Drawn)
    values = [drawn.draw(law, np.random.default_rng(seed)) for seed in range(400)]
    assert least <= min(values) <= max(values) <= most
    if isinstance(given, dict):
        middle = {"log": (15, 65), "one_of": (4, 9)}[next(iter(given))]
        assert middle[0] <= np.median(values) <= middle[1]


# ---- the verdict can fail


def said(off_sigmas: np.ndarray, **given: object) -> witness.Said:
    """A draw of one question a second, with a sigma of 1 us."""
    count = len(off_sigmas)
    usual = {
        "at_s": np.arange(count, dtype=float),
        "error_ns": off_sigmas * 1000.0,
        "sigma_ns": np.full(count, 1000.0),
        "confirmed": np.zeros(count, bool),
        "whole_s": np.zeros(count),
        "locked": np.ones(count, bool),
        "good": np.ones(count, bool),
        "out": np.zeros(count, bool),
        "back_s": (),
        "doubt_s": {"other": 5.0, "late": 40.0},
        "ppm_off": 0.1,
        "corrected": np.full((count, 2), np.nan),
    }
    return witness.Said(**(usual | given))


def corrected(off_sigmas: np.ndarray, sigma_ns: float) -> np.ndarray:
    """Every stamp corrected, with errors of so many of these sigmas."""
    return np.stack((off_sigmas * sigma_ns, np.full(len(off_sigmas), sigma_ns)), axis=1)


def honest(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(400)


def test_an_honest_clock_is_passed() -> None:
    """Gaussian errors of the stated sigma miss nothing."""
    assert verdict.judge(world_of(), [said(honest(n)) for n in range(10)]).faults == ()


SECOND = np.arange(400)
FLAGS = SECOND < 200


@pytest.mark.parametrize(
    ("draws", "limits", "complaint"),
    [
        ([said(3 * honest())] * 10, {}, "within 1 sigma"),
        ([said(1.5 * honest())] * 10, {}, "within 2 sigma"),
        (
            [said(np.where(SECOND % 50, honest(), 4))] * 2 + [said(honest())] * 8,
            {},
            "2 of 10",
        ),
        ([said(honest() / 3)] * 10, {}, "times the RMS"),
        ([said(3 * honest(), locked=SECOND < 0)], {"told_within_2_sigma": 0.9}, "locked or not"),
        ([said(honest(), locked=FLAGS)] * 10, {}, "good source"),
        ([said(honest())] * 10, {"most_locked_share": 0.5}, "at most"),
        (
            [said(np.where(np.isin(np.arange(400), (5, 6, 7)), 11, honest()))] * 10,
            {},
            "wrong by more",
        ),
        ([said(honest(), locked=FLAGS, good=FLAGS, back_s=(250.0,))], {}, "0 of 1 outages"),
        (
            [said(np.where(FLAGS, honest(), 3), locked=FLAGS, good=FLAGS, out=~FLAGS)],
            {},
            "without sat",
        ),
        ([said(honest())], {"doubt_within_s": 30.0, "doubt_says": "late"}, "0 of 1 draws"),
        ([said(honest(), ppm_off=-2.0)], {"ppm_within": 1.0}, "2.00 ppm wrong"),
        ([said(honest())] * 10, {"confirmed_share": 0.9}, "confirmed in 0.0%"),
        (
            [said(honest(), corrected=corrected(honest(2), 900.0))],
            {"corrected_ratio": 1 / 3},
            "corrected, allowed 0.33",
        ),
        (
            [said(honest(), corrected=corrected(np.where(SECOND % 20, 0.1, 4.0), 200.0))],
            {"corrected_ratio": 1 / 3},
            "corrected, 95.0% within 3 sigma",
        ),
        (
            [said(honest(), confirmed=FLAGS, whole_s=1.0 * FLAGS)],
            {},
            "200 seconds confirmed and wr",
        ),
    ],
)
def test_each_limit_can_be_missed(
    draws: list[witness.Said], limits: dict[str, float], complaint: str
) -> None:
    """The verdict names the one limit that a doctored draw breaks."""
    faults = verdict.judge(world_of(limits=limits), draws).faults
    assert any(complaint in fault for fault in faults)


# ---- files handed in


def test_a_file_handed_in_is_run_and_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`earshot-sim clocks PATH.toml`: figures as JSON, each missed limit a line, exit 1."""
    path, figures = tmp_path / "mine.toml", tmp_path / "out.json"
    path.write_text(
        'world = "mine"\nabout = "Late and untold."\nduration_s = 90\n'
        "[audio]\nlatency_us = 3000\n[declared]\nlatency_error_us = 0\n"
        "[limits]\nmax_ratio = 0.0001\n"
    )
    assert cli.main(["clocks", str(path), "--seeds", "2", "--json", str(figures)]) == 1
    assert "mine: median sigma" in capsys.readouterr().out
    seen = json.loads(figures.read_text())["worlds"]["mine"]
    assert seen["draws"] == 2
    assert seen["ratio"] > 0.0001
    path.write_text(path.read_text().partition("[limits]")[0] + "[limits]\n" + LENIENT)
    assert cli.main(["clocks", str(path), "--seeds", "1", "--first-seed", "9"]) == 0


def test_a_scenario_handed_in_is_run_too(tmp_path: Path) -> None:
    """A file that says `name` is a scenario: its constants are declared."""
    path = tmp_path / "calm.toml"
    path.write_text('name = "calm"\nabout = "Nothing happens."\nduration_s = 150\n')
    assert cli.main(["clocks", str(path), "--seeds", "2"]) == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('world = "W!"\nabout = "A."', "world"),
        ('world = "w"\nabout = "A."\n[audoi]', "did you mean 'audio'"),
        (
            'world = "w"\nabout = "A."\n[audio]\nlatency_us = { log = [9, 1] }',
            "smaller number first",
        ),
        ('world = "w"\nabout = "A."\n[audio]\nlatency_us = [1, 2, 3]', "latency_us"),
        ('world = "w"\nabout = "A."\n[audio]\nlatency_us = -1', "latency_us"),
        ('world = "w"\nabout = "A."\n[delivery]\nlaws = ["gauss"]', "laws"),
        ('world = "w"\nabout = "A."\nsource = "pps-adc"\nsound = false', "sound = true"),
        ('world = "w"\nabout = "A."\n[audio]\nblock_samples = 1e9', "block_samples"),
        ("world =", "is not TOML"),
    ],
)
def test_a_wrong_world_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    """Exit 2, the file or the world and the fault in one line of stderr, no traceback."""
    path = tmp_path / "w.toml"
    path.write_text(text)
    assert cli.main(["clocks", str(path), "--seeds", "1"]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert complaint in told
    assert re.match(r"earshot-sim: (error: )?(/.*/)?w(\.toml)?: ", told)


def test_an_unknown_world_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """A typo, and a file that is not there."""
    for name, complaint in (("nonesuch", "usb_frames"), ("nonesuch.toml", "cannot be read")):
        assert cli.main(["clocks", name]) == 2
        assert complaint in capsys.readouterr().err


def test_the_catalogue_is_named_like_its_files() -> None:
    """Each packaged world, and what it is about."""
    assert len(nature.names()) >= 20
    for name in nature.names():
        world = nature.load(name)
        assert world.world == name
        assert world.about.endswith(".")


def test_a_wrong_table_names_all_its_faults() -> None:
    """Not only the first."""
    with pytest.raises(
        ScenarioError, match=r"about is missing.*pulse\.late_us|pulse\.late_us.*about"
    ):
        nature.of_table({"world": "w", "pulse": {"late_us": "x"}}, "w.toml")
