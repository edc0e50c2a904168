"""A daemon on a disk that fails or is full goes on hearing, and forgets nothing that it heard."""

import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.adapters.outbox import SqliteOutbox
from agent.app.keeping import RETRY_NS, Keeping
from agent.app.waiting import MAX_WAITING
from agent.core.records.envelope import open_envelope
from agent.core.records.kinds import Impulse, Receipt, parse
from agent.core.records.store_records import Shed
from simulator.centre.locator.store import EventStore
from simulator.grid.broker import start_broker
from tests.support.centre import PATIENCE_S, POLL_S, Centre, outbox_at
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
BALLAST_BYTES = 2 << 20  # what someone deletes from a full disk
RECOVERY_S = 10.0
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


class Told:
    """What a daemon logs, as it comes."""

    def __init__(self, daemon: subprocess.Popen[str]) -> None:
        self._daemon = daemon
        self._lines: list[tuple[float, str]] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def wait_for(self, words: str, since_s: float) -> float:
        """How many seconds after `since_s`, monotonic, a line came that holds `words`."""
        give_up_s = time.monotonic() + PATIENCE_S
        while True:
            found = [at_s for at_s, line in self._lines if words in line and at_s > since_s]
            if found:
                return found[0] - since_s
            assert time.monotonic() < give_up_s, f"{words!r} is not in {self._lines}"
            time.sleep(0.01)

    def end(self) -> None:
        """Wait until the daemon has closed its log."""
        self._thread.join()

    def of_the_store(self) -> list[str]:
        """The words on it."""
        return [line.partition(",")[0] for _, line in self._lines if " store " in line]

    def _read(self) -> None:
        assert self._daemon.stderr is not None
        for line in self._daemon.stderr:
            self._lines.append((time.monotonic(), line.rstrip()))


@contextmanager
def running(pole: Pole, env: Mapping[str, str] | None = None) -> Iterator[Told]:
    """The daemon of `pole`, ended in order by the context; what it told is then whole."""
    daemon = pole.start(env)
    told = Told(daemon)
    try:
        yield told
        daemon.terminate()
        assert daemon.wait(30) == 0
    finally:
        daemon.kill()
        daemon.wait()
        told.end()
        assert daemon.stderr is not None
        daemon.stderr.close()


@pytest.mark.system
@pytest.mark.parametrize(
    ("letter", "within_s"),
    [
        pytest.param("s", None, id="syncs"),
        pytest.param("s", RECOVERY_S, id="syncs-timed", marks=pytest.mark.torture),
        pytest.param("w", RECOVERY_S, id="writes-timed", marks=pytest.mark.torture),
        pytest.param("f", RECOVERY_S, id="space-timed", marks=pytest.mark.torture),
    ],
)
def test_every_blast_is_told_over_a_failing_disk(
    tmp_path: Path, memory: Path, letter: str, within_s: float | None
) -> None:
    """Syncs or writes fail, or there is no space, while it bangs: all is delivered afterwards.

    Once the disk works again, all that waited is on it `within_s`.
    """
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
            ended_s = time.monotonic()
            centre.wait(lambda: centre.upto_seq() > held + 10, "impulses afterwards")
            delivered_s = time.monotonic() - ended_s
            kept_s = told.wait_for("store keeps again", ended_s)
    assert told.of_the_store() == ["ERROR store fails", "INFO store keeps again"]
    assert centre.service.counters.rejected == {}
    assert centre.store.chain_faults() == []
    assert untold(pole, centre) == set()
    print(f"\nfault {letter!r}: kept {kept_s:.1f} s, delivered {delivered_s:.1f} s after its end")
    centre.store.close()
    assert within_s is None or kept_s <= within_s


def fill(keeping: Keeping) -> int:
    """Say heartbeats and impulses until the first waits; how many impulses that were."""
    for number in range(100_000):
        keeping.append(draft(heartbeat()))
        keeping.append(draft())
        while keeping.step(0):
            pass
        if keeping.waiting:
            return number + 1
    raise AssertionError("a small disk cannot hold so much")


@pytest.mark.torture
@pytest.mark.parametrize("freed_by", ["receipts", "cleaning"])
def test_a_daemon_on_a_full_disk_hears_on(tmp_path: Path, memory: Path, freed_by: str) -> None:
    """Without room or link what it hears waits; with the first room it is kept, and then sent.

    From the first receipt, or from the moment that someone clears the disk, until nothing waits
    in memory: RECOVERY_S at most.
    """
    with start_broker("auto") as broker, mounted(memory, DISK_MB) as disk:
        pole = Pole(tmp_path, broker.url, seconds=60.0, blast_every_s=0.25)
        (tmp_path / "store").symlink_to(disk)
        broker.kill()
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(BALLAST_BYTES))
        outbox = outbox_at(pole, disk / "outbox.sqlite")
        fill(Keeping(outbox))
        full = outbox.head().seq
        outbox.close()
        hog(disk)
        with running(pole) as told:
            time.sleep(4.0)
            freed_s = time.monotonic()
            if freed_by == "cleaning":
                ballast.unlink()
                kept_s = told.wait_for("store keeps again", freed_s)
            broker.restart()
            with Centre(pole, tmp_path) as centre:
                first_s = centre.wait(lambda: centre.service.counters.admitted > 0, "a record")
                if freed_by == "receipts":
                    freed_s = time.monotonic()
                    kept_s = told.wait_for("store keeps again", freed_s - POLL_S)
                drained_s = centre.wait(lambda: centre.upto_seq() > full + 20, "what waited")
    assert set(told.of_the_store()) == {"ERROR store fails", "INFO store keeps again"}
    assert centre.store.chain_faults() == []
    assert untold(pole, centre) == set()
    assert len(impulses(centre)) > 8
    print(
        f"\n{full} records on a full disk, freed by {freed_by}: what waited is kept after "
        f"{kept_s:.1f} s; first receipt {first_s:.1f} s after the broker's return, all that was "
        f"there delivered {drained_s:.1f} s after that"
    )
    centre.store.close()
    assert kept_s <= RECOVERY_S


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
            while keeping.step(second * 2 * RETRY_NS):
                pass
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
