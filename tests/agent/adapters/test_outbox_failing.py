"""The SQLite outbox on a disk that fails: what it says, and what it holds afterwards."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.adapters.outbox import SqliteOutbox
from agent.core.records.chain import draft_of
from agent.core.records.store_records import Rollback
from tests.support.disk import environment, preload
from tests.support.drafts import draft, sealer_of

APPEND_WITH_FAULTS = """
import sys
from pathlib import Path
from agent.adapters.outbox import SqliteOutbox
from agent.core.records.chain import draft_of
from agent.core.records.store_records import Rollback
from agent.errors import StoreError
from tests.support.drafts import draft, receipt, sealer_of

home, letter = Path(sys.argv[1]), sys.argv[2]
outbox = SqliteOutbox(home / "o.db", sealer_of("n1"), lambda: "c" * 32)
fault = home.with_name("fault")

def tried(said):
    try:
        return outbox.append(said).head
    except StoreError as error:
        print("refused", *str(error).splitlines())

kept = []
for number in range(12):
    kept += [outbox.append(draft(host_ns=number)).head for _ in range(5)]
    waits = draft(host_ns=1000 + number)
    fault.write_text(letter)
    assert [tried(waits) for _ in range(3)] == [None] * 3
    fault.unlink()
    kept.append(outbox.append(waits).head)
    if number % 5 == 4:
        fault.write_text(letter)
        told = receipt("n1", kept[-2])
        try:
            outbox.release(told)
        except StoreError as error:
            print("refused", error)
        fault.unlink()
        outbox.release(told)
print("kept", *(head.digest for head in kept))
"""


@pytest.mark.system
@pytest.mark.parametrize(
    ("letter", "told"),
    [("s", "disk I/O error"), ("w", "disk I/O error"), ("f", "database or disk is full")],
)
def test_a_failing_disk_costs_no_record_and_repeats_none(
    memory: Path, letter: str, told: str
) -> None:
    """Failing syncs, failing writes, no space: refused in a line, kept once when it is over.

    A record whose commit failed may be on the disk all the same; said again, it is the same one.
    """
    home = memory / "home"
    home.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", APPEND_WITH_FAULTS, str(home), letter],
        env=environment(preload(memory), home, fault=memory / "fault"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    *refusals, last = ended.stdout.splitlines()
    assert len(refusals) == 12 * 3 + 2
    assert all(told in line for line in refusals), refusals
    kept = last.split()[1:]
    assert len(set(kept)) == len(kept) == 12 * 6
    outbox = SqliteOutbox(home / "o.db", sealer_of("n1"), lambda: "d" * 32)
    assert outbox.previous_run == "unclean"
    assert outbox.head().digest == kept[-1]
    assert outbox.head().seq == len(kept)
    left = outbox.pending(999, frozenset())
    assert [one.head.digest for one in left] == kept[-len(left) :]
    outbox.close()


def test_a_disk_that_lost_what_it_acknowledged_is_not_trusted(memory: Path) -> None:
    """Found when the file is opened again after a failure: no number is used a second time."""
    chains = iter("cd")
    outbox = SqliteOutbox(memory / "o.db", sealer_of("n1"), lambda: next(chains) * 32)
    before = [outbox.append(draft(host_ns=number)).head for number in range(2)]
    shutil.copytree(memory, memory / "earlier")
    last = outbox.append(draft(host_ns=2)).head
    outbox._file.let_go()  # as after a failed sync
    for path in memory.glob("o.db*"):
        path.unlink()
    shutil.copytree(memory / "earlier", memory, dirs_exist_ok=True)
    after = outbox.append(draft(host_ns=3))
    assert after.head.chain == "d" * 32 != last.chain
    told, *again = sorted(outbox.pending(9, frozenset()), key=lambda one: one.head.seq)
    data = draft_of(told.envelope).data
    assert isinstance(data, Rollback)
    assert data.reason == "the disk lost records after seq 2 that it had acknowledged"
    assert (data.seq, data.digest, data.said_again) == (2, before[1].digest, 2)
    assert [draft_of(one.envelope).host_ns for one in again] == [0, 1, 3]
    outbox.close()
