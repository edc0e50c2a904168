"""What a virtual microphone hears: the right sound at the right sample."""

import math

import numpy as np
import pytest

from agent.core.units import NS_PER_S, sound_speed_mps
from simulator.scene.oscillators import PERFECT, AdcClock, Oscillator
from simulator.scene.propagation import Air, Wall
from simulator.scene.randomness import stream
from simulator.scene.scene import Listener, Reverberation, Scene, SceneAudio, Shot, render
from simulator.scene.sources import Blast, Ring, StreetNoise, pascals

EPOCH = 1_773_522_000 * NS_PER_S
RATE_HZ = 48_000
SILENCE = StreetNoise(-400.0, -400.0, -400.0)
BLAST = Blast(pascals(150.0), 1e-3)


def clock(ppm=0.0, rate_hz=RATE_HZ):
    return AdcClock(Oscillator(EPOCH, ppm, PERFECT, stream(0, "steady")), rate_hz)


def scene(*shots, seconds=4, **rest):
    given = {"seed": 1, "air": Air(), "noise": SILENCE, **rest}
    return Scene(start_utc_ns=EPOCH, end_utc_ns=EPOCH + seconds * NS_PER_S, shots=shots, **given)


def shot(at_s=1.0, source=BLAST):
    return Shot(EPOCH + round(at_s * NS_PER_S), (0.0, 0.0, 0.0), source)


def heard(a_scene, east_m, adc=None):
    listener = Listener("n1", (east_m, 0.0, 0.0))
    return np.concatenate(list(render(a_scene, listener, adc or clock()))).astype(float)


def lag_samples(one, other):
    """How much later `other` is: whole samples by the peaks, the rest by phase up to 2 kHz."""
    peaks = [int(np.argmax(np.abs(wave))) for wave in (one, other)]
    spectra = [
        np.fft.rfft(w[p - 2048 : p + 14_336]) for w, p in zip((one, other), peaks, strict=True)
    ]
    omega = 2.0 * np.pi * np.fft.rfftfreq(16_384)
    cross = (np.conj(spectra[0]) * spectra[1])[omega < 2 * np.pi * 2000 / RATE_HZ]
    omega = omega[: len(cross)]
    slope = np.sum(np.abs(cross) * omega * np.angle(cross)) / np.sum(np.abs(cross) * omega**2)
    return peaks[1] - peaks[0] - float(slope)


def test_sound_arrives_after_distance_over_c():
    """Two listeners on a line differ by r/c to half a microsecond, a fortieth of a sample."""
    a_scene = scene(shot(1.0, Blast(pascals(130.0), 1e-3)))
    expected = (6.35 - 5.0) / sound_speed_mps(15.0) * RATE_HZ
    lag = lag_samples(heard(a_scene, 5.0), heard(a_scene, 6.35))
    assert lag == pytest.approx(expected, abs=0.025)


def test_far_sound_is_faster_by_no_more_than_dispersion():
    """Over 400 m the front gains on r/c, but less than the 0.03 % of fully relaxed air."""
    expected = 400.0 / sound_speed_mps(15.0) * RATE_HZ
    lag = lag_samples(heard(scene(shot()), 30.0), heard(scene(shot()), 430.0))
    assert 0.0 < (expected - lag) / expected < 3e-4


def test_the_front_falls_on_its_sample():
    """Onset at 10 m: silence until r/c, a tenth of the peak within a sample after."""
    wave = heard(scene(shot()), 10.0)
    front = RATE_HZ * (1.0 + 10.0 / sound_speed_mps(15.0))
    risen = np.argmax(np.abs(wave) > 0.4 * np.abs(wave).max())
    assert front - 0.5 <= risen <= front + 1.5


@pytest.mark.parametrize("fraction", [0.1, 0.37, 0.5, 0.93])
def test_shots_fall_between_samples(fraction):
    """A shot a fraction of a sample later arrives exactly that much later."""
    first = heard(scene(shot(1.0)), 30.0)
    later = heard(scene(shot(1.0 + fraction / RATE_HZ)), 30.0)
    assert lag_samples(first, later) == pytest.approx(fraction, abs=0.005)


def test_a_fast_converter_takes_more_samples_before_the_same_instant():
    """At 100 ppm fast, what arrives 3 s in is found 14.4 samples later."""
    a_scene = scene(shot(3.0 - 30.0 / sound_speed_mps(15.0)))
    lag = lag_samples(heard(a_scene, 30.0), heard(a_scene, 30.0, clock(ppm=100.0)))
    assert lag == pytest.approx(3.0 * RATE_HZ * 100e-6, abs=0.02)


def test_a_fast_converter_hears_lower_tones():
    """A tone's period in samples is the true rate over its frequency."""
    tone = Ring(pascals(130.0), ((1.0, 1000.0, 0.1),))
    wave = heard(scene(shot(1.0, tone)), 10.0, clock(ppm=2000.0))
    ringing = wave[np.argmax(np.abs(wave)) :][:4096] * np.hanning(4096)
    tones_hz = np.fft.rfftfreq(2**20, 1.0 / RATE_HZ)
    peak_hz = tones_hz[np.argmax(np.abs(np.fft.rfft(ringing, 2**20)))]
    assert peak_hz == pytest.approx(1000.0 / 1.002, abs=0.3)


def test_peaks_are_in_proportion_to_full_scale():
    """A slow wave of known level at 1 m reads as many dB below full scale as it should."""
    time_s = np.arange(RATE_HZ) / RATE_HZ
    shape_db = 20 * math.log10((np.sin(200 * np.pi * time_s) * np.exp(-time_s / 0.05)).max())
    wave = heard(scene(shot(1.0, Ring(pascals(150.0), ((1.0, 100.0, 0.05),)))), 100.0)
    level_dbfs = 20 * math.log10(np.abs(wave).max() / 32_768)
    assert level_dbfs == pytest.approx(150.0 + shape_db - 40.0 - 123.0, abs=0.1)


@pytest.mark.parametrize(("sign", "end"), [(1, 32_767), (-1, -32_768)])
def test_loud_sound_clips(sign, end):
    """Beyond full scale the converter stays at its end and never wraps round."""
    wave = heard(scene(shot(1.0, Blast(sign * pascals(150.0), 1e-3))), 10.0)
    first = int(np.argmax(wave == end))
    assert np.count_nonzero(wave == end) > 10
    assert np.all(np.sign(wave[first : first + 40]) == sign)


def test_a_wall_adds_one_echo():
    """The echo has the reflection's share, spreads over its own path and comes that much later."""
    wall = Wall((-50.0, 40.0), (150.0, 40.0), 0.5)
    quiet, loud = (scene(shot(), walls=walls) for walls in ((), (wall,)))
    direct = heard(quiet, 60.0)
    echo = heard(loud, 60.0) - direct
    assert np.abs(echo).max() / np.abs(direct).max() == pytest.approx(0.5 * 60 / 100, rel=0.05)
    late_s = (100.0 - 60.0) / sound_speed_mps(15.0)
    lag = np.argmax(echo) - np.argmax(direct)
    assert lag == pytest.approx(late_s * RATE_HZ, abs=1.5)


def test_reverberation_follows_the_direct_sound():
    """The tail starts after the onset, holds the stated energy and dies away."""
    tail = Reverberation(below_direct_db=10.0, decay_s=0.3)
    dry, wet = (heard(scene(shot(), reverberation=r), 60.0) for r in (None, tail))
    added = wet - dry
    onset = int(RATE_HZ * (1.0 + 60.0 / sound_speed_mps(15.0)))
    assert np.abs(added[: onset + 48]).max() <= 1.0
    energy_db = 10 * math.log10(np.sum(added**2) / np.sum(dry**2))
    assert energy_db == pytest.approx(-10.0, abs=2.0)
    early, late = (added[onset + n : onset + n + 2400].std() for n in (480, 12_000))
    assert early > 5 * late > 0.0


def test_a_sound_before_the_stream_opened_is_not_heard():
    """Windows that end before sample 0 add nothing and break nothing."""
    assert not heard(scene(shot(-2.0)), 10.0).any()


def test_no_sound_is_lost_between_chunks():
    """Shots all along the stream keep their energy wherever the chunks are cut."""
    moments = [0.5 + 0.77 * n for n in range(24)]
    wave = heard(scene(*map(shot, moments), seconds=20), 60.0)
    onsets = [round((moment + 60 / sound_speed_mps(15.0)) * RATE_HZ) for moment in moments]
    energies = [np.sum(wave[onset - 200 : onset + 4000] ** 2) for onset in onsets]
    np.testing.assert_allclose(energies, energies[0], rtol=0.01)


def test_the_stream_ends_with_the_scene():
    """As many samples as the converter takes until the end, also when it runs fast."""
    assert len(heard(scene(seconds=20), 1.0)) == 20 * RATE_HZ
    assert len(heard(scene(seconds=20), 1.0, clock(ppm=50.0))) in (
        20 * RATE_HZ + 48,
        20 * RATE_HZ + 49,
    )


def test_same_seed_same_bytes():
    """A scene is repeated exactly; another seed, or another node, hears another street."""

    def sounding(seed, name):
        a_scene = scene(shot(), seed=seed, noise=StreetNoise(), reverberation=Reverberation())
        audio = SceneAudio(a_scene, Listener(name, (60.0, 0.0, 5.0)), clock())
        return b"".join(chunk.tobytes() for chunk in audio.chunks())

    assert sounding(1, "a") == sounding(1, "a")
    assert len({sounding(1, "a"), sounding(2, "a"), sounding(1, "b")}) == 3


def test_background_does_not_repeat_itself():
    """Nowhere in a minute is a second of noise repeated after a fixed time, at any lag."""
    noise = StreetNoise(60.0, -400.0, -400.0)
    wave = heard(scene(seconds=60, noise=noise), 1.0, clock(rate_hz=12_000))
    spectrum = np.fft.rfft(wave, 2 * len(wave))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: len(wave)]
    beyond_a_second = np.abs(correlation[12_000:]).max() / correlation[0]
    assert beyond_a_second < 0.2


def test_no_half_second_of_background_comes_often():
    """What is heard once comes back as seldom as a tile of its length allows."""
    noise = StreetNoise(60.0, -400.0, -400.0)
    wave = heard(scene(seconds=60, noise=noise), 1.0, clock(rate_hz=12_000))
    piece = np.pad(wave[2400:8400], (0, len(wave) - 6000))
    likeness = np.fft.irfft(np.fft.rfft(wave) * np.conj(np.fft.rfft(piece)))
    alike = np.flatnonzero(likeness > 0.5 * np.sum(piece**2))
    assert np.count_nonzero(np.diff(alike) > 100) <= 4


def test_background_keeps_its_level_across_joins():
    """Cross-fades neither dip nor swell: each 1/20 s has the same level, and it is the stated."""
    noise = StreetNoise(60.0, -400.0, -400.0)
    wave = heard(scene(seconds=40, noise=noise), 1.0)
    levels = np.diff(wave, prepend=0.0).reshape(-1, 2400).std(axis=1)
    assert levels.min() > 0.9 * levels.mean()
    assert levels.max() < 1.1 * levels.mean()
    power = np.abs(np.fft.rfft(wave)) ** 2 * 2.0 / len(wave) ** 2
    in_band = power[100 * 40 : 20_000 * 40].sum() ** 0.5
    expected = pascals(60.0) / pascals(123.0) * 32_768
    assert in_band == pytest.approx(expected, rel=0.05)


def test_listeners_with_other_full_scale_hear_the_same_pressure():
    """6 dB more headroom halves the numbers."""
    coarse, fine = (
        np.concatenate(list(render(scene(shot()), Listener("n", (60.0, 0, 0), level), clock())))
        for level in (129.0206, 123.0)
    )
    assert np.abs(fine).max() == pytest.approx(2.0 * np.abs(coarse).max(), rel=0.001)
