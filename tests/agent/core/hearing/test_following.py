"""Rounds of a burst: what follows a candidate of its kind needs less of its own to show."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from agent.core.hearing import Onset, classification
from agent.core.hearing.classification import FOLLOWS, IMPULSIVE, judged_by, shipped_model
from agent.core.hearing.classifier import Model, read_model, written
from agent.core.hearing.following import Candidate, Following
from agent.core.records.kinds import Features, Verdict
from tests.support.hearing import features_like
from tests.support.sound import RATE_HZ, add_blast, as_int16, hear, noise

COURSE = (-20,) * 6 + (0,) * 13
FOLLOWING = Following(from_s=0.04, until_s=0.2, within_db=3.0, fainter_db=3.0, cheaper=50.0)
LEAD = Candidate(10_000, 1000, features_like(-10.0, COURSE))


def like(peak_dbfs: float = -10.0, *, duller_db: int = 0) -> Features:
    """The lead's sound at another level, its upper bands weaker and its lower ones stronger."""
    slope = tuple(duller_db if band < 4 else -duller_db for band in range(9))
    return msgspec.structs.replace(features_like(peak_dbfs, COURSE), spectrum_db=slope)


@pytest.mark.parametrize(
    ("late_ms", "features", "leads"),
    [
        (45, like(), True),
        (200, like(), True),
        (45, like(-12.9), True),
        (45, like(+0.0), True),
        (45, like(duller_db=3), True),
        (39, like(), False),
        (201, like(), False),
        (0, like(), False),
        (-45, like(), False),
        (45, like(-13.1), False),
        (45, like(duller_db=4), False),
        (45, msgspec.structs.replace(like(), spectrum_db=()), False),
    ],
)
def test_who_follows_a_candidate(late_ms: int, features: Features, leads: bool) -> None:
    """As soon as fire can be and as late as it may, as loud, and of the same colour; else not."""
    assert LEAD.leads(LEAD.sample + late_ms, features, FOLLOWING) == leads


def burst(seed: int = 2) -> np.ndarray:
    """Eight alike rounds 60 ms apart, a softer echo after each, in a street's noise."""
    sound = noise(6.0, seed=seed, rms=0.001)
    rng = np.random.default_rng(seed)
    for turn in range(8):
        at = (3.0 + 0.06 * turn) * RATE_HZ
        add_blast(sound, at, 0.3 * rng.uniform(0.9, 1.0))
        add_blast(sound, at + 0.02 * RATE_HZ, 0.03)
    return as_int16(sound)


def sure_of_the_first_only(scores: list[float]) -> Model:
    """The shipped model with a threshold between the first round's score and all that follow."""
    model = replace(shipped_model(), dearer_per_db=0.0, following=FOLLOWING)
    assert scores[0] > max(scores[1:])
    return replace(model, threshold=0.5 * (scores[0] + max(scores[1:])))


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[Onset]:
    sound = burst()
    model = sure_of_the_first_only([one.verdict.score for one in hear(sound)])
    monkeypatch.setattr(classification, "shipped_model", lambda: model)
    return hear(sound)


def test_rounds_follow_and_echoes_do_not(heard: list[Onset]) -> None:
    """The first stands for itself, seven follow, each the one before it, and no echo does."""
    first, *others = [one for one in heard if one.verdict.accepted]
    assert first.verdict.reason == IMPULSIVE
    assert first.verdict.follows_sample is msgspec.UNSET
    assert [one.verdict.reason for one in others] == [FOLLOWS] * 7
    leads = [int(one.sample) for one in (first, *others[:-1])]
    assert [one.verdict.follows_sample for one in others] == leads


def test_the_records_suffice_to_repeat_it(heard: list[Onset]) -> None:
    """Verdicts that went through JSON, with the lead that each names, give the same verdicts."""
    told = [
        (int(one.sample), *msgspec.json.decode(msgspec.json.encode((one.features, one.verdict)),
                                               type=tuple[Features, Verdict]))
        for one in heard
    ]  # fmt: skip
    by_sample = {sample: features for sample, features, _ in told}
    model = classification.shipped_model()
    for sample, features, verdict in told:
        lead = None
        if isinstance(verdict.follows_sample, int):
            lead = Candidate(verdict.follows_sample, RATE_HZ, by_sample[verdict.follows_sample])
            assert lead.leads(sample, features, FOLLOWING)
        assert judged_by(model, features, lead) == verdict


def test_a_record_that_follows_nothing_says_nothing_of_it(heard: list[Onset]) -> None:
    """Exports are verified by programs that do not know the field, where there is no need of it."""
    first = next(one for one in heard if one.verdict.accepted)
    assert b"follows" not in msgspec.json.encode(first.verdict)


def test_what_is_too_faint_a_likeness_is_judged_alone(heard: list[Onset]) -> None:
    """A model that makes it no cheaper publishes the first round only."""
    model = replace(classification.shipped_model(), following=replace(FOLLOWING, cheaper=0.0))
    alone = [judged_by(model, one.features, LEAD).accepted for one in heard]
    assert sum(alone) == 1


def test_the_file_keeps_it_and_earlier_files_have_none() -> None:
    """What follows is part of the weights, so that a record's model says by which rule."""
    model = replace(shipped_model(), following=FOLLOWING)
    assert read_model(written(model)).following == FOLLOWING
    before = read_model(written(replace(model, following=None)))
    assert before.following is None
    assert before.lead(LEAD, LEAD.sample + 50, like()) is None
