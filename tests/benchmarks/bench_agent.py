"""The whole agent: what its imports, its start, its memory and its idle hours cost."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.wholeagent import agent_in

IMPORTS = {
    "python": "pass",
    "numpy and cryptography": "import numpy, cryptography",
    "all that a node runs": "import agent.cli.main, agent.cli.run, agent.app.wiring",
    "and the microphone's library": "import agent.cli.main, agent.app.wiring, sounddevice",
}
ROUNDS = 7
SETTLE_S, WATCHED_S = 10.0, 30.0


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """As installed: modules are compiled once, whatever this shell has told Python of that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("compiled")))
        yield


def seconds(code: str) -> float:
    began_s = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.monotonic() - began_s


def test_imports(capsys) -> None:
    """Prints the best of some rounds, taken in turns, as ratios to numpy and cryptography."""
    times_s = [{name: seconds(code) for name, code in IMPORTS.items()} for _ in range(ROUNDS)]
    best_s = {name: min(one[name] for one in times_s) for name in IMPORTS}
    peer_s = best_s["numpy and cryptography"]
    with capsys.disabled():
        print("\nimports, best of seven:                       ms   ratio (wanted: at most 4)")
        for name, taken_s in best_s.items():
            print(f"  {name:36} {taken_s * 1e3:8.0f} {taken_s / peer_s:7.2f}")


def test_idle(tmp_path: Path, capsys) -> None:
    """Prints start to ready, memory and the share of a core, on real PortAudio, with a broker."""
    compiling, idle = tmp_path / "compiling", tmp_path / "idle"
    compiling.mkdir()
    idle.mkdir()
    with agent_in(compiling):  # a compiler's memory stays with who has called it
        time.sleep(2 * SETTLE_S)
    with agent_in(idle) as agent:
        time.sleep(SETTLE_S)
        share = agent.cpu_share(WATCHED_S)
        files, threads = agent.counts
        with capsys.disabled():
            print(f"\nthe whole agent, idle street at 48 kHz, after {SETTLE_S + WATCHED_S:.0f} s:")
            print(f"  {'start to first sound heard, s':44} {agent.ready_s:8.2f}")
            print(f"  {'memory, MB (wanted: at most 80)':44} {agent.rss_mb:8.1f}")
            print(f"  {'share of a core, % (wanted: below 5)':44} {share * 100:8.1f}")
            print(f"  {'open files, threads':44} {files:5} {threads:3}")
