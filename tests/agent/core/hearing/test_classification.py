"""The node's opinion: repeatable from the record alone, and none of it a matter of loudness."""

import hashlib
import io
import math
from dataclasses import replace
from importlib.resources import files

import msgspec
import numpy as np
import pytest

from agent.core.audio import AudioBlock, AudioFormat
from agent.core.hearing import Hearing
from agent.core.hearing.band_envelopes import outline, timbre
from agent.core.hearing.classification import (
    IMPULSIVE,
    MODEL_FILE,
    OUT_OF_RANGE,
    TONAL,
    judged_by,
    known_model,
    opinion,
    shipped_model,
)
from agent.core.hearing.classifier import PLAIN_FROM_DB, Glance, read_model
from agent.core.hearing.features import measure
from agent.core.hearing.following import Candidate
from agent.core.hearing.inputs import ASPECTS, INPUTS, NAMES, described
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
    assert read_model(data).usual.shape == (INPUTS,)


def test_models_of_earlier_versions_are_still_known() -> None:
    """A record that names verdict-3 is scored by verdict-3, as its release did; others are not."""
    data = files("agent.models").joinpath("verdict-3.npz").read_bytes()
    old = known_model(hashlib.sha256(data).hexdigest())
    assert old is not None
    with np.load(io.BytesIO(data)) as held:
        away = (described(features_of(blast_in_noise())) - held["centre"]) / held["scale"]
        log_odds = float(np.clip(away, -4, 4) @ held["weights"] + held["offset"])
    score = old.score(features_of(blast_in_noise()))
    assert score == pytest.approx(1 / (1 + np.exp(-log_odds)), abs=1e-5)
    again = known_model(shipped_model().sha256)
    assert again is not None
    assert again.sha256 == shipped_model().sha256
    assert known_model("0" * 64) is None


def test_every_input_has_a_name_and_an_aspect() -> None:
    """No two inputs are called alike, and each belongs to exactly one aspect."""
    assert len(set(NAMES)) == INPUTS == len(described(features_of(blast_in_noise())))
    assert sorted(np.concatenate(list(ASPECTS.values())).tolist()) == list(range(INPUTS))


def test_an_effect_is_what_the_score_loses_without_it() -> None:
    """The effect of all inputs together is the way from the usual sound to this one; none is 0."""
    model, features = shipped_model(), features_of(blast_in_noise())
    groups = np.stack((np.ones(INPUTS, np.bool_), np.zeros(INPUTS, np.bool_)))
    everything, nothing = model.effects(features, groups)
    usual = float(model.log_odds(model.usual[None])[0])
    here = float(model.log_odds(described(features)[None])[0])
    assert everything == pytest.approx(here - usual)
    assert nothing == pytest.approx(0.0, abs=1e-9)


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


def test_a_microphone_that_lacks_a_part_of_the_band_is_told_as_out_of_range() -> None:
    """Whatever it is, nothing is sure any more, the reason says so; what is published stays."""
    features = features_of(blast_in_noise())
    deaf = msgspec.structs.replace(features, spectrum_db=(*features.spectrum_db[:-1], -60))
    never = replace(shipped_model(), faintest_edges_db=np.full(2, -np.inf))
    verdict, otherwise = judged_by(shipped_model(), deaf), judged_by(never, deaf)
    assert judged_by(shipped_model(), features).reason != OUT_OF_RANGE
    assert verdict.reason == OUT_OF_RANGE
    assert 0.25 <= verdict.score <= 0.75
    assert verdict.accepted == otherwise.accepted


def test_what_is_out_of_range_still_ranks() -> None:
    """A narrow microphone's sounds keep their order: an operator can sort them, none is sure."""
    features = features_of(blast_in_noise())
    dull = (*features.spectrum_db[:-1], -60)
    heard = [
        msgspec.structs.replace(
            features, spectrum_db=dull, before_db=tuple(one + louder for one in features.before_db)
        )
        for louder in range(0, 60, 6)
    ]
    alone = [shipped_model().score(one) for one in heard]
    told = [judged_by(shipped_model(), one) for one in heard]
    assert {one.reason for one in told} == {OUT_OF_RANGE}
    assert np.corrcoef(alone, [one.score for one in told])[0, 1] > 0.9999
    assert max(alone) - min(alone) > 0.02


def test_what_is_refused_at_a_glance_is_refused_when_described() -> None:
    """Passing over loses no candidate, counts what it passes over, and spares no other onset."""
    rng = np.random.default_rng(3)
    sound = noise(12.0, seed=4, rms=0.002)
    for at_s in np.arange(3.0, 11.0, 0.4):
        start, count = int(at_s * 48_000), 14_400
        swell = np.minimum(1.0, np.arange(count) / 48_000 / 0.004)
        sound[start : start + count] += 0.05 * swell * rng.standard_normal(count)
    add_blast(sound, 2.5 * 48_000, 0.3)
    thorough, quick = Hearing(AudioFormat(48_000)), Hearing(AudioFormat(48_000))
    quick.passes_over = True
    pcm = as_int16(sound)
    every = [*thorough.on_block(AudioBlock(0, pcm, 0)), *thorough.finish()]
    some = [*quick.on_block(AudioBlock(0, pcm, 0)), *quick.finish()]
    assert [one for one in every if one.verdict.accepted] == [
        one for one in some if one.verdict.accepted
    ]
    assert len(every) == len(some) + quick.passed_over().count
    assert quick.passed_over().count == 0
    assert all(one in every for one in some)


def test_what_is_hopeless_is_published_by_nobody() -> None:
    """Whatever it follows; nothing that is published is passed over as such."""
    sound = noise(12.0, seed=4, rms=0.002)
    rng = np.random.default_rng(5)
    for number, start in enumerate(range(72_000, 540_000, 24_000)):
        if number % 3:
            lasting, hz = int(rng.uniform(4800, 9600)), rng.uniform(300.0, 3000.0)
            tone = np.sin(2 * np.pi * hz * np.arange(lasting) / 48_000)
            sound[start : start + lasting] += 10.0 ** rng.uniform(-2.0, -1.0) * tone
        else:
            add_blast(sound, float(start), 0.1)
    thorough, quick = Hearing(AudioFormat(48_000)), Hearing(AudioFormat(48_000))
    quick.passes_over = True
    pcm, model = as_int16(sound), shipped_model()
    every = [*thorough.on_block(AudioBlock(0, pcm, 0)), *thorough.finish()]
    some = [*quick.on_block(AudioBlock(0, pcm, 0)), *quick.finish()]
    assert [one for one in every if one.verdict.accepted] == [
        one for one in some if one.verdict.accepted
    ]
    passed = quick.passed_over()
    assert 0 < len(passed.hopeless) <= passed.count == len(every) - len(some)
    for place in passed.hopeless:
        onset = min(every, key=lambda one: abs(one.sample - place))
        lead = Candidate(place - 4800, 48_000, onset.features)
        log_odds = float(model.log_odds(described(onset.features)[None])[0])
        assert model.is_hopeless(log_odds, onset.features.snr_db)
        assert not judged_by(model, onset.features, lead).accepted
    assert all(one in every for one in some)
    edge = math.log(model.threshold / (1.0 - model.threshold)) - model.following.cheaper
    assert not model.is_hopeless(edge, PLAIN_FROM_DB)
    assert model.is_hopeless(edge, PLAIN_FROM_DB + 1.0)


def test_what_is_out_of_range_is_never_hopeless() -> None:
    """Else nobody would learn that the microphone lacks a part of the band."""
    hiss = np.random.default_rng(1).normal(0.0, 0.1, 48_000)
    colour = timbre(outline(Stretch(hiss, 48_000), 24_000))
    dull = replace(colour, spectrum_db=(*colour.spectrum_db[:-1], -60))
    assert opinion(colour, 20.0).is_hopeless
    assert not opinion(dull, 20.0).is_hopeless


def test_a_glance_that_refuses_makes_a_reject_of_any_score() -> None:
    """A model whose glance refuses everything accepts nothing; one without a glance does."""
    features, model = features_of(blast_in_noise()), shipped_model()
    blind = replace(model, glance=Glance(model.glance.trees, np.inf))
    assert judged_by(model, features).accepted
    assert not judged_by(blind, features).accepted
