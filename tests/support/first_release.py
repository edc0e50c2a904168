"""Version 0.1.0 as it was: commit 9a91ff4 in a directory of its own, run as processes."""

import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMIT = "9a91ff4"


class FirstRelease:
    """Its source tree at `home`; skips the test where the history does not reach that far."""

    def __init__(self, home: Path) -> None:
        packed = subprocess.run(["git", "archive", COMMIT], cwd=ROOT, capture_output=True)
        if packed.returncode:
            pytest.skip(f"commit {COMMIT} is not here: a shallow clone, or no git")
        with tarfile.open(fileobj=BytesIO(packed.stdout)) as tree:
            tree.extractall(home, filter="data")
        # Safe path: else `-m` would find this version in the working directory first.
        self.env = {**os.environ, "PYTHONPATH": str(home), "PYTHONSAFEPATH": "1"}
        (home / "where.py").write_text("import agent; print(agent.__file__)")
        where = self.script(home / "where.py").stdout
        assert where.startswith(str(home)), f"runs {where}"

    def run(self, module: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """A command of it, to its end."""
        return self._run("-m", module, *words)

    def script(self, path: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """A script that speaks to its code, to its end."""
        return self._run(path, *words)

    def _run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, words)],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, module: str, *words: str | Path) -> subprocess.Popen[str]:
        """A command of it, in the background; whoever starts it ends it."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *map(str, words)],
            env=self.env,
            stdout=subprocess.PIPE,
            text=True,
        )
