"""What a holdover did, measured when marks come again: by how much its stamps were wrong.

Both ends are known then, and the likeliest course between is `bridge`'s. Axes as in `discipline`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import hypot

from agent.core.clock.bridge import Heat, Spell, course, end_of
from agent.core.clock.clock_filter import Covariance
from agent.core.clock.discipline import Discipline
from agent.core.clock.second_labels import Named
from agent.core.records.correction import Correction, Knot
from agent.core.records.fields import TimePair
from agent.core.units import NS_PER_S, straight_line

ALONE_NS = 10 * NS_PER_S
MARKS = 60
_LEAST_MARKS = 20
_KNOTS = 17
_MOST_OFF_NS = 400_000_000  # beyond it is another second, which is not a crystal's doing
_RATE_OVER_S = 30
_LEAST_SCATTER_NS = 30.0
_READINGS = 256
_READ_EVERY_NS = 20 * NS_PER_S


@dataclass(slots=True)
class _Alone:
    """A clock that has been alone since `since_ns`: what it was then, and how warm it was since."""

    since_ns: int
    since_count_ns: int
    start: Covariance
    wander: float
    slope_sigma: float
    every_ns: int = _READ_EVERY_NS
    readings: list[tuple[float, float]] = field(default_factory=list)

    def read(self, axis_ns: int, degree_seconds: float) -> None:
        """How warm it was by now; of a long spell fewer readings are kept."""
        after_s = (axis_ns - self.since_ns) / NS_PER_S
        if self.readings and after_s - self.readings[-1][0] < self.every_ns / NS_PER_S:
            return
        self.readings.append((after_s, degree_seconds))
        if len(self.readings) > _READINGS:
            del self.readings[::2]
            self.every_ns *= 2


@dataclass(frozen=True, slots=True)
class Told:
    """The clock's line before marks came again: `count_ns` at `axis_ns`, and its pace."""

    alone: _Alone
    axis_ns: int
    count_ns: int
    pace: float
    stray_ns: float

    @property
    def since_ns(self) -> int:
        """The last mark before."""
        return self.alone.since_ns

    def at(self, axis_ns: int) -> float:
        """What the clock told then; near `axis_ns` only."""
        return self.count_ns + self.pace * (axis_ns - self.axis_ns)


@dataclass(slots=True)
class _Spell:
    told: Told
    marks: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Course:
    """The error of a spell that ended at `until_ns` of the axis; counts as the clock told them."""

    until_ns: int
    since_count_ns: int
    told_count_ns: int
    mark_count_ns: int
    knots: tuple[tuple[float, float, float], ...]  # (share of the spell, add_ns, sigma_ns)


class Corrector:
    """Ask it `before` each sign and tell it `after`; `take` gives a course once it is known."""

    def __init__(self) -> None:
        self._alone: _Alone | None = None
        self._spell: _Spell | None = None
        self._ready: Course | None = None

    def before(self, line: Discipline, axis_ns: int) -> Told | None:
        """What the clock tells now, if it has been alone for a while."""
        last_ns = line.last_axis_ns
        if last_ns is None or not line.is_known or axis_ns - last_ns < ALONE_NS:
            return None
        sooner_ns = axis_ns - _RATE_OVER_S * NS_PER_S // 10
        count_ns, sooner_count_ns = line.at(axis_ns)[0], line.at(sooner_ns)[0]
        pace = (count_ns - sooner_count_ns) / (axis_ns - sooner_ns)
        alone = self._kept(line, last_ns)
        alone.read(axis_ns, line.holdover.degree_seconds(axis_ns / NS_PER_S))
        return Told(alone, axis_ns, count_ns, pace, line.stray_ns(axis_ns))

    def _kept(self, line: Discipline, last_ns: int) -> _Alone:
        if self._alone is None or self._alone.since_ns != last_ns:
            wander = line.wander_ppm_per_sqrt_hour * 1000.0 / 60.0
            slope_sigma = line.holdover.slope[1]
            since_count_ns = line.at(last_ns)[0]
            self._alone = _Alone(last_ns, since_count_ns, line.covariance, wander, slope_sigma)
        return self._alone

    def after(self, believed: Named | None, told: Told | None) -> None:
        """A mark was believed, or none; `told` is what the clock said before it."""
        if believed is None:
            return
        if told is not None:
            self._finish()
            self._spell = _Spell(told)
        if self._spell is not None:
            self._spell.marks.append((believed.at_ns, believed.count_ns))
            if len(self._spell.marks) >= MARKS:
                self._finish()

    def take(self) -> Course | None:
        """A course that has become known, once."""
        ready, self._ready = self._ready, None
        return ready

    def forget(self) -> None:
        """The axis jumped: what was begun cannot be measured."""
        self._spell = self._alone = None

    def _finish(self) -> None:
        spell, self._spell = self._spell, None
        if spell is not None and len(spell.marks) >= _LEAST_MARKS:
            self._ready = _course(spell.told, spell.marks)


def _course(told: Told, marks: Sequence[tuple[int, int]]) -> Course | None:
    until_ns, alone = marks[0][0], told.alone
    offs = [((axis_ns - until_ns) / NS_PER_S, count - told.at(axis_ns)) for axis_ns, count in marks]
    end = end_of(offs, alone.wander, max(_LEAST_SCATTER_NS, straight_line(offs).scatter))
    span_s = (until_ns - told.since_ns) / NS_PER_S
    if abs(end.offset_ns) > _MOST_OFF_NS or span_s <= 0:
        return None
    heat = Heat(alone.readings, alone.slope_sigma)
    spell = Spell(span_s, alone.start, end, alone.wander, told.stray_ns, heat)
    told_ns = round(told.at(until_ns))
    mark_ns = told_ns + round(end.offset_ns)
    return Course(until_ns, alone.since_count_ns, told_ns, mark_ns, tuple(course(spell, _KNOTS)))


def correction_of(
    course: Course,
    utc_of: Callable[[int], int],
    least_sigma_ns: float,
    sample: int | None,
    rate_hz: int,
    pairs: tuple[TimePair, ...],
) -> Correction:
    """As a record: `utc_of` tells UTC of a count; a stamp is never better than `least_sigma_ns`."""
    first_ns, last_ns = utc_of(course.since_count_ns), utc_of(course.told_count_ns)
    return Correction(
        first_utc_ns=str(first_ns),
        last_utc_ns=str(min(last_ns, utc_of(course.mark_count_ns))),
        knots=tuple(
            Knot(
                after_ns=round(share * (last_ns - first_ns)),
                add_ns=round(add_ns),
                sigma_ns=round(hypot(sigma_ns, least_sigma_ns)),
            )
            for share, add_ns, sigma_ns in course.knots
        ),
        told_utc_ns=str(last_ns),
        mark_utc_ns=str(utc_of(course.mark_count_ns)),
        mark_sample=sample,
        rate_hz=rate_hz,
        time_pairs=pairs,
    )
