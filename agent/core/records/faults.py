"""What a fault is: a name on the wire, a check that it answers, a part to touch, a remedy.

The names are in other people's programs: they are added to, never changed. The catalogues are
`sound_faults` and `host_faults`; the words in them are for the technician at the pole.
"""

from dataclasses import dataclass
from typing import Literal

Check = Literal[
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
