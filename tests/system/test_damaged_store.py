"""A power cut has damaged the store of a pole: its daemon hears at once, and says what was."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core.records.kinds import Impulse, Start
from agent.core.records.store_records import Damaged
from simulator.grid.broker import start_broker
from tests.support import spoilt
from tests.support.centre import outbox_at
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
