"""The hearing range rests on a formula that others wrote, and holds in the simulator's air."""

import numpy as np
import pytest

from agent.core.audio import AudioBlock, AudioFormat
from agent.core.hearing import Hearing
from agent.core.hearing.hearing_range import (
    FARTHEST_M,
    REFERENCE_DB_SPL,
    SCREENING_DB,
    absorption_db_per_m,
    hearing_range_m,
)
from simulator.scene.propagation import Air, Path, propagate
from simulator.scene.propagation import absorption_db_per_m as of_the_scene
from simulator.scene.sources import SOURCES, StreetNoise, pascals, street_noise

RATE_HZ, FULL_SCALE_DB_SPL = 48_000, 120.0


@pytest.mark.parametrize("temperature_c", [-15.0, 0.0, 15.0, 35.0])
@pytest.mark.parametrize("frequency_hz", [250.0, 1000.0, 4000.0])
def test_absorption_is_that_of_the_standard(temperature_c: float, frequency_hz: float) -> None:
    """Within a thousandth of the simulator's, which was held against the tables of ISO 9613-1."""
    air = Air(temperature_c=temperature_c, humidity_pct=70.0)
    (expected,) = of_the_scene(np.array([frequency_hz]), air)
    assert absorption_db_per_m(frequency_hz, temperature_c, 70.0) == pytest.approx(
        expected, rel=1e-3
    )


def test_noise_shortens_it_and_its_ends_are_kept() -> None:
    """Never negative, never beyond what the formula is good for."""
    ranges = [hearing_range_m(level) for level in (20.0, 60.0, 70.0, 80.0, 90.0, 134.9, 136.0)]
    assert ranges == sorted(ranges, reverse=True)
    assert (ranges[0], ranges[-1]) == (FARTHEST_M, 0)
    assert hearing_range_m(109.0) == 10  # 20 dB of spreading


@pytest.mark.parametrize("noise_db_spl", [50.0, 65.0])
def test_a_shot_is_heard_at_the_range_and_not_much_farther(noise_db_spl: float) -> None:
    """The reference shot behind a house, in the air of the simulator: of 10, most at 0.7 of the
    range open the gate, and next to none at 2.5 times of it."""
    noise = StreetNoise(noise_db_spl, wind_db_spl=40.0, hum_db_spl=20.0)
    full = pascals(FULL_SCALE_DB_SPL)
    street = street_noise(20 * RATE_HZ, RATE_HZ, noise, np.random.default_rng(1)) / full
    hearing = Hearing(AudioFormat(RATE_HZ))
    heard_in(hearing, street)
    assert hearing.opens_at_dbfs is not None
    metres = hearing_range_m(hearing.opens_at_dbfs + FULL_SCALE_DB_SPL)
    assert shots_heard(street, 0.7 * metres, full) >= 8
    assert shots_heard(street, 2.5 * metres, full) <= 1


def shots_heard(street: np.ndarray, metres: float, full: float) -> int:
    """Of ten shots, one each 1.5 s, how many began within 3 ms of an onset."""
    count = 1 << 15
    hz = np.fft.rfftfreq(count, 1.0 / RATE_HZ)
    shot = SOURCES["muzzle_blast"](REFERENCE_DB_SPL - SCREENING_DB).spectrum(hz)
    far = propagate(shot, hz, Path(0.0, metres, 1.0), Air(humidity_pct=70.0))
    keep = np.cos(0.5 * np.pi * np.clip((hz - 20_500.0) / 3_000.0, 0.0, 1.0))
    wave = np.fft.irfft(far * keep * np.exp(-2j * np.pi * hz * 0.01), count) * RATE_HZ / full
    sound, starts = street.copy(), [round((3.0 + 1.5 * n) * RATE_HZ) for n in range(10)]
    for start in starts:
        sound[start : start + count] += wave
    onsets = heard_in(Hearing(AudioFormat(RATE_HZ)), sound)
    first = [start + 0.01 * RATE_HZ for start in starts]
    return sum(any(abs(one - at) < 0.003 * RATE_HZ for one in onsets) for at in first)


def heard_in(hearing: Hearing, sound: np.ndarray) -> list[float]:
    samples = np.clip(np.rint(sound * 32_768), -32_768, 32_767).astype(np.int16)
    found = []
    for at in range(0, len(samples), 4096):
        found += hearing.on_block(AudioBlock(at, samples[at : at + 4096], 0))
    return [one.sample for one in found]
