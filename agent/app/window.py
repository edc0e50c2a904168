"""How much may be without the broker's answer: what fills the line, and hardly more.

What waits before a thin line delays what comes after it, an alert too. So the window is counted
in octets, and follows the line as BBR does (Cardwell et al., ACM Queue 14(5), 2016): the rate
that answers show, times the round trip of a message that found the line empty.
"""

from collections import deque
from dataclasses import dataclass

from agent.core.units import NS_PER_MS, NS_PER_S

FIRST_OCTETS = 4096  # two or three records, for a line that nobody has measured
URGENT_OCTETS = 8192  # beyond the window, for two or three alerts at once
SLACK_NS = 100 * NS_PER_MS  # of queue: it harms no alert, and shows when the line can do more
CROWDED = 1.25  # times the empty line's round trip: the first queue ends the quick start
PERIOD_NS = 10 * NS_PER_S  # a rate is believed for one to two of these
PROBE_NS = 60 * NS_PER_S  # how long a round trip of the empty line is believed
_PROBES = 3  # the least of so many counts: an answer may have waited behind a receipt


@dataclass(slots=True)
class _Flight:
    """A message without an answer, and what had been answered when it went (`since_ns`)."""

    octets: int
    sent_ns: int
    answered: int
    since_ns: int
    is_alone: bool


class Window:
    """That of one connection; at most `most` messages, whatever the line can do."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._flights: dict[int, _Flight] = {}
        self._octets = self._answered = 0
        self._since_ns, self._full_ns = 0, -1
        self._limit = float(FIRST_OCTETS)
        self._is_starting = True
        self._rate = self._rate_before = 0.0  # octets a second, of this period and the last
        self._period_ns = 0
        self._empty: deque[int] = deque(maxlen=_PROBES)
        self._probed_ns = 0

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def octets_per_s(self) -> float:
        """What the line carries, as far as that was seen; 0.0 at first."""
        return max(self._rate, self._rate_before)

    def room(self, now_ns: int) -> int:
        """How many messages are worth a look now: whether each may go, `is_open` says."""
        if self.is_open(now_ns):
            return self._most - len(self._flights)
        return int(self.is_open(now_ns, is_urgent=True))

    def is_open(self, now_ns: int, *, is_urgent: bool = False) -> bool:
        """Whether one more may go. Once a minute the line is left to empty itself.

        What is urgent does not wait for an answer, which takes a round trip more.
        """
        if not self._flights:
            return True
        if len(self._flights) >= self._most:
            return False
        if is_urgent:
            return self._octets < self._limit + URGENT_OCTETS
        is_stale = now_ns - self._probed_ns > PROBE_NS
        return not is_stale and self._octets < self._limit

    def hand_over(self, token: int, octets: int, now_ns: int) -> None:
        """A message went to the broker."""
        is_alone = not self._flights
        since_ns = now_ns if is_alone else self._since_ns
        self._flights[token] = _Flight(octets, now_ns, self._answered, since_ns, is_alone)
        self._octets += octets
        if self._octets >= self._limit or len(self._flights) >= self._most:
            self._full_ns = now_ns

    def answered(self, token: int, now_ns: int) -> None:
        """The broker has it, or a receipt says so; nothing for a token that is not in flight."""
        if flight := self._flights.pop(token, None):
            self._octets -= flight.octets
            self._answered += flight.octets
            self._since_ns = now_ns
            self._learn(flight, now_ns)

    def _learn(self, flight: _Flight, now_ns: int) -> None:
        round_trip_ns = max(1, now_ns - flight.sent_ns)
        if flight.is_alone:
            self._empty.append(round_trip_ns)
            self._probed_ns = now_ns
        empty_ns = min(self._empty, default=round_trip_ns)
        span_ns = max(1, now_ns - flight.since_ns)
        rate = (self._answered - flight.answered) * NS_PER_S / span_ns
        is_limited = self._full_ns >= flight.sent_ns
        self._note_rate(rate, now_ns, is_limited=is_limited)
        if round_trip_ns > CROWDED * empty_ns + SLACK_NS:
            self._is_starting = False
        if self._is_starting:
            self._limit += flight.octets if is_limited else 0
        else:
            product = self.octets_per_s * (empty_ns + SLACK_NS) / NS_PER_S
            self._limit = max(float(FIRST_OCTETS), product)

    def _note_rate(self, rate: float, now_ns: int, *, is_limited: bool) -> None:
        """Where the window was never full, it shows what was said, not what the line can do."""
        if is_limited and now_ns - self._period_ns > PERIOD_NS:
            self._rate_before, self._rate, self._period_ns = self._rate, rate, now_ns
        self._rate = max(self._rate, rate)


class Budget:
    """So many kbit/s on average, for what can wait; 0 is no limit. At most one second is saved."""

    def __init__(self, kbit_s: float) -> None:
        self._octets_per_s = kbit_s * 1000 / 8
        self._left, self._at_ns = self._octets_per_s, 0

    def has_room(self, now_ns: int) -> bool:
        """Whether something that can wait may go."""
        gained = (now_ns - self._at_ns) / NS_PER_S * self._octets_per_s
        self._left, self._at_ns = min(self._octets_per_s, self._left + gained), now_ns
        return not self._octets_per_s or self._left > 0

    def spend(self, octets: int) -> None:
        """So much went, urgent or not: what can wait makes up for what could not."""
        if self._octets_per_s:
            self._left -= octets
