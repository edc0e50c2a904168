"""Rounds of a burst: an onset that follows a candidate of its kind needs less of its own to show.

Fire of many rounds a second fills each round's past with the round before, and its tail with the
next: little of what makes a shot is left to see. Whoever has just been sure may then do with less,
as in the hysteresis of an edge detector (Canny 1986, IEEE Trans. Pattern Anal. 8, 679). What
follows must sound like its lead and be hardly fainter, for echoes are fainter, and duller. The
record names the lead, so that this too can be repeated from the records.
"""

from dataclasses import dataclass

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

    def is_round(
        self, late_s: float, fell_db: float, apart_db: float, within_s: float = 0.0
    ) -> bool:
        """Whether an onset `late_s` after its lead, give or take `within_s`, may be a round as it.

        Its peak is `fell_db` lower, and its attack `apart_db` from the lead's, band by band. A
        record's place is that of its front, found once it was judged: `within_s` allows for it.
        """
        in_time = self.from_s - within_s <= late_s <= self.until_s + within_s
        return in_time and fell_db <= self.fainter_db and apart_db <= self.within_db


@dataclass(frozen=True, slots=True)
class Candidate:
    """A published onset at whole sample `sample`, counted since the stream opened at `rate_hz`."""

    sample: int
    rate_hz: int
    features: Features

    def leads(self, sample: int, features: Features, following: Following) -> bool:
        """Whether an onset at `sample` follows this one, which is the latest candidate."""
        late_s = (sample - self.sample) / self.rate_hz
        if late_s > following.until_s or not features.spectrum_db:
            return False
        fell_db = self.features.peak_dbfs - features.peak_dbfs
        both = zip(features.spectrum_db, self.features.spectrum_db, strict=True)
        apart_db = sum(abs(here - there) for here, there in both) / len(features.spectrum_db)
        return following.is_round(late_s, fell_db, apart_db)
