"""Another clock that knows UTC roughly: enough to say which second a pulse is about.

Where a receiver tells seconds it is asked only for pulses that come several times a second, of
which somebody must say which one begins the second.
"""

from agent.core.clock.time_signs import HostWord, TimeMark
from agent.core.units import NS_PER_MS, NS_PER_S

_NAMES_A_SECOND_NS = 100 * NS_PER_MS
_FRESH_NS = 10 * NS_PER_S


class Coarse:
    """The last good word of the host's clock beside pulses."""

    def __init__(self) -> None:
        self._mark: tuple[int, int, int] | None = None  # host, UTC, how far it may be off: ns

    def note(self, word: HostWord | TimeMark) -> None:
        """A word of that clock; a looser one does not replace one that is fresh."""
        off_ns = word.bound_ns if isinstance(word, HostWord) else word.sigma_ns
        if self._mark is not None:
            host_ns, _, last_off_ns = self._mark
            if off_ns > last_off_ns and word.host_ns - host_ns < _FRESH_NS // 4:
                return
        self._mark = (word.host_ns, word.utc_ns, off_ns)

    def utc_ns(self, host_ns: int, pulses_a_second: int) -> int | None:
        """UTC by it, to a third of the pulses' spacing or 100 ms; None where it cannot tell."""
        if self._mark is None:
            return None
        then_ns, utc_ns, off_ns = self._mark
        most_ns = min(_NAMES_A_SECOND_NS, NS_PER_S // (3 * pulses_a_second))
        if host_ns - then_ns > _FRESH_NS or off_ns > most_ns:
            return None
        return utc_ns + host_ns - then_ns
