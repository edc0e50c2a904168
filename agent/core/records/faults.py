"""What a fault is: a name on the wire, a check that it answers, a part to touch, a remedy.

The names are in other people's programs: they are added to, never changed. The catalogues are
`sound_faults`, `host_faults` and `setup_faults`; their words are for the technician at the pole.
"""

from dataclasses import dataclass
from typing import Literal

Check = Literal[
    "agent",
    "user",
    "microphone",
    "hearing",
    "level",
    "wind",
    "rate",
    "lost sound",
    "last impulse",
    "clock",
    "receiver",
    "position",
    "broker",
    "certificate",
    "receipts",
    "outbox",
    "disk",
    "card",
    "memory",
    "power",
    "temperature",
    "air",
    "tamper",
    "panel",
    "settings",
    "keys",
    "version",
]
Severity = Literal["warning", "critical"]


@dataclass(frozen=True, slots=True)
class Fault:
    """`check` is the question to which it is an answer, `part` what a hand must go to."""

    check: Check
    severity: Severity
    meaning: str
    part: str
    remedy: str
