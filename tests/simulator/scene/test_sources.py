"""Sounds and noise, against their time-domain definitions and stated levels."""

import math

import numpy as np
import pytest

from simulator.scene.randomness import stream
from simulator.scene.sources import (
    SOURCES,
    Blast,
    Ring,
    StreetNoise,
    band_limit,
    pascals,
    street_noise,
)

RATE_HZ = 192_000
COUNT = 2**17
TIME_S = np.arange(COUNT) / RATE_HZ
FREQUENCY_HZ = np.fft.rfftfreq(COUNT, 1.0 / RATE_HZ)
AUDIBLE = (FREQUENCY_HZ > 20.0) & (FREQUENCY_HZ < 10_000.0)
SILENT = -400.0


def transform(wave):
    """Fourier integral of samples; half of the first one, which is where the wave jumps."""
    wave = wave.copy()
    wave[0] *= 0.5
    return np.fft.rfft(wave) / RATE_HZ


def test_a_blast_is_the_friedlander_wave():
    """The spectrum is that of P (1 - t/T) exp(-t/T)."""
    spectrum = Blast(2000.0, 1e-3).spectrum(FREQUENCY_HZ)
    wave = 2000.0 * (1.0 - TIME_S / 1e-3) * np.exp(-TIME_S / 1e-3)
    scale = np.abs(spectrum).max()
    np.testing.assert_allclose(spectrum[AUDIBLE], transform(wave)[AUDIBLE], atol=0.005 * scale)


def test_a_ring_is_its_decaying_sinusoids():
    """The spectrum is that of the sum of damped modes."""
    modes = ((1.0, 70.0, 0.05), (0.5, 310.0, 0.015))
    wave = sum(
        share / 1.5 * np.sin(2 * np.pi * hz * TIME_S) * np.exp(-TIME_S / decay_s)
        for share, hz, decay_s in modes
    )
    spectrum = Ring(1.0, modes).spectrum(FREQUENCY_HZ)
    scale = np.abs(spectrum).max()
    np.testing.assert_allclose(spectrum[AUDIBLE], transform(wave)[AUDIBLE], atol=0.005 * scale)


def test_positive_phase_lasts_as_stated():
    """The band-limited blast crosses zero T after its onset and peaks near P."""
    count, rate_hz, at = 8192, 48_000, 1000
    frequency_hz = np.fft.rfftfreq(count, 1.0 / rate_hz)
    spectrum = Blast(100.0, 1e-3).spectrum(frequency_hz) * band_limit(frequency_hz, rate_hz)
    wave = np.fft.irfft(spectrum * np.exp(-2j * np.pi * frequency_hz * at / rate_hz), count)
    wave *= rate_hz
    crossing = at + 2 + np.argmax(wave[at + 2 :] < 0.0)
    assert crossing == pytest.approx(at + 48, abs=1)
    assert 85.0 < wave.max() < 110.0
    assert np.abs(wave[: at - 100]).max() < 0.5


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_follows_its_level(kind):
    """6 dB more is twice the pressure at every frequency, and no source is silent."""
    quiet, loud = (SOURCES[kind](level).spectrum(FREQUENCY_HZ) for level in (120.0, 126.0206))
    np.testing.assert_allclose(loud[1:], 2.0 * quiet[1:], rtol=1e-5)
    assert np.abs(quiet).max() > 0.0


def test_confusers_are_duller_than_gunfire_and_firecrackers_brighter():
    """The spectral centroid tells them apart, so a classifier has something to learn."""

    def centroid_hz(kind):
        power = np.abs(SOURCES[kind](140.0).spectrum(FREQUENCY_HZ[AUDIBLE])) ** 2
        return float((power * FREQUENCY_HZ[AUDIBLE]).sum() / power.sum())

    assert centroid_hz("door_slam") < centroid_hz("backfire") < centroid_hz("muzzle_blast")
    assert centroid_hz("muzzle_blast") < centroid_hz("firecracker")


def band_rms(wave, rate_hz, low_hz, high_hz):
    """RMS of what lies between two frequencies (Parseval)."""
    frequency_hz = np.fft.rfftfreq(len(wave), 1.0 / rate_hz)
    power = np.abs(np.fft.rfft(wave)) ** 2 * 2.0 / len(wave) ** 2
    return math.sqrt(power[(frequency_hz >= low_hz) & (frequency_hz < high_hz)].sum())


def test_street_noise_has_the_stated_levels():
    """Traffic in 100 Hz to 20 kHz, wind below and hum on its line each have their own level."""
    count, rate_hz = 2**19, 48_000
    traffic = street_noise(count, rate_hz, StreetNoise(60.0, SILENT, SILENT), stream(1, "traffic"))
    expected = pascals(60.0) * math.sqrt(1.01)
    assert band_rms(traffic, rate_hz, 100.0, 20_000.0) == pytest.approx(expected, rel=0.03)
    wind = street_noise(count, rate_hz, StreetNoise(SILENT, 70.0, SILENT), stream(1, "wind"))
    assert wind.std() == pytest.approx(pascals(70.0), rel=0.01)
    assert band_rms(wind, rate_hz, 0.0, 60.0) > 0.95 * wind.std()
    hum = street_noise(count, rate_hz, StreetNoise(SILENT, SILENT, 40.0), stream(1, "hum"))
    assert hum.std() == pytest.approx(pascals(40.0), rel=0.01)
    assert band_rms(hum, rate_hz, 99.0, 101.0) == pytest.approx(
        pascals(40.0) / 1.3125**0.5, rel=0.01
    )


def test_traffic_noise_is_pink():
    """Each octave well above the hiss carries the same power."""
    noise = street_noise(2**19, 48_000, StreetNoise(60.0, SILENT, SILENT), stream(2, "pink"))
    octaves = [band_rms(noise, 48_000, low, 2 * low) for low in (125.0, 250.0, 500.0, 1000.0)]
    assert max(octaves) / min(octaves) < 1.06


def test_wind_comes_in_gusts():
    """The wind's level varies from second to second, unlike the traffic's."""

    def spread(noise):
        seconds = street_noise(2**19, 12_000, noise, stream(1, "gusts"))[: 43 * 12_000]
        return np.std(np.log(seconds.reshape(43, -1).std(axis=1)))

    gusty, steady = (
        spread(StreetNoise(SILENT, 70.0, SILENT)),
        spread(StreetNoise(60.0, SILENT, SILENT)),
    )
    assert gusty > 0.3 > 0.15 > steady


def test_noise_joins_end_to_start():
    """The step across the seam is like any other step."""
    noise = street_noise(2**16, 48_000, StreetNoise(), stream(3, "seam"))
    steps = np.abs(np.diff(np.append(noise, noise[0])))
    assert steps[-1] < 5.0 * steps.std() + steps.mean()
