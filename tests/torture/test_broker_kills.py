"""A broker that dies again and again, and a locator that is away half of the time."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.core.records.chain import RecordKey
from agent.ports import Connected, Lost, Refused, Sent
from simulator.grid.broker import Broker
from tests.support.drafts import heartbeat
from tests.support.links import world_of
from tests.support.network import IDENTITY, Centre, Network, mosquitto_by_default

pytestmark = pytest.mark.system


@dataclass(frozen=True)
class Trial:
    """`kill_s` between two deaths of the broker; `hurry` for the waits between connections."""

    records: int
    seconds: float
    kill_s: float
    hurry: int


CONTROL = Trial(records=400, seconds=6.0, kill_s=2.0, hurry=4)
QUICK = Trial(records=1_000, seconds=16.0, kill_s=2.0, hurry=4)
LONG = Trial(records=10_000, seconds=300.0, kill_s=5.0, hurry=1)


class Deaths:
    """Kills the broker every `kill_s`, and lets the locator be up about every other `kill_s`."""

    def __init__(self, broker: Broker, centre: Centre, kill_s: float) -> None:
        self._broker, self._centre, self._kill_s = broker, centre, kill_s
        self._rng = random.Random(3)
        self._next_kill_s = self._next_turn_s = time.monotonic() + kill_s
        self.kills = 0

    def step(self) -> None:
        """To be called often."""
        if time.monotonic() >= self._next_kill_s:
            self._broker.kill()
            self._broker.restart()
            self.kills += 1
            self._next_kill_s += self._kill_s
        if time.monotonic() >= self._next_turn_s:
            self._next_turn_s += self._kill_s * self._rng.uniform(0.8, 1.2)
            if self._centre.is_up:
                self._centre.kill()
            else:
                self._centre.start()


class Trusting:
    """The control: an uplink to which the broker's word is as good as the locator's."""

    def __init__(self, network: Network) -> None:
        self._outbox, self._link = network.outbox, network.link
        self._in_flight: dict[int, RecordKey] = {}
        self._delivered: set[RecordKey] = set()
        self._is_up = False
        self.counters = "no receipts"

    @property
    def idle(self) -> bool:
        return len(self._delivered) == self._outbox.backlog()

    def step(self, now_ns: int) -> None:
        if self._link.is_down:
            self._link.connect()
        for event in self._link.poll():
            if isinstance(event, Connected | Lost):
                self._is_up = isinstance(event, Connected)
                self._in_flight = {}
            if isinstance(event, Sent | Refused) and event.token in self._in_flight:
                self._delivered.add(self._in_flight.pop(event.token))
        room = 16 - len(self._in_flight)
        if self._is_up and room:
            known = frozenset(self._delivered | set(self._in_flight.values()))
            for sealed in self._outbox.pending(room, known):
                topic = f"{IDENTITY.topic}/event/{sealed.kind}"
                self._in_flight[self._link.publish(topic, sealed.envelope)] = sealed.head.key


def held_after(
    directory: Path, trial: Trial, change: Callable[[Network], None] = lambda network: None
) -> tuple[list[int], Network, int]:
    """What the locator's store holds in the end, and how often the broker was killed."""
    with world_of("mosquitto") as world:
        mosquitto_by_default(world.broker)
        network = Network(directory, world.broker.url, hurry=trial.hurry)
        change(network)
        deaths = Deaths(world.broker, network.centre, trial.kill_s)
        begun_s = time.monotonic()
        for number in range(trial.records):
            network.append(1, heartbeat() if number % 5 else None)
            due_s = begun_s + number * trial.seconds / trial.records
            while time.monotonic() < due_s:
                deaths.step()
                network.step()
        if not network.centre.is_up:
            network.centre.start()
        held = network.settle()
        network.close()
    return held, network, deaths.kills


@pytest.mark.parametrize(
    "trial",
    [pytest.param(QUICK, id="quick"), pytest.param(LONG, id="long", marks=pytest.mark.torture)],
)
def test_every_record_arrives_once(tmp_path: Path, trial: Trial) -> None:
    """Mosquitto as it is by default, killed -9: nothing missing, nothing twice in the store."""
    held, network, kills = held_after(tmp_path, trial)
    again = network.centre.duplicates
    print(f"\n{trial}: {kills} kills, {network.uplink.counters}, {again} records came twice")
    assert kills >= trial.seconds / trial.kill_s - 2
    assert held == list(range(1, trial.records + 1))
    assert network.centre.rejected == 0


def test_the_trial_finds_the_loss_of_whoever_trusts_the_broker(tmp_path: Path) -> None:
    """Under the same deaths, without receipts, records are missing."""

    def trust(network: Network) -> None:
        network.uplink = Trusting(network)

    held, _, _ = held_after(tmp_path, CONTROL, trust)
    print(f"\nwithout receipts: {CONTROL.records - len(held)} of {CONTROL.records} lost")
    assert len(held) < CONTROL.records
