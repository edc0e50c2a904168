"""What becomes of a crystal that is left alone: where it should be, how far it may have strayed.

`rate_memory` knows what its rate did over hours, `thermal` how it follows the temperature.
"""

from math import hypot

from agent.core.clock.clock_filter import Drift
from agent.core.clock.rate_memory import RateMemory
from agent.core.clock.thermal import CrystalSlope, Thermal

ALONE_S = 10.0


class Holdover:
    """Times are seconds on the oscillator's axis; offsets are ns, rates ns per s."""

    def __init__(self, slope: CrystalSlope | None) -> None:
        self._memory = RateMemory()
        self._thermal = Thermal(slope)

    @property
    def slope(self) -> CrystalSlope:
        """How the rate follows temperature (ns per s per C), and the 1-sigma of that."""
        return self._thermal.slope

    def on_temperature(self, at_s: float, celsius: float) -> None:
        """A sensor beside the oscillator shows so much."""
        self._thermal.on_temperature(at_s, celsius)

    def on_mark(self) -> None:
        """A mark was believed."""
        self._thermal.on_mark()

    def on_tracked(self, at_s: float, rate_ns_per_s: float) -> None:
        """The rate, while it is well known."""
        self._memory.observe(at_s, rate_ns_per_s)
        self._thermal.on_tracked(at_s, rate_ns_per_s)

    def heated_ns(self, at_s: float) -> float:
        """What temperature did to the offset since the last mark."""
        return self._thermal.heated_ns(at_s)

    def degree_seconds(self, at_s: float) -> float:
        """By how much, and for how long, it was warmer since the last mark."""
        return self._thermal.degree_seconds(at_s)

    def stray_ns(self, at_s: float, alone_s: float, wander_ppm_per_sqrt_hour: float) -> float:
        """1-sigma of what hours alone do, beyond what minutes of tracking tell."""
        if alone_s < ALONE_S:
            return 0.0
        strayed_ns = self._memory.stray_ns(
            alone_s, wander_ppm_per_sqrt_hour, is_heat_known=self._thermal.is_known
        )
        return hypot(strayed_ns, self._thermal.heated_sigma_ns(at_s))

    def hand_back(self, drift: Drift, at_s: float) -> None:
        """Marks come again: `drift` takes over what temperature did meanwhile."""
        thermal = self._thermal
        drift.shift(thermal.heated_ns(at_s), thermal.slope[0] * thermal.warmer_by_c)
