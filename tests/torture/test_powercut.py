"""The power fails at any moment of a store's life, and nothing that was committed is lost."""

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.crashimages import CUTS, Change, Disk, read_trace
from tests.support.disk import environment, preload
from tests.support.storeproof import Known, digests_in, faults_of

pytestmark = pytest.mark.system

ROUNDS = 36  # of 50 records, after those that fill the store
IMAGES = 600
MANY_IMAGES = 10_000


def lived(memory: Path, *synchronous: str) -> tuple[list[Change], dict[int, str]]:
    """All changes that a life of an outbox made to its disk, and the digests of its records."""
    library, home = preload(memory), memory / "home"
    home.mkdir()
    subprocess.run(
        [sys.executable, "-m", "tests.support.storework", str(home), str(ROUNDS), *synchronous],
        env=environment(library, home, trace=memory / "trace"),
        check=True,
        timeout=120,
    )
    return list(read_trace(memory / "trace")), digests_in(home / "acks")


def faults(
    changes: list[Change], digests: dict[int, str], memory: Path, images: int
) -> Counter[str]:
    """The kinds of fault found in `images` disk states, cut at moments spread over all changes."""
    rng, disk, known, found = random.Random(9), Disk(), Known(digests), Counter[str]()
    moments = Counter(rng.randrange(len(changes)) for _ in range(images))
    image = memory / "image"
    image.mkdir()
    for at, change in enumerate(changes):
        if change.name == "acks":
            known.take(json.loads(change.data))
        else:
            disk.take(change)
        for number in range(moments[at]):
            cut = CUTS[(at + number) % len(CUTS)]
            disk.write_image(image, disk.survivors(cut, rng))
            found.update(fault.partition(":")[0] for fault in faults_of(image, known))
    return found


@pytest.mark.parametrize("images", [IMAGES, pytest.param(MANY_IMAGES, marks=pytest.mark.torture)])
def test_no_power_cut_loses_what_was_committed(memory: Path, images: int) -> None:
    """Whatever of the unsynced writes a cut leaves, the store opens, whole, with all it promised.

    Over a life with a migration, growth to the limit, shedding, receipts, checkpoints, restarts.
    """
    changes, digests = lived(memory)
    assert len(digests) > 2000
    assert faults(changes, digests, memory, images) == Counter()


def test_a_store_that_syncs_less_is_caught(memory: Path) -> None:
    """The control: with synchronous=NORMAL the same cuts do lose records."""
    changes, digests = lived(memory, "NORMAL")
    assert faults(changes, digests, memory, IMAGES)["lost"] > 0
