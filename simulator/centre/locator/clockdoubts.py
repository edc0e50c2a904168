"""Nodes whose clocks disagree with their neighbours by whole seconds: named, and never told twice.

A group of them places each shot again, seconds apart (`splits`); a few of them only miss what the
others heard, always by the same number of seconds. Whoever stood nearer than the farthest that
heard a shot, and heard anything in these minutes, should fit: where it does not, that counts for
its clock.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil, dist, log

from agent.core.clock.counting import GPS_WEEKS_NS as WEEKS_NS
from agent.core.units import NS_PER_S, sound_speed_mps
from simulator.centre.locator.air import STANDARD_C
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.incident import Alternative, Incident
from simulator.centre.locator.registry import Station
from simulator.centre.locator.splits import REACH_NS, Camps, Split, splits

_FITS_NS = 45_000_000
_LEAST_TIMES = 3
_OFFS = 3 * REACH_NS // NS_PER_S  # numbers of seconds that a stranger's sound may fit by chance
_RARELY = 300.0  # one in so many cells has a node that chance names
_OPEN = "which second it was is open: clocks that tell of it are whole seconds apart"
_REMEMBERED = 4096
_SPLITS = 256

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
        self._splits: OrderedDict[frozenset[str], Split] = OrderedDict()
        self._twice: dict[str, None] = {}
        self._open: dict[str, tuple[Alternative, ...]] = {}
        self._alone: dict[str, Incident] = {}  # open, though nobody tells them with other clocks
        self._misses: dict[str, Counter[int]] = {}
        self._judged: dict[str, None] = {}
        chance = log(_RARELY * max(1, len(stations)))
        self._least_times = max(_LEAST_TIMES, 1 + ceil(chance / log(_OFFS)))

    def told(self, incidents: Sequence[Incident]) -> list[Incident]:
        """Without what other nodes tell, seconds apart; what may be of another second says so."""
        return [self._marked(one) for one in incidents if one.id not in self._twice]

    def look(self, changed: list[Incident], withdrawn: list[Incident]) -> list[str]:
        """Take out of `changed` what is told twice, withdraw what was, and tell again what was
        withdrawn wrongly, or whose second is open now, or no more; who is off, in words."""
        gone = {one.id for one in withdrawn}
        touched = [one for one in self._splits.values() if not gone.isdisjoint(one.names)]
        for split in touched:
            del self._splits[split.names]
        fresh = {split.names: split for one in changed for split in self._twins(one)}
        self._splits.update(fresh)
        while len(self._splits) > _SPLITS:
            self._splits.popitem(last=False)
        camps = Camps(self._splits.values(), len(self._stations))
        told = [camps.judge(one).words for one in fresh.values()]
        if fresh or touched:
            known = {one.id: one for split in touched for one in (split.ahead, split.behind)}
            known = {name: one for name, one in (known | self._alone).items() if name not in gone}
            self._tell_once(camps, known, changed, withdrawn)
        for one in changed:
            if one.id not in self._open and (others := camps.alternatives(one)):
                self._open[one.id], self._alone[one.id] = others, one
        changed[:] = self.told(changed)
        for one in changed:
            told += [] if one.alternatives else self._miss(one, camps)
        for kept in (self._twice, self._judged, self._open):
            for old in list(kept)[:-_REMEMBERED]:
                del kept[old]
        for old in [*gone, *list(self._alone)[:-_SPLITS]]:
            self._alone.pop(old, None)
        return list(dict.fromkeys(told))

    def _marked(self, one: Incident) -> Incident:
        others = self._open.get(one.id)
        return replace(one.noted(_OPEN), alternatives=others) if others else one

    def _twins(self, one: Incident) -> list[Split]:
        """What tells the same shot with other clocks."""
        if one.enu_m is None:
            return []
        near = [
            other for weeks in (-1, 0, 1) for other in self._near(one.utc_ns + weeks * WEEKS_NS)
        ]
        return splits(one, near, self._sure(one, near)) if len(near) > 1 else []

    def _sure(self, one: Incident, near: Sequence[Incident]) -> frozenset[str]:
        times = {other.utc_ns for other in near} | {one.utc_ns}
        heard = [
            found for at_ns in times for found in self._heard(at_ns - REACH_NS, at_ns + REACH_NS)
        ]
        return frozenset(found.source for found in heard if found.confirmed)

    def _tell_once(
        self,
        camps: Camps,
        known: dict[str, Incident],
        changed: list[Incident],
        withdrawn: list[Incident],
    ) -> None:
        """Hide what is wrong, and mark what nobody can tell; `known` are some that were so."""
        wrong, others = set[str](), dict[str, tuple[Alternative, ...]]()
        for split in self._splits.values():
            pair, verdict = (split.ahead, split.behind), camps.judge(split)
            known |= {one.id: one for one in pair}
            if verdict.wrong is not None:
                wrong.add(verdict.wrong.id)
                continue
            for one, other in (pair, pair[::-1]):
                twin = Alternative(other.utc_ns, other.id)
                others[one.id] = (*others.get(one.id, ()), twin)
        fresh = {one.id for one in changed}
        for name, one in known.items():
            was = (name in self._twice, self._open.get(name, ()))
            self._twice.pop(name, None)
            self._open.pop(name, None)
            if name in wrong:
                self._twice[name] = None
            elif may_be := others.get(name) or camps.alternatives(one):
                self._open[name] = may_be
            if name not in fresh and was != (name in wrong, self._open.get(name, ())):
                (withdrawn if name in wrong else changed).append(one)

    def _miss(self, incident: Incident, camps: Camps) -> list[str]:
        """Nodes that heard it just so many seconds sooner or later than where they hang."""
        if incident.enu_m is None or incident.id in self._judged:
            return []
        self._judged[incident.id] = None
        speed_mps = sound_speed_mps(STANDARD_C)
        flight_s = {source: far_m / speed_mps for source, far_m in self._within(incident).items()}
        offs: dict[str, set[int]] = {}
        for arrival in self._heard(incident.utc_ns - REACH_NS, incident.utc_ns + 2 * REACH_NS):
            if arrival.source not in flight_s:
                continue
            found = offs.setdefault(arrival.source, set())
            took_ns = round(flight_s[arrival.source] * NS_PER_S)
            late_ns = arrival.toa_utc_ns - incident.utc_ns - took_ns
            off_s = round(late_ns / NS_PER_S)
            if abs(late_ns - off_s * NS_PER_S) <= _FITS_NS:
                found.add(off_s)
        doubted = {source: off_s for source, off_s in offs.items() if not camps.are_right(source)}
        return [told for source, seen in doubted.items() if (told := self._vote(source, seen))]

    def _within(self, incident: Incident) -> dict[str, float]:
        """How far it was to those who should have heard it as well, m: no farther than others."""
        assert incident.enu_m is not None  # noqa: S101 - asked of located ones only
        far_m = {
            source: dist(incident.enu_m, station.enu_m)
            for source, station in self._stations.items()
        }
        most_m = max((far_m[one] for one in incident.heard_by if one in far_m), default=0.0)
        heard = set(incident.heard_by)
        return {one: m for one, m in far_m.items() if m <= most_m and one not in heard}

    def _vote(self, source: str, offs: set[int]) -> str:
        votes = self._misses.setdefault(source, Counter())
        votes[offs.pop() if len(offs) == 1 else 0] += 1
        ((off_s, times),) = votes.most_common(1)
        if not off_s or times < self._least_times or 2 * times <= votes.total():
            return ""
        name = source.rpartition(":")[2]
        return f"clock of {name} is {off_s:+d} s off its neighbours' incidents"
