"""From samples to judged onsets: nothing missed, nothing invented, whatever cuts the blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.audio import AudioBlock, AudioFormat, AudioGap
from agent.core.hearing import Hearing
from agent.core.hearing.arrival import SEARCH_S, WHOLE_S
from agent.core.hearing.pipeline import LOOK_AHEAD_S, LOOK_BACK_S
from agent.core.hearing.whitening import NOISE_S
from tests.support.sound import (
    RATE_HZ,
    add_band_limited_blast,
    add_blast,
    as_int16,
    hear,
    noise,
)


def street_with_shots() -> np.ndarray:
    sound = noise(5.0)
    for onset, peak in ((120_000.4, 0.5), (130_000.7, 0.2), (190_000.1, 0.05)):
        add_blast(sound, onset, peak)
    return as_int16(sound)


STREET = street_with_shots()
WHOLE = hear(STREET)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 5_000), min_size=1, max_size=12))
def test_the_driver_s_blocks_do_not_matter(cuts: list[int]) -> None:
    """Any way to cut the stream gives the same onsets, to the last digit."""
    hearing, found, start = Hearing(AudioFormat(RATE_HZ)), [], 0
    while start < len(STREET):
        for cut in cuts:
            if start < len(STREET):
                piece = STREET[start : start + cut]
                found += hearing.on_block(AudioBlock(start, piece, 0))
                start += cut
    assert found + hearing.finish() == WHOLE


@pytest.mark.parametrize("rate_hz", [12_000, 24_000, 48_000, 96_000])
def test_every_shot_gets_its_own_onset_at_its_own_time(rate_hz: int) -> None:
    """At every rate: one onset within 60 us or half a sample of each blast, no other."""
    sound = noise(4.0, seed=3, rate_hz=rate_hz)
    truth = [2.0123, 2.2001, 2.2632, 3.1]
    for at_s in truth:
        add_blast(sound, at_s * rate_hz, 0.3, rate_hz=rate_hz)
    heard = [
        o.sample / rate_hz for o in hear(as_int16(sound), rate_hz=rate_hz) if o.verdict.accepted
    ]
    assert len(heard) == len(truth)
    assert np.abs(np.array(heard) - truth).max() < max(60e-6, 0.5 / rate_hz)


@pytest.mark.parametrize("seed", range(4))
def test_noise_alone_is_silence(seed: int) -> None:
    """Half a minute of steady noise publishes nothing."""
    assert [o for o in hear(as_int16(noise(30.0, seed))) if o.verdict.accepted] == []


def test_a_soft_start_of_a_tone_is_no_impulse() -> None:
    """A siren that swells over a quarter second is not published."""
    sound = noise(6.0)
    t = np.arange(3 * RATE_HZ) / RATE_HZ
    swell = np.minimum(1.0, t / 0.25) * 0.2 * np.sin(2 * np.pi * 900 * t)
    sound[2 * RATE_HZ : 5 * RATE_HZ] += swell
    assert [o for o in hear(as_int16(sound)) if o.verdict.accepted] == []


def test_a_clip_of_a_second_either_side_repeats_the_onset() -> None:
    """All the picker uses lies within 1 s of the onset: a clip finds it again, to a microsecond."""
    first = WHOLE[0]
    frame = 1_024
    start = (int(first.sample) - RATE_HZ) // frame * frame
    clip = STREET[start : int(first.sample) + RATE_HZ]
    lead_in = np.concatenate((STREET[: 40 * frame], clip))
    again = [o for o in hear(lead_in) if abs(o.sample + start - 40 * frame - first.sample) < 48]
    assert len(again) == 1
    assert again[0].sample + start - 40 * frame == pytest.approx(first.sample, abs=0.05)


def test_nothing_waits_longer_than_a_record_may_take() -> None:
    """From sound to onset: a block and 0.3 s; a clip of a second holds all that counts."""
    assert LOOK_AHEAD_S <= 0.3
    assert SEARCH_S[1] + WHOLE_S < LOOK_AHEAD_S
    assert NOISE_S - SEARCH_S[0] + 0.1 < LOOK_BACK_S <= 1.0


def test_a_gap_is_told_and_counted() -> None:
    """Onsets around lost samples come out, marked, at their true place in the stream."""
    sound = noise(5.0)
    add_blast(sound, 119_000.0, 0.3)
    add_blast(sound, 181_000.0, 0.3)
    samples = as_int16(sound)
    hearing = Hearing(AudioFormat(RATE_HZ))
    before = hearing.on_block(AudioBlock(0, samples[:120_000], 0))
    at_gap = hearing.on_gap(AudioGap(120_000, 60_000, 0, "overflow"))
    after = hearing.on_block(AudioBlock(180_000, samples[180_000:], 0)) + hearing.finish()
    assert before == []
    assert [round(o.sample) for o in at_gap + after] == [119_000, 181_000]
    assert all(o.features.gap_in_window for o in at_gap + after)


def test_clipping_is_seen_below_full_scale_too() -> None:
    """A limiter flattens tops wherever it likes; the record says so."""
    loud, soft = noise(3.0), noise(3.0)
    add_blast(loud, 100_000.0, 3.0)
    add_blast(soft, 100_000.0, 0.5)
    (clipped,) = (o for o in hear(as_int16(np.clip(loud, -0.7, 0.7))) if o.verdict.accepted)
    (clean,) = (o for o in hear(as_int16(soft)) if o.verdict.accepted)
    assert clipped.features.clipped
    assert not clean.features.clipped


def test_features_say_what_was_played() -> None:
    """Peak, noise and rise of a known blast come back within a decibel and some microseconds."""
    sound = noise(3.0, rms=0.003)
    add_blast(sound, 100_000.0, 0.5)
    (onset,) = (o for o in hear(as_int16(sound)) if o.verdict.accepted)
    features = onset.features
    assert features.peak_dbfs == pytest.approx(-6.0, abs=0.6)
    assert features.noise_dbfs == pytest.approx(-50.5, abs=2.0)
    assert features.snr_db == pytest.approx(44.5, abs=2.0)
    assert features.rise_us < 60
    assert features.envelope_db[0] == 0.0


def test_sigma_noise_is_the_scatter_that_noise_gives() -> None:
    """Over a hundred blasts at 26 dB the RMS error is the stated one to within a quarter."""
    z = []
    for seed in range(3):
        sound = noise(12.0, seed=20 + seed, rms=0.01)
        truth = 96_000 + 12_000.37 * np.arange(36)
        for onset in truth:
            add_band_limited_blast(sound, onset, 0.2)
        found = [o for o in hear(as_int16(sound)) if o.verdict.accepted]
        assert len(found) == len(truth)
        error = np.array([o.sample for o in found]) - truth
        error -= np.median(error)
        z += list(error / [o.sigma_noise_samples for o in found])
    assert 0.8 < float(np.sqrt(np.mean(np.square(z)))) < 1.25
