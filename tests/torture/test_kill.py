"""The daemon is killed again and again, and its chain must stay whole."""

import random
import time
from itertools import pairwise
from pathlib import Path

import pytest

from agent.core.chain import Head, check_link
from agent.core.records import Start, Stop
from simulator.broker import start_broker
from tests.support.pole import Listener, Pole

KILLS = 25


@pytest.mark.torture
def test_the_chain_is_whole_after_every_kill(tmp_path: Path) -> None:
    """Killed at any moment of its runs, the node loses, repeats and forks no link."""
    rng = random.Random(20)
    with start_broker("auto") as broker:
        listener = Listener(broker.url)
        pole = Pole(tmp_path, broker.url, seconds=2.0)
        for _ in range(KILLS):
            daemon = pole.start()
            time.sleep(rng.uniform(0, 0.3))
            daemon.kill()
            daemon.communicate()
        last = pole.start()
        bodies = listener.bodies(pole.public, until=Stop)
        last.communicate(timeout=60)
        listener.link.close()
    reasons = [body.data.reason for body in bodies if isinstance(body.data, Start)]
    assert set(reasons[1:]) == {"unclean"}
    assert [body.seq for body in bodies] == list(range(1, len(bodies) + 1))
    for before, body in pairwise(bodies):
        check_link(body, Head(before.chain, before.seq, listener.digests[before.seq]))
