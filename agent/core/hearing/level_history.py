"""How loud a street is at each hour of the day, and whether the node has lost its ears since.

A capsule that fades does so within hours or weeks, a street comes back every day. So each hour is
held against the same hours of earlier days, and the deviations of two days together against how
much days differ here. Levels are of the node's own converter: no calibration is needed.
"""

from statistics import fmean, median
from typing import Annotated

import msgspec
from msgspec import Meta

HOURS = 24
DAYS_TO_KNOW = 3
WINDOW_H = 48
LEAST_H = 30
KEPT_H = 72
FELL_DB = (4.0, 5.0)
ROSE_DB = 8.0
DEAD_DB = 15.0
_MEMORY_DAYS = 30
_DAYS_DIFFER_DB = 1.2
_FELL_SIGMAS = 3.0

Hour = Annotated[int, Meta(ge=0)]


class Usual(msgspec.Struct, array_like=True):
    """What one hour of the day is like: mean level, dBFS, of `days` days."""

    mean_db: float = 0.0
    days: Hour = 0


class Heard(msgspec.Struct, array_like=True, frozen=True):
    """One hour that was heard: number since 1970, level in dBFS, deviation from the usual."""

    hour: Hour
    level_db: float
    over_db: float


class Levels(msgspec.Struct, kw_only=True):
    """What is kept over a restart. `of` says what was heard with: another device begins anew."""

    of: str = ""
    usual: Annotated[list[Usual], Meta(min_length=HOURS, max_length=HOURS)] = msgspec.field(
        default_factory=lambda: [Usual() for _ in range(HOURS)]
    )
    recent: Annotated[list[Heard], Meta(max_length=KEPT_H)] = msgspec.field(default_factory=list)
    days_differ_db: float = _DAYS_DIFFER_DB
    has_fallen: bool = False
    has_risen: bool = False


class LevelHistory:
    """Feed it one level per hour; an hour counts for the usual when it is three days old.

    So a loss is held against days before it for as long as it takes to be sure, and never becomes
    the usual while it is told.
    """

    def __init__(self, levels: Levels | None = None) -> None:
        self.levels = levels or Levels()

    def on_hour(self, hour: int, level_db: float) -> None:
        """`hour` since 1970 UTC is over; its level, dBFS. Hours may be missing, never go back."""
        kept = self.levels
        if kept.recent and hour <= kept.recent[-1].hour:
            return
        usual = kept.usual[hour % HOURS]
        over_db = level_db - usual.mean_db if usual.days else 0.0
        if usual.days < DAYS_TO_KNOW:
            _learn(usual, level_db)
        else:
            kept.recent.append(Heard(hour, level_db, round(over_db, 2)))
        self._judge()
        while kept.recent and kept.recent[0].hour <= hour - KEPT_H:
            self._settle(kept.recent.pop(0))

    @property
    def days(self) -> int:
        """How many days the better known half of the hours has been heard on."""
        return int(median(one.days for one in self.levels.usual))

    @property
    def shift_db(self) -> float | None:
        """By how much the last two days differ from the usual; None while that is not known."""
        recent = self.levels.recent
        if self.days < DAYS_TO_KNOW or not recent:
            return None
        over = [one.over_db for one in recent if one.hour > recent[-1].hour - WINDOW_H]
        return median(over) if len(over) >= LEAST_H else None

    @property
    def has_fallen(self) -> bool:
        """By more than days differ here, and than FELL_DB at least; until half of it is back."""
        return self.levels.has_fallen

    @property
    def has_risen(self) -> bool:
        """By more than a new neighbour would explain; until half of it is over."""
        return self.levels.has_risen

    def is_far_below(self, hour: int, level_db: float) -> bool:
        """Whether `level_db` is so far below the usual of that hour that no street explains it."""
        usual = self.levels.usual[hour % HOURS]
        return usual.days >= DAYS_TO_KNOW and level_db < usual.mean_db - DEAD_DB

    def _judge(self) -> None:
        kept, shift_db = self.levels, self.shift_db
        if shift_db is None:
            return
        least, most = FELL_DB
        fell_db = min(most, max(least, _FELL_SIGMAS * kept.days_differ_db))
        kept.has_fallen = shift_db <= -(fell_db / 2 if kept.has_fallen else fell_db)
        kept.has_risen = shift_db >= (ROSE_DB / 2 if kept.has_risen else ROSE_DB)

    def _settle(self, old: Heard) -> None:
        """An hour of three days ago becomes part of the usual, unless something is wrong."""
        if self.has_fallen:
            return
        _learn(self.levels.usual[old.hour % HOURS], old.level_db)
        if old.hour % HOURS == 0 and len(self.levels.recent) >= LEAST_H:
            day = fmean(one.over_db for one in self.levels.recent[:HOURS])
            differ = self.levels.days_differ_db
            self.levels.days_differ_db = differ + (1.25 * abs(day) - differ) / _MEMORY_DAYS


def _learn(usual: Usual, level_db: float) -> None:
    usual.days = usual.days + 1
    usual.mean_db += (level_db - usual.mean_db) / min(usual.days, _MEMORY_DAYS)
