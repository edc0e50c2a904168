"""The journal tells of a fault once, of its end once, and names what to touch."""

import logging

import pytest

from agent.app.findinglog import FindingLog
from agent.core.records.findings import found, healthy, unknown


def test_one_line_each_way(caplog: pytest.LogCaptureFixture) -> None:
    """However often it is looked at, and though its value changes."""
    caplog.set_level(logging.INFO, "earshot")
    told = FindingLog()
    told.step([healthy("hearing"), unknown("air", "no sensor")])
    for minute in range(5):
        told.step([found("lost-sound", f"{minute} %")])
    told.step([found("lost-sound", "20 %", "critical")])
    told.step([found("lost-sound", "20 %", "critical")])
    told.step([])
    told.step([])
    lines = [(one.levelname, one.getMessage()) for one in caplog.records]
    assert [level for level, _ in lines] == ["WARNING", "ERROR", "INFO"]
    assert lines[0][1].startswith("lost-sound (0 %): USB cable: ")
    assert lines[2][1] == "lost-sound is over"
