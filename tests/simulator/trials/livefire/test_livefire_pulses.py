"""The ears against the recording system: what counts as agreement, and that there is enough."""

from dataclasses import replace

import pytest

from simulator.trials.livefire import dataset, pulses
from tests.support.field import PITTSBURGH, SENSORS_M, START_NS, fired_test, needs_pittsburgh


def arrivals_s(test: dataset.Test) -> dict[tuple[str, str, str], list[float]]:
    return {
        (test.position, test.name, sensor): [
            (pulse.arrival_utc_ns - START_NS) / 1e9
            for pulse in test.pulses
            if pulse.sensor == sensor
        ]
        for sensor in SENSORS_M
    }


def test_a_constant_delay_is_no_disagreement() -> None:
    """Everything heard 0.9 ms late matches; an onset that is 7 ms off does not."""
    test = fired_test()
    heard = {key: [one + 0.9e-3 for one in times] for key, times in arrivals_s(test).items()}
    exact = pulses.compare([test], heard)
    assert exact.figures()["pulses_matched_within_5ms"] == 1.0
    assert exact.offset_s == pytest.approx(0.9e-3, abs=1e-6)
    assert exact.mad_ms < 1e-3
    first = next(iter(heard))
    heard[first][0] += 7e-3
    assert pulses.compare([test], heard).matched == pytest.approx(11 / 12)


def test_silence_is_no_match_and_no_error() -> None:
    """Sensors that heard nothing count against the share."""
    test = fired_test()
    nothing = dict.fromkeys(arrivals_s(test), ())
    found = pulses.compare([test], nothing)
    assert found.matched == 0.0
    assert found.figures()["heard_unused"] == 0


def test_rounds_that_the_system_left_out_are_counted_where_they_are_heard() -> None:
    """A round without a pulse of S-4 was to be heard there; it counts if an onset is there."""
    test = fired_test()
    left_out = replace(
        test,
        tuples=tuple(tuple(u for u in uuids if not u.endswith("S-4")) for uuids in test.tuples),
    )
    heard = arrivals_s(test)
    found = pulses.compare([left_out], heard)
    assert (found.heard_unused, found.unused) == (3, 3)
    heard[test.position, test.name, "S-4"] = heard[test.position, test.name, "S-4"][:1]
    assert pulses.compare([left_out], heard).heard_unused == 1


def test_pulses_that_no_file_holds_are_counted_beside() -> None:
    """Files that end before the last round: its pulses stay missed, and are named as such."""
    test = fired_test()
    whole = pulses.compare([test], arrivals_s(test))
    assert whole.not_recorded == 0
    cut = [
        _ending(one, max(arrivals_s(test)[test.position, test.name, one.sensor]) - 0.01)
        for one in test.recordings
    ]
    found = pulses.compare([replace(test, recordings=tuple(cut))], arrivals_s(test))
    assert found.not_recorded == len(cut)
    assert found.differences_s == whole.differences_s


def _ending(recording: dataset.Recording, at_s: float) -> dataset.Recording:
    """The same, silent from then on."""
    samples = recording.samples.copy()
    samples[round(at_s * dataset.RATE_HZ) :] = 0
    return replace(recording, samples=samples)


@pytest.mark.parametrize(("late_s", "shares"), [(0.004, (1, 1)), (0.02, (0, 1)), (0.04, (0, 0))])
def test_near_and_near_enough_to_be_associated(late_s: float, shares: tuple[int, int]) -> None:
    """Within 5 ms, and within 30 ms, of one pulse that comes late; the others come in time."""
    test = fired_test()
    heard = {key: list(times) for key, times in arrivals_s(test).items()}
    key = (test.position, test.name, "S-4")
    heard[key] = [at_s + late_s for at_s in heard[key]]
    found = pulses.compare([test], heard)
    few = len(heard[key]) / len(found.differences_s)
    assert found.matched == pytest.approx(1.0 - few * (1 - shares[0]))
    assert found.heard == pytest.approx(1.0 - few * (1 - shares[1]))


@pytest.mark.field
@needs_pittsburgh
def test_some_real_shots_agree() -> None:
    """Two tests of real gunfire: every pulse used has an onset, most within half a millisecond."""
    tests = dataset.load(PITTSBURGH, frozenset({"FP4"}))[:2]
    found = pulses.compare(tests, pulses.listen(tests, seed=1)[0])
    assert found.matched >= 0.9
    assert found.mad_ms <= 0.5


@pytest.mark.torture
@pytest.mark.field
@needs_pittsburgh
def test_the_whole_dataset_agrees() -> None:
    """97 % of the pulses used within 5 ms, and half of those within 0.35 ms."""
    tests = dataset.load(PITTSBURGH)
    found = pulses.compare(tests, pulses.listen(tests, seed=1)[0])
    assert found.matched >= 0.97
    assert found.mad_ms <= 0.35
