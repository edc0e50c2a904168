"""A city of nodes loses its broker, and comes back to it as real connections, one by one."""

import random
import re
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.app.uplink import Uplink
from agent.core.units import NS_PER_S
from simulator.grid.broker import Broker
from tests.agent.app.test_uplink_stampede import Silence
from tests.support.drafts import LOCATOR_KEYS, identity_of
from tests.support.links import World, world_of

pytestmark = pytest.mark.system

PATIENCE_S = 180.0
STEP_S = 0.02
CONNECTED = re.compile(r"^(\d+): New client connected from \S+ as (n\d+) ", re.MULTILINE)


@dataclass(frozen=True)
class Trial:
    """`most` is the share that may return in one second; `hurry` lets time pass faster."""

    nodes: int
    down_s: float
    hurry: int
    most: float


QUICK = Trial(nodes=40, down_s=0.5, hurry=4, most=0.45)
LONG = Trial(nodes=200, down_s=0.0, hurry=1, most=0.2)
LONG_AWAY = Trial(nodes=200, down_s=20.0, hurry=1, most=0.2)


class City:
    """The uplinks and links of many nodes with nothing to say but that they are there."""

    def __init__(self, url: str, trial: Trial, stack: ExitStack) -> None:
        self._begun_ns, self._hurry = time.monotonic_ns(), trial.hurry
        self.uplinks = []
        for number in range(trial.nodes):
            identity = identity_of(f"n{number}")
            receipts = f"{identity.topic}/receipt"
            options = MqttOptions(url=url, client_id=identity.node, subscriptions=(receipts,))
            link = MqttLink(options)
            stack.callback(link.close)
            self.uplinks.append(
                Uplink(
                    identity,
                    Silence(),
                    link,
                    LOCATOR_KEYS,
                    lambda backlog, connects: b"status",
                    random.Random(number),
                )
            )

    def run_until_connected(self, times: int) -> list[float]:
        """Until each node was connected so many times; when each was last, in s of their time."""
        since_s: dict[int, float] = {}
        give_up_s = time.monotonic() + PATIENCE_S
        while len(since_s) < len(self.uplinks):
            assert time.monotonic() < give_up_s, f"{len(since_s)} of {len(self.uplinks)} are back"
            for number, uplink in enumerate(self.uplinks):
                now_ns = (time.monotonic_ns() - self._begun_ns) * self._hurry
                uplink.step(now_ns)
                if uplink.counters.connects >= times:
                    since_s.setdefault(number, now_ns / NS_PER_S)
            time.sleep(STEP_S / self._hurry)
        return sorted(since_s.values())

    def run(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds / self._hurry
        while time.monotonic() < end_s:
            for uplink in self.uplinks:
                uplink.step((time.monotonic_ns() - self._begun_ns) * self._hurry)
            time.sleep(STEP_S / self._hurry)


def busiest_second(times_s: list[float]) -> int:
    """The most returns within a second, wherever it begins."""
    return max(sum(since <= one < since + 1.0 for one in times_s) for since in times_s)


def in_broker_log(broker: Broker) -> list[tuple[int, str]]:
    """UTC second and node of each connection that Mosquitto has told of."""
    told = broker._log.read_text(errors="replace")
    return [(int(second), node) for second, node in CONNECTED.findall(told)]


@pytest.mark.parametrize(
    "trial",
    [
        pytest.param(QUICK, id="quick"),
        pytest.param(LONG, id="restart", marks=pytest.mark.torture),
        pytest.param(LONG_AWAY, id="away", marks=pytest.mark.torture),
    ],
)
def test_a_city_returns_to_its_broker_one_by_one(memory: Path, trial: Trial) -> None:
    """200 real connections to Mosquitto, killed and restarted: a fifth in one second at most.

    The first wait is uniform over 10 s, so the returns of one second are binomial with p = 1/10:
    for 200 nodes 20 on average, and more than 40 with a probability below 1e-5. For the quick
    trial's 40 nodes that is 4 on average; a fifth, 8, is exceeded in one of 50 seconds by chance
    alone, while more than 18 (45 %) has a probability below 1e-8: so many is a stampede.
    """
    with world_of("mosquitto", memory) as world, ExitStack() as stack:
        times_s, told = returns(world, trial, stack)
    most = busiest_second(times_s)
    in_log = max(Counter(second for second, _ in told).values())
    span_s = times_s[-1] - times_s[0]
    print(
        f"\n{trial.nodes} nodes, broker away {trial.down_s} s: back within {span_s:.1f} s, at most "
        f"{most} ({most / trial.nodes:.0%}) in one second; {in_log} by the broker's log"
    )
    assert most <= trial.most * trial.nodes
    assert {node for _, node in told} == {f"n{number}" for number in range(trial.nodes)}
    if trial.hurry == 1:
        assert in_log <= trial.most * trial.nodes


def returns(
    world: World, trial: Trial, stack: ExitStack
) -> tuple[list[float], list[tuple[int, str]]]:
    """When the nodes returned, by themselves and by the broker's log."""
    city = City(world.broker.url, trial, stack)
    city.run_until_connected(1)
    before = len(in_broker_log(world.broker))
    world.broker.kill()
    city.run(trial.down_s)
    world.broker.restart()
    times_s = city.run_until_connected(2)
    city.run(0.5)
    return times_s, in_broker_log(world.broker)[before:]
