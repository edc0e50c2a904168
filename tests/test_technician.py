"""docs/technician.md says what the program says, on one printable page."""

import re
from pathlib import Path

from agent.adapters.panel import _BLINK_S
from agent.app.checks.lights import LIGHT_OF, NEEDED, PATTERN_OF
from agent.app.checks.row import EXIT_CODES
from agent.app.checks.words import ABOUT
from agent.core.records.findings import CHECKS, FAULTS
from agent.ports import LONG_PRESS_S

PAGE = (Path(__file__).parents[1] / "docs" / "technician.md").read_text("utf-8")
LINES_OF_A_PAGE, COLUMNS = 80, 110


def table(heading: str) -> list[list[str]]:
    """The rows of the table whose first column has that heading."""
    rows = re.search(rf"^\| {heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert rows, heading
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1].splitlines()]


def test_it_fits_one_printed_page() -> None:
    """Lines as a printer breaks them, in small print on A4."""
    printed = sum(1 + len(line) // COLUMNS for line in PAGE.splitlines() if line.strip())
    assert printed <= LINES_OF_A_PAGE


def test_each_light_stands_for_what_the_program_shows_on_it() -> None:
    """No check is missing, none is on two lights."""
    told = {name.strip("*"): set(checks.split(", ")) for name, checks in table("light")}
    assert told == {
        light: {check for check in CHECKS if LIGHT_OF[check] == light} for light in NEEDED
    }


def test_the_patterns_are_those_of_the_panel() -> None:
    """The words of a pattern are its times."""
    words = {
        "on": "steady on",
        "blip": f"a flash every {sum(_BLINK_S['blip']):.0f} s",
        "slow": "a second on, a second off",
        "fast": "three times a second",
    }
    assert (_BLINK_S["slow"], round(1 / sum(_BLINK_S["fast"]))) == ((1.0, 1.0), 3)
    told = {meaning.partition(":")[0]: pattern for pattern, meaning, _ in table("pattern")}
    assert told.pop("off") == "dark"
    assert told == {status: words[pattern] for status, pattern in PATTERN_OF.items()}


def test_the_ten_commonest_faults_are_told_in_the_programs_words() -> None:
    """Ten, each with the meaning, the part and the remedy of the catalogue."""
    known = {(one.meaning, one.part, one.remedy) for one in FAULTS.values()}
    told = [tuple(row) for row in table("fault")]
    assert len(told) == 10
    assert set(told) <= known


def test_every_check_is_explained_in_the_programs_words() -> None:
    """All of them, in the order of the report."""
    assert table("check") == [[check, ABOUT[check]] for check in CHECKS]


def test_exit_codes_and_button_are_those_of_the_program() -> None:
    """Numbers and seconds."""
    for status, word in (("healthy", "healthy"), ("warning", "warning"), ("critical", "critical")):
        assert f"{EXIT_CODES[status]} {word}" in PAGE
    assert f"{EXIT_CODES['unknown']} not known" in PAGE
    assert f"held for {LONG_PRESS_S:.0f} s" in PAGE
