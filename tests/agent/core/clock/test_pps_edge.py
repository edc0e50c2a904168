"""Edges of pulses: where they truly were, with a sigma that is true, and nothing where none is."""

import math
import pickle
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.audio import AudioBlock, AudioGap
from agent.core.clock.pps_edge import EdgePicker
from agent.core.clock.time_signs import Edge
from tests.support.sound import add_blast, as_int16

RATE_HZ = 48_000
RING = 48
FINE = 128


@cache
def step_response() -> tuple[np.ndarray, np.ndarray]:
    """A step through a steep linear-phase filter (windowed sinc, half down at 0.45 of the rate)."""
    at = np.arange(-RING * FINE, RING * FINE + 1) / FINE
    impulse = np.sinc(0.9 * at) * np.kaiser(len(at), 8.0)
    return at, (np.cumsum(impulse) - impulse / 2) / impulse.sum()


def minimum_phase_response() -> tuple[np.ndarray, np.ndarray]:
    """A step through four RC stages, of 0.8 samples each: late and skewed, as cheap filters are."""
    at = np.arange(-FINE, RING * FINE) / FINE
    x = np.maximum(at, 0.0) / 0.8
    return at, 1.0 - np.exp(-x) * (1 + x + x**2 / 2 + x**3 / 6)


def channel(
    count: int,
    edges: list[float],
    width: float,
    height: float = 0.5,
    decay: float = math.inf,
    response: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Pulses that begin at `edges` and last `width` samples, behind a capacitor of `decay`."""
    at, risen = response or step_response()
    sound = np.zeros(count)
    for start in edges:
        first = max(0, int(start) - RING)
        since = np.arange(first, min(count, int(start + width + 8 * min(decay, 5000)))) - start
        for turn, sign in ((0.0, height), (width, -height)):
            fallen = np.exp(-np.maximum(since - turn, 0.0) / decay)
            sound[first : first + len(since)] += sign * np.interp(since - turn, at, risen) * fallen
    return sound


def pick(sound: np.ndarray, rate_hz: int = RATE_HZ, cut: int = 1024) -> list[Edge]:
    """All edges of a stream that begins with `sound`, float, full scale 1.0."""
    picker, samples = EdgePicker(rate_hz), as_int16(sound)
    found = []
    for first in range(0, len(samples), cut):
        part = samples[first : first + cut]
        found += picker.on_block(AudioBlock(first, part, first, part))
    return found


def random_edges(number: int, rate_hz: int = RATE_HZ, seed: int = 3) -> list[float]:
    """Edges 0.6 s apart and a little, so that each falls elsewhere between two samples."""
    loose = np.random.default_rng(seed).uniform(0.0, 20.0, number)
    return [(0.6 * (n + 1)) * rate_hz + loose[n] for n in range(number)]


def length(edges: list[float], rate_hz: int = RATE_HZ) -> int:
    return round(edges[-1] + 0.15 * rate_hz)


def errors(found: list[Edge], truth: list[float]) -> np.ndarray:
    """Samples by which each edge is late. Every pulse is found once, and nothing else."""
    assert len(found) == len(truth)
    return np.array([edge.sample for edge in found]) - truth


@pytest.mark.parametrize(
    ("rate_hz", "noise"), [(48_000, 1e-3), (48_000, 1e-2), (12_000, 3e-3), (24_000, 0.03)]
)
def test_sigma_is_true(rate_hz: int, noise: float) -> None:
    """Errors of 400 edges at any phase are as large as their sigmas say, and without bias."""
    edges = random_edges(400, rate_hz)
    sound = channel(length(edges, rate_hz), edges, 0.1 * rate_hz)
    sound += np.random.default_rng(7).normal(0.0, noise, len(sound))
    found = pick(sound, rate_hz)
    late = errors(found, edges)
    z = late / [edge.sigma_samples for edge in found]
    assert 0.8 <= np.sqrt(np.mean(z**2)) <= 1.25
    assert np.mean(np.abs(z) <= 1) >= 0.6
    assert abs(late.mean()) <= 4 * late.std() / 20
    assert np.abs(z).max() < 4.5


def test_a_microsecond_is_far_away() -> None:
    """With ordinary noise (-60 dBFS) an edge is placed within 0.1 us RMS at 48 kHz."""
    edges = random_edges(100)
    sound = channel(length(edges), edges, 4800.0)
    sound += np.random.default_rng(2).normal(0.0, 1e-3, len(sound))
    late = errors(pick(sound), edges)
    assert np.sqrt(np.mean(late**2)) < 0.1e-6 * RATE_HZ


@pytest.mark.parametrize("width_s", [0.001, 0.1, 0.5])
@pytest.mark.parametrize("decay_s", [math.inf, 0.01])
@pytest.mark.parametrize("rate_hz", [48_000, 96_000])
def test_the_wiring_does_not_move_the_edge(width_s: float, decay_s: float, rate_hz: int) -> None:
    """Short or long, direct or behind a capacitor: the edge stays within 0.01 samples."""
    edges = [edge * 5 / 3 for edge in random_edges(8, rate_hz)]
    sound = channel(length(edges, rate_hz), edges, width_s * rate_hz, decay=decay_s * rate_hz)
    assert np.abs(errors(pick(sound, rate_hz), edges)).max() < 0.01


def test_a_short_pulse_at_the_lowest_rate() -> None:
    """Twelve samples are enough for an edge within 0.05 of one."""
    edges = random_edges(20, 12_000)
    found = pick(channel(length(edges, 12_000), edges, 12.0), 12_000)
    assert np.abs(errors(found, edges)).max() < 0.05


def test_a_low_pulse_begins_where_it_falls() -> None:
    """Polarity is told by which level lasts, so an inverting input needs no setting."""
    edges = [edge * 5 / 3 for edge in random_edges(8)]
    sound = 0.4 + channel(length(edges), edges, 4800.0, height=-0.5)
    assert np.abs(errors(pick(sound), edges)).max() < 0.01


def test_a_skewed_filter_delays_all_edges_alike() -> None:
    """The delay of a filter is a constant: it does not depend on where between samples one is."""
    edges = random_edges(40)
    sound = channel(length(edges), edges, 4800.0, response=minimum_phase_response())
    assert np.ptp(errors(pick(sound), edges)) < 0.01


def test_hum_and_crosstalk_are_not_edges() -> None:
    """Every pulse is found and nothing else, with hum and gunshots from the microphone on it."""
    edges = [edge * 5 / 3 for edge in random_edges(10)]
    sound = channel(length(edges), edges, 4800.0)
    rng = np.random.default_rng(4)
    sound += rng.normal(0.0, 1e-3, len(sound))
    sound += 0.05 * np.sin(2 * np.pi * 50 / RATE_HZ * np.arange(len(sound)))
    for shot in rng.uniform(RATE_HZ, len(sound) - RATE_HZ, 40):
        add_blast(sound, shot, 0.1)
    found = pick(sound)
    assert np.median(np.abs(errors(found, edges))) < 0.02


def test_a_contact_that_bounces_is_one_edge() -> None:
    """Edges that follow within half a second are not another second."""
    edges = [edge * 5 / 3 for edge in random_edges(6)]
    bounces = [edge + 200 for edge in edges] + [edge + 9000 for edge in edges]
    sound = channel(length(edges) + RATE_HZ, edges, 100.0)
    sound += channel(len(sound), bounces, 150.0)
    assert np.abs(errors(pick(sound), edges)).max() < 0.02


def test_a_pulse_beyond_full_scale_has_a_sigma_that_says_so() -> None:
    """Clipping hides where the middle of a step was: the error grows, and sigma with it."""
    edges = random_edges(40)
    sound = channel(length(edges), edges, 4800.0, height=1.6)
    found = pick(sound)
    late = errors(found, edges)
    assert np.abs(late).max() > 0.1
    assert all(abs(e) <= edge.sigma_samples for e, edge in zip(late, found, strict=True))


def odd_channels() -> dict[str, np.ndarray]:
    count = 6 * RATE_HZ
    time_s = np.arange(count) / RATE_HZ
    rng = np.random.default_rng(9)
    return {
        "silence": np.zeros(count),
        "noise": rng.normal(0.0, 1e-3, count),
        "loud noise": rng.normal(0.0, 0.3, count),
        "spikes": np.where(rng.random(count) < 1e-4, 1.0, 0.0),
        "constant": np.full(count, 1.0),
        "tone": np.sin(2 * np.pi * 1000.0 * time_s),
        "square at 1 kHz": np.sign(np.sin(2 * np.pi * 1000.0 * time_s)),
        "square at 7 Hz": np.sign(np.sin(2 * np.pi * 7.0 * time_s)),
        "saw": 2.0 * (time_s * 50.0 % 1.0) - 1.0,
    }


@pytest.mark.parametrize("name", odd_channels())
def test_no_pulse_no_edge(name: str) -> None:
    """Silence, noise, spikes, tones and fast square waves at full scale are no seconds."""
    assert pick(odd_channels()[name]) == []


def test_a_square_wave_of_one_hertz_leads_with_its_rise() -> None:
    """Where both levels last half a second, it is the rising edge: once a second."""
    time_s = np.arange(round(6.2 * RATE_HZ)) / RATE_HZ
    found = pick(np.where(time_s % 1.0 < 0.5, -0.9, 0.9))
    assert [round(edge.sample) for edge in found] == [24_000 + k * 48_000 for k in range(6)]


def test_a_slow_slope_is_no_edge() -> None:
    """A level that takes 2 ms to rise belongs to no logic pulse."""
    at = np.linspace(-RING, RING, 97)
    edges = random_edges(6)
    sound = channel(length(edges), edges, 9600.0, response=(at, (at + RING) / (2 * RING)))
    assert pick(sound) == []


def test_pulses_that_become_weak_are_found_again() -> None:
    """A fifth of the usual height is crosstalk for a while, and then it is the usual height."""
    edges = [12_000.0 * k + 0.4 for k in range(1, 70)]
    sound = channel(70 * 12_000, edges, 1200.0)
    sound[240_000:] *= 0.2
    found = pick(sound + np.random.default_rng(6).normal(0.0, 1e-3, len(sound)), 12_000)
    seconds = [round(edge.sample / 12_000) for edge in found]
    assert seconds[:19] == list(range(1, 20))
    assert seconds[-5:] == list(range(65, 70))


def test_samples_of_32_bits_are_read_alike() -> None:
    """The same sound at either width gives the same edges, full scale included."""
    samples = stream_for_cutting()
    samples[:100] = -32_768
    wide = samples.astype(np.int32) << 16
    short, long = (cut_up(sound, [1024], (60_000, 60_000)) for sound in (samples, wide))
    assert short == long
    assert len(short) == 4


def stream_for_cutting() -> np.ndarray:
    edges = [12_000.0 * k + 0.37 * k for k in range(1, 5)]
    sound = channel(60_000, edges, 1200.0)
    return as_int16(sound + np.random.default_rng(5).normal(0.0, 1e-3, len(sound)))


def cut_up(samples: np.ndarray, cuts: list[int], lost: tuple[int, int]) -> list[Edge]:
    """Edges of a stream at 12 kHz that comes in pieces of `cuts` samples, in turn, with a gap."""
    picker, found, at, turn = EdgePicker(12_000), [], 0, 0
    while at < len(samples):
        if at == lost[0]:
            picker.on_gap(AudioGap(at, lost[1] - at, 0, "overflow"))
            at = lost[1]
        end = min(at + cuts[turn % len(cuts)], lost[0] if at < lost[0] else len(samples))
        part = samples[at:end]
        found += picker.on_block(AudioBlock(at, part, end, part))
        at, turn = end, turn + 1
    return found


@given(cuts=st.lists(st.integers(1, 5000), min_size=1, max_size=6).filter(lambda c: sum(c) > 100))
@settings(max_examples=30, deadline=None)
def test_the_cut_of_blocks_does_not_matter(cuts: list[int]) -> None:
    """Any blocks give the same edges to the last bit, each told by the block that completes it."""
    samples, lost = stream_for_cutting(), (30_000, 33_333)
    whole, pieces = (cut_up(samples, c, lost) for c in ([1024], cuts))
    assert [(e.sample, e.sigma_samples) for e in pieces] == [
        (e.sample, e.sigma_samples) for e in whole
    ]
    assert len(whole) == 3
    for edge in pieces:
        assert edge.sample < edge.host_ns <= edge.sample + 1024 + max(cuts)


@pytest.mark.parametrize("is_told", [True, False])
def test_after_a_gap_quiet_is_waited_for_again(is_told: bool) -> None:
    """The end of a pulse whose start was lost is not taken for a start; indices go on."""
    edges = [edge * 5 / 3 for edge in random_edges(4)]
    samples = as_int16(channel(length(edges), edges, 20_000.0))
    picker, resume = EdgePicker(RATE_HZ), round(edges[1]) + 600
    found = []
    for first, end in ((0, round(edges[1]) - 300), (resume, len(samples))):
        if first and is_told:
            picker.on_gap(AudioGap(resume - 900, 900, 0, "overflow"))
        for at in range(first, end, 1000):
            part = samples[at : min(at + 1000, end)]
            found += picker.on_block(AudioBlock(at, part, 0, part))
    assert np.abs(errors(found, [edges[0], *edges[2:]])).max() < 0.01


def test_a_block_without_pulses_says_nothing() -> None:
    """A microphone alone has no edges."""
    silence = np.zeros(4096, np.int16)
    assert EdgePicker(RATE_HZ).on_block(AudioBlock(0, silence, 0)) == []


def test_what_is_remembered_is_bounded() -> None:
    """After a second or an hour of pulses, as much is kept."""
    edges = random_edges(60)
    samples = as_int16(channel(length(edges), edges, 4800.0))
    picker, sizes = EdgePicker(RATE_HZ), []
    for first in range(0, len(samples), 1024):
        part = samples[first : first + 1024]
        picker.on_block(AudioBlock(first, part, 0, part))
        sizes.append(len(pickle.dumps(picker)))
    assert max(sizes) < 4 * 4 * 1024 + 4096
