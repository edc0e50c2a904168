"""What nodes say afterwards of the times they told in a holdover: applied to their arrivals.

The records stay as they were signed; only what is located with changes. A correction that
contradicts itself counts for nothing. They come hours after what they touch: both are found in
the store, a page at a time, so that a city whose satellites return needs no more memory.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from math import hypot
from typing import TypeVar

from agent.core.records.correction import Correction, faults_of
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.incident import Incident
from simulator.centre.locator.recent import Past

_REMEMBERED = 4096
PAGE = 128

Name = tuple[str, str, int]  # source, chain, seq
_K = TypeVar("_K")
_V = TypeVar("_V")


class Corrections:
    """Of one cell; a node's later one of the same time takes the place of an earlier. Without a
    past all are remembered."""

    def __init__(self, past: Past | None) -> None:
        self._past = past
        self._held: dict[str, list[Correction]] = {}
        self._read: dict[Name, Correction | None] = {}
        self._fresh: dict[tuple[str, str, str], None] = {}

    def add(self, source: str, correction: Correction) -> str:
        """Why it cannot be used; empty if it is from now on."""
        if faults := list(faults_of(correction)):
            return f"a correction of {source} is not used: {faults[0]}"
        _remember(self._fresh, _span(source, correction), None)
        held = self._held.setdefault(source, [])
        if self._past is None and correction not in held:
            held.append(correction)
        return ""

    def applied(self, arrivals: Sequence[Arrival], *, before: bool = False) -> list[Arrival]:
        """These as they are known now; or `before` the corrections that came in this run."""
        if not arrivals:
            return []
        times = [one.toa_utc_ns for one in arrivals]
        known = self._of(min(times), max(times), {one.source for one in arrivals})
        if before:
            known = {
                source: [one for one in found if _span(source, one) not in self._fresh]
                for source, found in known.items()
            }
        return [_applied(one, known.get(one.source, ())) for one in arrivals]

    def _of(self, first_ns: int, last_ns: int, sources: set[str]) -> dict[str, list[Correction]]:
        if self._past is None:
            return self._held
        found: dict[str, list[Correction]] = {}
        for name in self._past.corrected(first_ns, last_ns):
            if name[0] in sources and (one := self._correction(name)) is not None:
                found.setdefault(name[0], []).append(one)
        return found

    def _correction(self, name: Name) -> Correction | None:
        if name not in self._read and self._past is not None:
            _remember(self._read, name, self._past.correction(*name))
        return self._read[name]


class Sweeps:
    """Spans of a node's time in which what it heard is to be located again: all of them advance
    side by side, so that a shot which several nodes corrected is located once or twice."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._spans: list[_Span] = []

    @property
    def is_waiting(self) -> bool:
        """True while something is left."""
        return bool(self._spans)

    def add(self, source: str, correction: Correction) -> None:
        """All that the correction touches."""
        span = _Span(int(correction.first_utc_ns), source, int(correction.last_utc_ns))
        if span not in self._spans:
            heappush(self._spans, span)

    def page(self) -> list[int]:
        """Times at which something was heard that is to be located again, PAGE of them at most."""
        while self._spans:
            one = heappop(self._spans)
            times = self._past.heard_by(one.source, one.after_ns, one.last_ns, PAGE)
            if len(times) == PAGE:
                heappush(self._spans, replace(one, after_ns=times[-1]))
            if times:
                return times
        return []


@dataclass(frozen=True, order=True, slots=True)
class _Span:
    after_ns: int
    source: str
    last_ns: int


def shifts(given: Iterable[Arrival], used: Iterable[Arrival]) -> tuple[tuple[int, int, int], ...]:
    """Which of them were changed, by place, and to what time and sigma."""
    return tuple(
        (at, later.toa_utc_ns, later.sigma_ns)
        for at, (sooner, later) in enumerate(zip(given, used, strict=True))
        if sooner != later
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


def _applied(arrival: Arrival, known: Sequence[Correction]) -> Arrival:
    for one in reversed(known):
        if one.covers(arrival.toa_utc_ns):
            add_ns, sigma_ns = one.at(arrival.toa_utc_ns)
            own_ns = round(hypot(arrival.sigma_noise_ns, sigma_ns))
            return replace(arrival, toa_utc_ns=arrival.toa_utc_ns + add_ns, sigma_ns=own_ns)
    return arrival


def _span(source: str, correction: Correction) -> tuple[str, str, str]:
    return source, correction.first_utc_ns, correction.last_utc_ns


def _remember(held: dict[_K, _V], key: _K, value: _V) -> None:
    held[key] = value
    if len(held) > _REMEMBERED:
        del held[next(iter(held))]
