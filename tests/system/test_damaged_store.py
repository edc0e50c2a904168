"""A power cut has damaged the store of a pole: its daemon hears at once, and says what was."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core.records.kinds import Impulse, Start
from agent.core.records.store_records import Damaged
from agent.core.units import NS_PER_S
from simulator.grid.broker import start_broker
from tests.support import spoilt
from tests.support.centre import outbox_at
from tests.support.disk import environment, preload
from tests.support.drafts import draft, heartbeat
from tests.support.pole import Listener, Pole

pytestmark = pytest.mark.system

FIRST_BLOCK_S = 5.0


SOME = (spoilt.zero, spoilt.halve, spoilt.take_away)
MORE = [pytest.param(one, marks=pytest.mark.torture) for one in spoilt.WAYS if one not in SOME]


@pytest.mark.parametrize("damage", [*SOME, *MORE])
def test_a_pole_hears_within_seconds_of_a_start_over_a_damaged_store(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """From the start of the process to its first record, which tells of the damage, and then on."""
    with start_broker("auto") as broker:
        pole = Pole(tmp_path, broker.url, seconds=20.0, blast_every_s=0.5)
        store = tmp_path / "store" / "outbox.sqlite"
        store.parent.mkdir()
        outbox = outbox_at(pole, store)
        for number in range(300):
            outbox.append(draft(heartbeat() if number % 3 else None, number))
        outbox.close(clean=False)
        damage(store)
        listener = Listener(pole.url)
        began_s = time.monotonic()
        daemon = pole.start()
        try:
            first = listener.bodies(pole.public, Start)
            took_s = time.monotonic() - began_s
            shots = sum(isinstance(body.data, Impulse) for body in first)
            bodies = listener.bodies(pole.public, Impulse, shots + 3)
        finally:
            daemon.terminate()
            daemon.communicate()
            listener.link.close()
    assert isinstance(bodies[0].data, Damaged)
    assert (store.parent / bodies[0].data.set_aside).exists()
    assert daemon.returncode == 0
    print(f"\n{damage.__name__}: first record {took_s:.1f} s after the start")
    assert took_s <= FIRST_BLOCK_S


def test_a_pole_hears_at_once_on_a_card_that_is_slow_from_the_start(
    tmp_path: Path, memory: Path
) -> None:
    """The store is opened meanwhile; what is said first still tells how the run before ended."""
    (memory / "slow").write_text("1000")
    env = environment(preload(memory), tmp_path / "store", slow=memory / "slow")
    with start_broker("auto") as broker:
        pole = Pole(tmp_path, broker.url, seconds=60.0, blast_every_s=0.5)
        listener = Listener(pole.url)
        for run, reason in enumerate(("new-store", "unclean"), 1):
            began_ns = time.monotonic_ns()
            daemon = pole.start(env)
            try:
                bodies = listener.bodies(pole.public, Start, run)
            finally:
                daemon.kill()
                daemon.communicate()
            start = [body for body in bodies if isinstance(body.data, Start)][-1]
            heard_s = (int(start.host_ns) - began_ns) / NS_PER_S
            kept_s = (time.monotonic_ns() - began_ns) / NS_PER_S
            print(f"\n{reason}: first sound {heard_s:.1f} s after the start, kept {kept_s:.1f} s")
            assert isinstance(start.data, Start)
            assert start.data.reason == reason
            assert heard_s <= FIRST_BLOCK_S
        listener.link.close()
