"""Days of the worst trifles: they must not cost a shot, and the store tells how full it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.outbox import SqliteOutbox
from agent.app.keeping import Keeping
from agent.app.runs import Runs
from agent.core.records import Draft
from agent.core.records.chain import Head
from agent.core.records.envelope import open_envelope
from agent.core.records.kinds import Gap, Impulse, Receipt, TimebaseChange, parse
from agent.core.units import NS_PER_S
from simulator.centre.locator.store import EventStore
from tests.support.disk import in_memory
from tests.support.drafts import (
    LOCATOR,
    LOCATOR_KEYS,
    NOW,
    draft,
    heartbeat,
    identity_of,
    impulse,
    receipt,
    registry_of,
    sealer_of,
)

MIB = 1 << 20
BLOCK, RATE_HZ = 1024, 48_000
SHOT_S, MINUTE_S = 180, 60
TOPIC = f"{identity_of('n1').topic}/event/"
NONE: frozenset[tuple[str, int]] = frozenset()


class Pole:
    """A node's store of so many MiB, the keeper, and a locator at the other end."""

    def __init__(self, directory: Path, max_mb: int) -> None:
        self.outbox = SqliteOutbox(
            directory / "o.db", sealer_of("n1"), lambda: "c" * 32, max_bytes=max_mb * MIB
        )
        self.keeping = Keeping(self.outbox)
        self.locator = EventStore(directory / "locator", registry_of("n1"), LOCATOR)
        self.least_free = 1.0

    def say(self, said: Draft) -> None:
        self.keeping.append(said)
        while self.keeping.step(said.host_ns):
            pass
        self.least_free = min(self.least_free, self.keeping.state(said.host_ns).free_share)

    def deliver(self, host_ns: int, lost: frozenset[int] = frozenset()) -> None:
        """All that waits, alerts first, but the numbers that are `lost` on the way."""
        seen: frozenset[tuple[str, int]] = NONE
        while found := self.keeping.pending(500, seen):
            seen |= {one.head.key for one in found}
            for one in found:
                if one.head.seq not in lost:
                    self.locator.admit(f"{TOPIC}{one.kind}", one.envelope)
        self.locator.commit()
        for _, raw in self.locator.receipts(NOW):
            self.keeping.release(parse(open_envelope(raw, LOCATOR_KEYS).payload, Receipt))
        while self.keeping.step(host_ns):
            pass

    def close(self) -> None:
        self.outbox.close()
        self.locator.close()


@pytest.fixture
def directory() -> Iterator[Path]:
    with in_memory() as made:
        yield made


def worst(hours: int, every_samples: int) -> Iterator[Draft]:
    """What a node says whose driver loses a block of so many samples, and whose clock flaps, while
    it hears a shot each SHOT_S."""
    runs = Runs()
    for number in range(hours * 3_600 * RATE_HZ // every_samples):
        first = number * every_samples
        host_ns = first * NS_PER_S // RATE_HZ
        told = list(runs.due(host_ns))
        told += runs.gap(Gap(first_sample=first, lost_samples=BLOCK, reason="overflow"), host_ns)
        states = ("locked", "holdover") if number % 2 else ("holdover", "locked")
        change = TimebaseChange(before=states[0], after=states[1], reason="no pulse")
        told += runs.change(change, host_ns)
        for data in told:
            yield draft(data, host_ns)
        since_ns = (first - every_samples) * NS_PER_S // RATE_HZ
        for period_s, data in ((MINUTE_S, heartbeat()), (SHOT_S, impulse())):
            if since_ns // (period_s * NS_PER_S) != host_ns // (period_s * NS_PER_S):
                yield draft(data, host_ns)


@pytest.mark.parametrize(
    ("hours", "max_mb", "every_samples"),
    [
        pytest.param(24, 6, RATE_HZ, id="a small store"),
        pytest.param(72, 64, 2 * BLOCK, id="three days", marks=pytest.mark.torture),
        pytest.param(72, 12, 2 * BLOCK, id="three days, small", marks=pytest.mark.torture),
    ],
)
def test_days_of_gaps_cost_no_shot(
    directory: Path, hours: int, max_mb: int, every_samples: int
) -> None:
    """A gap with every other block, a flapping clock, a hole in the chain, and then no locator: all
    shots are kept, and come in order when it is back; how full the store is was told."""
    pole = Pole(directory, max_mb)
    shots, hole, host_ns = 0, frozenset({3}), 0
    for said in worst(hours, every_samples):
        shots += isinstance(said.data, Impulse)
        pole.say(said)
        host_ns = said.host_ns
        if host_ns < 3_600 * NS_PER_S and isinstance(said.data, Impulse):
            pole.deliver(host_ns, lost=hole)
    state = pole.keeping.state(host_ns)
    assert (state.waiting, state.lost) == (0, 0)
    pole.deliver(host_ns)
    assert pole.locator.chain_faults() == []
    told = [body.data for body in pole.locator.bodies()]
    heard = [body.host_ns for body in pole.locator.bodies() if isinstance(body.data, Impulse)]
    print(
        f"\n{hours} h, {max_mb} MiB: {len(heard)} of {shots} shots, {len(told)} records, at least "
        f"{pole.least_free:.0%} of the store was free, backlog {state.backlog}"
    )
    assert len(heard) == shots == hours * 3_600 // SHOT_S
    assert heard == sorted(heard, key=int)
    gaps = [one for one in told if isinstance(one, Gap)]
    assert len(gaps) <= hours * 60 + 10
    assert pole.least_free < (0.02 if max_mb < 16 else 0.9)
    pole.close()


def test_a_hole_in_the_chain_does_not_fill_the_store(directory: Path) -> None:
    """What the locator has above it is one range, however much that is."""
    pole = Pole(directory, 4)
    for number in range(4_000):
        pole.say(draft(heartbeat(), number))
        if number % 50 == 49:
            head = pole.outbox.head()
            pole.keeping.release(receipt("n1", Head(head.chain), [(2, head.seq)]))
            while pole.keeping.step(number):
                pass
    with pole.outbox._file.transaction() as db:
        assert db.execute("SELECT first, last FROM settled").fetchall() == [(2, 4_000)]
        assert db.execute("SELECT count(*) FROM record").fetchone() == (1,)
    assert pole.least_free > 0.5
    pole.deliver(4_000)
    pole.close()
