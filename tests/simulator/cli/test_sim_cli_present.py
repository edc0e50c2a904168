"""Computers of operators and registrars whose clock nobody vouches for, or whose year is wrong."""

from pathlib import Path

import pytest

import agent
from agent.core.units import NS_PER_S, rfc3339
from simulator.centre.locator.watch import CellReport
from simulator.centre.stated_clock import KERNEL, NOBODY, Present
from simulator.cli import command, nodes, registrar, replay
from simulator.cli.main import main as run
from tests.support.enrolled import Hut, Office

YEAR_NS = 366 * 86_400 * NS_PER_S
NOW_NS = agent.RELEASED_UTC_S * NS_PER_S + 40 * 86_400 * NS_PER_S
UNVOUCHED = Present(NOW_NS, None, NOBODY)
VOUCHED = Present(NOW_NS, 10**6, KERNEL)
LONG_AGO = Present(NOW_NS - 20 * YEAR_NS, None, NOBODY)
FAR_AHEAD = Present(NOW_NS + 20 * YEAR_NS, None, NOBODY)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """What the kernel of this computer says of its clock."""

    def says(present: Present) -> None:
        for tool in (command, nodes, registrar, replay):
            monkeypatch.setattr(tool, "here", lambda: present)

    return says


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_registrar_says_once_that_nobody_vouches(tmp_path: Path, clock, capsys) -> None:
    """What it does it does by what it has, and tells; where the kernel vouches there is no line."""
    clock(UNVOUCHED)
    words = ["registrar", "init", "--dir", str(tmp_path / "city"), "--broker", "mqtts://b.example"]
    assert run(words) == 0
    (line,) = told(capsys)
    assert line.startswith("nobody vouches for this computer's clock, which says 20")
    assert line.endswith("papers are dated by it")
    clock(VOUCHED)
    assert run(["registrar", "list", "--dir", str(tmp_path / "city")]) == 0
    assert told(capsys) == []


@pytest.mark.parametrize("present", [LONG_AGO, FAR_AHEAD])
def test_no_paper_is_issued_in_a_year_that_cannot_be(
    tmp_path: Path, clock, capsys, present: Present
) -> None:
    """Twenty years off, either way: one line, and nothing was made or changed."""
    clock(present)
    founded = tmp_path / "city"
    words = ["registrar", "init", "--dir", str(founded), "--broker", "mqtts://b.example"]
    assert run(words) == 2
    (line,) = told(capsys)
    assert "this computer's clock says 20" in line
    assert not founded.exists()
    office = Office(tmp_path / "office")
    before = office.files()
    for verb in (["revoke", "broker"], ["revoke", "operator"]):
        assert run(["registrar", *verb, "--dir", str(office.directory)]) == 2
    assert all("this computer's clock says" in line for line in told(capsys))
    assert office.files() == before


def test_what_was_done_there_tells_that_a_clock_fell_back(tmp_path: Path, clock, capsys) -> None:
    """Two years before its last deed a registrar issues nothing, unless the kernel vouches."""
    office = Office(tmp_path / "office")
    office.revoke("operator", NOW_NS + 3 * YEAR_NS)
    clock(UNVOUCHED)
    assert run(["registrar", "revoke", "broker", "--dir", str(office.directory)]) == 2
    assert "long over here" in told(capsys)[0]
    clock(VOUCHED)
    assert run(["registrar", "revoke", "broker", "--dir", str(office.directory)]) == 0


def test_a_command_is_dated_or_refused(tmp_path: Path, clock, capsys) -> None:
    """By a clock that nobody vouches for with a line, by one of another decade not at all."""
    office = Office(tmp_path / "office")
    office.sign(Hut(tmp_path / "n1").ask()[1])
    words = ["command", "town/north/n1", "ping", "--dry-run"]
    words += ["--registry", str(office.directory / "nodes.json")]
    words += ["--key", str(office.directory / "operator.pem")]
    for present, code, said in (
        (VOUCHED, 0, ""),
        (UNVOUCHED, 0, "nobody vouches for this computer's clock"),
        (LONG_AGO, 2, "before this software was made"),
        (FAR_AHEAD, 2, "ten years after this software"),
    ):
        clock(present)
        assert run(words) == code
        lines = told(capsys)
        assert len(lines) == bool(said)
        assert said in "".join(lines)


@pytest.mark.parametrize(
    ("age_s", "bound_s", "is_old"),
    [(10.0, 0, False), (240.0, 0, True), (-240.0, 0, True), (240.0, 120, False), (-10.0, 0, False)],
)
def test_a_report_from_the_future_is_as_unknown_as_an_old_one(
    age_s: float, bound_s: int, is_old: bool
) -> None:
    """One of both clocks is wrong then, and how old it is nobody knows; a bound is allowed for."""
    at = rfc3339(NOW_NS - round(age_s * NS_PER_S))
    report = CellReport(site="s", cell="c", at=at, nodes=())
    assert nodes.is_old(report, Present(NOW_NS, bound_s * NS_PER_S, KERNEL)) == is_old
