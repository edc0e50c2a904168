"""One fix an epoch: what several sentences and frames say of the same instant becomes one sign.

A receiver tells of each instant in many words: a sentence per constellation, some of them void,
and the same again as frames. The first that is valid tells the time; what comes after it may still
tell the place, and takes nothing back.
"""

from dataclasses import replace

from agent.core.clock.time_signs import Fix, TimeSign
from agent.core.units import NS_PER_S

_ONE_EPOCH_NS = 3 * NS_PER_S // 2


class Epochs:
    """Feed it the signs of one receiver, in order."""

    def __init__(self) -> None:
        self._told: Fix | None = None

    def take(self, sign: TimeSign) -> TimeSign | None:
        """`sign`, without what was said before of the same epoch; None if nothing is left."""
        if not isinstance(sign, Fix):
            return sign
        told = self._told
        is_same = told is not None and abs(sign.host_ns - told.host_ns) < _ONE_EPOCH_NS
        is_leap = told is not None and told.is_leap_second  # 23:59:60 reads like the second after
        is_same = is_same and sign.is_leap_second == is_leap
        if told is not None and is_same and sign.utc_ns == told.utc_ns:
            return replace(sign, utc_ns=None) if sign.is_valid and sign.place else None
        if sign.utc_ns is not None and sign.is_valid:
            self._told = sign
        return sign
