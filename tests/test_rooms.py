"""ARCHITECTURE.md names every room, and each in its place."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLAN = (ROOT / "ARCHITECTURE.md").read_text("utf-8").partition("## The rooms\n")[2]
NAMED = {
    folder: re.findall(r"^\| `(\w+)` \| .{10,}", rows, re.MULTILINE)
    for folder, rows in re.findall(
        r"^### `([\w/]+)/`\n(.*?)(?=^##|\Z)", PLAN, re.DOTALL | re.MULTILINE
    )
}
FOLDERS = sorted(
    {
        str(path.parent.relative_to(ROOT))
        for folder in ("agent", "simulator")
        for path in (ROOT / folder).rglob("*.py")
        if path.stem != "__init__"
    }
)


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_room_is_named_in_its_place(folder: str) -> None:
    """The table of a folder lists its source files, all of them, and no others."""
    rooms = sorted(path.stem for path in (ROOT / folder).glob("*.py") if path.stem != "__init__")
    assert NAMED.get(folder) == rooms


def test_no_folder_is_named_that_has_no_rooms() -> None:
    """What moved out is struck off the plan."""
    assert set(NAMED) == set(FOLDERS)
