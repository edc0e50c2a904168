"""The SQLite outbox beyond the port: ownership, crashes, threads."""

import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.adapters.outbox import SqliteOutbox, open_database
from agent.adapters.outbox.schema import STEPS
from agent.core.records import Sealer
from agent.core.records.chain import Head, RecordKey
from agent.errors import MalformedRecord, StoreError
from tests.support.drafts import (
    draft,
    heartbeat,
    identity_of,
    outbox_of,
    receipt,
    sealer_of,
    signer_of,
    start,
)

NONE: frozenset[RecordKey] = frozenset()

APPEND_FOR_EVER = """
import sys
from pathlib import Path
from agent.adapters.outbox import SqliteOutbox
from tests.support.drafts import draft, sealer_of
outbox = SqliteOutbox(Path(sys.argv[1]), sealer_of("n1"), lambda: "c" * 32)
while True:
    print(outbox.append(draft()).head.seq, flush=True)
"""


def test_a_killed_agent_lost_nothing_it_had_appended(tmp_path: Path) -> None:
    """SIGKILL at any moment: all that `append` returned is there, once, in one chain."""
    path, acknowledged = tmp_path / "o.db", 0
    for lines in (1, 7, 40):
        command = [sys.executable, "-c", APPEND_FOR_EVER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as agent:
            assert agent.stdout
            for _ in range(lines):
                acknowledged = int(agent.stdout.readline())
            agent.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, agent.stdout.read().split())])
    outbox = SqliteOutbox(path, sealer_of("n1"), lambda: "d" * 32)
    assert outbox.previous_run == "unclean"
    held = [sealed.head for sealed in outbox.pending(10_000, NONE)]
    assert [head.seq for head in held] == list(range(1, len(held) + 1))
    assert acknowledged <= len(held) <= acknowledged + 1
    assert outbox.append(draft()).head.seq == len(held) + 1
    outbox.close()


def test_the_end_of_the_last_run_is_known(tmp_path: Path) -> None:
    """A new store, an orderly end and a crash are told apart at the next start."""
    path, ends = tmp_path / "o.db", []
    for clean in (True, True, False, True):
        outbox = outbox_of("n1", path)
        ends.append(outbox.previous_run)
        outbox.close(clean=clean)
        outbox.close()
    assert ends == ["new-store", "clean", "clean", "unclean"]


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    """While the daemon runs nothing else opens its store, in this process or another one."""
    outbox = outbox_of("n1", tmp_path / "o.db")
    with pytest.raises(StoreError, match=r"o.db: in use by another process$"):
        outbox_of("n1", tmp_path / "o.db")
    other = subprocess.run(
        [sys.executable, "-c", APPEND_FOR_EVER, str(tmp_path / "o.db")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert other.stderr.splitlines()[-1].endswith("o.db: in use by another process")
    outbox.append(draft())
    outbox.close()


@pytest.mark.parametrize("stranger", ["another node", "another key"])
def test_the_store_of_another_is_refused(tmp_path: Path, stranger: str) -> None:
    """A swapped card or a new key is noticed before anything is signed into the wrong chain."""
    outbox_of("n1", tmp_path / "o.db").close()
    rekeyed = replace(identity_of("n1"), keyid=signer_of("n2").keyid)
    sealers = {"another node": sealer_of("n2"), "another key": Sealer(rekeyed, signer_of("n2"))}
    with pytest.raises(StoreError, match=r"store of urn:earshot:town:north:n1 with key .*, not of"):
        SqliteOutbox(tmp_path / "o.db", sealers[stranger], partial(secrets.token_hex, 16))
    outbox_of("n1", tmp_path / "o.db").close()


def test_what_is_no_outbox_is_left_alone(tmp_path: Path) -> None:
    """Another database, a newer store, a directory: one line, nothing written."""
    with closing(sqlite3.connect(tmp_path / "other")) as other:
        other.execute("CREATE TABLE t (x)")
    open_database(tmp_path / "newer", ["", "", "", ""]).close()
    (tmp_path / "directory").mkdir()
    for name, told in (
        ("other", "store of version 0; this software reads 1 to 3"),
        ("newer", "store of version 4; this software reads 1 to 3"),
        ("directory", "cannot be opened: unable to open database file"),
        ("none/o.db", "cannot be opened: unable to open database file"),
    ):
        with pytest.raises(StoreError, match=f"^{tmp_path / name}: {told}$"):
            outbox_of("n1", tmp_path / name)


def test_a_record_too_big_to_sign_leaves_no_trace(tmp_path: Path) -> None:
    """A failed append takes no number: the next record follows the last good one."""
    outbox = outbox_of("n1", tmp_path / "o.db")
    outbox.append(draft())
    endless = replace(start(), software="x" * 13_000)
    with pytest.raises(MalformedRecord):
        outbox.append(draft(endless))
    assert (outbox.append(draft()).head.seq, outbox.backlog()) == (2, 2)
    outbox.close()


def test_a_store_of_the_first_schema_is_taken_over(tmp_path: Path) -> None:
    """Order, chain, what waits and what may be checked against a receipt stay as they were."""
    identity, links, spoken = identity_of("n1"), [], Head("c" * 32)
    for data in (heartbeat(), start(), None, heartbeat(), None):
        links.append(sealer_of("n1").seal(draft(data), spoken))
        spoken = links[-1].head
    with closing(open_database(tmp_path / "o.db", STEPS[:1])) as old:
        values = (
            identity.source,
            identity.keyid,
            spoken.chain,
            spoken.digest,
            links[0].head.digest,
        )
        old.execute("INSERT INTO node VALUES (?, ?, 1, ?, 5, ?, 1, ?)", values)
        for one in links[1:]:
            left = None if one.head.seq == 3 else one.envelope  # was in an `extra` range
            row = (one.head.seq, one.head.digest, one.kind, one.priority, left)
            old.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?)", row)
    outbox = outbox_of("n1", tmp_path / "o.db")
    assert outbox.previous_run == "unclean"
    assert outbox.pending(9, NONE) == [links[4], links[1], links[3]]
    assert (outbox.backlog(), outbox.head()) == (3, spoken)
    assert outbox.release(receipt("n1", links[2].head)) == 1
    assert outbox.append(draft()).head.seq == 6
    outbox.close()


def test_the_node_appends_while_the_uplink_releases(tmp_path: Path) -> None:
    """Two threads on one store: every record is delivered exactly once, the chain stays whole."""
    outbox, wanted, seen = outbox_of("n1", tmp_path / "o.db"), 300, []
    node = threading.Thread(target=lambda: [outbox.append(draft()) for _ in range(wanted)])
    node.start()
    while len(seen) < wanted:
        if records := outbox.pending(16, NONE):
            seen += [record.head.seq for record in records]
            outbox.release(receipt("n1", records[-1].head))
    node.join()
    assert (seen, outbox.backlog()) == (list(range(1, wanted + 1)), 0)
    outbox.close()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    """Using it after its end is an error of ours, not a traceback of SQLite's."""
    outbox = outbox_of("n1", tmp_path / "o.db")
    outbox.close()
    with pytest.raises(StoreError, match=r"closed database"):
        outbox.append(draft())


@pytest.mark.parametrize(("durable", "synchronous"), [(True, 2), (False, 0)])
def test_durable_is_what_sqlite_was_told(tmp_path: Path, durable: bool, synchronous: int) -> None:
    """WAL always; FULL unless this is virtual time."""
    db = open_database(tmp_path / "o.db", [""], durable=durable)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    db.close()
