"""Worlds in which a whole second may be wrong: no node is ever sure of a wrong one in them."""

import math
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from agent.adapters.receiver import Echo
from agent.core.clock import testimony
from agent.core.clock.second_labels import Namer
from agent.core.clock.time_signs import (
    BY_SERVERS,
    Fix,
    HostWord,
    NextPulse,
    Pulse,
    ReceiverReport,
)
from agent.core.units import NS_PER_S
from simulator.grid.scenario import ScenarioError
from simulator.trials.clocks import hostside, nature, tongue, verdict, witness
from simulator.trials.clocks.life import Life
from simulator.trials.clocks.words import Words

MADE_WITHOUT = 30_000  # no world was made with a look at the seeds from here on
SECONDS = [
    "default_leap_seconds_told",
    "forgotten_leap_second",
    "host_hangs_on_the_receiver",
    "late_bridge",
    "leap_second_counted",
    "many_pulses",
    "many_pulses_alone",
    "mixed_seconds",
    "new_node_off_by_weeks",
    "odd_tongues",
    "own_leap_second",
    "own_leap_second_alone",
    "past_2046",
    "restarted_without_network",
    "spoofed_u_blox",
    "talkative",
    "years_in_a_cupboard",
]


def verdict_of(name: str, draws: int = 1) -> verdict.Verdict:
    """Of the seconds alone: how wide sigma is takes more draws to say."""
    world = nature.load(name)
    seconds_alone = msgspec.structs.replace(world.limits, max_ratio=1e9, within_1_sigma=0.0)
    world = msgspec.structs.replace(world, limits=seconds_alone)
    seeds = range(MADE_WITHOUT, MADE_WITHOUT + draws)
    return verdict.judge(world, [witness.run(world, seed) for seed in seeds])


@pytest.mark.parametrize("name", SECONDS)
def test_nobody_is_sure_of_a_wrong_second(name: str) -> None:
    """One draw of each world, on seeds that nobody has looked at; fifty of each are torture."""
    assert verdict_of(name).faults == ()


# ---- the worlds can tell a node that is sure too soon


def test_a_node_that_believes_any_word_about_the_next_pulse_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bridge that is a second late, and nobody who asks how late."""
    monkeypatch.setattr(Echo, "bound_ns", lambda self, now_ns: 0)
    assert verdict_of("late_bridge", 2).confirmed_and_wrong > 0


def test_a_node_that_believes_the_leap_word_at_once_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The almanac's word comes with the step of the labels, not before the count."""
    monkeypatch.setattr(testimony, "_LABELS_AFTER_WORD", 0)
    assert verdict_of("default_leap_seconds_told", 2).confirmed_and_wrong > 0


def test_a_node_that_believes_a_receiver_after_the_list_expired_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A leap second of its own, told as the satellites'."""
    monkeypatch.setattr(testimony, "leap_seconds_at", lambda utc_ns: 19)
    assert verdict_of("own_leap_second_alone", 2).confirmed_and_wrong > 0


def test_a_node_that_does_not_ask_who_keeps_the_clock_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """chrony that follows the node's own receiver agrees with it, whatever it says."""
    monkeypatch.setattr(hostside._Keeper, "kept", lambda self: BY_SERVERS)
    assert verdict_of("host_hangs_on_the_receiver", 2).confirmed_and_wrong > 0


def test_a_node_that_takes_any_pulse_for_the_second_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten a second, and nobody counts them."""
    monkeypatch.setattr(Namer, "_count_pulses", lambda self, host_ns: None)
    assert verdict_of("many_pulses_alone", 8).all_locked_share > 0


def test_a_node_that_forgets_leap_seconds_at_midnight_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the leap and the host's next word it would have been sure."""
    monkeypatch.setattr(Namer, "may_have_leapt", lambda self, utc_ns: False)
    assert verdict_of("forgotten_leap_second", 6).confirmed_and_wrong > 0


# ---- what a node in them is handed


def world_of(**tables: object) -> nature.ClockWorld:
    given = {"world": "w", "about": "A.", "duration_s": 120, "sound": False, **tables}
    return nature.of_table(given, "w.toml")


NEW_YEAR = {"start_utc_s": 1_830_297_540, "midnight_at_s": 60}


def told(life: Life, kind: type) -> list[object]:
    return [item for item in life.items() if isinstance(item, kind)]


@pytest.mark.parametrize("speaks", ["signs", "rmc", "ubx_pvt"])
def test_utc_leaps_and_all_that_tell_it_do_so_in_their_own_way(speaks: str) -> None:
    """23:59:60 comes once and is said so; the kernel says 23:59:59 twice; then all are right."""
    report = {"speaks": [speaks], "lag_ms": 100.0}
    world = world_of(**NEW_YEAR, leaps=1, report=report, ntp={"is_witness": True})
    life = Life(world, 4)
    start_ns = world.start_utc_s * NS_PER_S
    assert life.true_utc_ns(60.5) == start_ns + round(60.5 * NS_PER_S)
    assert life.true_utc_ns(61.5) == start_ns + round(60.5 * NS_PER_S)
    fixes = [fix for fix in told(life, Fix) if isinstance(fix, Fix) and fix.utc_ns is not None]
    labels = [(fix.utc_ns or 0) // NS_PER_S - world.start_utc_s for fix in fixes]
    assert labels[:2] == [1, 2]
    assert [fix.is_leap_second for fix in fixes].count(True) == 1
    assert [later - sooner for sooner, later in pairwise(labels)].count(0) == 1
    words = [word for word in told(life, HostWord) if isinstance(word, HostWord)]
    steps_ns = [b.utc_ns - a.utc_ns - (b.host_ns - a.host_ns) for a, b in pairwise(words)]
    assert [round(step / NS_PER_S) for step in steps_ns].count(-1) == 1
    assert words[3].leap == "insert"
    assert words[-1].leap == "none"


def test_a_receiver_leaps_alone_or_not_at_all() -> None:
    """Labels step by a second against UTC at midnight, one way or the other."""
    for utc, own, step in ((0, 1, -1), (1, 0, 1)):
        world = world_of(**NEW_YEAR, leaps=utc, report={"leaps": own, "lag_ms": 100.0})
        life = Life(world, 4)
        fixes = [fix for fix in told(life, Fix) if isinstance(fix, Fix)]
        off_s = [
            round(
                ((fix.utc_ns or 0) - life.true_utc_ns((fix.host_ns - life.host_ns(0)) / 1e9)) / 1e9
            )
            for fix in fixes
        ]
        assert (off_s[5], off_s[-5]) == (0, step)


@pytest.mark.parametrize("speaks", sorted(tongue.LANGUAGES))
def test_each_language_says_the_same(speaks: str) -> None:
    """Bytes through the agent's reader: the instants that were meant, at about their time."""
    report = {"speaks": [speaks], "lag_ms": 200.0, "fraction_ms": 480.0, "every_s": 2.0}
    life = Life(world_of(report=report), 3)
    fixes = [fix for fix in told(life, Fix) if isinstance(fix, Fix) and fix.utc_ns is not None]
    assert len(fixes) >= 55
    for fix in fixes:
        at_s = (fix.host_ns - life.host_ns(0)) / NS_PER_S
        late_s = (life.true_utc_ns(at_s) - (fix.utc_ns or 0)) / NS_PER_S
        assert fix.is_valid or fix is fixes[0]
        assert 0.15 < late_s < 0.4
        assert (fix.utc_ns or 0) % NS_PER_S == 480_000_000


@pytest.mark.parametrize(("transport_ms", "heard"), [(0.0, True), (1300.0, False)])
def test_a_bridge_delays_answers_as_it_does_words(transport_ms: float, *, heard: bool) -> None:
    """Words about the next pulse come through only where the question was answered in time."""
    report = {"speaks": ["ubx_pvt"], "tells_next": 1.0, "transport_ms": transport_ms}
    words = told(Life(world_of(report=report), 3), NextPulse)
    assert (len(words) > 90) is heard
    assert heard or not words


def test_the_worse_word_on_spoofing_is_followed_by_a_better_one() -> None:
    """As a u-blox was seen to: affirmed by one message, unknown to the next."""
    pulse = {"dragged": [{"at_s": 60, "for_s": 100, "by": 1000}]}
    report = {"speaks": ["ubx_pvt"], "tells_spoofing": 1.0, "lag_ms": 100.0}
    life = Life(world_of(pulse=pulse, report=report), 3)
    late = [one.spoof for one in told(life, ReceiverReport)
            if isinstance(one, ReceiverReport) and one.host_ns > life.host_ns(65.0)]  # fmt: skip
    assert late[:4] == ["affirmed", "none", "affirmed", "none"]
    pulses = np.array([one.host_ns for one in told(life, Pulse) if isinstance(one, Pulse)])
    assert np.diff(pulses)[-20:].mean() - np.diff(pulses)[:20].mean() == pytest.approx(1000, abs=50)


def test_pulses_come_as_often_as_the_world_says() -> None:
    """Five a second, evenly."""
    life = Life(world_of(pulse={"per_second": 5}, host={"ppm": 0.0}), 3)
    steps = np.diff([one.host_ns for one in told(life, Pulse) if isinstance(one, Pulse)])
    assert len(steps) > 550
    assert np.abs(steps - 2e8).max() < 10_000


def test_a_midnight_that_is_none_is_refused() -> None:
    """A world whose leap second would fall into the day."""
    with pytest.raises(ScenarioError, match="no midnight"):
        world_of(midnight_at_s=61)


def test_a_receivers_words_are_wrong_together_and_for_as_long_as_the_world_says() -> None:
    """Leap seconds, weeks: label and GPS time as one."""
    report = {"wrong_s": 2.0, "wrong_for_s": 50.0, "weeks": 1.0, "weeks_for_s": 80.0}
    world = world_of(report=report)
    words = Words(world, np.random.default_rng(1), np.random.default_rng(2))
    weeks_ns = 1024 * 604_800 * NS_PER_S
    assert words.label(10**18, 49.0) == (10**18 + 2 * NS_PER_S + weeks_ns, False)
    assert words.label(10**18, 51.0) == (10**18 + weeks_ns, False)
    assert words.label(10**18, 81.0) == (10**18, False)
    epochs = list(words.epochs([49.0, 51.0], lambda s: 10**18, lambda s: True, []))
    assert [epoch.leap_s for epoch in epochs] == [16, 18]
    assert math.isclose(epochs[0].at_s, 49.15, abs_tol=0.1)
