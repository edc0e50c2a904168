"""A city's worth of uplinks lose one broker, in virtual time: they come back one by one."""

import random
from collections import Counter

import pytest

from agent.app.uplink import Uplink
from agent.core.records.chain import RecordKey, Sealed
from agent.core.records.kinds import Receipt
from agent.core.units import NS_PER_MS, NS_PER_S
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from tests.support.drafts import LOCATOR_KEYS, identity_of

NODES = 200
STEP_NS = 100 * NS_PER_MS


class Silence:
    """An outbox with nothing to say: only the status goes out."""

    def pending(self, limit: int, skip: frozenset[RecordKey]) -> list[Sealed]:
        return []

    def release(self, receipt: Receipt) -> int:
        return 0

    def backlog(self) -> int:
        return 0


class City:
    """The uplinks of NODES nodes at one broker."""

    def __init__(self) -> None:
        self.broker, self.now_ns = VirtualBroker(), 0
        reader = VirtualPublisher(self.broker, "reader", ("#",), persistent=True)
        reader.connect()
        self.uplinks = [
            Uplink(
                identity_of(f"n{number}"),
                Silence(),
                VirtualPublisher(self.broker, f"n{number}"),
                LOCATOR_KEYS,
                lambda backlog, connects: b"status",
                random.Random(number),
            )
            for number in range(NODES)
        ]

    def run(self, seconds: int) -> Counter[int]:
        """How many connected in each second."""
        seen: Counter[int] = Counter()
        for _ in range(seconds * NS_PER_S // STEP_NS):
            before = self.connects
            for uplink in self.uplinks:
                uplink.step(self.now_ns)
            seen[self.now_ns // NS_PER_S] += self.connects - before
            self.now_ns += STEP_NS
        return seen

    @property
    def connects(self) -> int:
        return sum(uplink.counters.connects for uplink in self.uplinks)


@pytest.mark.parametrize("down_s", [0, 1, 5, 30, 300])
def test_no_second_sees_a_fifth_of_a_city_return(down_s: int) -> None:
    """However long the broker was away: all are back, and never more than 20 % in one second."""
    city = City()
    city.run(2)
    assert city.connects == NODES
    city.broker.kill()
    city.run(down_s)
    city.broker.restart()
    returned = city.run(62)
    assert returned.total() == NODES
    assert max(returned.values()) <= NODES // 5
