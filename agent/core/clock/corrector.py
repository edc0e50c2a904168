"""What a holdover did, measured when marks come again: by how much its stamps were wrong.

Of an oscillator whose rate wanders at random, with offset and rate known at both ends of a spell,
the most likely course between is the cubic through them, and its variance in the middle is that of
a bridge (Wiener process of the rate, conditioned at both ends). Axes as in `discipline`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import hypot

from agent.core.clock.discipline import Discipline
from agent.core.clock.second_labels import Named
from agent.core.records.correction import Correction, Knot
from agent.core.records.fields import TimePair
from agent.core.units import NS_PER_S

ALONE_NS = 10 * NS_PER_S
MARKS = 60
_LEAST_MARKS = 20
_KNOTS = 17
_MOST_OFF_NS = 400_000_000  # beyond it is another second, which is not a crystal's doing
_RATE_OVER_S = 30
_WANDER_LEAST = 2.0
_WANDER_SEEN = 2.0  # how much more than the two ends show may have happened between


@dataclass(frozen=True, slots=True)
class Told:
    """The clock's line before marks came again: `count_ns` at `axis_ns`, and its pace."""

    since_ns: int
    axis_ns: int
    count_ns: int
    pace: float
    rate_sigma: float
    wander: float

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
        rate_sigma = line.rate_sigma_ns_per_s
        return Told(
            last_ns, axis_ns, count_ns, pace, rate_sigma, line.wander_ppm_per_sqrt_hour * 1000.0
        )

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
        self._spell = None

    def _finish(self) -> None:
        spell, self._spell = self._spell, None
        if spell is not None and len(spell.marks) >= _LEAST_MARKS:
            self._ready = _course(spell.told, spell.marks)


def _course(told: Told, marks: Sequence[tuple[int, int]]) -> Course | None:
    until_ns = marks[0][0]
    off_ns, rate, scatter_ns = _line(marks, told, until_ns)
    span_s = (until_ns - told.since_ns) / NS_PER_S
    if abs(off_ns) > _MOST_OFF_NS or span_s <= 0:
        return None
    end_sigma_ns = 2.0 * scatter_ns / len(marks) ** 0.5
    density = _density(off_ns, rate, span_s, told.wander)
    knots = tuple(_knots(told, until_ns, (off_ns, rate, end_sigma_ns), density))
    told_ns = round(told.at(until_ns))
    since_ns = round(told.at(told.since_ns))
    return Course(until_ns, since_ns, told_ns, told_ns + round(off_ns), knots)


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


def _line(
    marks: Sequence[tuple[int, int]], told: Told, until_ns: int
) -> tuple[float, float, float]:
    """Offset (ns) and rate (ns per s) of the marks against the line that was told, at `until_ns`,
    and the scatter of one mark: least squares."""
    times = [(axis_ns - until_ns) / NS_PER_S for axis_ns, _ in marks]
    offs = [count_ns - told.at(axis_ns) for axis_ns, count_ns in marks]
    mean_t, mean_off = sum(times) / len(times), sum(offs) / len(offs)
    spread = sum((t - mean_t) ** 2 for t in times)
    products = ((t - mean_t) * (off - mean_off) for t, off in zip(times, offs, strict=True))
    rate = sum(products) / spread
    start = mean_off - rate * mean_t
    rests = [off - start - rate * t for t, off in zip(times, offs, strict=True)]
    scatter_ns = (sum(rest**2 for rest in rests) / max(1, len(rests) - 2)) ** 0.5
    return start, rate, scatter_ns


def _density(off_ns: float, rate: float, span_s: float, wander_ns: float) -> float:
    """Of the rate's wander, ns^2 / s^3: of what was measured while tracked, and what both ends
    show: z' C^-1 z / 2 for z = (offset, rate), C the covariance of an integrated Wiener process."""
    t = span_s
    shown = (12 * off_ns**2 / t**3 - 12 * off_ns * rate / t**2 + 4 * rate**2 / t) / 2
    return _WANDER_LEAST * wander_ns**2 / 3600.0 + _WANDER_SEEN * shown


def _knots(
    told: Told, until_ns: int, end: tuple[float, float, float], density: float
) -> Iterator[tuple[float, float, float]]:
    """The cubic from (0, 0) to the end's offset and rate, and its sigma."""
    off_ns, rate, end_sigma_ns = end
    span_s = (until_ns - told.since_ns) / NS_PER_S
    for number in range(_KNOTS):
        u = number / (_KNOTS - 1)
        add_ns = off_ns * u * u * (3 - 2 * u) + rate * span_s * u * u * (u - 1)
        bridge = density * span_s**3 * (u * (1 - u)) ** 3 / 3
        start_ns = told.rate_sigma * span_s * u * (1 - u) ** 2
        own_ns = end_sigma_ns * max(u, 1 - u)
        yield u, add_ns, hypot(bridge**0.5, start_ns, own_ns)
