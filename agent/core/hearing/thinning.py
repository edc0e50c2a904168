"""Which candidates of a busy street are told one by one, and which only listed.

A street may make thousands of candidates an hour that are nothing but the street. Over 300 in an
hour, a rule is drawn up once a minute from the past alone; what falls under it is listed in one
summary, which holds the rule. So anyone who has the records can see that nothing else was thinned,
and when each of the thinned was heard.
"""

import math
from collections import deque
from functools import lru_cache

import numpy as np

from agent.core.hearing.pipeline import Onset
from agent.core.hearing.street_past import (
    HOUR_S,
    RECENT_S,
    Print,
    StreetPast,
    fingerprint,
)
from agent.core.hearing.summary import Summary
from agent.core.records.thinned import Likeness, Thinned, ThinningRule

BUSY_PER_HOUR = 300
TOLD_PER_HOUR, WORTH_PER_HOUR = 440, 600
"""What the rules aim at: so many told, and so many candidates' worth of bytes with the lists."""
SURE_SCORE, SURE_PER_HOUR = 0.9, 600
"""Up to so many candidates an hour what scores over that is told: a gun battle is no street."""
RULE_S = 60
_SPARED = 40
_LISTED_FOR_ONE = 200
_WAYS = 3
_SPENT_IN_S = 1800.0


class Thinning:
    """Asked of every trigger, in order; samples are counted since the stream opened.

    Memory is bounded, whatever a street does.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._candidates: deque[float] = deque(maxlen=SURE_PER_HOUR + 1)
        self._told: deque[float] = deque(maxlen=TOLD_PER_HOUR)
        self._lists: deque[tuple[float, int]] = deque(maxlen=WORTH_PER_HOUR)
        self._past = StreetPast()
        self._rule: ThinningRule | None = None
        self._summary = Summary(rate_hz)
        self._first = self._next = self._left = 0

    @property
    def rule(self) -> ThinningRule | None:
        """What holds now; None while the street is no busy one."""
        return self._rule

    def due(self, sample: int) -> tuple[Thinned, ...]:
        """What was thinned in the minute that is over by `sample`; nothing while it is not over."""
        return self.closed(sample) if sample >= self._next else ()

    def closed(self, sample: int) -> tuple[Thinned, ...]:
        """What was thinned up to here, at once; a new rule holds from `sample` on."""
        told = self._summed_up(sample)
        self._next = sample + RULE_S * self._rate_hz
        self._rule = self._drawn_up(sample / self._rate_hz)
        return told

    def take(
        self, onset: Onset, utc_ns: int | None, sigma_ns: int | None
    ) -> tuple[tuple[Thinned, ...], bool]:
        """The summaries that are due before `onset` is told, and whether it is listed instead.

        `utc_ns` and `sigma_ns` are its stamp's. A list that is full, or counts another kind of
        time, is closed before its minute is over.
        """
        sample, at_s = int(onset.sample), onset.sample / self._rate_hz
        told = self.due(sample)
        if not onset.verdict.accepted:
            return told, False
        if self._rule is None and self._is_busy(at_s):
            self.closed(sample)  # it has just become a busy one: nothing is listed yet
        rule, peak_dbfs = self._rule, onset.features.peak_dbfs
        score, print_ = onset.verdict.score, fingerprint(onset.features)
        is_thinned = rule is not None and falls_under(rule, peak_dbfs, score, print_)
        if rule and is_thinned:
            if not self._summary.has_room(onset, utc_ns):
                told += self._summed_up(sample)
            self._summary.add(onset, utc_ns, sigma_ns, away_db(rule, print_))
        else:
            self._tell(onset.sample)
        self._candidates.append(at_s)
        self._past.add(at_s, peak_dbfs, score, print_)
        return told, is_thinned

    def _summed_up(self, sample: int) -> tuple[Thinned, ...]:
        first, self._first = self._first, sample
        if not (self._rule and self._summary.count):
            return ()
        summary = self._summary.told(first, max(first, sample - 1), self._rule)
        self._lists.append((sample / self._rate_hz, summary.count))
        self._summary = Summary(self._rate_hz)
        return (summary,)

    def _tell(self, sample: float) -> None:
        """One more is told; what the hour could afford being spent, the rule ends early."""
        self._told.append(sample / self._rate_hz)
        self._left -= 1
        if self._left == 0:
            self._next = int(sample) + 1

    def _is_busy(self, at_s: float) -> bool:
        """Whether the hour before had more than BUSY_PER_HOUR candidates."""
        if len(self._candidates) <= BUSY_PER_HOUR:
            return False
        return at_s - self._candidates[-BUSY_PER_HOUR - 1] <= HOUR_S

    def _drawn_up(self, at_s: float) -> ThinningRule | None:
        if not self._is_busy(at_s):
            return None
        left = self._affordable(at_s)
        self._left = math.ceil(left)
        heard = sum(at_s - when_s <= HOUR_S for when_s in self._candidates)
        is_sure_told = heard <= SURE_PER_HOUR and left > _SPARED
        return self._past.rule(
            at_s,
            candidates=heard,
            beyond=left / _WAYS * RECENT_S / _SPENT_IN_S,
            sure_score=SURE_SCORE if is_sure_told else 1.0,
        )

    def _affordable(self, at_s: float) -> float:
        """How many more the hour that ends at `at_s` could have told one by one."""
        told = sum(at_s - when_s <= HOUR_S for when_s in self._told)
        lists = [count for when_s, count in self._lists if at_s - when_s <= HOUR_S]
        worth = told + len(lists) + sum(lists) / _LISTED_FOR_ONE
        return max(0.0, min(TOLD_PER_HOUR - told, WORTH_PER_HOUR - worth))


def falls_under(rule: ThinningRule, peak_dbfs: float, score: float, print_: Print) -> bool:
    """Whether a candidate with this peak, score and fingerprint is thinned while `rule` holds.

    It is in no way beyond the street: neither louder, nor more like a shot, nor less like it.
    """
    return (
        peak_dbfs <= rule.not_above_dbfs
        and score <= rule.not_above_score
        and away_db(rule, print_) <= rule.within_db
    )


def away_db(rule: ThinningRule, print_: Print) -> float:
    """Mean difference from the nearest of the rule's likenesses."""
    return int(np.abs(_likenesses(rule.like) - print_).sum(axis=1).min()) / len(print_)


@lru_cache(maxsize=4)
def _likenesses(like: tuple[Likeness, ...]) -> Print:
    """As numbers; a rule is asked of all that a minute brings."""
    return np.array(like, np.int16)
