"""A run of the same trouble is one record: gaps in the sound, and changes of the clock's state.

A driver that stutters with every block, or a clock that flaps, would fill the store with records
that say nothing new. The first AT_ONCE of a kind are told each by itself; then one each PERIOD_NS,
which tells of all since the one before, with their number.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from agent.core.records.kinds import Gap, TimebaseChange
from agent.core.units import NS_PER_S

AT_ONCE = 8
PERIOD_NS = 60 * NS_PER_S
MOST_REASONS = 3

_Told = TypeVar("_Told", Gap, TimebaseChange)


class _Run(Generic[_Told]):
    """What waits to be told of one kind, and how many more may be told at once."""

    def __init__(self) -> None:
        self._left, self._refilled_ns = AT_ONCE, 0
        self._waiting: _Told | None = None

    def take(self, fresh: _Told, host_ns: int) -> Iterator[_Told]:
        """One more; whatever is to be told now."""
        self._waiting = fresh if self._waiting is None else _merged(self._waiting, fresh)
        yield from self.due(host_ns)

    def due(self, host_ns: int) -> Iterator[_Told]:
        if (periods := (host_ns - self._refilled_ns) // PERIOD_NS) > 0:
            self._left = min(AT_ONCE, self._left + periods)
            self._refilled_ns += periods * PERIOD_NS
        if self._waiting is not None and self._left:
            self._left -= 1
            yield from self.rest()

    def rest(self) -> Iterator[_Told]:
        if self._waiting is not None:
            told, self._waiting = self._waiting, None
            yield told


class Runs:
    """Of one node. Each method yields what is to be recorded now."""

    def __init__(self) -> None:
        self._gaps: _Run[Gap] = _Run()
        self._changes: _Run[TimebaseChange] = _Run()

    def gap(self, gap: Gap, host_ns: int) -> Iterator[Gap]:
        """Sound was lost."""
        return self._gaps.take(gap, host_ns)

    def change(self, change: TimebaseChange, host_ns: int) -> Iterator[TimebaseChange]:
        """The clock's state has changed."""
        return self._changes.take(change, host_ns)

    def due(self, host_ns: int) -> Iterator[Gap | TimebaseChange]:
        """What has waited for its turn."""
        yield from self._gaps.due(host_ns)
        yield from self._changes.due(host_ns)

    def rest(self) -> Iterator[Gap | TimebaseChange]:
        """All that waits: the run ends."""
        yield from self._gaps.rest()
        yield from self._changes.rest()


def _merged(told: _Told, fresh: _Told) -> _Told:
    """Both as one, `fresh` the later."""
    if isinstance(told, Gap) and isinstance(fresh, Gap):
        return replace(
            told,
            lost_samples=told.lost_samples + fresh.lost_samples,
            reason=_reasons(told.reason, fresh.reason),
            gaps=_count(told.gaps) + 1,
            until_sample=fresh.first_sample + fresh.lost_samples,
        )
    assert isinstance(told, TimebaseChange)  # noqa: S101 - a run is of one kind
    assert isinstance(fresh, TimebaseChange)  # noqa: S101
    return replace(told, after=fresh.after, reason=fresh.reason, changes=_count(told.changes) + 1)


def _reasons(told: str, fresh: str) -> str:
    known = told.split("; ")
    return told if fresh in known or len(known) == MOST_REASONS else f"{told}; {fresh}"


def _count(told: int | UnsetType) -> int:
    return 1 if told is UNSET else told
