"""What a run has shown: silence, a wrong rate, a false latency and a dead link are told apart."""

from dataclasses import replace as changed

import pytest
from msgspec.structs import replace

from agent.app.proof import Proof, heard, receipted, stamped
from agent.core.records.findings import FAULTS, found, healthy, unknown
from tests.agent.cli.test_cli_time import GOOD

PROVED = Proof(heard="", stamped="", receipted="", is_locked=True)


def test_sound_that_came_and_is_well_is_heard() -> None:
    """Some seconds of sound, the last of them lately, and nothing critical found in it."""
    assert heard(60.0, 0.1, (healthy("microphone"), found("clipping"))) == ""


@pytest.mark.parametrize("fault", ["digital-silence", "wrong-rate", "model-scores-nothing", "deaf"])
def test_sound_that_is_not_well_is_not_heard(fault: str) -> None:
    """A silent device, a wrong rate and a score that nothing reaches are told by what they mean."""
    assert heard(60.0, 0.1, (found(fault),)) == f"not heard: {FAULTS[fault].meaning}"


def test_what_is_not_known_yet_is_not_proved() -> None:
    """A silent device looks well until enough of its sound was looked at."""
    assert heard(60.0, 0.1, (unknown("microphone", "known in 36 s"),)) == (
        "not heard: microphone known in 36 s"
    )
    assert heard(60.0, 0.1, (healthy("microphone"), unknown("rate", "no time"))) == ""


def test_sound_that_does_not_come_is_not_heard() -> None:
    """Neither at the beginning, nor once it has stopped."""
    assert "0 s of sound came" in heard(0.0, 60.0, ())
    assert "the last 30 s ago" in heard(60.0, 30.0, ())


def test_a_latency_that_measurement_contradicts_is_not_stamped() -> None:
    """Both pulses say 210 us: a second in the settings makes every time a second early."""
    measured = replace(GOOD, measured_latency_us=210.0)
    assert stamped(1, measured, 212.0) == stamped(1, measured, None) == stamped(1, GOOD, 9e3) == ""
    assert "was measured as 210 us, audio.latency_us says 9000" in stamped(1, measured, 9000.0)


def test_without_time_nothing_is_stamped() -> None:
    """And the clock's own reason is told."""
    assert stamped(None, GOOD, None) == f"not stamped: {GOOD.reason}"


def test_a_clock_that_was_locked_must_lock_again() -> None:
    """One that never was need not."""
    unlocked = changed(PROVED, is_locked=False)
    assert unlocked.doubt(was_locked=False) == PROVED.doubt(was_locked=True) == ""
    assert "not locked" in unlocked.doubt(was_locked=True)


def test_a_receipt_is_a_receipt() -> None:
    """What the link says is told while none has come."""
    assert receipted(1, "whatever") == ""
    assert receipted(0, "broker refused") == "not receipted: broker refused"
    assert receipted(0, "") == "not receipted: no receipt came"
