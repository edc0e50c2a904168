"""Thinning: a busy street is told in summaries, and whoever holds the records can check it."""

import msgspec
import numpy as np

from agent.core.hearing.thinning import BUSY_PER_HOUR, Thinning, falls_under, fingerprint, typical
from agent.core.records.kinds import Features, Thinned, Verdict
from tests.support.hearing import features_like

RATE_HZ = 48_000
MODEL = "ab" * 32


def verdict(score: float) -> Verdict:
    return Verdict(accepted=score >= 0.5, score=score, reason="", model_sha256=MODEL)


def knock(level_dbfs: float, seed: int = 0) -> Features:
    """One of many knocks: the same sound within a decibel or two."""
    jitter = np.random.default_rng(seed).integers(-1, 2, 19)
    return features_like(level_dbfs, course=tuple(int(one) for one in -np.arange(19) + jitter))


def shot(level_dbfs: float) -> Features:
    return features_like(level_dbfs, course=tuple(int(one) for one in -3 * np.arange(19)))


def busy_hour(thinning: Thinning, hours: float = 1.0) -> tuple[list[Thinned], list[Features]]:
    """Knocks every two seconds, half of them refused; what was summed up and what was told."""
    summaries, told = list[Thinned](), list[Features]()
    for number in range(round(hours * 1800)):
        sample, features = 2 * number * RATE_HZ, knock(-30.0 - number % 7, number)
        summaries += thinning.due(sample)
        judged = verdict(0.6 if number % 2 else 0.4)
        thinned = thinning.is_thinned(sample, features, judged)
        if judged.accepted and not thinned:
            told.append(features)
    return summaries, told


def test_a_quiet_street_is_told_one_by_one() -> None:
    """Up to 300 candidates an hour nothing is thinned, whatever it sounds like."""
    thinning = Thinning(RATE_HZ)
    for number in range(BUSY_PER_HOUR):
        sample = 12 * number * RATE_HZ
        assert not thinning.due(sample)
        assert not thinning.is_thinned(sample, knock(-30.0), verdict(0.4))
        assert not thinning.is_thinned(sample, knock(-30.0), verdict(0.6))


def test_every_candidate_is_told_or_counted() -> None:
    """In a busy street most are counted, at most one summary a minute, and none is lost."""
    thinning = Thinning(RATE_HZ)
    summaries, told = busy_hour(thinning)
    last = thinning.closed(3600 * RATE_HZ)
    counted = sum(one.count for one in (*summaries, *last))
    assert counted + len(told) == 900
    assert counted > 300
    assert len(summaries) <= 60


def test_what_was_thinned_can_be_checked_from_the_records() -> None:
    """A summary holds its rule: what was told in its minute does not fall under it."""
    thinning = Thinning(RATE_HZ)
    busy_hour(thinning)
    told = list[Features]()
    for number in range(40):
        sample, level_dbfs = 3600 * RATE_HZ + number * RATE_HZ, -36.0 + number % 12
        if not thinning.is_thinned(sample, knock(level_dbfs, number), verdict(0.6)):
            told.append(knock(level_dbfs, number))
    (summary,) = thinning.closed(3660 * RATE_HZ)
    again = msgspec.json.decode(msgspec.json.encode(summary), type=Thinned)
    assert again == summary
    assert told
    assert not any(falls_under(again.rule, one) for one in told)
    assert again.peak_dbfs[1] <= again.rule.not_above_dbfs
    assert again.score == (0.6, 0.6)
    assert again.model_sha256 == MODEL


def test_nothing_louder_than_of_late_is_thinned() -> None:
    """However much it sounds like a knock."""
    thinning = Thinning(RATE_HZ)
    busy_hour(thinning)
    assert not thinning.is_thinned(3600 * RATE_HZ, knock(-20.0), verdict(0.6))


def test_what_sounds_like_nothing_of_late_is_told() -> None:
    """A shot amid an hour of knocks, as faint as they are."""
    thinning = Thinning(RATE_HZ)
    busy_hour(thinning)
    assert not thinning.is_thinned(3600 * RATE_HZ, shot(-35.0), verdict(0.6))


def test_an_hour_later_the_street_is_quiet_again() -> None:
    """Thinning ends when what made the street busy is an hour old."""
    thinning = Thinning(RATE_HZ)
    busy_hour(thinning)
    later = 7300 * RATE_HZ
    thinning.due(later)
    assert not thinning.is_thinned(later, knock(-35.0), verdict(0.6))


def test_likenesses_stand_for_most_of_what_was_heard() -> None:
    """Two kinds of knock give two likenesses; a single odd one out gives none."""
    one, other = fingerprint(knock(-30.0)), fingerprint(knock(-30.0)) + 20.0
    odd = fingerprint(knock(-30.0)) - 40.0
    found = typical([one] * 30 + [other] * 15 + [odd])
    assert [float(np.abs(print_ - one).mean()) for print_ in found] == [0.0, 20.0]
