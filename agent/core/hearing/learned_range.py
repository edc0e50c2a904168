"""Does this microphone hear what the model has learned from? Judged over a day, never from a sound.

A capsule, a cable or a converter that lacks a part of the band makes nearly all that it hears lie
outside what the model knows, at any hour; a bird or a cricket does so for a morning or a night.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from agent.core.hearing.classification import OUT_OF_RANGE
from agent.core.hearing.pipeline import Onset
from agent.core.records.findings import Finding, found

_MINUTE_S, _HOUR_MINUTES, _DAY_HOURS = 60, 60, 24
_LEAST_MINUTES = 3
LEAST_HOURS, LEAST_SPREAD_HOURS = 8, 12
"""Longer than any one animal sings."""
MOST_SHARE = 0.75
"""Of the hours. In streets 0.2 to 1.5 % of the triggers are out of range, 27 % of those of birds
near by; through a telephone's chain 96 %, at every hour alike."""


@dataclass(slots=True)
class _Hour:
    """Minutes with a trigger, and those of which most were out of range."""

    number: int
    heard: int = 0
    out: int = 0

    @property
    def is_judged(self) -> bool:
        return self.heard >= _LEAST_MINUTES

    @property
    def is_out(self) -> bool:
        return 2 * self.out > self.heard


class LearnedRange:
    """Feed it all onsets in order; a minute counts once, however much was heard in it.

    Counts samples since the stream opened; a day of hours is kept.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._hours: deque[_Hour] = deque(maxlen=_DAY_HOURS)
        self._minute, self._heard, self._out = -1, 0, 0

    def on_onsets(self, onsets: Iterable[Onset], hopeless: Iterable[int] = ()) -> None:
        """What was described, whether a candidate or not, and where the `hopeless` lay."""
        heard = [(onset.sample, onset.verdict.reason == OUT_OF_RANGE) for onset in onsets]
        for sample, is_out in sorted([*heard, *((one, False) for one in hopeless)]):
            minute = int(sample / self._rate_hz) // _MINUTE_S
            if minute != self._minute:
                self._close()
                self._minute = minute
            self._heard += 1
            self._out += is_out

    def findings(self) -> tuple[Finding, ...]:
        """The fault, if it is one; nothing is said of a microphone that is as others are."""
        now = self._minute // _HOUR_MINUTES
        judged = [one for one in self._hours if one.is_judged and now - one.number < _DAY_HOURS]
        if len(judged) < LEAST_HOURS or judged[-1].number - judged[0].number < LEAST_SPREAD_HOURS:
            return ()
        out = sum(one.is_out for one in judged)
        if out < MOST_SHARE * len(judged):
            return ()
        return (found("out-of-range", f"in {out} of {len(judged)} hours most of what was heard"),)

    def _close(self) -> None:
        if not self._heard:
            return
        number = self._minute // _HOUR_MINUTES
        if not self._hours or self._hours[-1].number != number:
            self._hours.append(_Hour(number))
        self._hours[-1].heard += 1
        self._hours[-1].out += 2 * self._out > self._heard
        self._heard = self._out = 0
