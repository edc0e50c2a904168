"""The worlds' own physics: what a node in one is handed, against what truly was."""

import itertools
from collections import namedtuple

import numpy as np
import pytest

from agent.core.audio import AudioBlock, AudioGap
from agent.core.clock import time_signs
from agent.core.clock.time_signs import Discontinuity, Fix, Pulse, RealtimeStep, TimeMark
from simulator.trials.clocks import nature, weather
from simulator.trials.clocks.life import Life

STEADY = {"ppm": 0.0, "wander_ppm_per_sqrt_hour": 0.0}


def world_of(**tables: object) -> nature.ClockWorld:
    """A world of two minutes from its tables."""
    return nature.of_table({"world": "w", "about": "A.", "duration_s": 120, **tables}, "w.toml")


def blocks_of(life: Life) -> list[AudioBlock]:
    return [item for item in life.items() if isinstance(item, AudioBlock)]


def test_a_hidden_constant_is_told_to_nobody() -> None:
    """Seeds differ in latency, lag, ppm and lateness; what their nodes are told does not."""
    for name in ("usb_frames", "sentences_only", "ntp_far", "hidden_floor"):
        one, other = (Life(nature.load(name), seed) for seed in (1, 2))
        assert one.settings == other.settings
        assert one.settings.latency_ns is None
        assert one.sky.lag_s != other.sky.lag_s or name in ("ntp_far", "hidden_floor")


def test_no_block_is_early_and_latency_is_the_least_delay() -> None:
    """Handed over no sooner than the last sample's conversion and the constant delay."""
    life = Life(world_of(audio={"latency_us": 700.0}, delivery={"median_us": 30.0}), 3)
    late_us = [
        (block.host_ns - life.host_ns(life.converted_s(block.end_sample))) / 1000
        for block in blocks_of(life)
    ]
    assert 700.0 < min(late_us) < 720.0


def test_usb_sound_comes_at_ends_of_frames() -> None:
    """Without other delays all deliveries lie on one grid of 1 ms, on the frames' own clock."""
    audio = {"frame_us": 1000.0, "frame_ppm": 0.0, "block_samples": 1024}
    world = world_of(audio=audio, delivery={"median_us": 0.0}, host=STEADY, converter={"ppm": 40.0})
    phases = np.array([block.host_ns % 1_000_000 for block in blocks_of(Life(world, 5))])
    assert np.ptp(phases) < 300  # ns
    late_us = [
        (block.host_ns - life_host_ns) / 1000
        for life in [Life(world, 5)]
        for block in blocks_of(life)
        for life_host_ns in [life.host_ns(life.converted_s(block.end_sample))]
    ]
    assert max(late_us) - min(late_us) == pytest.approx(1000, rel=0.05)


def test_a_converter_in_step_with_the_bus_waits_for_ever_the_same() -> None:
    """One crystal for both: the part of a frame that blocks wait differs by seed, not by time."""
    audio = {"frame_us": 1000.0, "locked_to_frames": 1.0, "block_samples": 480}
    world = world_of(audio=audio, delivery={"median_us": 0.0}, converter={"ppm": 40.0})
    waits_us = []
    for seed in range(4):
        life = Life(world, seed)
        late_us = [
            (block.host_ns - life.host_ns(life.converted_s(block.end_sample))) / 1000
            for block in blocks_of(life)
        ]
        assert np.ptp(late_us) < 1.0
        waits_us.append(late_us[0])
    assert np.ptp(waits_us) > 100.0


@pytest.mark.parametrize("told", ["counted", "late", "uncounted"])
def test_a_loss_is_told_as_the_driver_would(told: str) -> None:
    """Two seconds in which the process is stopped; the node's count is off by what nobody told."""
    world = world_of(
        mishaps={"stops": [{"at_s": 80.0, "for_s": 2.0}]},
        audio={"buffer_ms": 250.0},
        delivery={"told": [told], "miscount_samples": 0.0},
        converter=STEADY,
    )
    life = Life(world, 1)
    (loss,) = life.losses
    lost = loss.end - loss.first
    assert lost == pytest.approx((2.0 - 0.25) * 48_000, abs=3000)
    gaps = [item.lost for item in life.items() if isinstance(item, AudioGap)]
    assert gaps == {"counted": [lost], "late": [1], "uncounted": []}[told]
    assert life.sample_at(81.0) is None
    off = life.sample_at(100.0) - 100.0 * 48_000
    assert round(off) == {"counted": 0, "late": 1 - lost, "uncounted": -lost}[told]


def test_a_stall_that_the_ring_holds_loses_nothing() -> None:
    """A burst after it, no gap, and every sample once."""
    stalls = [{"at_s": 80.0, "for_s": 0.2}]
    life = Life(world_of(delivery={"stalls": stalls}, audio={"buffer_ms": 250.0}), 1)
    blocks = blocks_of(life)
    assert life.losses == ()
    assert all(a.end_sample == b.first_sample for a, b in itertools.pairwise(blocks))
    assert max(np.diff([block.host_ns for block in blocks])) > 0.15e9


def test_pulses_are_late_and_never_early() -> None:
    """A kernel's pulse is after its second by its interrupt; through USB by up to a frame."""
    for table, most_us in (({"late_us": 5.0}, 100), ({"late_us": 5.0, "frame_us": 1000.0}, 1100)):
        life = Life(world_of(pulse=table | {"jitter_ns": 0.0, "bias_ns": 0.0}, sound=False), 4)
        pulses = [item.host_ns for item in life.items() if isinstance(item, Pulse)]
        seconds = [life.host_ns(second) for second in range(1, 1 + len(pulses))]
        late_us = np.subtract(pulses, seconds) / 1000
        assert late_us.min() > 0
        assert most_us / 20 < late_us.max() < most_us


def test_a_clock_over_a_lopsided_path_is_wrong_and_steady() -> None:
    """Half the asymmetry times the round trip stays; chrony's bound holds it, timesyncd tells 0."""
    ntp = {"round_trip_ms": 100.0, "asymmetry": 0.8, "jitter_ms": 0.1, "server_error_ms": 0.0}
    for daemon in ("chrony", "timesyncd"):
        life = Life(
            world_of(source="system", sound=False, ntp=ntp | {"daemons": [daemon], "poll_s": 16}), 2
        )
        assert np.median(life.ntp.off_ns[60:]) == pytest.approx(40e6, rel=0.05)
        least_told_ns = life.ntp.max_error_ns.min()
        assert least_told_ns == (pytest.approx(50.1e6) if daemon == "chrony" else 0)


def test_a_step_of_the_hosts_clock_comes_through_the_real_adapter() -> None:
    """There and back: two steps, and no mark while the kernel disowns its clock."""
    steps = [{"at_s": 80.0, "for_s": 10.0, "by": 3600.0}]
    life = Life(world_of(source="system", sound=False, mishaps={"steps": steps}), 2)
    items = list(life.items())
    assert sum(isinstance(item, RealtimeStep) for item in items) == 2
    marks = [item.host_ns for item in items if isinstance(item, TimeMark)]
    assert not any(life.host_ns(80.0) <= at_ns < life.host_ns(90.0) for at_ns in marks)


def test_a_sleep_moves_utc_and_not_the_hosts_clock() -> None:
    """Pulses go on where true seconds are, and the host's clock shows no hole."""
    sleeps = [{"at_s": 80.0, "for_s": 600.5}]
    life = Life(world_of(mishaps={"sleeps": sleeps}), 2)
    assert life.true_utc_ns(100.0) - life.true_utc_ns(60.0) == 640_500_000_000
    assert life.host_ns(100.0) - life.host_ns(60.0) == pytest.approx(40e9, rel=1e-4)
    fixes = [item for item in life.items() if isinstance(item, Fix)]
    assert max(np.diff([fix.utc_ns for fix in fixes])) > 600e9
    assert sum(isinstance(item, Discontinuity) for item in life.items()) == 1


def test_crystals_follow_the_weather() -> None:
    """A fork 10 degrees off its turnover is slow by 3.4 ppm, an AT cut by the sum of its terms."""
    for table, ppm in (
        ({"ppm_per_c2": -0.034}, -3.4),
        ({"ppm_per_c": -0.2, "ppm_per_c3": 1e-4}, -1.9),
    ):
        crystal = nature.CrystalTable(ppm=0.0, wander_ppm_per_sqrt_hour=0.0, **table)
        off_ns = weather.strays_ns(crystal, np.full(101, 35.0), np.random.default_rng(1))
        assert off_ns[100] == pytest.approx(ppm * 100_000)


def test_a_day_in_the_box_is_what_the_table_says() -> None:
    """Mean and swing outside, the sun on top, and a box that follows late."""
    table = nature.WeatherTable(mean_c=20.0, day_swing_c=8.0, sun_c=10.0, starts_at_hour=0.0)
    inside_c = weather.Weather(table, 86_400, np.random.default_rng(1)).inside_c
    assert inside_c.min() == pytest.approx(12.0, abs=0.5)
    assert 33.0 < inside_c.max() < 38.0
    assert 12.0 < inside_c.argmax() / 3600 < 15.0


def test_a_sensor_shows_the_box_late_and_coarsely() -> None:
    """Within two degrees of the crystals, in steps of half a degree."""
    table = nature.WeatherTable(day_swing_c=10.0, starts_at_hour=0.0)
    rng = np.random.default_rng(1)
    box = weather.Weather(table, 86_400, rng)
    for second in range(0, 86_400, 600):
        shown_c = box.sensor_c_at(second, rng)
        assert shown_c * 2 == round(shown_c * 2)
        assert abs(shown_c - box.temperature_c_at(second)) < 2.5


def test_temperatures_are_handed_over_where_the_agent_knows_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once a minute, as soon as there is a sign of that name."""
    reading = namedtuple("Temperature", "host_ns celsius")
    monkeypatch.setattr(time_signs, "Temperature", reading, raising=False)
    seen = [item for item in Life(world_of(sound=False), 1).items() if isinstance(item, reading)]
    assert len(seen) == 2
    assert all(20.0 < one.celsius < 30.0 for one in seen)
