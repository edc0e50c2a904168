"""After an outage of three days: everything arrives, and the news does not wait."""

import random
import time
from pathlib import Path

import numpy as np
import pytest

from agent.core.records.chain import Sealed
from tests.support.drafts import heartbeat, start
from tests.support.links import world_of
from tests.support.network import Network

pytestmark = pytest.mark.system

OUTAGE_RECORDS = 72 * 50
NEWS_EVERY_S = 0.2
LEAST_RATE = 50.0  # records a second
NEWS_WITHIN_S = 2.0


def outage(network: Network, records: int) -> list[Sealed]:
    """What a node has said meanwhile: mostly heartbeats, some alerts."""
    rng = random.Random(5)
    kinds = rng.choices([None, start(), heartbeat()], [10, 2, 88], k=records)
    return [sealed for kind in kinds for sealed in network.append(1, kind)]


@pytest.mark.parametrize(
    ("records", "is_timed"),
    [
        pytest.param(600, False, id="quick"),
        pytest.param(OUTAGE_RECORDS, True, id="long", marks=pytest.mark.torture),
    ],
)
def test_news_overtake_what_an_outage_left(
    tmp_path: Path, memory: Path, records: int, is_timed: bool
) -> None:
    """All arrives; the backlog in the order of saying within a priority, alerts the newest first.

    After three days at 50 records an hour it drains at LEAST_RATE or faster, and p99 of the live
    alerts are on the locator's disk NEWS_WITHIN_S after they were said, while it does. Node and
    locator write to a disk; the broker, which keeps its store after every message, to memory.
    """
    with world_of("mosquitto", memory) as world:
        network = Network(tmp_path, world.broker.url, durable=True)
        arrived = network.centre.arrived
        old = outage(network, records)
        network.await_locator()
        news: list[tuple[float, Sealed]] = []
        begun_s = next_s = time.monotonic()
        with network.centre_apart():
            while not network.uplink.idle:
                if time.monotonic() >= next_s and len(arrived) < records:
                    next_s += NEWS_EVERY_S
                    news.append((time.monotonic(), network.append(1)[0]))
                network.step()
        drained_s = max(arrived.values()) - begun_s
        held = network.settle()
        network.close()
    assert held == list(range(1, records + len(news) + 1))
    for priority in (1, 2):
        said = [one for one in old if one.priority == priority]
        assert sorted(said, key=lambda one: arrived[one.envelope]) == said
    alerts = [one for one in old if one.priority == 0]
    assert sorted(alerts, key=lambda one: arrived[one.envelope]) == alerts[::-1]
    waits_s = [arrived[one.envelope] - said_s for said_s, one in news]
    rate, p99_s = len(held) / drained_s, float(np.percentile(waits_s, 99))
    print(
        f"\n{records} records drained at {rate:.0f}/s; {len(news)} live alerts took "
        f"{np.percentile(waits_s, 50) * 1e3:.0f} ms p50, {p99_s * 1e3:.0f} ms p99, "
        "to the locator's disk"
    )
    assert len(news) > 1
    if is_timed:
        assert rate >= LEAST_RATE
        assert p99_s <= NEWS_WITHIN_S
