"""A daemon on a disk that fails or is full goes on hearing, and forgets nothing that it heard."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.adapters.outbox import SqliteOutbox
from agent.app.keeping import MAX_WAITING, RETRY_NS, Keeping
from agent.core.envelope import open_envelope
from agent.core.losses import Shed
from agent.core.records import Impulse, Receipt, parse
from simulator.broker import start_broker
from simulator.locator.store import EventStore
from tests.support.centre import Centre, outbox_at
from tests.support.disk import environment, hog, mounted, preload
from tests.support.drafts import (
    LOCATOR,
    LOCATOR_KEYS,
    NOW,
    draft,
    heartbeat,
    identity_of,
    registry_of,
    sealer_of,
)
from tests.support.pole import RATE_HZ, Pole

AT_SAMPLE = RATE_HZ // 200
DISK_MB = 8
EARLIER = "b" * 32  # the run of those who filled the disk


def impulses(centre: Centre) -> list[int]:
    """The samples of all impulses that the daemon told the locator of."""
    bodies = [body for body in centre.store.bodies() if body.boot != EARLIER]
    return [body.data.sample_index for body in bodies if isinstance(body.data, Impulse)]


def untold(pole: Pole, centre: Centre) -> set[int]:
    """Blasts before the last one told, of which no record at the locator tells."""
    heard = impulses(centre)
    past = {onset for onset in pole.blasts if onset < max(heard)}
    return {onset for onset in past if not any(abs(one - onset) < AT_SAMPLE for one in heard)}


@contextmanager
def running(pole: Pole, env: Mapping[str, str] | None = None) -> Iterator[list[str]]:
    """The daemon of `pole`, ended in order by the context; what it told is then in the list."""
    told: list[str] = []
    daemon = pole.start(env)
    try:
        yield told
        daemon.terminate()
        told += daemon.communicate(timeout=30)[1].splitlines()
        assert daemon.returncode == 0, told
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.communicate()


def of_the_store(told: list[str]) -> list[str]:
    """The log's words on it."""
    return [line.partition(",")[0] for line in told if " store " in line]


@pytest.mark.parametrize(
    "letter", ["s", *(pytest.param(one, marks=pytest.mark.torture) for one in "wf")]
)
def test_every_blast_is_told_over_a_failing_disk(tmp_path: Path, memory: Path, letter: str) -> None:
    """Syncs or writes fail, or there is no space, while it bangs: all is delivered afterwards."""
    with start_broker("auto") as broker:
        pole = Pole(tmp_path, broker.url, seconds=60.0, blast_every_s=0.25)
        fault = memory / "fault"
        env = environment(preload(memory), tmp_path / "store", fault=fault)
        with Centre(pole, tmp_path) as centre, running(pole, env) as told:
            centre.wait(lambda: centre.upto_seq() > 3, "first impulses")
            fault.write_text(letter)
            time.sleep(2.0)
            held = centre.upto_seq()
            fault.unlink()
            seconds = centre.wait(lambda: centre.upto_seq() > held + 10, "impulses afterwards")
    assert of_the_store(told) == ["ERROR store fails", "INFO store keeps again"]
    assert centre.service.counters.rejected == {}
    assert centre.store.chain_faults() == []
    assert untold(pole, centre) == set()
    print(f"\nfault {letter!r}: delivered again {seconds:.1f} s after its end")
    centre.store.close()


def fill(keeping: Keeping) -> int:
    """Say heartbeats and impulses until the first waits; how many impulses that were."""
    for number in range(100_000):
        keeping.append(draft(heartbeat()))
        if keeping.append(draft()) is None:
            return number + 1
    raise AssertionError("a small disk cannot hold so much")


@pytest.mark.torture
def test_a_daemon_on_a_full_disk_hears_on(tmp_path: Path, memory: Path) -> None:
    """Without room or link what it hears waits; with the first receipts it is kept and sent."""
    with start_broker("auto") as broker, mounted(memory, DISK_MB) as disk:
        pole = Pole(tmp_path, broker.url, seconds=60.0, blast_every_s=0.25)
        (tmp_path / "store").symlink_to(disk)
        broker.kill()
        outbox = outbox_at(pole, disk / "outbox.sqlite")
        fill(Keeping(outbox))
        full = outbox.head().seq
        outbox.close()
        hog(disk)
        with running(pole) as told:
            time.sleep(4.0)
            broker.restart()
            with Centre(pole, tmp_path) as centre:
                wanted = full + 20
                seconds = centre.wait(lambda: centre.upto_seq() > wanted, "records that waited")
    assert set(of_the_store(told)) == {"ERROR store fails", "INFO store keeps again"}
    assert centre.store.chain_faults() == []
    assert untold(pole, centre) == set()
    assert len(impulses(centre)) > 8
    print(f"\n{full} records on the full disk and what waited: delivered in {seconds:.1f} s")
    centre.store.close()


def test_beyond_what_may_wait_a_full_disk_costs_a_counted_gap(memory: Path) -> None:
    """Every impulse said is held by the locator in the end, or is counted in a signed record.

    With the disk full and no link, statistics go first, then the newest beyond MAX_WAITING.
    """
    with mounted(memory, DISK_MB) as disk:
        outbox = SqliteOutbox(disk / "o.db", sealer_of("n1"), lambda: "c" * 32)
        keeping = Keeping(outbox)
        spoken = fill(keeping)
        in_store = spoken - 1  # the last one waits
        hog(disk)
        for _ in range(MAX_WAITING + 500):
            keeping.append(draft())
            spoken += 1
        assert keeping.waiting == MAX_WAITING
        locator = EventStore(memory / "locator", registry_of("n1"), LOCATOR)
        for second in range(1, 100):
            deliver(outbox, locator)
            keeping.retry(second * 2 * RETRY_NS)
        outbox.close()
    assert locator.chain_faults() == []
    said = [body.data for body in locator.bodies()]
    heard = sum(isinstance(one, Impulse) for one in said)
    gone = {one.kind: one.count for data in said if isinstance(data, Shed) for one in data.unsaid}
    assert in_store > 1500
    assert heard == in_store + MAX_WAITING
    assert gone["impulse"] == spoken - heard
    print(f"\n{in_store} impulses in the store, {MAX_WAITING} waited, {gone} counted and signed")
    locator.close()


def deliver(outbox: SqliteOutbox, locator: EventStore) -> None:
    """All that waits, over a link that does not fail; and the receipt."""
    for one in outbox.pending(100_000, frozenset()):
        locator.admit(f"{identity_of('n1').topic}/event/{one.kind}", one.envelope)
    locator.commit()
    for _, raw in locator.receipts(NOW):
        outbox.release(parse(open_envelope(raw, LOCATOR_KEYS).payload, Receipt))
