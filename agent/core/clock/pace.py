"""The rate at which a device converts, by the earliest deliveries of each second: is it what it
claims, and what was it over the last minute?"""

from collections import deque
from math import hypot
from statistics import median

from agent.core.units import straight_line

_WRONG_PPM, _RIGHT_PPM = 225.0, 200.0  # a crystal and the host's are each within 100
_SLOPES_TO_TELL, _SLOPES_KEPT = 8, 30
_SECONDS_KEPT, _SECONDS_TO_TELL = 60, 20
_CHANGED_SIGMAS = 4.0


class Pace:
    """Feed it when (s, as samples count) the earliest of a second was late by how much (ns)."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._slopes_ppm: deque[float] = deque(maxlen=_SLOPES_KEPT)
        self._seconds = 0
        self._usual: deque[tuple[float, float]] = deque(maxlen=_SECONDS_KEPT)
        self.is_wrong = False

    @property
    def ppm(self) -> float | None:
        """Excess rate over the host's clock in the last minute, or in its last third if a clock
        changed its pace meanwhile; None while that is not known."""
        if len(self._usual) < _SECONDS_TO_TELL:
            return None
        whole = straight_line(self._usual)
        late = straight_line(list(self._usual)[-_SECONDS_TO_TELL:])
        sure = hypot(whole.pace_sigma, late.pace_sigma)
        has_changed = abs(late.pace - whole.pace) > _CHANGED_SIGMAS * sure
        return -(late if has_changed else whole).pace / 1000.0

    def observe(self, at_s: float, early_ns: float) -> None:
        """Every second: whether the device converts as it claims. The median of many short slopes,
        so that a loss, a stall or a frame that slides past is no rate."""
        last, self._last = self._last, (at_s, early_ns)
        self._seconds += 1
        if last is None:
            return
        self._slopes_ppm.append((early_ns - last[1]) / (at_s - last[0]) / 1000.0)
        wanted = _SLOPES_KEPT if self._seconds > 2 * _SLOPES_KEPT else _SLOPES_TO_TELL
        if len(self._slopes_ppm) >= wanted:  # later on it is rather someone who slews the host's
            limit = _RIGHT_PPM if self.is_wrong else _WRONG_PPM
            self.is_wrong = abs(median(self._slopes_ppm)) > limit

    def on_usual(self, at_s: float, early_ns: float) -> None:
        """A whole second in which the host was not busy."""
        self._usual.append((at_s, early_ns))

    def begin(self) -> None:
        """Samples were lost, or clocks stood still: what was before is on another line."""
        self._last = None
        self._usual.clear()
