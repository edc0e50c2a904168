"""Findings: what is not known is never called well, and each fault says what to touch."""

import re
from typing import get_args

import msgspec
import pytest

from agent.core.audio import MicrophoneCondition
from agent.core.records.findings import (
    CHECKS,
    ESSENTIAL,
    FAULTS,
    Finding,
    by_check,
    found,
    healthy,
    unknown,
    verdict,
)
from agent.core.records.host_faults import HOST_FAULTS
from agent.core.records.setup_faults import SETUP_FAULTS
from agent.core.records.sound_faults import FAULT_OF_MICROPHONE, SOUND_FAULTS

WELL = [healthy(check) for check in ESSENTIAL]


def test_what_is_not_known_is_never_healthy() -> None:
    """Nothing told, or an essential check unknown or untold: `unknown`; other gaps do no harm."""
    assert verdict([]) == "unknown"
    assert verdict([unknown(check, "no sound yet") for check in CHECKS]) == "unknown"
    for check in ESSENTIAL:
        others = [one for one in WELL if one.check != check]
        assert verdict(others) == "unknown"
        assert verdict([*others, unknown(check, "no sound yet")]) == "unknown"
    assert verdict([*WELL, unknown("air", "no sensor")]) == "healthy"


def test_the_worst_finding_is_the_verdict() -> None:
    """However many others are well."""
    assert verdict([*WELL, found("wind", "3 h")]) == "warning"
    assert verdict([found("wind", "3 h"), *WELL, found("deaf")]) == "critical"
    assert verdict([found("deaf"), unknown("clock", "no sound yet")]) == "critical"


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_each_fault_names_a_part_and_a_remedy(name: str) -> None:
    """Sentences that end, a check that exists, a name fit for the wire; none is in two lists."""
    fault = FAULTS[name]
    assert re.fullmatch("[a-z]+(-[a-z]+)*", name)
    assert len(name) <= 24
    assert fault.check in CHECKS
    assert fault.part
    assert fault.meaning.endswith(".")
    assert fault.remedy.endswith(".")
    assert sum(name in these for these in (SOUND_FAULTS, HOST_FAULTS, SETUP_FAULTS)) == 1
    finding = found(name, "1 of 2")
    assert (finding.part, finding.remedy) == (fault.part, fault.remedy)
    assert finding.status == fault.severity


def test_a_fault_of_a_later_version_is_kept_without_words() -> None:
    """An old reader shows its name; nothing fails."""
    later = Finding(check="power", status="warning", fault="flux-compensator", value="1.21 GW")
    assert (later.part, later.remedy, later.about) == ("", "", None)
    assert msgspec.json.decode(msgspec.json.encode(later), type=Finding) == later


def test_findings_come_in_the_order_of_the_checks() -> None:
    """The worst of a check first."""
    told = [unknown("air", "no sensor"), found("clipping"), found("deaf"), found("hum-only")]
    assert [one.fault for one in by_check(told)] == ["hum-only", "clipping", "deaf", None]


def test_whatever_ails_a_microphone_is_a_fault_of_the_catalogue() -> None:
    """Each condition but `hearing` names one, of the check that a technician looks at first."""
    conditions = set(get_args(MicrophoneCondition))
    assert set(FAULT_OF_MICROPHONE) == conditions - {"hearing"}
    assert {FAULTS[name].check for name in FAULT_OF_MICROPHONE.values()} == {"microphone"}
