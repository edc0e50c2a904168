"""What a street's candidates were like of late, and the rule of thinning that follows from it.

A rule asks of each way to stand out (louder, more like a shot, less like the street) where the
street's own candidates stood that stood out most. So what it lets pass is a rate, however much a
street makes, and however loud, varied or shot-like that is.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.records.kinds import Features
from agent.core.records.thinned import ThinningRule

HOUR_S, RECENT_S = 3600.0, 600.0
GUARD_S = 10.0
"""What is younger draws up no rule: the first rounds of a burst say nothing of its others."""
_KEPT = 4000
_LEAST_KEPT, _LEAST_SPAN_S = 20, 30.0
_COMPARED = 300
MOST_LIKENESSES = 16
_LEAST_ALIKE = 3
_ALIKE_SHARE = 0.07

Print = npt.NDArray[np.int16]
PRINT = 28


@dataclass(frozen=True, slots=True)
class Recent:
    """Candidates of a span of time, oldest first, shapes (n,) and (n, PRINT)."""

    at_s: npt.NDArray[np.float64]
    peak_dbfs: npt.NDArray[np.float64]
    score: npt.NDArray[np.float64]
    prints: Print

    def between(self, first_s: float, last_s: float) -> "Recent":
        """Those of that time."""
        one = slice(*np.searchsorted(self.at_s, (first_s, last_s)))
        return Recent(self.at_s[one], self.peak_dbfs[one], self.score[one], self.prints[one])


class StreetPast:
    """The latest _KEPT candidates, told or not, in the order in which they were heard."""

    def __init__(self) -> None:
        self._numbers = np.zeros((_KEPT, 3))
        self._prints: Print = np.zeros((_KEPT, PRINT), np.int16)
        self._count = 0

    def add(self, at_s: float, peak_dbfs: float, score: float, print_: Print) -> None:
        """One more, no earlier than the last."""
        place = self._count % _KEPT
        self._numbers[place] = at_s, peak_dbfs, score
        self._prints[place] = print_
        self._count += 1

    def recent(self) -> Recent:
        """All that is kept."""
        held = min(self._count, _KEPT)
        order = np.arange(self._count - held, self._count) % _KEPT
        at_s, peak_dbfs, score = self._numbers[order].T
        return Recent(at_s, peak_dbfs, score, self._prints[order])

    def rule(
        self, at_s: float, candidates: int, beyond: float, sure_score: float
    ) -> ThinningRule | None:
        """Drawn up at `at_s`: in each way some `beyond` candidates in ten minutes will stand out.

        At least the one that stood out most is the measure, and what scores over `sure_score`
        always does. None where too little is known.
        """
        past = self.recent().between(at_s - HOUR_S, at_s - GUARD_S)
        recent = past.between(at_s - RECENT_S, at_s - GUARD_S)
        if len(recent.at_s) < _LEAST_KEPT:
            return None
        like = typical(past.prints)
        away = distances(np.array(like, np.int16), past.prints)
        return ThinningRule(
            candidates_last_hour=candidates,
            not_above_dbfs=_exceeded(recent.peak_dbfs, beyond * _span(recent) / RECENT_S),
            not_above_score=min(_exceeded(past.score, beyond * _span(past) / RECENT_S), sure_score),
            within_db=_exceeded(away, beyond * _span(past) / RECENT_S),
            like=like,
        )


def fingerprint(features: Features) -> Print:
    """Attack by band, then the course of all sound, in dB: what is compared, shape (PRINT,)."""
    return np.array((*features.spectrum_db, *features.course_db[0]), np.int16)


def distances(like: Print, prints: Print) -> npt.NDArray[np.float64]:
    """Mean difference in dB of each of `prints` (n, PRINT) from the nearest of `like`, shape (n,).

    Whole numbers are added, so that all who compute it get the same.
    """
    nearest = np.full(len(prints), np.iinfo(np.int64).max)
    for one in like:
        np.minimum(nearest, np.abs(prints - one).sum(axis=1, dtype=np.int64), out=nearest)
    return np.asarray(nearest / like.shape[-1], np.float64)


def typical(prints: Print) -> tuple[tuple[int, ...], ...]:
    """Up to MOST_LIKENESSES of `prints`, each the one with most neighbours not yet spoken for.

    Neighbours are as near as the nearest _ALIKE_SHARE of all pairs.
    """
    some = prints[:: -(-len(prints) // _COMPARED)]
    apart = np.stack([np.abs(some - one).sum(axis=1, dtype=np.int64) for one in some])
    near = apart <= np.quantile(apart, _ALIKE_SHARE)
    found, is_open = list[tuple[int, ...]](), np.ones(len(some), np.bool_)
    while len(found) < MOST_LIKENESSES:
        count = (near & is_open).sum(axis=1)
        best = int(np.argmax(count))
        if found and count[best] < _LEAST_ALIKE:
            break
        found.append(tuple(some[best].tolist()))
        is_open &= ~near[best]
    return tuple(found)


def _span(one: Recent) -> float:
    return max(float(one.at_s[-1] - one.at_s[0]), _LEAST_SPAN_S)


def _exceeded(values: npt.NDArray[np.float64], times: float) -> float:
    """What about so many of `values` reach: the greatest where it is one or less."""
    place = min(len(values), max(1, round(times)))
    return float(np.sort(values)[len(values) - place])
