"""Sample index to host time, from block deliveries whose delay is one-sided.

A block is never handed over before its last sample exists, but often later: the truth is the lower
envelope of the deliveries. The earliest of each second is followed by `clock_filter`, which knows
that it is late by chance and never early. A delay that is always there cannot be seen from here; it
is the timebase's concern.
"""

import math
from copy import deepcopy
from itertools import pairwise

from agent.core.clock.clock_filter import Drift, Estimate
from agent.core.clock.deliveries import Deliveries
from agent.core.clock.lags import Lags
from agent.core.clock.lateness import Lateness
from agent.core.clock.pace import Pace
from agent.core.units import NS_PER_S

_BUCKET_S = 1.0
_FIRST_BUCKET_S = 0.2
_READING_SIGMA_NS = 300.0
_LATE_BUCKETS = 5
_BUCKETS_TO_TRUST = 5
_MISCOUNT_NS = 2e6
_LOG_ODDS_COUNTED_RIGHT = 2.0
_SURE_LOG_ODDS = 9.0
_TEMPER = 1.6
_SKEW = 0.2
_SPREAD = 1.05
_WANDER_PRIOR_PPM = 3.0
_LAG_OVER_S = 0.2
_LAG_SLACK_NS = 1e6
_LAGS_TO_BELIEVE = 3
_SHIFTED = 3.0


class SampleClock:
    """Tracks one stream of samples, which may have gaps.

    How densely deliveries crowd at their earliest is measured by the spacing of the lowest few,
    whatever the law of the rest. That density is tempered before use (`_TEMPER`): a second
    without an early block says less than an ideal exponential law would have it. What remains
    of the skew of one-sided errors is taken out by `_SKEW` and covered by `_SPREAD`; the three
    were fitted once to simulated clocks, and the clock scenarios hold them to their promise.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._nominal_ns = NS_PER_S / rate_hz
        self._drift = Drift(_WANDER_PRIOR_PPM)
        self.deliveries = Deliveries(rate_hz)
        self._was_half_frame_late = False
        self._line = (0, 0.0, 0.0)
        self._lags = Lags()
        self._blocks_to_lag = 2
        self._lagging = 0
        self._pace = Pace()
        self._base: tuple[int, int] | None = None
        self._bucket: list[tuple[float, float, int]] = []  # above the line and late, ns; samples
        self._bucket_s = _FIRST_BUCKET_S
        self._lateness = Lateness()
        self._late_by: list[float] = []
        self._buckets = self._buckets_since_gap = 0
        self._if_counted_right: Drift | None = None
        self._log_odds_right = 0.0
        self._pace_change_ns = self._uncounted_ns = 0.0

    def observe(self, end_sample: int, host_ns: int) -> None:
        """A block ending before `end_sample` was handed over at `host_ns`."""
        if self._base is None:
            self._base = (end_sample, host_ns)
        self.deliveries.observe(end_sample, host_ns)
        x = end_sample - self._base[0]
        late_ns = (host_ns - self._base[1]) - x * self._nominal_ns
        line_x, offset_ns, rate_ns = self._line
        above_ns = late_ns - offset_ns - rate_ns * (x - line_x) / self._rate_hz
        self._bucket.append((above_ns, late_ns, x))
        self._lags.observe(end_sample, above_ns)
        if x - self._bucket[0][2] >= self._bucket_s * self._rate_hz:
            self._close_bucket()

    def on_gap(self) -> None:
        """Samples were lost, and perhaps miscounted. Both are followed until one is refuted."""
        self._bucket.clear()
        self._lags.on_gap()
        self._lagging = 0
        self._pace.begin()
        self.deliveries.begin()
        self._if_counted_right = None
        if self._buckets > _BUCKETS_TO_TRUST:
            self._if_counted_right = deepcopy(self._drift)
            self._if_counted_right.loosen(self._nominal_ns, 0.0)  # give or take one sample
        self._log_odds_right = _LOG_ODDS_COUNTED_RIGHT
        self._drift.loosen(_MISCOUNT_NS, 0.0)
        self._bucket_s = _FIRST_BUCKET_S
        self._buckets_since_gap = 0

    def on_jump(self) -> None:
        """The clocks stood still for a while: only the rate is still known."""
        self.on_gap()
        self._if_counted_right = None
        self._drift.forget_offset()

    def take_pace_change(self) -> float:
        """How far (ns, and ns per second) samples and host drifted apart out of turn, once."""
        moved_ns, self._pace_change_ns = self._pace_change_ns, 0.0
        return moved_ns

    def take_uncounted_loss(self) -> float:
        """How much sound (ns) was lost without being counted, by late deliveries; once."""
        lost_ns, self._uncounted_ns = self._uncounted_ns, 0.0
        return lost_ns

    @property
    def is_ready(self) -> bool:
        """Whether there is anything to go by since the start or the last gap."""
        return self._if_counted_right is not None or self._buckets_since_gap >= (
            1 if self._buckets > _BUCKETS_TO_TRUST else 3
        )

    @property
    def ppm(self) -> float:
        """Excess rate of the samples against the host clock, parts per million: over the last
        minute where that was quiet, for what the filters follow from second to second is noise.
        A frame that slid past meanwhile is no rate."""
        told = None if self.deliveries.quantum_ns else self._pace.ppm
        return -self._drift.at(self._now_s()).rate_ns_per_s / 1000.0 if told is None else told

    @property
    def has_wrong_rate(self) -> bool:
        """Whether the device converts at another rate than it claims, beyond any crystal."""
        return self._pace.is_wrong

    @property
    def mean_late_us(self) -> float | None:
        """How late a block is handed over on average, above the earliest; None if unknown."""
        return round(self._lateness.mean_ns / 1000.0, 1) if self._lateness.is_known else None

    def host_ns_at(self, sample: float) -> int:
        """Host time at which the (fractional) sample was converted. ValueError if no block yet."""
        if self._base is None:
            raise ValueError("no block was observed yet")
        estimate = self._estimate(sample)
        offset_ns = estimate.offset_ns - _SKEW * estimate.sigma_ns
        whole = int(sample // 1)
        since_base_ns = (whole - self._base[0]) * self._nominal_ns
        return self._base[1] + round(
            since_base_ns + (sample - whole) * self._nominal_ns + offset_ns
        )

    def sigma_ns_at(self, sample: float) -> float:
        """1-sigma of `host_ns_at`: the filter's own, the shape of the delays, and their quantum."""
        return math.hypot(
            _SPREAD * self._estimate(sample).sigma_ns,
            self.deliveries.shape_sigma_ns,
            self.lag_ns_at(sample),
        )

    def lag_ns_at(self, sample: float) -> float:
        """By how much the block of a sample, and all after it, are later than chance explains: a
        stall, or sound that was lost and not counted. Part of sigma until others come in time, or
        the line has moved."""
        return self._unexplained(self._lags.least_from(sample))

    def _unexplained(self, lag_ns: float) -> float:
        slack_ns = _LAG_SLACK_NS + 2 * self._lateness.mean_ns + self.deliveries.quantum_ns
        return lag_ns if self._buckets >= _BUCKETS_TO_TRUST and lag_ns > slack_ns else 0.0

    def sample_at(self, host_ns: int) -> float:
        """The inverse of `host_ns_at`."""
        if self._base is None:
            raise ValueError("no block was observed yet")
        sample = self._base[0] + (host_ns - self._base[1]) / self._nominal_ns
        for _ in range(2):  # rates are below 1e-3, so each round gains three digits
            sample += (host_ns - self.host_ns_at(sample)) / self._nominal_ns
        return sample

    def _estimate(self, sample: float) -> Estimate:
        assert self._base is not None  # noqa: S101 - both callers have looked
        at_s = (sample - self._base[0]) / self._rate_hz
        if self._if_counted_right is None:
            return self._drift.at(at_s)
        right = 1 / (1 + math.exp(-self._log_odds_right))
        return _mixed(right, self._if_counted_right.at(at_s), self._drift.at(at_s))

    def _now_s(self) -> float:
        return self._bucket[-1][2] / self._rate_hz if self._bucket else 0.0

    def _close_bucket(self) -> None:
        count, in_order = len(self._bucket), sorted(self._bucket)
        _, early_ns, x = in_order[0]
        self._blocks_to_lag = max(2, round(_LAG_OVER_S / self._bucket_s * count))
        self._pace.observe(x / self._rate_hz, early_ns)
        mean_ns = self._lateness.on_second([above_ns for above_ns, _, _ in in_order])
        self._bucket.clear()
        self._bucket_s = min(_BUCKET_S, 2 * self._bucket_s)
        lag_ns = self._unexplained(self._lags.least_of_last(self._blocks_to_lag))
        is_shifted = lag_ns > _SHIFTED * mean_ns  # by load they would be scattered as well
        self._lagging = self._lagging + 1 if is_shifted else 0
        if self._lagging == _LAGS_TO_BELIEVE:
            self._drift.loosen(lag_ns, 0.0)
            self._if_counted_right = None
            self._uncounted_ns = lag_ns
            self._pace.begin()
        self._learn(x / self._rate_hz, early_ns, self._earliest_ns(count))
        at = self._drift.at(x / self._rate_hz)
        self._line = (x, at.offset_ns, at.rate_ns_per_s)
        self._buckets_since_gap += 1
        self._buckets += 1

    def _earliest_ns(self, count: int) -> float:
        """How late the earliest of so many blocks is on average; in a busy second what the line
        cannot see of it in a quiet one is as many times more."""
        usual_ns = self._lateness.usual_ns / count
        if self._lateness.busy == 1.0:
            return usual_ns
        return self._lateness.busy * max(usual_ns, self.deliveries.earliest_ns)

    def _learn(self, at_s: float, early_ns: float, mean_ns: float) -> None:
        expected = self._drift.at(at_s)
        late_ns = early_ns - expected.offset_ns
        if expected.sigma_ns < NS_PER_S / 100:
            self._notice_a_changed_rate(late_ns, mean_ns, expected.sigma_ns)
        if self.deliveries.is_half_frame_late != self._was_half_frame_late:
            self._was_half_frame_late = not self._was_half_frame_late
            self._drift.loosen(self.deliveries.quantum_ns, 0.0)
        log_wrong = self._observe(self._drift, at_s, early_ns, mean_ns)
        if self._if_counted_right is not None:
            log_right = self._observe(self._if_counted_right, at_s, early_ns, mean_ns)
            self._decide(log_right - log_wrong)
        is_usual = not self._lagging and self._lateness.busy == 1.0
        if is_usual and self._bucket_s >= _BUCKET_S and self._buckets_since_gap > 3:
            self._pace.on_usual(at_s, early_ns)
            self.deliveries.on_earliest(early_ns, early_ns - self._drift.at(at_s).offset_ns)

    def _observe(self, drift: Drift, at_s: float, early_ns: float, mean_ns: float) -> float:
        """Late by chance; where frames hide it, by half a frame give or take as much."""
        if quantum_ns := self.deliveries.quantum_ns:
            scatter_ns = math.hypot(quantum_ns / 12**0.5, mean_ns, _READING_SIGMA_NS)
            shift_ns = quantum_ns / 2 if self.deliveries.is_half_frame_late else 0.0
            return drift.observe(at_s, early_ns - shift_ns - mean_ns, scatter_ns)
        return drift.observe_late(at_s, early_ns, _TEMPER * mean_ns, _READING_SIGMA_NS)

    def _decide(self, log_evidence: float) -> None:
        """Was the last gap counted right? Once that is clear only the true line is kept."""
        self._log_odds_right += log_evidence
        if self._log_odds_right > _SURE_LOG_ODDS and self._if_counted_right is not None:
            self._drift = self._if_counted_right
        if abs(self._log_odds_right) > _SURE_LOG_ODDS:
            self._if_counted_right = None

    def _notice_a_changed_rate(self, late_ns: float, mean_ns: float, sigma_ns: float) -> None:
        """Far too early, or later by the same step each second, is no chance: a clock changed its
        pace. A busy host is late too, but never so evenly."""
        quantum_ns = self.deliveries.quantum_ns
        noise_ns = mean_ns + sigma_ns + quantum_ns
        is_late = late_ns > 8 * mean_ns + 4 * sigma_ns + quantum_ns
        self._late_by = [*self._late_by, late_ns][-_LATE_BUCKETS:] if is_late else []
        if quantum_ns and -1.5 * quantum_ns < late_ns < -0.5 * quantum_ns:
            if not self.deliveries.is_half_frame_late:
                self._drift.loosen(quantum_ns, 0.0)  # the frame that hid the earliest slid past
        elif late_ns < -6 * sigma_ns - 4 * _READING_SIGMA_NS - quantum_ns:
            self._change_pace(-late_ns, -late_ns)
        elif len(self._late_by) == _LATE_BUCKETS and _is_even(self._late_by, 4 * noise_ns):
            self._change_pace(late_ns, (late_ns - self._late_by[0]) / (_LATE_BUCKETS - 1))

    def _change_pace(self, by_ns: float, by_ns_per_s: float) -> None:
        self._drift.loosen(by_ns, by_ns_per_s)
        self._pace_change_ns = by_ns
        self._late_by = []


def _mixed(share: float, a: Estimate, b: Estimate) -> Estimate:
    """Mean and deviation of `share` of a and the rest of b."""
    offset = share * a.offset_ns + (1 - share) * b.offset_ns
    variance = share * (a.sigma_ns**2 + (a.offset_ns - offset) ** 2)
    variance += (1 - share) * (b.sigma_ns**2 + (b.offset_ns - offset) ** 2)
    return Estimate(offset, a.rate_ns_per_s, math.sqrt(variance), a.sigma_rate_ns_per_s)


def _is_even(values: list[float], slack: float) -> bool:
    """Whether they grow by about the same each time."""
    steps = [b - a for a, b in pairwise(values)]
    return min(steps) > 0 and max(steps) - min(steps) <= slack
