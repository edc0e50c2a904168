"""A report in words: for a terminal of 80 columns, line by line for a pipe, and as JSON."""

import json
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from agent.app.checks.report import Report
from agent.app.checks.row import Row
from agent.core.records.faults import Check

WIDTH = 80
# What each check asks; docs/technician.md has the same words.
ABOUT: dict[Check, str] = {
    "agent": "does the program run, and is it alive?",
    "user": "is there the user that it runs as?",
    "microphone": "does sound come from a living capsule?",
    "hearing": "is a synthetic blast heard and scored in the node's own sound path?",
    "level": "is the street as loud as it is at these hours?",
    "wind": "does wind cover the street?",
    "rate": "does the sound device convert at the rate that it claims?",
    "lost sound": "did all samples arrive?",
    "last impulse": "when was something impulsive heard, and how loud?",
    "clock": "how well is UTC known?",
    "receiver": "are the satellite receiver and its pulse there?",
    "position": "is the node where it was surveyed?",
    "broker": "does the link stand?",
    "certificate": "how long does the node's certificate last?",
    "receipts": "does the locator answer for what was sent?",
    "outbox": "how many records wait, and are all kept?",
    "disk": "is there room, and does the disk keep what it is given?",
    "card": "how worn is the memory card?",
    "memory": "has the computer memory left?",
    "power": "is the supply voltage high enough?",
    "temperature": "how hot is the processor?",
    "air": "how warm is the air outside? Sound travels by it",
    "tamper": "is the enclosure closed?",
    "panel": "can lights and button be used?",
    "settings": "is the settings file in effect?",
    "keys": "are the node's key and the locator's there?",
    "version": "do agent, command and locator fit together?",
}
_SHOWN = {
    "critical": "CRITICAL",
    "warning": "WARNING",
    "unknown": "unknown",
    "healthy": "healthy",
    "skipped": "skipped",
}
_COLOURS = {"critical": "\x1b[1;31m", "warning": "\x1b[1;33m", "healthy": "\x1b[32m"}
_PLAIN = "\x1b[0m"
_INDENT = " " * 11


def headline(report: Report) -> str:
    """The verdict in a line."""
    counts = [
        f"{count} {status}"
        for status in ("critical", "warning", "unknown")
        if (count := sum(one.status == status for one in report.rows))
    ]
    told = f" ({', '.join(counts)})" if counts else ""
    return f"{report.source}: {report.health.upper()}{told}"


def lines(report: Report, *, has_colours: bool = False) -> Iterator[str]:
    """The whole report: a line for each check, and under each fault what to touch and to do.

    What is wrong comes last, where it stays in sight, in the order in which it is to be mended.
    """
    well = [one for one in report.rows if not one.fault]
    for row in [*reversed(well), *(one for one in report.rows if one.fault)]:
        yield from row_lines(row, has_colours=has_colours)
    yield headline(report)


def row_lines(row: Row, *, has_colours: bool = False) -> Iterator[str]:
    """One row: status, check, what was found; then the part and the remedy, and the command."""
    status = f"{_SHOWN[row.status]:<9}"
    if has_colours and row.status in _COLOURS:
        status = f"{_COLOURS[row.status]}{status}{_PLAIN}"
    told = f"{row.meaning} ({row.value})" if row.meaning and row.value else row.meaning or row.value
    yield from _wrapped(f"{row.check:<13}", told, status)
    if row.remedy:
        yield from _wrapped("-> ", f"{row.part}: {row.remedy}", _INDENT[:9], deeper=3)
    if row.command:
        yield f"{_INDENT}$ {row.command}"


def _wrapped(lead: str, text: str, before: str, deeper: int = 13) -> Iterator[str]:
    width = WIDTH - 9 - len(lead)
    first, *rest = textwrap.wrap(text, width, break_long_words=False) or [""]
    yield f"{before}{lead}{first}".rstrip()
    for more in rest:
        yield " " * (9 + deeper) + more


def as_json(report: Report) -> str:
    """All of it for a program: the verdict, the rows as they are, and the source."""
    content: dict[str, Any] = {
        "source": report.source,
        "health": report.health,
        "is_running": report.state is not None,
        "rows": [{**asdict(one), "about": ABOUT[one.check]} for one in report.rows],
    }
    return json.dumps(content, indent=2)
