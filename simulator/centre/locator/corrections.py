"""What nodes say afterwards of the times they told in a holdover: applied to their arrivals.

The records stay as they were signed; only what is located with changes. A correction that
contradicts itself counts for nothing.
"""

from collections.abc import Iterable
from dataclasses import replace
from math import hypot

from agent.core.records.correction import Correction, faults_of
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.incident import Incident

_KEPT = 256  # of one node


class Corrections:
    """Of one cell, by node; a later one of the same time takes the place of an earlier."""

    def __init__(self) -> None:
        self._held: dict[str, list[Correction]] = {}

    def add(self, source: str, correction: Correction) -> str:
        """Why it cannot be used; empty if it is from now on."""
        if faults := list(faults_of(correction)):
            return f"a correction of {source} is not used: {faults[0]}"
        held = self._held.setdefault(source, [])
        if correction not in held:
            held.append(correction)
        del held[:-_KEPT]
        return ""

    def applied(self, arrival: Arrival) -> Arrival:
        """The arrival as it is known now."""
        for one in reversed(self._held.get(arrival.source, [])):
            if one.covers(arrival.toa_utc_ns):
                add_ns, sigma_ns = one.at(arrival.toa_utc_ns)
                own_ns = hypot(arrival.sigma_noise_ns, sigma_ns)
                return replace(
                    arrival, toa_utc_ns=arrival.toa_utc_ns + add_ns, sigma_ns=round(own_ns)
                )
        return arrival

    def touching(self, keys: Iterable[tuple[int, str, str]]) -> int:
        """How many of these arrivals are corrected: a window is located again when it changes."""
        return sum(
            any(one.covers(toa_ns) for one in self._held.get(source, ()))
            for toa_ns, source, _ in keys
        )


def noted(incident: Incident, given: Iterable[Arrival], used: Iterable[Arrival]) -> Incident:
    """The incident, which says whose times were corrected."""
    changed = {
        sooner.source
        for sooner, later in zip(given, used, strict=True)
        if sooner.toa_utc_ns != later.toa_utc_ns
    }
    names = sorted(one.rpartition(":")[2] for one in changed & set(incident.heard_by))
    if not names:
        return incident
    return incident.noted(f"times of {', '.join(names)} corrected after a holdover")
