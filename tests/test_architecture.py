"""The floors of the house: what may import what, and how long a file may be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 300


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter with the contracts of pyproject.toml on the sources below `root`."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_imports_point_down() -> None:
    """No module imports from a floor above its own, and adapters do not know each other."""
    checked = lint_imports(ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("agent/core/units.py", "import time", "The core touches neither"),
        ("agent/core/units.py", "import os.path", "The core touches neither"),
        ("agent/core/units.py", "import paho.mqtt.client", "The core touches neither"),
        ("agent/core/units.py", "import agent.ports", "Imports point down"),
        ("agent/ports.py", "import agent.adapters.host", "Imports point down"),
        ("agent/adapters/host.py", "import agent.adapters.microphone", "Adapters do not know"),
        ("agent/app/daemon.py", "import agent.cli.main", "Imports point down"),
        ("agent/app/daemon.py", "import scipy.signal", "The node carries no tool"),
        ("agent/cli/main.py", "import simulator", "Imports point down"),
    ],
)
def test_a_broken_floor_is_seen(tmp_path: Path, module: str, line: str, contract: str) -> None:
    """The rules bite: one forbidden import in a copy of the sources fails the check."""
    for name in ("agent", "simulator"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / module).open("a", encoding="utf-8") as source:
        source.write(f"\n\ndef _break_the_rule() -> None:\n    {line}\n")
    checked = lint_imports(tmp_path)
    assert checked.returncode == 1, checked.stderr
    broken = [told for told in checked.stdout.splitlines() if told.endswith("BROKEN")]
    assert any(told.startswith(contract) for told in broken), checked.stdout


def test_no_source_file_is_too_long() -> None:
    """A file that passes 300 lines has more than one job."""
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in ("agent", "simulator", "tests")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert long == {}


def test_every_module_says_its_job_first() -> None:
    """The first thing in a source file is a sentence on what it is for."""
    silent = [
        str(path.relative_to(ROOT))
        for folder in ("agent", "simulator")
        for path in (ROOT / folder).rglob("*.py")
        if not path.read_text(encoding="utf-8").startswith('"""')
    ]
    assert silent == []
