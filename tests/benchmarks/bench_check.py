"""How long a technician waits for `earshot check` beside a daemon, over an import of numpy."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import pytest

from tests.agent.cli.test_cli_check import Pole, pole, post

ROUNDS = 9
__all__ = ["pole"]


def seconds(*words: str) -> float:
    """Wall time of a Python process."""
    began_s = time.perf_counter()
    subprocess.run([sys.executable, *words], capture_output=True, check=False)
    return time.perf_counter() - began_s


def test_check_against_an_import_of_numpy(pole: Pole) -> None:
    """Prints both, taken in turns, and their ratio; 8 are allowed."""
    check = ["-m", "agent.cli.main", "check", "--config", str(pole.config)]
    rounds = []
    for _ in range(ROUNDS):
        post(pole)
        rounds.append((seconds("-c", "import numpy"), seconds(*check)))
    numpy_s, check_s = (median(column) for column in zip(*rounds, strict=True))
    ratio = median(b / a for a, b in rounds)
    print(f"\nearshot check {check_s:.2f} s, import numpy {numpy_s:.2f} s, ratio {ratio:.1f}")
    if ratio > 8:
        pytest.fail(f"{ratio:.1f} times an import of numpy: something heavy is imported")


def test_a_panel_that_is_not_there_costs_no_memory(tmp_path: Path) -> None:
    """Prints the memory of the assembled program with and without gpiozero's pins."""
    code = (
        "import agent.app.wiring{more}\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if 'VmRSS' in line))"
    )
    kilobytes = {
        name: int(
            subprocess.run(
                [sys.executable, "-c", code.format(more=more)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for name, more in (("without", ""), ("with", ", gpiozero.pins.mock"))
    }
    with_mb, without_mb = (kilobytes[name] / 1000 for name in ("with", "without"))
    print(f"\nprogram {without_mb:.1f} MB, with a panel {with_mb:.1f} MB")
