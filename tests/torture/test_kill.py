"""Killed at any moment, a store and a whole daemon lose, repeat and fork nothing."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.core.records.kinds import Impulse, Start, Stop
from simulator.grid.broker import start_broker
from tests.support.centre import Centre, outbox_at
from tests.support.disk import environment, preload
from tests.support.pole import Pole
from tests.support.storeproof import Known, digests_in, faults_of

ROUNDS = "10"
WRITES = 13_000  # at least, in such a life of a store
SYNCS = 500


def live(directory: Path, *under: str) -> subprocess.CompletedProcess[str]:
    directory.mkdir()
    return subprocess.run(
        [*under, sys.executable, "-m", "tests.support.storework", str(directory), ROUNDS],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def assert_whole_after_kills(memory: Path, call: str, numbers: range) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    assert live(memory / "unharmed").returncode == 0
    digests = digests_in(memory / "unharmed" / "acks")
    for number in numbers:
        kill = f"inject={call}:signal=KILL:when={number}"
        home = memory / f"{call}-{number}"
        killed = live(home, "strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", kill)
        if "Operation not permitted" in killed.stderr:
            pytest.skip("strace may not trace here")
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        known = Known(digests)
        for line in (home / "acks").read_text().splitlines():
            known.take(json.loads(line))
        assert (number, faults_of(home, known)) == (number, [])
        shutil.rmtree(home)


@pytest.mark.system
@pytest.mark.parametrize(
    "step", [4_600, pytest.param(90, marks=pytest.mark.torture)], ids=["some", "many"]
)
def test_a_store_killed_at_a_write_is_whole(memory: Path, step: int) -> None:
    """SIGKILL at the n-th write: all that was acknowledged is there, and nothing else."""
    assert_whole_after_kills(memory, "pwrite64", range(100, WRITES, step))


@pytest.mark.system
@pytest.mark.parametrize(
    "step", [200, pytest.param(10, marks=pytest.mark.torture)], ids=["some", "many"]
)
def test_a_store_killed_at_a_sync_is_whole(memory: Path, step: int) -> None:
    """The same at the n-th sync."""
    assert_whole_after_kills(memory, "fdatasync", range(10, SYNCS, step))


@pytest.mark.parametrize(
    ("kills", "sync_ms"),
    [
        (3, 0),
        pytest.param(500, 0, marks=pytest.mark.torture),
        pytest.param(100, 200, marks=pytest.mark.torture),
    ],
)
def test_a_daemon_killed_under_load_loses_nothing(
    tmp_path: Path, memory: Path, kills: int, sync_ms: int
) -> None:
    """Its chain goes on whole and receipted, and each run knows that the one before was killed.

    What the store held when the daemon died is what the locator holds in the end, also where each
    sync takes `sync_ms` longer.
    """
    env = None
    if sync_ms:
        (memory / "slow").write_text(str(sync_ms))
        env = environment(preload(memory), tmp_path / "store", slow=memory / "slow")
    rng, found, ready_s = random.Random(20), [], []
    with start_broker("auto") as broker:
        pole = Pole(tmp_path, broker.url, seconds=4.0, blast_every_s=0.05)
        with Centre(pole, tmp_path) as centre:
            for _ in range(kills):
                began_s = time.monotonic()
                daemon = pole.start(env)
                ready_s.append(time.monotonic() - began_s)
                time.sleep(rng.uniform(0.1, 2.0))
                daemon.kill()
                daemon.communicate()
                found.append(head_left(pole))
            last = pole.start()
            time.sleep(0.3)
            last.terminate()
            centre.wait(lambda: last.poll() is not None, "end of the last run")
            _, told = last.communicate()
            assert last.returncode == 0, told
    assert centre.service.counters.rejected == {}
    assert centre.store.chain_faults() == []
    bodies = list(centre.store.bodies())
    assert [body.seq for body in bodies] == list(range(1, len(bodies) + 1))
    assert {(body.chain, body.seq) for body in bodies} >= set(found)
    reasons = [body.data.reason for body in bodies if isinstance(body.data, Start)]
    assert (reasons[0], set(reasons[1:])) == ("new-store", {"unclean"})
    # Whoever left a record left its start; a run killed before its first word was kept left none.
    assert len(reasons) == len(set(found)) + 1
    assert len(reasons) > kills * (0.3 if sync_ms else 0.97)
    assert isinstance(bodies[-1].data, Stop)
    impulses = sum(isinstance(body.data, Impulse) for body in bodies)
    assert impulses > kills * (0.3 if sync_ms else 1)
    print(
        f"\n{kills} kills, {len(bodies)} records, {impulses} impulses: none lost, no fork; ready "
        f"again in {max(ready_s):.2f} s at most, {sum(ready_s) / kills:.2f} s on average"
    )
    centre.store.close()


def head_left(pole: Pole) -> tuple[str, int]:
    """The last record in the store of a daemon that was killed, read from a copy."""
    copy = pole.home / "copy"
    shutil.copytree(pole.home / "store", copy)
    outbox = outbox_at(pole, copy / "outbox.sqlite")
    head = outbox.head()
    outbox.close()
    shutil.rmtree(copy)
    return head.chain, head.seq
