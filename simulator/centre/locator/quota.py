"""How much of one node the locator takes at a time; what is over it is taken later.

Pure: `now_ns` is passed in. Nothing is refused for good: the node holds what has no receipt, and
sends it again.
"""

from dataclasses import dataclass

from agent.core.units import NS_PER_S
from agent.errors import EarshotError

MAX_HOLES = 8_192


class OverQuota(EarshotError):
    """A message that must wait, for its node has had its share; the line names the node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What one node may: so much at once, and so much more each second.

    Far above what an honest one needs: a day of 1 000 shots is 0.03 records a second, and three
    days of backlog are 4 000 records. `topics` are those that its records come on.
    """

    records: float = 20_000
    records_per_s: float = 100.0
    octets: float = 64e6
    octets_per_s: float = 400e3
    chains: float = 256
    chains_per_s: float = 1 / 60
    holes: int = MAX_HOLES
    topics: int = 64


class Bucket:
    """Fills up to `most` at `per_s`; full at first."""

    def __init__(self, most: float, per_s: float) -> None:
        self._most, self._per_s = most, per_s
        self._level, self._at_ns = most, 0

    def has(self, amount: float, now_ns: int) -> bool:
        """Whether so much is in it."""
        gained = (now_ns - self._at_ns) / NS_PER_S * self._per_s
        self._level, self._at_ns = min(self._most, self._level + gained), now_ns
        return self._level >= min(amount, self._most)

    def take(self, amount: float) -> None:
        """So much is used."""
        self._level = max(0.0, self._level - amount)


class Allowance:
    """What is left of one node's quota."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._records = Bucket(quota.records, quota.records_per_s)
        self._octets = Bucket(quota.octets, quota.octets_per_s)
        self._chains = Bucket(quota.chains, quota.chains_per_s)
        self._topics: set[str] = set()

    def admits_topic(self, topic: str) -> bool:
        """Whether messages on that topic are looked at."""
        if topic not in self._topics and len(self._topics) >= self._quota.topics:
            return False
        self._topics.add(topic)
        return True

    def spend(self, octets: int, now_ns: int) -> bool:
        """Use it up for one message; False if there is not enough, and nothing is used."""
        if not (self._records.has(1, now_ns) and self._octets.has(octets, now_ns)):
            return False
        self._records.take(1)
        self._octets.take(octets)
        return True

    def begin_chain(self, now_ns: int) -> bool:
        """Use it up for one new chain, likewise."""
        may = self._chains.has(1, now_ns)
        if may:
            self._chains.take(1)
        return may


class Effort:
    """How much may be located in one step; what is beyond it waits for the next."""

    def __init__(self, most: float) -> None:
        self._left = most

    @property
    def is_spent(self) -> bool:
        """True when the rest must wait."""
        return self._left <= 0.0

    def spend(self, cost: float) -> None:
        """So much was done."""
        self._left -= cost
