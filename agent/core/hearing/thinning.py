"""Which candidates of a busy street are told one by one, and which only counted.

A street may make hundreds of candidates an hour that sound like all that it makes: like what the
verdict has just refused, or told by the dozen. Once a minute a rule is drawn up from the past
alone; what falls under it is told in one summary, which holds the rule. So anyone who has the
records can see that nothing else was thinned.
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.records.kinds import Features, Verdict
from agent.core.records.thinned import Thinned, ThinningRule

BUSY_PER_HOUR = 300
_HOUR_S, _LEVEL_S, RULE_S = 3600, 600, 60
_HEARD_KEPT = 200
_LEAST_HEARD = 20
_MOST_LIKENESSES = 8
_LEVEL_SHARE = 0.99
_LEVELS_KEPT = 4000
WITHIN_DB = 4.0

Print = npt.NDArray[np.float32]


@dataclass(slots=True)
class _Tally:
    count: int = 0
    peak_dbfs: tuple[float, float] = (math.inf, -math.inf)
    score: tuple[float, float] = (math.inf, -math.inf)

    def add(self, features: Features, verdict: Verdict) -> None:
        self.count += 1
        peak, score = features.peak_dbfs, verdict.score
        self.peak_dbfs = min(self.peak_dbfs[0], peak), max(self.peak_dbfs[1], peak)
        self.score = min(self.score[0], score), max(self.score[1], score)


class Thinning:
    """Asked of every trigger, in order; samples are counted since the stream opened.

    Memory is bounded: the last hour's sounds are remembered by the latest _HEARD_KEPT of them.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._candidates: deque[float] = deque(maxlen=BUSY_PER_HOUR + 1)
        self._levels: deque[tuple[float, float]] = deque(maxlen=_LEVELS_KEPT)
        self._heard: deque[tuple[float, Print]] = deque(maxlen=_HEARD_KEPT)
        self._rule: ThinningRule | None = None
        self._first = self._next = 0
        self._tally = _Tally()
        self._model: str | None = None

    def due(self, sample: int) -> tuple[Thinned, ...]:
        """What was thinned in the minute that is over by `sample`; nothing while it is not over."""
        return self.closed(sample) if sample >= self._next else ()

    def closed(self, sample: int) -> tuple[Thinned, ...]:
        """What was thinned up to here, at once; a new rule holds from `sample` on."""
        rule, tally, first = self._rule, self._tally, self._first
        self._first, self._next = sample, sample + RULE_S * self._rate_hz
        self._rule, self._tally = self._drawn_up(sample / self._rate_hz), _Tally()
        if not (rule and tally.count):
            return ()
        summary = Thinned(
            first_sample=first,
            last_sample=max(first, sample - 1),
            count=tally.count,
            peak_dbfs=tally.peak_dbfs,
            score=tally.score,
            model_sha256=self._model,
            rule=rule,
        )
        return (summary,)

    def is_thinned(self, sample: int, features: Features, verdict: Verdict) -> bool:
        """Whether this trigger is a candidate that is only counted."""
        at_s = sample / self._rate_hz
        self._levels.append((at_s, features.peak_dbfs))
        self._heard.append((at_s, fingerprint(features)))
        if not verdict.accepted:
            return False
        self._candidates.append(at_s)
        if not (self._rule and falls_under(self._rule, features)):
            return False
        self._model = verdict.model_sha256
        self._tally.add(features, verdict)
        return True

    def _drawn_up(self, at_s: float) -> ThinningRule | None:
        if len(self._candidates) <= BUSY_PER_HOUR or at_s - self._candidates[0] > _HOUR_S:
            return None
        prints = [one for when_s, one in self._heard if at_s - when_s <= _HOUR_S]
        levels = sorted(level for when_s, level in self._levels if at_s - when_s <= _LEVEL_S)
        if len(prints) < _LEAST_HEARD or not levels:
            return None
        return ThinningRule(
            candidates_last_hour=len(self._candidates),
            not_above_dbfs=levels[int(_LEVEL_SHARE * (len(levels) - 1))],
            within_db=WITHIN_DB,
            like=tuple(tuple(np.rint(one).astype(int).tolist()) for one in typical(prints)),
        )


def fingerprint(features: Features) -> Print:
    """Attack by band, then the course of all sound, in dB: what is compared, shape (28,)."""
    return np.array((*features.spectrum_db, *features.course_db[0]), np.float32)


def falls_under(rule: ThinningRule, features: Features) -> bool:
    """Whether a candidate with these features is thinned while `rule` holds.

    It is not above the level, and on average within so many dB of one of the likenesses.
    """
    if features.peak_dbfs > rule.not_above_dbfs or not rule.like:
        return False
    away = np.abs(np.array(rule.like, np.float32) - fingerprint(features)).mean(axis=1)
    return bool(away.min() <= rule.within_db)


def typical(prints: list[Print]) -> list[Print]:
    """Up to _MOST_LIKENESSES of `prints`, each the one with most neighbours not yet spoken for."""
    all_of_them = np.stack(prints)
    near = np.abs(all_of_them[:, None] - all_of_them).mean(axis=2) <= WITHIN_DB
    found = list[Print]()
    open_ones = np.ones(len(prints), np.bool_)
    while len(found) < _MOST_LIKENESSES:
        count = (near & open_ones).sum(axis=1)
        best = int(np.argmax(count))
        if count[best] < _LEAST_HEARD // 2:
            break
        found.append(all_of_them[best])
        open_ones &= ~near[best]
    return found
