"""What the locator keeps in memory, what it finds again on its disk, and what a start looks at."""

import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from agent.adapters.outbox import open_database
from agent.core.records.envelope import open_envelope
from agent.core.records.kinds import Receipt, parse
from agent.errors import StoreError
from simulator.centre.locator import service
from simulator.centre.locator.schema import STEPS
from simulator.centre.locator.store import EventStore
from simulator.centre.locator.windows import MEMORY, Revision
from simulator.grid.virtual_broker import VirtualPublisher
from tests.simulator.centre.locator.test_service import ALL
from tests.simulator.centre.locator.test_service import Centre as Served
from tests.support.cells import Cell
from tests.support.disk import in_memory
from tests.support.drafts import LOCATOR, LOCATOR_KEYS, NOW, chain_of, identity_of, registry_of

TOPIC = f"{identity_of('n1').topic}/event/impulse"
LONE = ("n1", "n2", "n3", "n4")


class Centre(Served):
    """A locator with so much memory; `believed` is what a reader of its announcements knows."""

    def __init__(self, path: Path, cell: Cell, memory: int | None = MEMORY) -> None:
        self.memory, self.believed = memory, {}
        super().__init__(path, cell)

    def open(self) -> None:
        self.store = EventStore(self.path, self.cell.registry.keys, LOCATOR)
        self.service = service.LocatorService(
            self.store,
            VirtualPublisher(self.broker, "locator", (service.EVENTS,), persistent=True),
            self.cell.registry,
            rng=random.Random(1),
            memory=self.memory,
            announce=self._believe,
        )

    def _believe(self, revision: Revision) -> None:
        for gone in revision.withdrawn:
            self.believed.pop(gone.id, None)
        self.believed |= {new.id: new for new in revision.changed}


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize(("seed", "restarts"), [(0, False), (1, True)])
def test_what_was_forgotten_is_found_again(tmp_path: Path, seed: int, restarts: bool) -> None:
    """In any order, with a memory of three shots: the belief of a locator that has all of it.

    How warm it was comes late too, unless the locator is killed now and then: a shot that was
    placed for a guess, forgotten, and then forgotten by a restart, is left as it is.
    """
    cell = Cell(air_c=20.0)
    warmth = [one for hour in range(3) for one in cell.warmth({"n2": 20.0}, 3600.0 * hour)]
    shots = [one for number in range(10) for one in cell.shot(900.0 * number)]
    messages = random.Random(seed).sample(shots + warmth, len(shots + warmth))
    if restarts:
        messages.sort(key=lambda one: one not in warmth)
    centres = [Centre(tmp_path / f"{memory}", cell, memory) for memory in (15, None)]
    for first in range(0, len(messages), 9):
        for centre in centres:
            centre.tell(messages[first : first + 9])
            centre.run(7)
        assert len(centres[0].service.arrivals) <= 15 + 9
        if restarts and first % 18 == 0:
            centres[0].kill()
            centres[0].open()
            centres[0].run(15)
    for centre in centres:
        centre.run(40)
        centre.store.close()
    forgetful, whole = (centre.believed for centre in centres)
    assert forgetful == whole
    assert [one.status for one in whole.values()] == ["located"] * 10


@pytest.mark.parametrize(
    ("records", "memory"),
    [
        pytest.param(800, 64, id="some"),
        pytest.param(50_000, 4_096, id="many", marks=pytest.mark.torture),
    ],
)
def test_the_memory_is_bounded(records: int, memory: int) -> None:
    """However much was heard: the same state, right receipts, and a late record finds its shot."""
    cell, told, early_bytes = Cell(), 0, 0
    with in_memory() as directory:
        centre = Centre(directory / "l.sqlite", cell, memory)
        centre.tell(cell.shot(0.0, ["n1", "n2", "n3"]))
        centre.run(7)
        (detected,) = centre.believed
        for number in range(1, records):
            node = LONE[number % 4]
            at_s = 60.0 * number
            message = (
                cell.shot(at_s, [node])[0] if number % 3 else cell.warmth({node: 15.0}, at_s)[0]
            )
            centre.tell([message])
            if number % 200 == 0:
                centre.run(7)
                told += len(centre.said()[1])
                assert len(centre.service.arrivals) <= memory + 200
                assert len(centre.service.incidents) <= memory
                early_bytes = early_bytes or (resident_bytes() if number > records // 4 else 0)
        centre.run(7)
        grown_bytes = resident_bytes() - early_bytes
        centre.said()
        centre.tell(cell.shot(0.0, ["n4", "n5"]))
        centre.run(7)
        features, receipts = centre.said()
        assert {one.id: one.status for one in centre.believed.values()}[features[0]["id"]] == (
            "located"
        )
        assert features[1]["id"] == detected
        assert centre.service.counters.rejected == {}
        by_node = {one.source[-2:]: (one.upto_seq, one.extra) for one in receipts}
        assert by_node["n5"] == (1, ())
        assert by_node["n4"] == (1 + len(range(3, records, 4)), ())
        centre.kill()
        began_s = time.monotonic()
        centre.open()
        started_s = time.monotonic() - began_s
        assert len(centre.service.arrivals) <= service.TOLD_AGAIN
        centre.store.close()
        size = (directory / "l.sqlite").stat().st_size
    print(
        f"\n{records} records, a memory of {memory}: {grown_bytes / 2**20:+.1f} MB after the first "
        f"quarter; started again in {started_s:.2f} s on {size / 2**20:.0f} MB"
    )
    assert told > 0
    if records > 10_000:
        assert grown_bytes < 16 << 20


def test_a_start_brings_what_was_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before it was located: told after the restart, and what was told before is not."""
    monkeypatch.setattr(service, "TOLD_AGAIN", 0)
    centre = Centre(tmp_path / "l.sqlite", Cell())
    centre.tell(centre.cell.shot(0.0))
    centre.run(10)
    first = centre.said()[0]
    centre.tell(centre.cell.shot(300.0, ["n1", "n2"]))
    centre.run(1)
    centre.kill()
    centre.open()
    centre.tell(centre.cell.shot(300.0, ["n3", "n4", "n5"]))
    centre.run(15)
    second = centre.said()[0]
    assert len(first) == len(second) == 1
    assert second[0]["id"] != first[0]["id"]
    assert second[0]["properties"]["heard_by"] == first[0]["properties"]["heard_by"]
    assert len(ALL) == len(second[0]["properties"]["heard_by"])
    centre.store.close()


def held(path: Path, length: int = 60) -> list:
    """A store with so many records of one node, closed; the links of its chain."""
    links = chain_of("n1", length)
    store = store_at(path)
    for link in links:
        store.admit(TOPIC, link.envelope)
    store.commit()
    store.close()
    return links


def store_at(path: Path) -> EventStore:
    return EventStore(path, registry_of("n1"), LOCATOR)


def upto_after_a_duplicate(store: EventStore, envelope: bytes) -> int:
    store.admit(TOPIC, envelope)
    store.commit()
    ((_, raw),) = store.receipts(NOW)
    return parse(open_envelope(raw, LOCATOR_KEYS).payload, Receipt).upto_seq


def test_a_whole_store_starts_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And its receipts go on."""
    links = held(tmp_path / "l")
    store = store_at(tmp_path / "l")
    assert caplog.records == []
    assert upto_after_a_duplicate(store, links[3].envelope) == 60
    store.close()


@pytest.mark.parametrize(
    ("harm", "upto"),
    [
        (
            "UPDATE event SET envelope = (SELECT envelope FROM event WHERE seq = 5) WHERE seq = 60",
            59,
        ),
        ("UPDATE event SET digest = 'f' WHERE seq = 60", 59),
        ("DELETE FROM event WHERE seq > 40", 40),
        ("UPDATE chain SET upto_seq = 90", 60),
        ("UPDATE chain SET head = 'f'", 60),
    ],
)
def test_receipts_never_cover_what_was_taken_from_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str, upto: int
) -> None:
    """Altered, cut off or claimed: the start says so, and counts what is really there."""
    links = held(tmp_path / "l")
    with closing(sqlite3.connect(tmp_path / "l")) as db, db:
        db.execute(harm)
    store = store_at(tmp_path / "l")
    assert any("damaged: chain" in record.getMessage() for record in caplog.records)
    assert upto_after_a_duplicate(store, links[3].envelope) == upto
    store.close()


def test_a_hole_in_the_middle_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also far from the end, at every start."""
    held(tmp_path / "l")
    with closing(sqlite3.connect(tmp_path / "l")) as db, db:
        db.execute("DELETE FROM event WHERE seq IN (20, 21)")
    for _ in range(2):
        caplog.clear()
        store_at(tmp_path / "l").close()
        (told,) = caplog.records
        assert "has lost 2 of 60 records" in told.getMessage()


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 0.999])
def test_a_file_that_was_cut_off_does_not_open(tmp_path: Path, part: float) -> None:
    """One line, and no receipts on what may be gone."""
    held(tmp_path / "l")
    raw = (tmp_path / "l").read_bytes()
    (tmp_path / "l").write_bytes(raw[: int(len(raw) * part)])
    with pytest.raises(StoreError, match=r"cannot be|was cut off"):
        store_at(tmp_path / "l")


def test_a_store_of_older_software_is_indexed_once(tmp_path: Path) -> None:
    """What it holds can be found by time from then on."""
    links = chain_of("n1", 3)
    with closing(open_database(tmp_path / "l", STEPS[:3])) as old:
        values = (identity_of("n1").source, links[0].head.chain, links[2].head.digest)
        old.execute("INSERT INTO chain VALUES (1, ?, ?, 3, ?, NULL)", values)
        for link in links:
            values = (link.head.seq, link.head.digest, link.envelope)
            old.execute("INSERT INTO event VALUES (1, ?, ?, ?, '')", values)
    for _ in range(2):
        store = store_at(tmp_path / "l")
        past = store.past("town", "north")
        assert len(list(past.earlier(2**62))) == 3
        assert list(past.later(2**62)) == []
        assert [body.seq for body in store.latest(2)] == [2, 3]
        store.close()
