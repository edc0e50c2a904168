"""The floors of the house: what may import what, and how long a file may be."""

import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 300
FLOORS = "Imports point down the floors only"
WINGS = "In the core, hearing, clock and trust rest on records"
SIMULATOR = "In the simulator, imports point down the wings only"
CENTRE = "The centre needs the node's own packages"
SIBLINGS = "Adapters do not know each other"
PURE = "The core touches neither clock"
NODE = "The node carries no tool of the simulator"
FORBIDDEN = [
    ("agent/core/units.py", "time", PURE),
    ("agent/core/units.py", "os.path", PURE),
    ("agent/core/units.py", "paho.mqtt.client", PURE),
    ("agent/core/units.py", "agent.ports", FLOORS),
    ("agent/ports.py", "agent.adapters.host", FLOORS),
    ("agent/adapters/host.py", "agent.adapters.microphone", SIBLINGS),
    ("agent/app/daemon.py", "agent.cli.main", FLOORS),
    ("agent/app/daemon.py", "scipy.signal", NODE),
    ("agent/cli/main.py", "simulator", FLOORS),
    ("agent/core/hearing/ring.py", "agent.core.clock.lock", WINGS),
    ("agent/core/clock/latency.py", "agent.core.hearing.ring", WINGS),
    ("agent/core/trust/proquint.py", "agent.core.clock.lock", WINGS),
    ("agent/core/clock/survey.py", "agent.core.trust.backoff", WINGS),
    ("agent/core/records/fields.py", "agent.core.clock.time_signs", WINGS),
    ("agent/core/units.py", "agent.core.records.fields", WINGS),
    ("agent/core/audio.py", "agent.core.units", WINGS),
    ("simulator/trials/inspection.py", "simulator.cli.screen", SIMULATOR),
    ("simulator/training/takes.py", "simulator.cli.screen", SIMULATOR),
    ("simulator/report/page.py", "simulator.trials.inspection", SIMULATOR),
    ("simulator/grid/pace.py", "simulator.report.page", SIMULATOR),
    ("simulator/centre/locator/solve.py", "simulator.grid.grid", SIMULATOR),
    ("simulator/centre/locator/solve.py", "simulator.trials.inspection", SIMULATOR),
    ("simulator/centre/locator/solve.py", "simulator.report.score", SIMULATOR),
    ("simulator/scene/scene.py", "simulator.centre.contract", SIMULATOR),
    ("simulator/centre/locator/solve.py", "scipy.optimize", CENTRE),
]


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter with the contracts of pyproject.toml on the sources below `root`."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (ROOT / folder).rglob("*.py")


def test_imports_point_down() -> None:
    """No module imports from a floor above its own, and adapters do not know each other."""
    checked = lint_imports(ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What import-linter tells of one copy of the sources with every rule broken, by contract."""
    copy = tmp_path_factory.mktemp("house")
    for name in ("agent", "simulator"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    by_file = defaultdict(list)
    for module, target, _ in FORBIDDEN:
        by_file[module].append(target)
    for module, targets in by_file.items():
        with (copy / module).open("a", encoding="utf-8") as source:
            source.write("\n\ndef _break_the_rules() -> None:\n")
            source.writelines(f"    import {target}\n" for target in targets)
    checked = lint_imports(copy)
    assert checked.returncode == 1, checked.stderr
    _, _, told = checked.stdout.partition("Broken contracts")
    sections = re.split(r"^(.+)\n-{10,}$", told, flags=re.MULTILINE)
    return dict(zip(sections[1::2], sections[2::2], strict=True))


@pytest.mark.parametrize(("module", "target", "contract"), FORBIDDEN)
def test_a_broken_floor_is_seen(
    broken: Mapping[str, str], module: str, target: str, contract: str
) -> None:
    """The rules bite: each forbidden import is named under the contract that it breaks."""
    (section,) = (text for name, text in broken.items() if name.startswith(contract))
    importer = module.removesuffix(".py").replace("/", ".")
    imported = target.partition(".")[0] if contract in (PURE, CENTRE, NODE) else target
    assert re.search(rf"{re.escape(importer)} -> {re.escape(imported)} \(l\.\d+\)", section), (
        section
    )


def test_no_source_file_is_too_long() -> None:
    """A file that passes 300 lines has more than one job."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources("agent", "simulator", "tests")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert long == {}


def test_every_module_says_its_job_first() -> None:
    """The first thing in a source file is a sentence on what it is for."""
    silent = [
        str(path.relative_to(ROOT))
        for path in sources("agent", "simulator")
        if not path.read_text(encoding="utf-8").startswith('"""')
    ]
    assert silent == []
