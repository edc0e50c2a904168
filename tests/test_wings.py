"""The wings of the house: what they know of each other, what they offer, what they need."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "agent" / "core"
MOST_ARROWS = 9


def imported(path: Path) -> set[str]:
    """The modules that a source file names in its import statements."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named.add(node.module or "")
    return named


def third_parties(folder: Path) -> set[str]:
    """The packages from elsewhere that the code below `folder` imports."""
    tops = {name.partition(".")[0] for path in folder.rglob("*.py") for name in imported(path)}
    return tops - sys.stdlib_module_names - {"agent", "simulator"}


def arrows() -> Iterator[tuple[str, str]]:
    """(importer, imported) for each pair of rooms of the core where a file names the other."""
    seen = set()
    for path in CORE.rglob("*.py"):
        room = path.relative_to(CORE).parts[0].removesuffix(".py")
        for name in imported(path):
            if name.startswith("agent.core.") and (other := name.split(".")[2]) != room:
                seen.add((room, other))
    yield from sorted(seen)


def test_few_arrows_run_between_the_rooms_of_the_core() -> None:
    """Nine or fewer, counted from the import statements, and none runs back up: no circle."""
    height = {"hearing": 2, "clock": 2, "trust": 2, "records": 1, "audio": 0, "units": 0}
    drawn = list(arrows())
    assert 0 < len(drawn) <= MOST_ARROWS
    assert [(one, other) for one, other in drawn if height[one] <= height[other]] == []


def test_the_centre_needs_no_package_that_the_node_lacks() -> None:
    """A city can run the centre with what `pip install earshot-node` brings."""
    needed = third_parties(ROOT / "simulator" / "centre")
    assert needed
    assert needed <= third_parties(ROOT / "agent")


@pytest.mark.parametrize("wing", ["hearing", "clock", "records", "trust"])
def test_a_wing_offers_its_face_and_nothing_else(wing: str) -> None:
    """What `__init__` imports is what it says it offers; its docstring says what it leaves out."""
    tree = ast.parse((CORE / wing / "__init__.py").read_text("utf-8"))
    _, *imports, offered = tree.body
    assert len((ast.get_docstring(tree) or "").split("\n\n")) == 3
    assert isinstance(offered, ast.Assign)
    names = {alias.name for one in imports for alias in getattr(one, "names", ())}
    assert set(ast.literal_eval(offered.value)) == names
    assert 0 < len(names) <= 4
