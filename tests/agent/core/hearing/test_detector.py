"""The gate: opens for faint blasts, follows the street, and is never deaf for long."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.audio import AudioBlock, AudioFormat, AudioGap, frame_samples
from agent.core.hearing import Hearing
from agent.core.hearing.detector import SLOTS_PER_FRAME, Gate
from agent.core.hearing.pipeline import LOOK_AHEAD_S
from agent.core.hearing.ring import Ring
from tests.support.sound import RATE_HZ, add_blast, as_int16, noise

SLOT = frame_samples(RATE_HZ)
FRAME = SLOTS_PER_FRAME * SLOT


def opened(gate: Gate, sound: np.ndarray) -> list[int]:
    """Slots (numbered from the first sample of `sound`) that the gate opens, each once."""
    slots: set[int] = set()
    for start in range(0, len(sound) - FRAME + 1, FRAME):
        found = gate.openings(sound[start : start + FRAME])
        slots |= {start // SLOT + one.slot for one in found}
    return sorted(slots)


def steady(seconds: float, seed: int = 5) -> np.ndarray:
    return noise(seconds, seed=seed)


def test_noise_opens_the_gate_seldom() -> None:
    """In steady noise less than one slot in 4 s is looked at."""
    assert len(opened(Gate(RATE_HZ), as_int16(steady(60.0)))) <= 15


@pytest.mark.parametrize("rate_hz", [12_000, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_faint_blasts_open_the_gate_at_every_rate(rate_hz: int) -> None:
    """A blast of twice the peak that `opens_at` says is always looked at."""
    slot = frame_samples(rate_hz)
    quiet = noise(4.0, seed=2, rate_hz=rate_hz)
    gate = Gate(rate_hz)
    frame = SLOTS_PER_FRAME * slot
    for start in range(0, len(quiet) - frame + 1, frame):
        gate.openings(as_int16(quiet[start : start + frame]))
    assert gate.opens_at is not None
    sound = noise(8.0, seed=3, rate_hz=rate_hz)
    onsets = [round((0.4 + 0.5 * number) * rate_hz) + 0.3 for number in range(14)]
    for onset in onsets:
        add_blast(sound, onset, 2.0 * gate.opens_at, rate_hz=rate_hz)
    gate.begin()
    slots = set()
    for start in range(0, len(sound) - frame + 1, frame):
        found = gate.openings(as_int16(sound[start : start + frame]))
        slots |= {start // slot + one.slot for one in found}
    assert [onset for onset in onsets if int(onset) // slot not in slots] == []


def test_gusts_and_hum_do_not_open_it() -> None:
    """Wind 20 dB over the street and mains hum beside it open nothing."""
    sound = steady(20.0)
    rng = np.random.default_rng(1)
    at = np.arange(len(sound)) / RATE_HZ
    gusts = np.interp(at, np.arange(22), rng.uniform(0.01, 0.06, 22))
    sound += gusts * sum(np.sin(2 * np.pi * hz * at) for hz in rng.uniform(2.0, 40.0, 8)) / 2
    sound += 0.02 * np.sin(2 * np.pi * 50 * at) + 0.01 * np.sin(2 * np.pi * 150 * at)
    assert len(opened(Gate(RATE_HZ), as_int16(sound))) <= 4


def test_a_burst_of_full_auto_opens_for_every_round() -> None:
    """Forty rounds at 950 a minute: no round is taken for part of the street."""
    sound = steady(8.0)
    onsets = 3.0 * RATE_HZ + np.arange(40) * (60 / 950) * RATE_HZ
    for onset in onsets:
        add_blast(sound, onset, 0.1)
    slots = opened(Gate(RATE_HZ), as_int16(sound))
    assert [onset for onset in onsets if int(onset) // SLOT not in slots] == []


def test_a_generator_raises_the_floor_and_lets_it_fall_again() -> None:
    """The gate says that it hears less while a machine runs, and recovers within 10 s after it."""
    quiet, loud = steady(10.0), noise(12.0, seed=6, rms=0.1)
    hearing = Hearing(AudioFormat(RATE_HZ))
    said = []
    start = 0
    for sound in (quiet, loud, quiet):
        hearing.on_block(AudioBlock(start, as_int16(sound), 0))
        start += len(sound)
        said.append(hearing.opens_at_dbfs)
    before, during, after = said
    assert during == pytest.approx(before + 30.5, abs=1.5)
    assert after == pytest.approx(before, abs=1.0)


def test_a_jackhammer_becomes_part_of_the_street() -> None:
    """What strikes 18 times a second, always alike, is not looked at for ever."""
    sound = steady(30.0)
    rng = np.random.default_rng(2)
    for onset in np.arange(2.0, 29.9, 1 / 18) * RATE_HZ:
        add_blast(sound, onset, 0.05 * rng.uniform(0.95, 1.05))
    slots = np.array(opened(Gate(RATE_HZ), as_int16(sound))) * SLOT / RATE_HZ
    assert np.sum(slots < 6.0) > 40
    assert np.sum(slots >= 12.0) <= 20


def test_the_floor_outlives_a_gap() -> None:
    """After lost sound the gate need not settle again: a shot half a second later is heard."""
    sound = steady(5.0)
    add_blast(sound, 4.5 * RATE_HZ, 0.05)
    samples = as_int16(sound)
    hearing = Hearing(AudioFormat(RATE_HZ))
    hearing.on_block(AudioBlock(0, samples[: 3 * RATE_HZ], 0))
    known = hearing.noise_dbfs
    hearing.on_gap(AudioGap(3 * RATE_HZ, RATE_HZ, 0, "overflow"))
    assert hearing.noise_dbfs == known
    heard = hearing.on_block(AudioBlock(4 * RATE_HZ, samples[4 * RATE_HZ :], 0))
    assert [round(one.sample) for one in heard] == [round(4.5 * RATE_HZ)]


@pytest.mark.parametrize("level", [0, 77, -32_768])
def test_silence_and_standing_levels_are_no_event(level: int) -> None:
    """A dead, stuck or disconnected microphone opens nothing, at its beginning neither."""
    sound = np.full(4 * RATE_HZ, level, np.int16)
    assert opened(Gate(RATE_HZ), sound) == []


def test_an_onset_is_out_within_300_ms() -> None:
    """With blocks of any size the last sample needed is at most 300 ms after the onset."""
    assert LOOK_AHEAD_S + SLOT / RATE_HZ < 0.3
    for place in (100_000, 100_999, 102_345, 103_400):
        sound = steady(3.0)
        add_blast(sound, place, 0.3)
        samples, hearing = as_int16(sound), Hearing(AudioFormat(RATE_HZ))
        for start in range(0, len(samples), 64):
            if found := hearing.on_block(AudioBlock(start, samples[start : start + 64], 0)):
                assert start + 64 - place <= 0.3 * RATE_HZ
                assert round(found[0].sample) == place
                break
        else:
            pytest.fail("the blast was not heard")


@st.composite
def streams(draw: st.DrawFn) -> tuple[np.ndarray, list[int]]:
    """Some seconds of anything: noise, steps, spikes, silence, full scale; and a way to cut it."""
    kind = draw(st.sampled_from([np.int16, np.int32]))
    info = np.iinfo(kind)
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    pieces = []
    for _ in range(draw(st.integers(2, 6))):
        count = draw(st.integers(1, 40_000))
        level = 10.0 ** draw(st.floats(-5.0, 0.3)) * info.max
        wave = rng.normal(0.0, level, count) + draw(st.sampled_from([0.0, 0.0, 0.3])) * info.max
        wave[rng.random(count) < draw(st.sampled_from([0.0, 0.0, 1e-3]))] = info.max
        pieces.append(wave)
    sound = np.clip(np.concatenate(pieces), info.min, info.max).astype(kind)
    return sound, draw(st.lists(st.integers(1, 9_000), min_size=1, max_size=8))


@settings(max_examples=15, deadline=None)
@given(streams())
def test_any_sound_cut_in_any_way_gives_the_same_onsets(case: tuple[np.ndarray, list[int]]) -> None:
    """What is heard is a function of the samples; the driver's blocks have no part in it."""
    sound, cuts = case
    whole, parts = Hearing(AudioFormat(12_000)), Hearing(AudioFormat(12_000))
    once = whole.on_block(AudioBlock(0, sound, 0)) + whole.finish()
    found, start, turn = [], 0, 0
    while start < len(sound):
        piece = sound[start : start + cuts[turn % len(cuts)]]
        found += parts.on_block(AudioBlock(start, piece, 0))
        start, turn = start + len(piece), turn + 1
    assert found + parts.finish() == once
    assert parts.noise_dbfs == whole.noise_dbfs


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(0, 400), st.integers(0, 80))
def test_the_ring_gives_back_what_went_in(sizes: list[int], first: int, count: int) -> None:
    """Slices are right across every move of the memory; what is gone is left out, not invented."""
    ring, total = Ring(100, np.dtype(np.int16)), np.arange(3_000, dtype=np.int16)
    end = 0
    for size in sizes:
        ring.add(total[end : end + size])
        end += size
    assert ring.end == end
    kept = max(0, end - 100)
    got = ring.span(kept + first, kept + first + count)
    assert np.array_equal(got, total[kept + first : min(end, kept + first + count)])
