"""What was found out about a node's health, in one vocabulary for all who tell or show it.

A check asks one question of the node, and each answer to it is a finding. Faults have names, and
`faults` tells of each which part to touch and what to do. What nobody measured is `unknown`, with
the reason: never `healthy`.
"""

from collections.abc import Iterable
from typing import Literal, get_args

from agent.core.records.faults import Check, Fault, Severity
from agent.core.records.fields import Frozen
from agent.core.records.host_faults import HOST_FAULTS
from agent.core.records.setup_faults import SETUP_FAULTS
from agent.core.records.sound_faults import SOUND_FAULTS

FAULTS: dict[str, Fault] = SOUND_FAULTS | HOST_FAULTS | SETUP_FAULTS

HealthStatus = Literal["healthy", "warning", "critical", "unknown"]

CHECKS: tuple[Check, ...] = get_args(Check)
ESSENTIAL: frozenset[Check] = frozenset(("microphone", "hearing", "clock"))
"""A node is not healthy while one of these is unknown."""
MOST_LETTERS = 80


class Finding(Frozen, frozen=True, kw_only=True):
    """One answer to one check. `fault` is a key of FAULTS, None where there is no fault.

    `value` is what was measured, with its unit, for a person; where the status is `unknown` it is
    why. Both are short enough for a heartbeat.
    """

    check: Check
    status: HealthStatus
    fault: str | None = None
    value: str = ""

    @property
    def about(self) -> Fault | None:
        """Part and remedy; None where there is no fault, or a later version's."""
        return FAULTS.get(self.fault or "")

    @property
    def part(self) -> str:
        """The part to touch; empty where there is none."""
        return self.about.part if self.about else ""

    @property
    def remedy(self) -> str:
        """What to do, in a sentence or two; empty where nothing is to be done."""
        return self.about.remedy if self.about else ""


def healthy(check: Check, value: str = "") -> Finding:
    """It was looked at, and is well."""
    return Finding(check=check, status="healthy", value=_short(value))


def unknown(check: Check, why: str) -> Finding:
    """Nobody could look, and why."""
    return Finding(check=check, status="unknown", value=_short(why))


def found(fault: str, value: str = "", severity: Severity | None = None) -> Finding:
    """A fault of the catalogue, as severe as that says unless told. Raises KeyError for others."""
    about = FAULTS[fault]
    status = severity or about.severity
    return Finding(check=about.check, status=status, fault=fault, value=_short(value))


def _short(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 3]}..."


def verdict(findings: Iterable[Finding]) -> HealthStatus:
    """The worst of them; `unknown` where nothing is wrong but an ESSENTIAL check is not known."""
    told = tuple(findings)
    known = {one.check for one in told if one.status != "unknown"}
    statuses = {one.status for one in told}
    if "critical" in statuses:
        return "critical"
    if "warning" in statuses:
        return "warning"
    return "healthy" if known >= ESSENTIAL else "unknown"


def by_check(findings: Iterable[Finding]) -> list[Finding]:
    """In the order of CHECKS, the worst of a check first."""
    rank = {"critical": 0, "warning": 1, "unknown": 2, "healthy": 3}
    return sorted(findings, key=lambda one: (CHECKS.index(one.check), rank[one.status]))
