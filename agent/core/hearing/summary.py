"""The list of what was thinned: when each onset was heard, and how it lay under the rule."""

import math
from dataclasses import replace

from agent.core.hearing.pipeline import Onset
from agent.core.records.thinned import (
    LONGEST_NS,
    MOST_LISTED,
    ListedOnset,
    Thinned,
    ThinningRule,
    packed,
)
from agent.core.units import NS_PER_S


class Summary:
    """Onsets are added as they are thinned; `told` makes the record."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._knows_time = False
        self._rows: list[ListedOnset] = []  # counted from the epoch, or from the first sample
        self._model: str | None = None

    @property
    def count(self) -> int:
        """How many are listed."""
        return len(self._rows)

    def has_room(self, onset: Onset, utc_ns: int | None) -> bool:
        """Whether one more fits: a list counts either UTC or samples, and spans no jump of UTC."""
        if not self._rows:
            return True
        apart_ns = abs(self._time_ns(onset, utc_ns) - self._rows[-1].after_ns)
        knows_time = utc_ns is not None
        return self.count < MOST_LISTED and knows_time == self._knows_time and apart_ns < LONGEST_NS

    def add(
        self, onset: Onset, utc_ns: int | None, clock_sigma_ns: int | None, away_db: float
    ) -> None:
        """One onset; its stamp and the stamp's sigma, None where UTC is unknown."""
        sound_ns = onset.sigma_total_samples * NS_PER_S / self._rate_hz
        self._knows_time = utc_ns is not None
        self._model = onset.verdict.model_sha256
        self._rows.append(
            ListedOnset(
                after_ns=self._time_ns(onset, utc_ns),
                sigma_ns=math.ceil(math.hypot(sound_ns, clock_sigma_ns or 0)),
                peak_dbfs=onset.features.peak_dbfs,
                snr_db=onset.features.snr_db,
                score=onset.verdict.score,
                away_db=away_db,
            )
        )

    def told(self, first: int, last: int, rule: ThinningRule) -> Thinned:
        """The record for the samples `first` to `last`, in which `rule` held."""
        rows = sorted(self._rows, key=lambda one: one.after_ns)
        first_ns = rows[0].after_ns
        peaks, scores = [one.peak_dbfs for one in rows], [one.score for one in rows]
        return Thinned(
            first_sample=first,
            last_sample=last,
            count=len(rows),
            peak_dbfs=(min(peaks), max(peaks)),
            score=(min(scores), max(scores)),
            model_sha256=self._model,
            first_utc_ns=str(first_ns) if self._knows_time else None,
            listed=packed(replace(one, after_ns=one.after_ns - first_ns) for one in rows),
            rule=rule,
        )

    def _time_ns(self, onset: Onset, utc_ns: int | None) -> int:
        return round(onset.sample * NS_PER_S / self._rate_hz) if utc_ns is None else utc_ns
