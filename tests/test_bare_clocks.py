"""No date in the sources rests on a bare CLOCK_REALTIME unseen: whoever reads it is named here."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TIME_TELLS_NOW = {"time", "time_ns"}  # of the module `time`, whatever is passed
NOW_WITHOUT_A_TIME = {"ctime": 0, "gmtime": 0, "localtime": 0, "asctime": 0, "strftime": 1}
DATES_TELL_NOW = {"now", "utcnow", "today"}
IN_SQL = re.compile(r"CURRENT_(TIME|DATE)|\(\s*'now'|\bstrftime\(", re.IGNORECASE)

# Why each of them may is said in docs/time.md, "Clocks of computers".
READERS = {
    "agent/adapters/chrony.py": {"ChronyFeed.offer"},
    "agent/adapters/host.py": {"SystemClock.realtime_ns", "SystemTimeReference._bracket"},
    "agent/adapters/mqtt/validity.py": {"host_time"},
    "agent/adapters/pps.py": {"_Converter._bracket"},
    "agent/adapters/time_daemons.py": {"ask_daemons"},
    "agent/app/trustedclock.py": {"by_host"},
    "simulator/centre/stated_clock.py": {"StatedClock.now"},
    "simulator/grid/fleet.py": {"VirtualNode.utc_ns"},
}


class _Readings(ast.NodeVisitor):
    """By the name of the function that holds it, each call that tells the calendar's time."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._where: list[str] = []

    def _inside(self, node: ast.ClassDef | ast.FunctionDef) -> None:
        self._where.append(node.name)
        self.generic_visit(node)
        self._where.pop()

    visit_ClassDef = visit_FunctionDef = _inside  # noqa: N815 - ast's names

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """A name by which the time is asked, called or handed on."""
        of = ast.unparse(node.value).rpartition(".")[2]
        tells = of == "time" and node.attr in TIME_TELLS_NOW
        tells = tells or (of in ("datetime", "date") and node.attr in DATES_TELL_NOW)
        tells = tells or node.attr in ("realtime_ns", "CLOCK_REALTIME", "CLOCK_REALTIME_COARSE")
        if tells:
            self.found.append(".".join(self._where))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """A conversion that takes the present where it is given no time."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        of = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        if (
            of == "time"
            and name in NOW_WITHOUT_A_TIME
            and len(node.args) <= NOW_WITHOUT_A_TIME[name]
        ):
            self.found.append(".".join(self._where))
        self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """By another name it would not be seen."""
        told = TIME_TELLS_NOW | set(NOW_WITHOUT_A_TIME)
        if node.module == "time" and told & {one.name for one in node.names}:
            self.found.append("import")

    def visit_Constant(self, node: ast.Constant) -> None:
        """SQLite has clocks too."""
        if isinstance(node.value, str) and IN_SQL.search(node.value):
            self.found.append(".".join(self._where))


def readers(text: str) -> set[str]:
    seen = _Readings()
    seen.visit(ast.parse(text))
    return set(seen.found)


def sources() -> Iterator[Path]:
    for folder in ("agent", "simulator"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_only_those_that_are_named_read_the_calendar() -> None:
    """A new one is either put on a stated clock (`stated_clock`, `trustedclock`) or named here and
    in docs/time.md; one that is gone is named no more."""
    found = {str(path.relative_to(ROOT)): readers(path.read_text("utf-8")) for path in sources()}
    assert {name: seen for name, seen in found.items() if seen} == READERS


def test_the_page_says_why_each_may() -> None:
    """By its room, in the section of that name."""
    page = (ROOT / "docs/time.md").read_text("utf-8").partition("## Clocks of computers")[2]
    section = page.partition("\n## ")[0]
    assert [name for name in READERS if f"`{name}`" not in section] == []


@pytest.mark.parametrize(
    "line",
    [
        "time.time()",
        "now = time.time_ns",
        "datetime.now(UTC)",
        "datetime.datetime.utcnow()",
        "date.today()",
        "time.clock_gettime_ns(time.CLOCK_REALTIME)",
        "self._clock.realtime_ns()",
        "time.gmtime()",
        "time.strftime('%Y')",
        "from time import time_ns",
        "db.execute(\"INSERT INTO t VALUES (datetime('now'))\")",
        "db.execute('at TEXT DEFAULT CURRENT_TIMESTAMP')",
    ],
)
def test_each_way_to_ask_is_seen(line: str) -> None:
    """Called, handed on, imported by name, or in a query."""
    assert readers(f"class A:\n    def b(self):\n        {line}\n")


@pytest.mark.parametrize(
    "line", ["time.monotonic_ns()", "time.gmtime(at_s)", "datetime.fromtimestamp(at_s, UTC)"]
)
def test_what_needs_no_calendar_is_let_be(line: str) -> None:
    """Waiting, and showing a time that was given."""
    assert not readers(line)
