"""How much faster hearing is than at an earlier commit: in one run, on the same sound, in turns.

EARSHOT_BENCH_BEFORE names the commit; by default the last one before trees and glances. Its files
are taken out of the repository's history. CPU time of one thread, medians; prints a
table and writes build/bench-hearing-before.json. EARSHOT_BENCH_EVERY (8) takes every so-manieth
clip: the lively street costs minutes with 1.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from tests.support.busystreets import CLIPS, STREETS, ambience, worst
from tests.support.measuring import Results, print_cells
from tests.support.noisystreet import street

HERE = Path(__file__).parents[2]
BEFORE = os.environ.get("EARSHOT_BENCH_BEFORE", "6416c98")
EVERY = int(os.environ.get("EARSHOT_BENCH_EVERY", "8"))
ROUNDS = 7
RESULTS = Results("bench-hearing-before")
_LISTENER = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
from agent.core.audio import AudioBlock, AudioFormat
from agent.core.hearing import Hearing

def hear(sound):
    hearing, count = Hearing(AudioFormat(48_000)), 0
    hearing.passes_over = True
    for start in range(0, len(sound), 1024):
        count += len(hearing.on_block(AudioBlock(start, sound[start : start + 1024], 0)))
    return count + len(hearing.finish())

for line in sys.stdin:
    with np.load(line.strip()) as held:
        sounds = [held[name] for name in held.files]
    began = time.process_time()
    count = sum(map(hear, sounds))
    print(json.dumps([time.process_time() - began, count]), flush=True)
"""


class Listener:
    """A process that hears with the files of one folder, when it is asked to."""

    def __init__(self, folder: Path) -> None:
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _LISTENER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=one_thread,
        )

    def cpu_s(self, sounds: Path) -> tuple[float, int]:
        """CPU seconds for all sounds of a file, and how many onsets were described."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{sounds}\n")
        self._process.stdin.flush()
        spent_s, count = json.loads(self._process.stdout.readline())
        return spent_s, count

    def end(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def listeners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Listener, Listener]]:
    """Of the earlier commit, and of the files here."""
    before = tmp_path_factory.mktemp("before")
    made = subprocess.run(
        ["git", "-C", str(HERE), "archive", BEFORE, "agent"], capture_output=True, check=False
    )
    if made.returncode:
        told = made.stderr.decode(errors="replace").strip().splitlines()
        pytest.skip(f"no commit {BEFORE} to compare with: {told[-1]}")
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as files:
        files.extractall(before, filter="data")
    both = Listener(before), Listener(HERE)
    yield both
    for one in both:
        one.end()


def test_hearing_beside_what_it_was(
    listeners: tuple[Listener, Listener], tmp_path: Path, capsys
) -> None:
    """Times real time before and now, and how much faster: median of the ratios of each round."""
    streets = {
        "quiet": [street(60.0, 0.9, seed=1, snrs_db=(40, 30, 25, 20, 16, 12))[0]],
        "six_blasts_a_minute": [street(60.0, 6, seed=1, snrs_db=(40, 30, 25, 20, 16, 12))[0]],
        "worst": [worst()],
    }
    if CLIPS.is_dir():
        streets["ambience"] = list(ambience(STREETS, every=max(1, EVERY // 2)))
        streets["any_non_impulsive"] = list(ambience(None, every=EVERY))
    for name, sounds in streets.items():
        path = tmp_path / f"{name}.npz"
        np.savez(path, *sounds)
        for one in listeners:
            one.cpu_s(path)
        rounds = [[one.cpu_s(path)[0] for one in listeners] for _ in range(ROUNDS)]
        heard_s = sum(map(len, sounds)) / 48_000
        then_s, now_s = (median(column) for column in zip(*rounds, strict=True))
        cells = {
            f"x_realtime_before_{name}": heard_s / then_s,
            f"x_realtime_{name}": heard_s / now_s,
            f"times_faster_{name}": median(then / now for then, now in rounds),
        }
        RESULTS.cells |= cells
        with capsys.disabled():
            print(f"\n{name}, {heard_s:.0f} s, against {BEFORE}:")
            print_cells(cells)
    with capsys.disabled():
        print(f"\n{RESULTS.write()}")
