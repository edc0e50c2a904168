"""A holdover measured by the marks that end it: stamps become better, and their sigma is honest."""

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from agent.core.clock import Timebase
from agent.core.records.correction import Correction, Knot, faults_of
from agent.core.units import NS_PER_S
from simulator.trials.clocks import scenario as scenarios
from simulator.trials.clocks import trial
from simulator.trials.clocks.scenario import Spell
from simulator.trials.clocks.world import RATE_HZ, World

TRACKED_S = 900
QUICK = [
    (crystal, lasts_s, seed, 3.0 * (seed % 2))
    for crystal in ("xo", "tcxo")
    for seed, lasts_s in ((200, 400), (201, 1500), (202, 3000))
]
LENGTHS_S = np.exp(np.random.default_rng(52).uniform(np.log(300), np.log(7200), 20))
TWENTY = [
    (crystal, round(lasts_s), 300 + number, 3.0 * (number % 2))
    for crystal in ("xo", "tcxo")
    for number, lasts_s in enumerate(LENGTHS_S)
]
Column = npt.NDArray[np.float64]


def holdover(
    crystal: str, lasts_s: int, seed: int, warming_c_per_hour: float
) -> tuple[Correction, Column]:
    """The correction, and (raw error, raw sigma, corrected error, its sigma) by second, ns."""
    calm, gone = scenarios.load("holdover_ten_minutes"), (Spell(at_s=TRACKED_S, for_s=lasts_s),)
    change = msgspec.structs.replace
    one = change(
        calm,
        name=f"held {crystal} {lasts_s}",
        duration_s=TRACKED_S + lasts_s + 200,
        sound=False,
        host=change(calm.host, crystal=crystal, warming_c_per_hour=warming_c_per_hour),
        pulse=change(calm.pulse, lost=gone),
        report=change(calm.report, void=gone),
    )
    world, told, asked_s = World(one, seed), [], 1.0
    timebase, correction = Timebase(RATE_HZ, trial.settings_for(one)), None
    for item in world.items():
        while item.host_ns >= world.host_ns(asked_s) and asked_s < world.awake_s - 3:
            timebase.on_time(world.host_ns(asked_s))
            stamp = timebase.utc_at_host(world.host_ns(asked_s))
            told.append((stamp.utc_ns, stamp.sigma_ns, world.true_utc_ns(round(asked_s * 1e9))))
            asked_s += 1.0
        trial.feed(timebase, item)
        correction = timebase.take_correction(item.host_ns) or correction
    assert correction is not None
    rows = []
    for utc_ns, sigma_ns, true_ns in told:
        if utc_ns is not None and correction.covers(utc_ns):
            add_ns, corrected_sigma_ns = correction.at(utc_ns)
            error_ns = utc_ns - true_ns
            rows.append((error_ns, sigma_ns, error_ns + add_ns, corrected_sigma_ns))
    return correction, np.array(rows, np.float64)


def judged(cases: list[tuple[str, int, int, float]]) -> tuple[float, float, float]:
    """Corrected over raw RMS error of all holdovers, shares within 3 sigma."""
    squares, corrected, raw = [], [], []
    for case in cases:
        _, rows = holdover(*case)
        assert len(rows) >= case[1] - 5
        squares.append(np.mean(rows[:, [0, 2]] ** 2, axis=0))
        corrected.append(float(np.mean(np.abs(rows[:, 2]) <= 3 * rows[:, 3])))
        raw.append(float(np.mean(np.abs(rows[:, 0]) <= 3 * rows[:, 1])))
    raw_ns2, corrected_ns2 = np.mean(squares, axis=0)
    ratio = float(np.sqrt(corrected_ns2 / raw_ns2))
    return ratio, float(np.mean(corrected)), float(np.mean(raw))


def test_a_correction_makes_stamps_three_times_better() -> None:
    """Crystals that wander and warm: a third of the error, and within its own 3 sigma."""
    ratio, corrected, raw = judged(QUICK)
    assert ratio <= 1 / 3
    assert corrected >= 0.97
    assert raw >= 0.97


@pytest.mark.torture
def test_twenty_holdovers_of_mixed_lengths() -> None:
    """Five minutes to two hours, each length as likely in the logarithm, steady and warming: the
    same of each kind of crystal by itself."""
    for crystal in ("xo", "tcxo"):
        ratio, corrected, raw = judged([case for case in TWENTY if case[0] == crystal])
        assert ratio <= 1 / 3
        assert corrected >= 0.97
        assert raw >= 0.97


def test_a_correction_holds_what_the_marks_say() -> None:
    """One is made, once; it begins with next to nothing to add, and agrees with its own marks."""
    lasts_s = QUICK[1][1]
    correction, rows = holdover(*QUICK[1])
    assert abs(correction.knots[0].add_ns) < correction.knots[0].sigma_ns
    assert list(faults_of(correction)) == []
    assert abs(rows[-1, 2]) < 10_000
    lasted_ns = int(correction.last_utc_ns) - int(correction.first_utc_ns)
    assert abs(lasted_ns - lasts_s * NS_PER_S) < 3 * NS_PER_S


def made(**changes: object) -> Correction:
    """Ten minutes in which a clock lost 100 us."""
    plain = Correction(
        first_utc_ns=str(1_800_000_000 * NS_PER_S),
        last_utc_ns=str(1_800_000_600 * NS_PER_S),
        knots=(
            Knot(after_ns=0, add_ns=0, sigma_ns=2_000),
            Knot(after_ns=300 * NS_PER_S, add_ns=30_000, sigma_ns=9_000),
            Knot(after_ns=600 * NS_PER_S, add_ns=100_000, sigma_ns=2_000),
        ),
        told_utc_ns=str(1_800_000_600 * NS_PER_S),
        mark_utc_ns=str(1_800_000_600 * NS_PER_S + 100_000),
        mark_sample=None,
        rate_hz=48_000,
        time_pairs=(),
    )
    return msgspec.structs.replace(plain, **changes)


def test_between_two_knots_it_is_a_line() -> None:
    """Outside of it nothing is covered; within, amount and sigma are interpolated."""
    correction, first_ns = made(), 1_800_000_000 * NS_PER_S
    assert correction.at(first_ns + 150 * NS_PER_S) == (15_000, 5_500)
    assert correction.at(first_ns + 450 * NS_PER_S) == (65_000, 5_500)
    assert not correction.covers(first_ns - 1)
    assert not correction.covers(first_ns + 601 * NS_PER_S)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"mark_utc_ns": str(1_800_000_600 * NS_PER_S)}, "where its mark says 0 ns"),
        ({"last_utc_ns": str(1_800_000_700 * NS_PER_S)}, "do not reach to its end"),
        ({"last_utc_ns": str(1_799_999_999 * NS_PER_S)}, "ends before it begins"),
        ({"knots": made().knots[::-1]}, "not in order"),
    ],
)
def test_one_that_contradicts_itself_is_told(changes: dict[str, object], fault: str) -> None:
    """A court adds up what it says, and finds it."""
    assert any(fault in told for told in faults_of(made(**changes)))
