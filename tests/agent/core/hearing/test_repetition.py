"""Repetition: scores and thinning follow from the records' own numbers, or it is said."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from agent.core.hearing import Onset
from agent.core.hearing.classification import OUT_OF_RANGE, judged_by, shipped_model
from agent.core.hearing.following import Following
from agent.core.hearing.repetition import BATCH, Repetition
from agent.core.hearing.thinning import Thinning
from agent.core.records.kinds import Body, Data, Impulse, Thinned, Verdict, compose
from agent.core.records.thinned import packed, unpacked
from tests.support.drafts import UTC_NS, draft, identity_of, impulse
from tests.support.hearing import features_like, shots
from tests.support.sound import RATE_HZ

CHAIN = "c" * 32


def bodies(*said: Data) -> list[Body]:
    """What one run says, in order."""
    return [
        msgspec.json.decode(compose(identity_of("n1"), draft(one), CHAIN, seq, "d" * 64), type=Body)
        for seq, one in enumerate(said, 1)
    ]


def faults(said: Sequence[Data], repetition: Repetition | None = None) -> list[str]:
    checked = repetition or Repetition()
    found = [fault for one in bodies(*said) for fault in checked.record(f"line {one.seq}", one)]
    return [f"{one.where}: {one.what}" for one in (*found, *checked.finish())]


def test_scores_follow_from_the_records() -> None:
    """Many at once or few, within the record's last digit."""
    repetition, told = Repetition(), shots(6)
    assert len(told) >= 6
    many = told * (BATCH // len(told) + 1)
    assert faults(many, repetition) == []
    assert repetition.repeated == len(many) > BATCH


def test_a_score_that_does_not_follow_is_named() -> None:
    """A thousandth more than the model gives is a fault of that record alone; so are features that
    were altered after the score."""
    told = shots(3)
    verdict = told[1].verdict
    told[1] = replace(told[1], verdict=replace(verdict, score=round(verdict.score - 0.001, 4)))
    spectrum = tuple(-one for one in told[2].features.spectrum_db)
    told[2] = replace(told[2], features=replace(told[2].features, spectrum_db=spectrum))
    first, second = faults(told)
    assert first.startswith("line 2: Record 2 tells a score of")
    assert second.startswith("line 3: Record 3 tells a score of")


def test_sound_that_is_out_of_range_keeps_its_kept_score() -> None:
    """What judging kept from being sure is repeated the same way."""
    features = shots(1)[0].features
    deaf = replace(features, spectrum_db=(*features.spectrum_db[:-1], -60))
    verdict = judged_by(shipped_model(), deaf)
    assert verdict.reason == OUT_OF_RANGE
    assert faults([replace(impulse(), features=deaf, verdict=verdict)]) == []


def test_a_model_that_is_not_here_is_said_and_is_no_fault() -> None:
    """Another version's model, or none, leaves its scores unrepeated, counted by model."""
    repetition = Repetition()
    assert faults([*shots(2, "e" * 64), impulse()], repetition) == []
    assert (repetition.repeated, repetition.unnamed) == (0, 1)
    assert repetition.foreign == {"e" * 64: 2}
    assert len(list(repetition.lines())) == 2


@pytest.mark.parametrize("spectrum", [(), (10**400,) * 9, (0,) * 10])
def test_numbers_that_no_model_takes_are_a_fault_and_no_crash(spectrum: tuple[int, ...]) -> None:
    """Whatever a signed record holds."""
    told = shots(1)[0]
    spoilt = replace(told, features=replace(told.features, spectrum_db=spectrum))
    repetition = Repetition()
    (body,) = bodies(told)
    found = [*repetition.record("line 1", replace(body, data=spoilt)), *repetition.finish()]
    assert [one.what for one in found] == ["Record 1 lacks numbers that its model needs."]


def street() -> list[Data]:
    """A minute of a busy street: what was told one by one, then the summary."""
    thinning, said = Thinning(RATE_HZ), list[Data]()
    for number in range(400):
        at = 96_000 * number
        level = -30.0 - number % 7 + (12.0 if number % 50 == 49 else 0.0)
        features = features_like(level, tuple(-one - number % 3 for one in range(19)))
        verdict = Verdict(accepted=True, score=0.5 + number % 11 / 100, reason="impulsive")
        onset = Onset(at, 1.0, 8.0, 9.0, features, verdict)
        summaries, is_thinned = thinning.take(onset, UTC_NS + at, 1_000)
        said += summaries
        if not is_thinned:
            said.append(replace(impulse(), sample_index=at, features=features, verdict=verdict))
    return [*said, *thinning.closed(96_000 * 400)]


def test_a_street_that_was_thinned_by_its_rules_holds() -> None:
    """Told and listed alike."""
    repetition, said = Repetition(), street()
    assert any(isinstance(one, Thinned) for one in said)
    assert any(isinstance(one, Impulse) for one in said[-30:])
    assert faults(said, repetition) == []
    assert repetition.thinned == sum(one.count for one in said if isinstance(one, Thinned))


def spoilt(summary: Thinned) -> Iterator[Thinned]:
    """The same summary, each time with one thing that cannot be."""
    rows, rule = list(unpacked(summary.listed)), summary.rule
    yield replace(summary, count=summary.count + 1)
    yield replace(summary, last_sample=summary.first_sample - 1)
    yield replace(summary, listed=packed(rows[:-1]))
    for changed in ({"peak_dbfs": 0.0}, {"score": 1.0}, {"away_db": 25.0}):
        last = dataclasses.replace(rows[-1], **changed)
        yield replace(summary, listed=packed([*rows[:-1], last]))
    yield replace(summary, listed="AAAA")
    yield replace(summary, listed="A")
    yield replace(summary, peak_dbfs=(summary.peak_dbfs[0], 0.0))
    yield replace(summary, rule=replace(rule, not_above_dbfs=-60.0))


def test_a_list_that_contradicts_its_rule_is_a_fault() -> None:
    """Whatever it contradicts it in."""
    summary = next(one for one in street() if isinstance(one, Thinned))
    told = list(spoilt(summary))
    assert [len(faults([one])) > 0 for one in told] == [True] * len(told)
    assert faults([summary]) == []


def test_what_was_told_though_it_falls_under_the_rule_is_a_fault() -> None:
    """A rule that is wider than what was thinned by it: somebody widened it later."""
    said = street()
    last = said[-1]
    assert isinstance(last, Thinned)
    wide = replace(last.rule, not_above_dbfs=0.0, not_above_score=1.0, within_db=99.0)
    told = faults([*said[:-1], replace(last, rule=wide)])
    assert told
    assert all("falls under its rule" in one for one in told)


def test_samples_of_another_run_are_not_held_against_a_summary() -> None:
    """A run begins to count anew: what the run before told at the same samples is its own."""
    said = street()
    last = said[-1]
    assert isinstance(last, Thinned)
    wide = replace(last, rule=replace(last.rule, not_above_dbfs=0.0, within_db=99.0))
    before = bodies(*[one for one in said if isinstance(one, Impulse)])
    (after,) = bodies(wide)
    repetition = Repetition()
    found = [fault for one in before for fault in repetition.record("", one)]
    found += repetition.record("", replace(after, seq=999, boot="e" * 32))
    assert found == []


def burst() -> list[Impulse]:
    """Two candidates 60 ms apart, of which the second says that it follows the first."""
    first = replace(impulse(), sample_index=48_000, rate_hz=48_000, features=FIRST)
    told = judged_by(RULED, FIRST)
    verdict = replace(told, follows_sample=first.sample_index)
    first = replace(first, verdict=told)
    return [first, replace(first, sample_index=48_000 + 2_880, verdict=verdict)]


FIRST = features_like(-10.0, (-20,) * 6 + (0,) * 13)
RULED = dataclasses.replace(
    shipped_model(), following=Following(0.04, 0.2, within_db=3.0, fainter_db=3.0, cheaper=1.5)
)


@pytest.mark.parametrize(
    ("change", "faulty"),
    [
        ({}, False),
        ({"sample_index": 48_000 + 24_000}, True),
        ({"features": replace(FIRST, peak_dbfs=-14.0)}, True),
    ],
)
def test_what_follows_a_candidate_must_be_like_it(change: dict[str, Any], faulty: bool) -> None:
    """A round that comes half a second late, or is much fainter, does not follow; the record is
    named, and whoever holds another model says so too."""
    first, second = burst()
    second = replace(second, **change)
    found = faults([first, second], Repetition(lambda _sha256: RULED))
    assert [one for one in found if "does not follow" in one] == found
    assert bool(found) == faulty
    knows_not = dataclasses.replace(RULED, following=None)
    (told,) = faults([first, second], Repetition(lambda _sha256: knows_not))
    assert "Record 2 does not follow" in told


def test_a_lead_that_was_listed_or_is_not_there_is_no_fault() -> None:
    """An export may begin after it."""
    assert faults(burst()[1:], Repetition(lambda _sha256: RULED)) == []
