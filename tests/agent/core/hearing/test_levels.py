"""The meter and the calibrator's tone: levels that a person can check with a pencil."""

import math

import numpy as np
import pytest

from agent.core.audio import AudioBlock
from agent.core.hearing.levels import BANDS_HZ, PIECE_S, PIECES, LevelMeter, Tone, ToneMeter

RATE_HZ = 48_000


def blocks(wave: np.ndarray, size: int = 1024, kind: type = np.int32):
    full = -float(np.iinfo(kind).min)
    raw = np.clip(np.rint(wave * full), -full, full - 1).astype(kind)
    for first in range(0, len(raw), size):
        yield AudioBlock(first, raw[first : first + size], first)


def sine(hz: float, peak: float, seconds: float = 1.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    return peak * np.cos(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def metered(wave: np.ndarray, rate_hz: int = RATE_HZ, kind: type = np.int32):
    meter = LevelMeter(rate_hz)
    for block in blocks(wave, kind=kind):
        meter.on_block(block)
    return meter.read()


@pytest.mark.parametrize("kind", [np.int16, np.int32])
@pytest.mark.parametrize("band", range(1, 10))
def test_a_sine_shows_in_its_octave_alone(band: int, kind: type) -> None:
    """Its RMS is 3 dB below its peak; the neighbours lie far below it."""
    level = metered(sine(BANDS_HZ[band], 0.1), kind=kind)
    assert level.peak_dbfs == pytest.approx(-20.0, abs=0.1)
    assert level.rms_dbfs == pytest.approx(-23.0, abs=0.1)
    assert level.bands_dbfs[band] == pytest.approx(-23.0, abs=0.2)
    others = [told for at, told in enumerate(level.bands_dbfs) if at != band]
    assert max(others) < -60


def test_white_noise_rises_by_three_db_an_octave() -> None:
    """And the bands add up to what lies within them."""
    wave = np.random.default_rng(1).normal(0, 0.01, RATE_HZ)
    bands = metered(wave).bands_dbfs
    steps = np.diff(bands[3:9])
    assert steps == pytest.approx(np.full(5, 3.0), abs=1.0)


def test_octaves_beyond_the_rate_are_not_told() -> None:
    """A microphone of 12 kHz has nothing to say of 8 kHz and above."""
    wave = np.random.default_rng(1).normal(0, 0.01, 12_000)
    bands = metered(wave, rate_hz=12_000).bands_dbfs
    assert bands[8:] == (None, None)
    assert None not in bands[:8]


def test_the_peak_is_that_of_the_time_since_the_last_reading() -> None:
    """One click is seen once, though it is long past by the end of the second."""
    wave = np.zeros(RATE_HZ)
    wave[100] = 0.5
    meter = LevelMeter(RATE_HZ)
    for block in blocks(wave):
        meter.on_block(block)
    assert meter.read().peak_dbfs == pytest.approx(-6.0, abs=0.1)
    assert meter.read().peak_dbfs == -200.0


def test_before_half_a_second_there_is_no_level() -> None:
    """Nor right after lost sound."""
    meter = LevelMeter(RATE_HZ)
    assert meter.read() is None
    for block in blocks(sine(1000, 0.1)):
        meter.on_block(block)
    meter.on_gap()
    assert meter.read() is None


def toned(wave: np.ndarray) -> Tone | None:
    meter = ToneMeter(RATE_HZ)
    told = [tone for block in blocks(wave, 1000) if (tone := meter.on_block(block))]
    return told[0] if told else None


SECONDS = PIECES * PIECE_S


def street(level_dbfs: float) -> np.ndarray:
    rms = 10 ** (level_dbfs / 20)
    return np.random.default_rng(2).normal(0, rms, round(SECONDS * RATE_HZ))


@pytest.mark.parametrize("hz", [250.0, 997.3, 1000.0])
def test_a_calibrators_tone_is_measured_to_a_tenth_of_a_decibel(hz: float) -> None:
    """Over a street 25 dB below it, whatever its frequency."""
    tone = toned(sine(hz, 0.05, SECONDS) + street(-54))
    assert tone.fault == ""
    assert tone.level_dbfs == pytest.approx(20 * math.log10(0.05 / math.sqrt(2)), abs=0.1)
    assert tone.tone_hz == pytest.approx(hz, abs=0.5)


BAD = {
    "no tone is heard": np.zeros(round(SECONDS * RATE_HZ)),
    "above all else": sine(1000, 0.05, SECONDS) + street(-36),
    "end of the range": sine(1000, 1.0, SECONDS),
    "varies by": sine(1000, 0.05, SECONDS) * np.linspace(0.8, 1.2, round(SECONDS * RATE_HZ)),
}


@pytest.mark.parametrize("told", BAD)
def test_what_is_no_good_measurement_is_refused_with_the_reason(told: str) -> None:
    """A calibrator that is off, loose, too loud or not held still calibrates nothing."""
    assert told in toned(BAD[told]).fault


def test_an_ill_seated_calibrator_on_a_noisy_street_is_no_tone() -> None:
    """Noise alone is not taken for one."""
    assert toned(street(-30)).fault
