"""The list of what was thinned: when each onset was heard, and how it lay under the rule."""

import math
from collections.abc import Iterable

from agent.core.hearing.pipeline import Onset
from agent.core.records.thinned import MOST_LISTED, STEP_NS, Thinned, ThinnedList, ThinningRule
from agent.core.units import NS_PER_S


class Summary:
    """Onsets are added as they are thinned; `told` makes the record."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._knows_time = False
        self._rows: list[tuple[int, int, float, float, float, float]] = []
        self._model: str | None = None

    @property
    def count(self) -> int:
        """How many are listed."""
        return len(self._rows)

    def has_room(self, *, knows_time: bool) -> bool:
        """Whether one more fits: a list counts either UTC or samples."""
        return not self._rows or (self.count < MOST_LISTED and knows_time == self._knows_time)

    def add(
        self, onset: Onset, utc_ns: int | None, clock_sigma_ns: int | None, away_db: float
    ) -> None:
        """One onset; its stamp and the stamp's sigma, None where UTC is unknown."""
        sample_ns = NS_PER_S / self._rate_hz
        self._knows_time = utc_ns is not None
        time_ns = round(onset.sample * sample_ns) if utc_ns is None else utc_ns
        sigma_ns = math.hypot(onset.sigma_total_samples * sample_ns, clock_sigma_ns or 0)
        features, verdict = onset.features, onset.verdict
        self._rows.append(
            (time_ns, round(sigma_ns), features.peak_dbfs, features.snr_db, verdict.score, away_db)
        )
        self._model = verdict.model_sha256

    def told(self, first: int, last: int, rule: ThinningRule) -> Thinned:
        """The record for the samples `first` to `last`, in which `rule` held."""
        time_ns, sigma_ns, peak, snr, score, away = zip(*sorted(self._rows), strict=True)
        steps = [round((one - time_ns[0]) / STEP_NS) for one in time_ns]
        return Thinned(
            first_sample=first,
            last_sample=last,
            count=len(steps),
            peak_dbfs=(min(peak), max(peak)),
            score=(min(score), max(score)),
            model_sha256=self._model,
            first_utc_ns=str(time_ns[0]) if self._knows_time else None,
            listed=ThinnedList(
                after=tuple(b - a for a, b in zip((0, *steps), steps, strict=False)),
                sigma=tuple(-(-one // STEP_NS) for one in sigma_ns),
                peak_dbfs=_floors(peak),
                snr_db=_floors(snr),
                score_pct=_floors(100.0 * one for one in score),
                away_db10=_floors(10.0 * one for one in away),
            ),
            rule=rule,
        )


def _floors(values: Iterable[float]) -> tuple[int, ...]:
    return tuple(math.floor(one) for one in values)
