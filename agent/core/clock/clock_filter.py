"""One clock against another: their offset and rate, followed through noise with an honest error.

Offset and rate are a random walk in rate (a crystal's wander), observed either with symmetric
scatter (pulses) or from one side (blocks are handed over late, never early). How strongly this
very crystal wanders is not assumed: filters for several strengths run side by side and are
weighed by how well each foretells the next observation (Magill, IEEE Trans. AC-10, 1965).
"""

import math
from dataclasses import dataclass

WANDERS_PPM_PER_SQRT_HOUR = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
_MEMORY = 0.9993
_PRIOR_WEIGHT = 1.2
_UNKNOWN_OFFSET_NS = 1e9
_UNKNOWN_RATE_NS_PER_S = 2e5
_LATE_ODDS = 0.05
_LATE_IN_MEANS = 40.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Offset (ns) and rate (ns per s) at one instant, each with its 1-sigma."""

    offset_ns: float
    rate_ns_per_s: float
    sigma_ns: float
    sigma_rate_ns_per_s: float


@dataclass(frozen=True, slots=True)
class Covariance:
    """Of offset (ns) and rate (ns per s)."""

    xx: float
    xf: float
    ff: float


class Drift:
    """Times are seconds on the reference axis, increasing; offsets are ns, differences of both."""

    def __init__(self, prior_ppm: float) -> None:
        """Before anything is known the wander is thought to be about `prior_ppm` per sqrt hour."""
        self._walks = [_Walk((ppm * 1000.0 / 60.0) ** 2) for ppm in WANDERS_PPM_PER_SQRT_HOUR]
        self._log_priors = [
            -_PRIOR_WEIGHT * abs(math.log(ppm / prior_ppm)) for ppm in WANDERS_PPM_PER_SQRT_HOUR
        ]
        self._log_weights = list(self._log_priors)
        self._at_s: float | None = None

    @property
    def wander_ppm_per_sqrt_hour(self) -> float:
        """The wander that explains the observations best, weighted mean."""
        weights = self._weights()
        pairs = zip(weights, WANDERS_PPM_PER_SQRT_HOUR, strict=True)
        return math.exp(sum(weight * math.log(wander) for weight, wander in pairs))

    def observe(self, at_s: float, offset_ns: float, sigma_ns: float) -> float:
        """An observation with symmetric scatter of `sigma_ns`; its log likelihood."""
        self._advance(at_s)
        return self._weighed([walk.observe(offset_ns, sigma_ns**2) for walk in self._walks])

    def observe_late(
        self, at_s: float, offset_ns: float, mean_late_ns: float, sigma_ns: float
    ) -> float:
        """An observation that is late by an exponential delay, besides scatter of `sigma_ns`.

        Returns the log likelihood that it had.
        """
        self._advance(at_s)
        logs = [walk.observe_late(offset_ns, mean_late_ns, sigma_ns**2) for walk in self._walks]
        return self._weighed(logs)

    def at(self, at_s: float) -> Estimate:
        """What to expect at `at_s`, usually shortly after the last observation."""
        ahead_s = 0.0 if self._at_s is None else at_s - self._at_s
        guesses = [walk.ahead(ahead_s) for walk in self._walks]
        weights = self._weights()
        offset = sum(w * g[0] for w, g in zip(weights, guesses, strict=True))
        rate = sum(w * g[1] for w, g in zip(weights, guesses, strict=True))
        variance = rate_variance = 0.0
        for weight, (own_offset, own_rate, own_variance, own_rate_variance) in zip(
            weights, guesses, strict=True
        ):
            variance += weight * (own_variance + (own_offset - offset) ** 2)
            rate_variance += weight * (own_rate_variance + (own_rate - rate) ** 2)
        return Estimate(offset, rate, math.sqrt(variance), math.sqrt(rate_variance))

    def covariance(self) -> Covariance:
        """Of offset and rate at the last observation, the filters' disagreement included."""
        weighed = list(zip(self._weights(), (walk.ahead(0.0) for walk in self._walks), strict=True))
        offset = sum(weight * one[0] for weight, one in weighed)
        rate = sum(weight * one[1] for weight, one in weighed)
        xx = xf = ff = 0.0
        for (weight, one), walk in zip(weighed, self._walks, strict=True):
            off, fast = one[0] - offset, one[1] - rate
            xx += weight * (one[2] + off * off)
            xf += weight * (walk.crossed + off * fast)
            ff += weight * (one[3] + fast * fast)
        return Covariance(xx, xf, ff)

    def forget_offset(self) -> None:
        """The offset may have jumped by anything; the rate holds."""
        for walk in self._walks:
            walk.loosen(_UNKNOWN_OFFSET_NS**2, 0.0)

    def shift(self, offset_ns: float, rate_ns_per_s: float) -> None:
        """Offset and rate have changed by so much, for a reason that is known."""
        for walk in self._walks:
            walk.shift(offset_ns, rate_ns_per_s)

    def loosen(self, offset_ns: float, rate_ns_per_s: float) -> None:
        """Offset and rate may have changed by so much (1 sigma) without being seen."""
        for walk in self._walks:
            walk.loosen(offset_ns**2, rate_ns_per_s**2)

    def _advance(self, at_s: float) -> None:
        if self._at_s is not None:
            for walk in self._walks:
                walk.advance(at_s - self._at_s)
        self._at_s = at_s

    def _weighed(self, logs: list[float]) -> float:
        """Weigh the filters by how well each foretold; the log likelihood of all together."""
        likelihood = sum(w * math.exp(one) for w, one in zip(self._weights(), logs, strict=True))
        self._weigh(logs)
        return math.log(max(likelihood, 1e-300))

    def _weigh(self, log_likelihoods: list[float]) -> None:
        best = max(log_likelihoods)
        self._log_weights = [
            prior + (old - prior) * _MEMORY + max(new - best, -10.0)
            for prior, old, new in zip(
                self._log_priors, self._log_weights, log_likelihoods, strict=True
            )
        ]

    def _weights(self) -> list[float]:
        top = max(self._log_weights)
        raw = [math.exp(one - top) for one in self._log_weights]
        total = sum(raw)
        return [one / total for one in raw]


class _Walk:
    """A Kalman filter of offset x and rate f for one strength of wander, `density` ns^2/s^3."""

    __slots__ = ("_density", "_f", "_ff", "_x", "_xf", "_xx")

    def __init__(self, density: float) -> None:
        self._density = density
        self._x = self._f = self._xf = 0.0
        self._xx, self._ff = _UNKNOWN_OFFSET_NS**2, _UNKNOWN_RATE_NS_PER_S**2

    @property
    def crossed(self) -> float:
        """Covariance of offset and rate at the last observation."""
        return self._xf

    def ahead(self, dt: float) -> tuple[float, float, float, float]:
        """Offset, rate and their variances `dt` seconds from the last observation."""
        wander = self._density * abs(dt)
        variance = self._xx + 2 * self._xf * dt + self._ff * dt * dt + wander * dt * dt / 3
        return self._x + self._f * dt, self._f, max(variance, 0.0), self._ff + wander

    def advance(self, dt: float) -> None:
        wander = self._density * dt
        self._x += self._f * dt
        self._xx += 2 * self._xf * dt + self._ff * dt * dt + wander * dt * dt / 3
        self._xf += self._ff * dt + wander * dt / 2
        self._ff += wander

    def shift(self, offset: float, rate: float) -> None:
        self._x += offset
        self._f += rate

    def loosen(self, offset_variance: float, rate_variance: float) -> None:
        self._xx += offset_variance
        self._ff += rate_variance

    def observe(self, offset: float, scatter: float) -> float:
        """Take one observation of variance `scatter`; its log likelihood."""
        expected = self._xx + scatter
        surprise = offset - self._x
        self._blend(expected, surprise, 0.0)
        return -0.5 * (math.log(expected) + surprise * surprise / expected)

    def observe_late(self, offset: float, mean: float, scatter: float) -> float:
        """Take one that is late by an exponential delay of `mean` ns; its log likelihood.

        Prior times likelihood is a normal density cut off above: moments of the truncated normal
        (Johnson, Kotz, Balakrishnan 1994, 13.10), so this is assumed density filtering. By some
        odds the observation is late for another cause, and far more so.
        """
        spread = math.sqrt(self._xx + scatter)
        late = offset - self._x
        log_usual, usual_cut, usual_kept = _cut_normal(late, spread, mean)
        log_rare, rare_cut, rare_kept = _cut_normal(late, spread, _LATE_IN_MEANS * mean)
        log_usual += math.log1p(-_LATE_ODDS)
        log_rare += math.log(_LATE_ODDS)
        log_all = _log_sum(log_usual, log_rare)
        usual = math.exp(log_usual - log_all)
        usual_shift, rare_shift = late - spread * usual_cut, late - spread * rare_cut
        shift = usual * usual_shift + (1 - usual) * rare_shift
        kept = usual * usual_kept + (1 - usual) * rare_kept
        apart = usual * (1 - usual) * (usual_shift - rare_shift) ** 2
        self._blend(spread**2, shift, spread**2 * kept + apart)
        return log_all

    def _blend(self, expected: float, shift: float, remains: float) -> None:
        """The observed sum had variance `expected`; now its mean moves and `remains` is left."""
        gain_x, gain_f = self._xx / expected, self._xf / expected
        gone = expected - remains
        self._x += gain_x * shift
        self._f += gain_f * shift
        self._xx -= gain_x * gain_x * gone
        self._xf -= gain_x * gain_f * gone
        self._ff -= gain_f * gain_f * gone


def _cut_normal(late: float, spread: float, mean: float) -> tuple[float, float, float]:
    """Log evidence of a delay, and how the normal density cut off by it lies below the cut.

    With z the cut in spreads: (log evidence, distance of the mean from the cut in spreads, share
    of the variance that is kept).
    """
    z = late / spread - spread / mean
    log_rest = 0.5 * (spread / mean) ** 2 - late / mean - math.log(mean)
    if z < -20.0:  # asymptotic, since the exact terms cancel
        log_share = -0.5 * z * z - math.log(-z * math.sqrt(2.0 * math.pi))
        return log_rest + log_share, -1 / z + 2 / z**3, 1 / z**2 - 6 / z**4
    share = 0.5 * math.erfc(-z / math.sqrt(2.0))
    hazard = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) / share
    return log_rest + math.log(share), hazard + z, 1.0 - hazard * (hazard + z)


def _log_sum(a: float, b: float) -> float:
    top = max(a, b)
    return top + math.log(math.exp(a - top) + math.exp(b - top))
