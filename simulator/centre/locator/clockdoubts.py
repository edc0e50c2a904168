"""Nodes whose clocks disagree with their neighbours by whole seconds: named, and never told twice.

A group of them places each shot again, seconds apart (`splits`); a few of them only miss what the
others heard, always by the same number of seconds.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import dist

from agent.core.units import NS_PER_S, sound_speed_mps
from simulator.centre.locator.air import STANDARD_C
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.incident import Incident
from simulator.centre.locator.registry import Station
from simulator.centre.locator.splits import REACH_NS, splits

_FITS_NS = 45_000_000
_LEAST_TIMES = 3
_REMEMBERED = 4096

Heard = Callable[[int, int], Sequence[Arrival]]


class ClockDoubts:
    """Of one cell. `near` gives the incidents around a time, `heard` the arrivals of a span."""

    def __init__(
        self,
        stations: Mapping[str, Station],
        near: Callable[[int], Sequence[Incident]],
        heard: Heard,
    ) -> None:
        self._stations, self._near, self._heard = stations, near, heard
        self._twice: dict[str, None] = {}
        self._misses: dict[str, Counter[int]] = {}
        self._judged: dict[str, None] = {}

    def is_told(self, incident: Incident) -> bool:
        """False for what other nodes tell, seconds apart."""
        return incident.id not in self._twice

    def look(self, changed: list[Incident], withdrawn: list[Incident]) -> list[str]:
        """Take out of `changed` what is told twice, withdraw what was; who is off, in words."""
        told = []
        for one in list(changed):
            told += self._tell_once(one, changed, withdrawn)
            told += self._miss(one)
        for kept in (self._twice, self._judged):
            for old in list(kept)[:-_REMEMBERED]:
                del kept[old]
        return list(dict.fromkeys(told))

    def _tell_once(
        self, one: Incident, changed: list[Incident], withdrawn: list[Incident]
    ) -> list[str]:
        near, told = self._near(one.utc_ns), []
        arrivals = self._heard(one.utc_ns - 2 * REACH_NS, one.utc_ns + 2 * REACH_NS)
        sure = {arrival.source for arrival in arrivals if arrival.confirmed}
        for split in splits([one], near, sure):
            told.append(split.words)
            if not split.is_known or split.wrong.id in self._twice:
                continue
            self._twice[split.wrong.id] = None
            if split.wrong in changed:
                changed.remove(split.wrong)
            else:
                withdrawn.append(split.wrong)
        return told

    def _miss(self, incident: Incident) -> list[str]:
        """Nodes that heard it just so many seconds sooner or later than where they hang."""
        if incident.enu_m is None or incident.id in self._judged or not self.is_told(incident):
            return []
        self._judged[incident.id] = None
        heard = self._heard(incident.utc_ns - REACH_NS, incident.utc_ns + 2 * REACH_NS)
        offs: dict[str, set[int]] = {}
        for arrival in heard:
            station = self._stations.get(arrival.source)
            if station is None or arrival.source in incident.heard_by:
                continue
            flight_s = dist(incident.enu_m, station.enu_m) / sound_speed_mps(STANDARD_C)
            late_ns = arrival.toa_utc_ns - incident.utc_ns - round(flight_s * NS_PER_S)
            off_s = round(late_ns / NS_PER_S)
            if abs(late_ns - off_s * NS_PER_S) <= _FITS_NS:
                offs.setdefault(arrival.source, set()).add(off_s)
        return [told for source, found in offs.items() if (told := self._vote(source, found))]

    def _vote(self, source: str, offs: set[int]) -> str:
        votes = self._misses.setdefault(source, Counter())
        if len(offs) == 1:
            votes[offs.pop()] += 1
        ((off_s, times),) = votes.most_common(1) or [(0, 0)]
        if not off_s or times < _LEAST_TIMES or 2 * times <= votes.total():
            return ""
        name = source.rpartition(":")[2]
        return f"clock of {name} is {off_s:+d} s off its neighbours' incidents"
