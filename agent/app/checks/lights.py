"""What each light of the panel says: the worst of the checks that it stands for."""

from collections.abc import Iterable

from agent.core.records.faults import Check
from agent.core.records.findings import Finding, HealthStatus
from agent.ports import Light, Pattern

LIGHT_OF: dict[Check, Light] = {
    "agent": "power",
    "user": "power",
    "microphone": "hearing",
    "hearing": "hearing",
    "level": "hearing",
    "wind": "hearing",
    "rate": "hearing",
    "lost sound": "hearing",
    "last impulse": "hearing",
    "clock": "clock",
    "receiver": "clock",
    "position": "clock",
    "broker": "link",
    "certificate": "link",
    "receipts": "link",
    "outbox": "link",
    "disk": "power",
    "card": "power",
    "memory": "power",
    "power": "power",
    "temperature": "power",
    "air": "power",
    "tamper": "power",
    "panel": "power",
    "settings": "power",
    "keys": "link",
    "version": "power",
}
# Without an answer to these a light cannot say that all is well.
NEEDED: dict[Light, frozenset[Check]] = {
    "power": frozenset(),
    "clock": frozenset(("clock",)),
    "link": frozenset(("broker", "receipts")),
    "hearing": frozenset(("microphone", "hearing")),
}
PATTERN_OF: dict[HealthStatus, Pattern] = {
    "healthy": "on",
    "warning": "slow",
    "critical": "fast",
    "unknown": "blip",
}


def status_of(light: Light, findings: Iterable[Finding]) -> HealthStatus:
    """The worst status of a light's checks; `unknown` where one that it needs is not known."""
    told = [one for one in findings if LIGHT_OF[one.check] == light]
    statuses = {one.status for one in told}
    if "critical" in statuses:
        return "critical"
    if "warning" in statuses:
        return "warning"
    known = {one.check for one in told if one.status == "healthy"}
    return "healthy" if known >= NEEDED[light] else "unknown"


def lights_of(findings: Iterable[Finding]) -> dict[Light, Pattern]:
    """The pattern of each light."""
    told = tuple(findings)
    return {light: PATTERN_OF[status_of(light, told)] for light in NEEDED}
