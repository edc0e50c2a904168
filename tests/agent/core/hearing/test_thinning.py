"""Thinning: a busy street is told in lists, and whoever holds the records can check it."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec
import numpy as np
import pytest

from agent.core.hearing import Onset
from agent.core.hearing.repetition import list_faults
from agent.core.hearing.street_past import MOST_LIKENESSES, fingerprint, typical
from agent.core.hearing.summary import Summary
from agent.core.hearing.thinning import (
    BUSY_PER_HOUR,
    RULE_S,
    SURE_SCORE,
    TOLD_PER_HOUR,
    Thinning,
    falls_under,
)
from agent.core.records.chain import Head
from agent.core.records.envelope import MAX_ENVELOPE_BYTES
from agent.core.records.kinds import Thinned, Verdict
from agent.core.records.thinned import MOST_LISTED, STEP_NS, ListedOnset, ThinningRule, unpacked
from agent.core.units import NS_PER_S
from tests.support.drafts import draft, sealer_of
from tests.support.hearing import features_like

RATE_HZ = 48_000
MODEL = "ab" * 32
UTC_NS = 1_795_000_000_123_456_789
KNOCK, SHOT = -1.0, -3.0  # dB from one span of the course to the next


def heard(
    at_s: float,
    level_dbfs: float = -30.0,
    score: float = 0.6,
    fall_db: float = KNOCK,
    rng: np.random.Generator | None = None,
) -> Onset:
    """A candidate; with `rng` its course differs by a decibel or two, as that of one thing does."""
    course = np.rint(fall_db * np.arange(19)).astype(int)
    if rng:
        course += rng.integers(-2, 3, 19)
    return Onset(
        sample=at_s * RATE_HZ,
        sigma_noise_samples=2.0,
        sigma_total_samples=8.0,
        strength=9.0,
        features=features_like(level_dbfs, tuple(course.tolist())),
        verdict=Verdict(accepted=True, score=score, reason="impulsive", model_sha256=MODEL),
    )


@dataclass
class Street:
    """Thinning at work, with all that it told one by one and all that it listed."""

    thinning: Thinning = field(default_factory=lambda: Thinning(RATE_HZ))
    told: list[Onset] = field(default_factory=list)
    summaries: list[Thinned] = field(default_factory=list)

    def hears(self, onset: Onset, *, knows_time: bool = True) -> bool:
        """True if the onset is told at once."""
        utc_ns = UTC_NS + round(onset.sample * NS_PER_S / RATE_HZ) if knows_time else None
        summaries, is_thinned = self.thinning.take(onset, utc_ns, 1_000 if knows_time else None)
        self.summaries += summaries
        if not is_thinned:
            self.told.append(onset)
        return not is_thinned

    def ends(self, at_s: float) -> None:
        self.summaries += self.thinning.closed(round(at_s * RATE_HZ))

    @property
    def listed(self) -> int:
        return sum(one.count for one in self.summaries)


def times(summary: Thinned) -> list[tuple[int | None, ListedOnset]]:
    """UTC of each that is listed, and its row."""
    first = summary.first_utc_ns
    return [
        (None if first is None else int(first) + one.after_ns, one)
        for one in unpacked(summary.listed)
    ]


def knocks(first_s: float, last_s: float, every_s: float = 1.0) -> Iterator[Onset]:
    """One thing that knocks, now louder and now fainter, now more and now less like a shot."""
    rng = np.random.default_rng(round(first_s))
    for at_s in np.arange(first_s, last_s, every_s):
        yield heard(float(at_s), rng.normal(-30.0, 2.0), rng.uniform(0.4, 0.7), rng=rng)


def street_of(hours: float, every_s: float) -> Street:
    street = Street()
    for onset in knocks(0.0, hours * 3600, every_s):
        street.hears(onset)
    return street


@lru_cache
def _busy() -> Street:
    return street_of(1.0, 2.0)


def busy() -> Street:
    """After an hour of knocks, two seconds apart."""
    return deepcopy(_busy())


def test_a_quiet_street_is_told_one_by_one() -> None:
    """Up to 300 candidates an hour nothing is thinned, whatever it sounds like."""
    street = Street()
    for onset in knocks(0.0, 7200.0, 3600.0 / (BUSY_PER_HOUR - 1)):
        assert street.hears(onset)
    assert street.summaries == []


@pytest.mark.parametrize("every_s", [0.4, 3.0])
def test_a_busy_street_costs_what_it_may(every_s: float) -> None:
    """Every candidate is told or listed; told are no more than an hour may have, however many."""
    street = street_of(1.5, every_s)
    street.ends(5400.0)
    assert len(street.told) + street.listed == round(5400 / every_s)
    for first_s in (0, 900, 1800):
        told = [one for one in street.told if first_s <= one.sample / RATE_HZ < first_s + 3600]
        assert len(told) <= 1.15 * TOLD_PER_HOUR
    assert max(one.count for one in street.summaries) <= MOST_LISTED


def test_what_was_thinned_can_be_checked_from_the_records() -> None:
    """All that is listed lies under its minute's rule; nothing that was told beside it does."""
    street = busy()
    street.ends(3600.0)
    for summary in street.summaries:
        again = msgspec.json.decode(msgspec.json.encode(summary), type=Thinned)
        assert again == summary
        assert list(list_faults(again)) == []
        beside = [
            one for one in street.told if again.first_sample <= int(one.sample) <= again.last_sample
        ]
        assert not any(
            falls_under(
                again.rule,
                one.features.peak_dbfs,
                one.verdict.score,
                fingerprint(one.features),
            )
            for one in beside
        )
    assert street.summaries[0].model_sha256 == MODEL


def test_nothing_louder_than_of_late_is_thinned() -> None:
    """However much it sounds like a knock."""
    street = busy()
    loudest = max(one.features.peak_dbfs for one in knocks(0.0, 3600.0, 2.0))
    assert street.hears(heard(3600.0, loudest + 1.0, 0.5))
    assert not street.hears(heard(3600.5, -30.0, 0.5))


def test_what_sounds_like_nothing_of_late_is_told() -> None:
    """A shot amid an hour of knocks, as faint as they are, and scored no higher."""
    assert busy().hears(heard(3600.0, -32.0, 0.5, fall_db=SHOT))


def test_what_is_more_like_a_shot_than_the_street_is_told() -> None:
    """By the score alone."""
    assert busy().hears(heard(3600.0, -32.0, 0.85))


@pytest.mark.parametrize("first_s", [3600.0, 3659.0, 3655.0])
@pytest.mark.parametrize("every_s", [0.0625, 0.1])
def test_a_burst_is_told_round_by_round(first_s: float, every_s: float) -> None:
    """Thirty rounds of full-auto amid knocks, whether or not a rule is drawn up meanwhile: its own
    first rounds never make the likeness that the others fall under."""
    street, rng = busy(), np.random.default_rng(5)
    for at_s in first_s + every_s * np.arange(30):
        shot = heard(float(at_s), -33.0 + rng.normal(), 0.55, SHOT, rng)
        assert street.hears(shot), f"round at {at_s - first_s:.2f} s"


def test_a_long_gun_battle_in_a_quiet_street_is_told() -> None:
    """Of 400 rounds in ten minutes all that the model is sure of are told at once, and more than
    three quarters of all; the others are listed within a minute, each with its time."""
    street, rng = Street(), np.random.default_rng(6)
    times_s = np.sort(rng.uniform(600.0, 1200.0, 400))
    scores = rng.choice([0.7, 0.8, 0.87, 0.93, 0.97], 400)
    for at_s, score in zip(times_s, scores, strict=True):
        is_told = street.hears(heard(float(at_s), rng.normal(-20.0, 4.0), score, SHOT, rng))
        assert is_told or score <= SURE_SCORE
    street.ends(1260.0)
    assert len(street.told) > 300
    assert len(street.told) + street.listed == 400
    known_ns = {UTC_NS + round(one.sample * NS_PER_S / RATE_HZ) for one in street.told}
    known_ns |= {utc_ns or 0 for summary in street.summaries for utc_ns, _ in times(summary)}
    for at_s in times_s:
        truth_ns = UTC_NS + round(at_s * NS_PER_S)
        assert min(abs(one - truth_ns) for one in known_ns) <= STEP_NS


def test_an_hour_later_the_street_is_quiet_again() -> None:
    """Thinning ends when what made the street busy is an hour old."""
    street = busy()
    assert not street.hears(heard(3600.0, -33.0, 0.5))
    assert street.hears(heard(7300.0, -33.0, 0.5))


def test_a_list_tells_when_each_was_heard() -> None:
    """To 10 us, with a sigma that is not below what is known; levels and scores rounded down."""
    street = busy()
    street.ends(3600.0)
    assert not street.hears(one := heard(3600.25, -33.3, 0.5567))
    assert not street.hears(heard(3601.125, -34.0, 0.5))
    street.ends(3602.0)
    (first_ns, first), (second_ns, _) = times(street.summaries[-1])
    assert first_ns == UTC_NS + round(3600.25 * NS_PER_S)
    assert abs((second_ns or 0) - UTC_NS - round(3601.125 * NS_PER_S)) <= STEP_NS / 2
    assert 166_670 <= first.sigma_ns <= 1.1 * 166_670  # 8 samples and 1 us of the clock
    assert (first.peak_dbfs, first.score) == (-34, 0.55)
    assert street.summaries[-1].peak_dbfs == (-34.0, one.features.peak_dbfs)


def test_a_node_that_does_not_know_the_time_lists_samples() -> None:
    """No time is invented, and the two kinds of time never stand in one list."""
    street = busy()
    street.ends(3600.0)
    before = len(street.summaries)
    for number, knows_time in enumerate((True, True, False, False, True)):
        onset = heard(3601.0 + number, -33.0, 0.5)
        assert not street.hears(onset, knows_time=knows_time)
    street.ends(3610.0)
    lists = [[utc_ns for utc_ns, _ in times(summary)] for summary in street.summaries[before:]]
    assert [len(one) for one in lists] == [2, 2, 1]
    assert [one[0] is None for one in lists] == [False, True, False]
    apart_ns = [one.after_ns for _, one in times(street.summaries[before + 1])]
    assert apart_ns == [0, NS_PER_S]


def test_the_longest_list_fits_an_envelope() -> None:
    """A full list of the widest numbers that hearing and clock bring stays under 16 KiB."""
    summary = Summary(RATE_HZ)
    rule = ThinningRule(
        candidates_last_hour=301,
        not_above_dbfs=-10.25,
        not_above_score=0.8765,
        within_db=123.0 / 28,
        like=((-99,) * 28,) * MOST_LIKENESSES,
    )
    for number in range(MOST_LISTED):
        onset = heard(1e6 + number, -96.0, 1.0)
        utc_ns = UTC_NS + round(number * RULE_S * NS_PER_S / MOST_LISTED)
        assert summary.has_room(onset, utc_ns)
        summary.add(onset, utc_ns, NS_PER_S, 99.99)
    assert not summary.has_room(heard(1e7), UTC_NS)
    record = summary.told(48_000_000_000, 48_002_880_000, rule)
    sealed = sealer_of("n1").seal(draft(record), Head("c" * 32, 10**9, "d" * 64))
    assert len(sealed.envelope) < MAX_ENVELOPE_BYTES


def test_likenesses_stand_for_most_of_what_was_heard() -> None:
    """Two kinds of knock give two likenesses; a single odd one out gives none."""
    one = fingerprint(features_like(-30.0, (-1,) * 19))
    found = typical(np.stack([*[one] * 30, *[one + 20] * 15, one - 40]))
    assert found == (tuple(one.tolist()), tuple((one + 20).tolist()))
