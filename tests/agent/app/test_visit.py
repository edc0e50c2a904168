"""A technician's wishes: one clap, one calibration, each once, each with a record."""

import numpy as np
import pytest

from agent.app.visit import MOST_HEARD, WISH_NS, Visit
from agent.core.audio import AudioFormat
from agent.core.clock import Stamp
from agent.core.hearing import Onset
from agent.core.records.kinds import Verdict
from agent.core.records.visit import Wish
from agent.core.records.visit_records import Calibration, Clap
from tests.agent.core.hearing.test_levels import RATE_HZ, SECONDS, blocks, sine
from tests.simulator.centre.test_contract import FEATURES

ONSET = Onset(
    sample=1.5,
    sigma_noise_samples=0.1,
    sigma_total_samples=0.2,
    strength=9.0,
    features=FEATURES,
    verdict=Verdict(accepted=False, score=0.08, reason="unlike a shot"),
)
STAMP = Stamp(1_795_000_000_000_000_000, 2_500)


def test_a_calibration_says_what_full_scale_is() -> None:
    """94 dB SPL at -29.03 dBFS RMS: full scale is at 123 dB SPL, in the record and the answer."""
    visit = Visit(AudioFormat(RATE_HZ))
    visit.take(Wish(id="1" * 32, verb="calibrate", level_db_spl=94.0), 0)
    told = [
        one for block in blocks(sine(1000, 0.05, SECONDS), 1000) for one in visit.on_block(block)
    ]
    (record,) = told
    assert isinstance(record, Calibration)
    assert record.full_scale_db_spl == pytest.approx(123.0, abs=0.1)
    assert visit.answer is not None
    assert (visit.answer.outcome, visit.answer.value) == ("done", record.full_scale_db_spl)


def test_a_poor_tone_records_nothing_and_says_why() -> None:
    """Silence in the calibrator is no calibration."""
    visit = Visit(AudioFormat(RATE_HZ))
    visit.take(Wish(id="1" * 32, verb="calibrate"), 0)
    for block in blocks(np.zeros(round(SECONDS * RATE_HZ)), 1000):
        assert not list(visit.on_block(block))
    assert visit.answer is not None
    assert visit.answer.outcome == "failed"
    assert "no tone is heard" in visit.answer.reason


def test_one_clap_is_recorded_whatever_the_model_thinks_of_it() -> None:
    """A clap is no shot, and is told all the same; the next onset is none of its business."""
    visit = Visit(AudioFormat(RATE_HZ), lambda act: act(17))
    assert not list(visit.on_onset(ONSET, STAMP))
    visit.take(Wish(id="1" * 32, verb="clap"), 0)
    (record,) = visit.on_onset(ONSET, STAMP)
    assert isinstance(record, Clap)
    assert record.toa_utc_ns == str(STAMP.utc_ns)
    assert not list(visit.on_onset(ONSET, STAMP))
    visit.note(ONSET, STAMP, 5, "clap")
    (seen,) = visit.heard(lambda seq: seq == 17)
    assert (seen.kind, seen.is_receipted) == ("clap", True)


@pytest.mark.parametrize("verb", ["clap", "calibrate"])
def test_a_wish_that_nothing_comes_of_ends(verb: str) -> None:
    """Who walked away does not leave a node that takes the next shot for a clap."""
    visit = Visit(AudioFormat(RATE_HZ))
    visit.take(Wish(id="1" * 32, verb=verb), 0)
    visit.pass_time(WISH_NS - 1)
    assert visit.answer is not None
    assert visit.answer.outcome == "waiting"
    visit.pass_time(WISH_NS)
    assert visit.answer.outcome == "failed"
    assert not list(visit.on_onset(ONSET, STAMP))


def test_lost_sound_begins_a_tone_anew() -> None:
    """Half of one and half of another are not five seconds of a tone."""
    visit = Visit(AudioFormat(RATE_HZ))
    visit.take(Wish(id="1" * 32, verb="calibrate"), 0)
    half = list(blocks(sine(1000, 0.05, SECONDS / 2)))
    for block in half:
        assert not list(visit.on_block(block))
    visit.on_gap()
    for block in half:
        assert not list(visit.on_block(block))


def test_only_the_last_onsets_are_shown() -> None:
    """The state file stays small on a lively street."""
    visit = Visit(AudioFormat(RATE_HZ))
    for number in range(3 * MOST_HEARD):
        visit.note(ONSET, STAMP, number, "")
    assert [one.host_ns for one in visit.heard(lambda seq: False)][-1] == 3 * MOST_HEARD - 1
    assert len(visit.heard(lambda seq: False)) == MOST_HEARD
