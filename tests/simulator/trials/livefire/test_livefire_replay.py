"""The dataset as a fleet: who hears what, and that nothing of the answer is in it."""

import numpy as np

from agent.core.audio import AudioBlock
from agent.core.units import NS_PER_S
from simulator.grid.hardware import items
from simulator.trials.livefire import replay
from simulator.trials.livefire.neutralise import LEAD_IN_S
from simulator.trials.livefire.sites import sites_of
from tests.support.field import SENSORS_M, START_NS, fired_test


def fleet(*tests, **rest):
    return list(replay.plans(tests, sites_of(tests), **{"seed": 1, **rest}))


def heard(plan):
    hardware = plan.hardware()
    blocks = [
        item
        for item in items(hardware.microphone, hardware.reference)
        if isinstance(item, AudioBlock)
    ]
    return np.concatenate([block.samples for block in blocks])


def test_each_recording_is_a_node_and_each_test_a_cell():
    """The position is the site; a sensor keeps its name in every test."""
    plans = fleet(fired_test(), fired_test("test_116"))
    assert {(plan.site, plan.cell) for plan in plans} == {("FP6", "test-115"), ("FP6", "test-116")}
    assert [plan.node for plan in plans] == [*SENSORS_M, *SENSORS_M]
    assert all(plan.sigma_m == 1.0 for plan in plans)


def test_a_node_hears_its_lead_in_and_then_the_file():
    """70 s at 12 kHz, the file beginning on its own UTC second, all in true time."""
    (plan, *_) = fleet(fired_test())
    hardware = plan.hardware()
    assert hardware.microphone.format.rate_hz == 12_000
    assert len(heard(plan)) == (LEAD_IN_S + 10) * 12_000
    assert hardware.clock.time.epoch_utc_ns == START_NS - LEAD_IN_S * NS_PER_S
    assert hardware.vitals.read().air_temperature_c == 0.0


def test_the_same_seed_makes_the_same_sound_and_another_seed_another():
    """What is trimmed and filled in depends on the seed alone."""
    (one, *_), (again, *_), (other, *_) = (fleet(fired_test(), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(heard(one), heard(again))
    assert np.any(heard(one) != heard(other))


def test_sensors_have_boards_of_their_own():
    """Driver delays differ between sensors, since equal ones would cancel between nodes."""
    late_ns = []
    for plan in fleet(fired_test()):
        hardware = plan.hardware()
        blocks = iter(hardware.microphone.read, None)
        late_ns.append(
            np.mean(
                [
                    block.host_ns
                    - hardware.clock.time.host_ns_at(
                        hardware.clock.time.epoch_utc_ns + block.end_sample * NS_PER_S // 12_000
                    )
                    for block in blocks
                ]
            )
        )
    assert min(late_ns) > 100_000
    assert min(np.diff(sorted(late_ns))) > 30_000


def test_a_blank_fleet_hears_background_only():
    """The null control: nothing of the excerpt is left in it."""
    test = fired_test()
    loud = np.zeros(120_000, np.int16)
    loud[24_000:60_000] = np.random.default_rng(1).normal(0, 100, 36_000)
    loud[40_000:40_400] = 20_000
    first = test.recordings[0]
    shot = type(first)(first.sensor, first.path, first.start_utc_ns, loud, first.raw_fix_m)
    changed = fired_test(recordings=(shot, *test.recordings[1:]))
    assert heard(fleet(changed)[0]).max() == 20_000
    assert heard(fleet(changed, blank=True)[0]).max() < 1_000
