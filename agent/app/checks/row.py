"""One row of `earshot check`: what was found, what to touch, what to do, and the command for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agent.core.records.faults import Check
from agent.core.records.findings import CHECKS, FAULTS, Finding, HealthStatus, verdict

RowStatus = HealthStatus | Literal["skipped"]
_RANK: dict[str, int] = {"critical": 0, "warning": 1, "unknown": 2, "healthy": 3, "skipped": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`value` with its unit, or why the status is `unknown` or `skipped`.

    `part` to touch, `remedy` in words, and `command` to type are empty where nothing is to be done.
    """

    check: Check
    status: RowStatus
    value: str = ""
    fault: str | None = None
    meaning: str = ""
    part: str = ""
    remedy: str = ""
    command: str = ""


def row_of(finding: Finding) -> Row:
    """What the daemon found out, as a row."""
    about = finding.about
    return Row(
        check=finding.check,
        status=finding.status,
        value=finding.value,
        fault=finding.fault,
        meaning=about.meaning if about else "",
        part=finding.part,
        remedy=finding.remedy,
    )


def fault_row(fault: str, value: str = "", command: str = "") -> Row:
    """A fault of the catalogue that was found here, and what mends it here."""
    about = FAULTS[fault]
    return Row(
        check=about.check,
        status=about.severity,
        value=value,
        fault=fault,
        meaning=about.meaning,
        part=about.part,
        remedy=about.remedy,
        command=command,
    )


def good_row(check: Check, value: str = "") -> Row:
    """It was looked at, and is well."""
    return Row(check=check, status="healthy", value=value)


def unknown_row(check: Check, why: str) -> Row:
    """Nobody could look."""
    return Row(check=check, status="unknown", value=why)


def skipped_row(check: Check, why: str) -> Row:
    """Nothing of the kind is configured."""
    return Row(check=check, status="skipped", value=why)


def in_order(rows: Iterable[Row]) -> list[Row]:
    """The worst first, then by check; of a check only the worst is told, and each fault once."""
    told = sorted(rows, key=lambda one: (_RANK[one.status], _place(one)))
    best: dict[str, int] = {}
    for one in told:
        best.setdefault(one.check, _RANK[one.status])
    kept = [one for one in told if one.fault or _RANK[one.status] == best[one.check]]
    return list({(one.check, one.fault, one.value): one for one in kept}.values())


def _place(row: Row) -> int:
    """Where a row stands among its like: an agent is started once all else is mended."""
    return len(CHECKS) if row.fault == "agent-stopped" else CHECKS.index(row.check)


def verdict_of(rows: Iterable[Row]) -> HealthStatus:
    """As `findings.verdict`, of rows."""
    return verdict(
        Finding(check=one.check, status=one.status) for one in rows if one.status != "skipped"
    )


EXIT_CODES: dict[HealthStatus, int] = {"healthy": 0, "warning": 1, "critical": 2, "unknown": 3}
