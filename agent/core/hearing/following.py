"""Rounds of a burst: an onset that follows a candidate of its kind needs less of its own to show.

Fire of many rounds a second fills each round's past with the round before, and its tail with the
next: little of what makes a shot is left to see. Whoever has just been sure may then do with less,
as in the hysteresis of an edge detector (Canny 1986, IEEE Trans. Pattern Anal. 8, 679). What
follows must sound like its lead and be hardly fainter, for echoes are fainter, and duller. The
record names the lead, so that this too can be repeated from the records.
"""

from dataclasses import dataclass

import numpy as np

from agent.core.records.kinds import Features


@dataclass(frozen=True, slots=True)
class Following:
    """When the latest candidate leads an onset, whose wanted score is then `cheaper` in log-odds.

    The onset comes `from_s` to `until_s` after it, its attack differs on average by up to
    `within_db` a band, and its peak is at most `fainter_db` below.
    """

    from_s: float
    until_s: float
    within_db: float
    fainter_db: float
    cheaper: float

    def resembles(self, lead: Features, features: Features) -> bool:
        """Whether an onset may be another round of what its lead was."""
        if features.peak_dbfs < lead.peak_dbfs - self.fainter_db or not features.spectrum_db:
            return False
        apart = np.subtract(features.spectrum_db, lead.spectrum_db)
        return float(np.abs(apart).mean()) <= self.within_db


@dataclass(frozen=True, slots=True)
class Candidate:
    """A published onset at whole sample `sample`, counted since the stream opened at `rate_hz`."""

    sample: int
    rate_hz: int
    features: Features

    def leads(self, sample: int, features: Features, following: Following) -> bool:
        """Whether an onset at `sample` follows this one, which is the latest candidate."""
        late_s = (sample - self.sample) / self.rate_hz
        if not following.from_s <= late_s <= following.until_s:
            return False
        return following.resembles(self.features, features)
