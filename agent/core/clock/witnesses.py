"""Whose word stands for which second it is: the table of witnesses and what each of them excludes.

A second may be wrong though all signs of a receiver agree: what its words share they get wrong
together. Each way in which that happens is an *alternative*, and a second is `confirmed` once each
of them was excluded by a witness that does not share its cause. `docs/time.md` shows this table.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from agent.core.records.fields import Alternative

Witness = Literal[
    "host clock",
    "tight host clock",
    "time servers",
    "tight time servers",
    "own clock",
    "tight own clock",
    "next pulse",
    "pulse width",
    "leap word",
    "leap table",
    "floor date",
]

EXCLUDES: Mapping[Witness, frozenset[Alternative]] = MappingProxyType(
    {
        "host clock": frozenset({"label", "leap", "weeks"}),
        "tight host clock": frozenset({"edge"}),
        "time servers": frozenset({"label", "leap", "weeks"}),
        "tight time servers": frozenset({"edge"}),
        "own clock": frozenset({"label", "leap", "weeks"}),
        "tight own clock": frozenset({"edge"}),
        "next pulse": frozenset({"label"}),
        "pulse width": frozenset({"edge"}),
        "leap word": frozenset({"leap"}),
        "leap table": frozenset({"leap"}),
        "floor date": frozenset({"weeks"}),
    }
)
CAN_BE: Mapping[str, tuple[Alternative, ...]] = MappingProxyType(
    {
        "sim": (),
        "system": ("label", "edge", "leap", "weeks"),
        "nmea": ("label", "leap", "weeks"),
        "pps": ("label", "edge", "leap", "weeks"),
        "pps-adc": ("label", "edge", "leap", "weeks"),
    }
)
"""What can be wrong with the second, by `time.source`.

A host's clock as the source is weighed by the daemon that keeps it, among its servers ("time
servers"). One that a receiver keeps is no better than that receiver.
"""


class Witnesses:
    """Who has excluded what since the count of seconds began. The oscillator carries that on: a
    second that follows a confirmed one is confirmed, until the count begins anew (`forget`)."""

    def __init__(self, can_be: tuple[Alternative, ...]) -> None:
        self._can_be = can_be
        self._excluded: dict[Alternative, Witness] = {}

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """What nobody has excluded."""
        return tuple(one for one in self._can_be if one not in self._excluded)

    @property
    def excluded_by(self) -> dict[Alternative, Witness]:
        """Who excluded what."""
        return dict(self._excluded)

    def speak(self, witness: Witness) -> None:
        """`witness` agrees with the count as it is."""
        for alternative in EXCLUDES[witness]:
            self._excluded.setdefault(alternative, witness)

    def reopen(self, *alternatives: Alternative) -> None:
        """Something happened that may have made these true."""
        for one in alternatives:
            self._excluded.pop(one, None)

    def forget(self) -> None:
        """The count begins anew."""
        self._excluded.clear()
