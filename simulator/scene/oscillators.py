"""The clocks of a virtual node: crystals that stray, blocks that come late, pulses that jitter.

True time is UTC in integer ns. Nothing here knows what the clocks are used for; leap seconds and
clocks that are stepped are left out.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.clock.time_signs import TimeMark
from agent.core.units import NS_PER_S

_DRAWN_AT_ONCE = 256
_CUT_C = 25.0
_SPIKE_ODDS = 0.002
_SPIKE_IN_MEANS = 20.0


@dataclass(frozen=True, slots=True)
class Crystal:
    """How a kind of oscillator strays from its mean rate.

    The rate does a random walk of `wander_ppm_per_sqrt_hour`, and follows the temperature's
    distance from 25 C by `ppm_per_c`.
    """

    wander_ppm_per_sqrt_hour: float
    ppm_per_c: float


XO = Crystal(wander_ppm_per_sqrt_hour=2.0, ppm_per_c=0.3)
TCXO = Crystal(wander_ppm_per_sqrt_hour=0.1, ppm_per_c=0.02)
PERFECT = Crystal(wander_ppm_per_sqrt_hour=0.0, ppm_per_c=0.0)


class Oscillator:
    """An oscillator's own nanoseconds since `epoch_utc_ns`, against true time.

    Its rate is constant within each true second, so the map is piecewise linear and invertible;
    before the epoch the first second's rate holds. `ppm` above zero means that it runs fast.
    `temperature_c` gives its temperature at so many true seconds since the epoch.
    """

    def __init__(
        self,
        epoch_utc_ns: int,
        ppm: float,
        crystal: Crystal,
        rng: np.random.Generator,
        temperature_c: Callable[[float], float] = lambda _: _CUT_C,
    ) -> None:
        self.epoch_utc_ns = epoch_utc_ns
        self._ppm = ppm
        self._crystal = crystal
        self._rng = rng
        self._temperature_c = temperature_c
        self._wandered_ppm = 0.0
        self._rates: list[float] = []
        self._starts_ns: list[float] = [0.0]

    def local_ns_at(self, utc_ns: int) -> float:
        """What it has counted at true time `utc_ns`, in its own ns since the epoch."""
        since_ns = utc_ns - self.epoch_utc_ns
        second = max(0, since_ns // NS_PER_S)
        within_ns = since_ns - second * NS_PER_S
        return self._start_ns(second) + within_ns * (1.0 + self._rates[second])

    def utc_ns_at(self, local_ns: float) -> int:
        """The true time at which it counts `local_ns`, to the nearest ns."""
        while self._starts_ns[-1] <= local_ns:
            self._run_on()
        second = max(0, bisect_right(self._starts_ns, local_ns) - 1)
        within_ns = (local_ns - self._start_ns(second)) / (1.0 + self._rates[second])
        return self.epoch_utc_ns + second * NS_PER_S + round(within_ns)

    def rate_at(self, utc_ns: int) -> float:
        """Own ns per true ns at `utc_ns`."""
        second = max(0, (utc_ns - self.epoch_utc_ns) // NS_PER_S)
        self._start_ns(second)
        return 1.0 + self._rates[second]

    def _start_ns(self, second: int) -> float:
        while len(self._rates) <= second:
            self._run_on()
        return self._starts_ns[second]

    def _run_on(self) -> None:
        """Live through more seconds, in order: what was asked before changes nothing."""
        steps = self._rng.standard_normal(_DRAWN_AT_ONCE)
        for step in steps * (self._crystal.wander_ppm_per_sqrt_hour / 60.0):
            from_cut_c = self._temperature_c(float(len(self._rates))) - _CUT_C
            self._rates.append(
                (self._ppm + self._wandered_ppm + self._crystal.ppm_per_c * from_cut_c) * 1e-6
            )
            self._starts_ns.append(self._starts_ns[-1] + NS_PER_S * (1.0 + self._rates[-1]))
            self._wandered_ppm += float(step)


class AdcClock:
    """Sample k is converted when the oscillator has counted k / `rate_hz` of its seconds."""

    def __init__(self, oscillator: Oscillator, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._oscillator = oscillator

    def utc_ns_at(self, sample: float) -> int:
        """True time at which a (fractional) sample is converted."""
        return self._oscillator.utc_ns_at(sample * NS_PER_S / self.rate_hz)

    def sample_at(self, utc_ns: int) -> float:
        """Fractional sample index converted at true time `utc_ns`; negative before the stream."""
        return self._oscillator.local_ns_at(utc_ns) * self.rate_hz / NS_PER_S

    def true_rate_hz_at(self, utc_ns: int) -> float:
        """Samples per true second at `utc_ns`."""
        return self.rate_hz * self._oscillator.rate_at(utc_ns)


class HostTime:
    """CLOCK_MONOTONIC: `uptime_ns` at the oscillator's epoch, running at the oscillator's rate."""

    def __init__(self, oscillator: Oscillator, uptime_ns: int) -> None:
        self._oscillator = oscillator
        self._uptime_ns = uptime_ns
        self.epoch_utc_ns = oscillator.epoch_utc_ns

    def host_ns_at(self, utc_ns: int) -> int:
        """What CLOCK_MONOTONIC reads at true time `utc_ns`."""
        return self._uptime_ns + round(self._oscillator.local_ns_at(utc_ns))

    def utc_ns_at(self, host_ns: int) -> int:
        """True time at which CLOCK_MONOTONIC reads `host_ns`."""
        return self._oscillator.utc_ns_at(float(host_ns - self._uptime_ns))


class DeliveryDelay:
    """How late a block is handed over: never early, usually a little, now and then a lot.

    Exponential above `floor_ns` with mean `mean_ns`; two in a thousand come from an exponential
    twenty times as wide, as when the kernel is busy elsewhere.
    """

    def __init__(self, floor_ns: int, mean_ns: int, rng: np.random.Generator) -> None:
        self._floor_ns = floor_ns
        self._mean_ns = mean_ns
        self._rng = rng

    def draw_ns(self) -> int:
        """The next block's delay, at least `floor_ns`."""
        mean_ns = self._mean_ns * (_SPIKE_IN_MEANS if self._rng.random() < _SPIKE_ODDS else 1.0)
        return self._floor_ns + math.floor(self._rng.exponential(mean_ns))


Outage = tuple[int, int]
"""First and one-past-last UTC ns without pulses."""


class PpsSource:
    """A receiver that marks each true UTC second on the host's clock, with gaussian jitter."""

    def __init__(
        self,
        host: HostTime,
        sigma_ns: int,
        rng: np.random.Generator,
        outages: Sequence[Outage] = (),
    ) -> None:
        self._host = host
        self._sigma_ns = sigma_ns
        self._rng = rng
        self._outages = outages
        self._next_utc_ns = -(-host.epoch_utc_ns // NS_PER_S) * NS_PER_S

    def next_mark(self) -> TimeMark:
        """The mark of the next second that has one."""
        while True:
            utc_ns, jitter_ns = self._next_utc_ns, self._rng.normal(0.0, self._sigma_ns)
            self._next_utc_ns += NS_PER_S
            if not any(start <= utc_ns < end for start, end in self._outages):
                host_ns = self._host.host_ns_at(utc_ns) + round(jitter_ns)
                return TimeMark(host_ns, utc_ns, self._sigma_ns, "sim")
