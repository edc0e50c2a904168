"""The node's opinion: repeatable from the record alone, and none of it a matter of loudness."""

import hashlib
from importlib.resources import files

import msgspec
import numpy as np
import pytest

from agent.core.hearing.classification import IMPULSIVE, MODEL_FILE, TONAL, judged_by, shipped_model
from agent.core.hearing.classifier import INPUTS, described, read_model
from agent.core.hearing.features import measure
from agent.core.hearing.picker import Stretch
from agent.core.records.kinds import Features
from tests.support.sound import add_blast, as_int16, hear, noise

ONSET = 43_200


def blast_in_noise() -> np.ndarray:
    sound = noise(1.2, rms=0.001)
    add_blast(sound, float(ONSET), 0.3)
    return sound


def features_of(sound: np.ndarray, onset: int = ONSET) -> Features:
    return measure(Stretch(sound, 48_000), onset, None, gap_in_window=False)


def test_the_weights_are_named_by_their_hash_and_small() -> None:
    """The verdict names the SHA-256 of the file in the package; the file is below 64 kB."""
    data = files("agent.models").joinpath(MODEL_FILE).read_bytes()
    verdict = judged_by(shipped_model(), features_of(blast_in_noise()))
    assert verdict.model_sha256 == hashlib.sha256(data).hexdigest()
    assert len(data) < 64_000
    assert read_model(data).centre.shape == (INPUTS,)


def test_the_record_suffices_to_repeat_the_verdict() -> None:
    """Features that went through JSON give the very same score and reason."""
    sound = as_int16(np.concatenate((noise(3.0, seed=2), blast_in_noise(), noise(1.0, seed=3))))
    for onset in hear(sound):
        told = msgspec.json.decode(msgspec.json.encode(onset.features), type=Features)
        assert judged_by(shipped_model(), told) == onset.verdict


def test_loudness_is_no_evidence() -> None:
    """The same sound 30 dB softer has the same score: loudness is the distance's."""
    loud, soft = features_of(blast_in_noise()), features_of(0.03 * blast_in_noise())
    assert soft.peak_dbfs < loud.peak_dbfs - 30.0
    assert shipped_model().score(soft) == pytest.approx(shipped_model().score(loud), abs=0.02)


def test_what_is_heard_plainly_must_show_more() -> None:
    """The score that is wanted grows from 14 to 40 dB over the noise, and nowhere else."""
    features = features_of(blast_in_noise())
    levels_db = (-5.0, 14.0, 20.0, 40.0, 60.0)
    wanted = [
        shipped_model().wanted(msgspec.structs.replace(features, snr_db=snr_db))
        for snr_db in levels_db
    ]
    assert wanted[0] == wanted[1] < wanted[2] < wanted[3] == wanted[4] < 0.96


def test_a_blast_is_a_candidate() -> None:
    """A clean blast is accepted, with the reason that says so."""
    verdict = judged_by(shipped_model(), features_of(blast_in_noise()))
    assert verdict.accepted
    assert verdict.reason == IMPULSIVE


def test_a_horn_is_none_and_says_why() -> None:
    """A chord that sets in within 20 ms is rejected as tonal."""
    time_s = np.arange(14_400) / 48_000
    chord = sum(np.sin(2 * np.pi * hz * time_s) for hz in (400, 800, 1200))
    sound = noise(1.2, rms=0.001)
    sound[ONSET:] += (0.1 * chord * np.minimum(1.0, time_s / 0.02))[: len(sound) - ONSET]
    verdict = judged_by(shipped_model(), features_of(sound))
    assert not verdict.accepted
    assert verdict.reason == TONAL


@pytest.mark.parametrize("held", [0, 100, 5_000])
def test_sound_that_ends_early_is_judged_with_what_there_is(held: int) -> None:
    """Features cut short by a gap are described and scored all the same."""
    features = features_of(blast_in_noise()[: ONSET + 1 + held])
    assert described(features).shape == (INPUTS,)
    assert 0.0 <= shipped_model().score(features) <= 1.0
