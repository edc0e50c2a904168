"""Streets full of wrong clocks before a real centre: store, signatures, stated clock, small memory.

Half of the nodes, or most, are weeks or seconds off; a backlog comes days late; nobody vouches for
the centre. What is judged is what was announced, against what was fired, and who is named.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agent.core.records.receipts import open_word
from agent.core.units import NS_PER_S
from simulator.centre.locator.timebounds import WEEKS_NS
from simulator.centre.stated_clock import KERNEL, NOBODY, Present
from tests.support.drafts import LOCATOR_KEYS
from tests.support.wrongclocks import Town

S = NS_PER_S
QUICK = 2
HALF, MOST, FEW = 6, 8, 5  # of twelve
CASES = {
    "weeks ahead": (HALF, WEEKS_NS),
    "most weeks ahead": (MOST, WEEKS_NS),
    "seconds ahead": (HALF, 3 * S),
    "far past": (HALF, -WEEKS_NS),
}


@contextmanager
def town_of(directory: Path, nodes: int = 12, **said: object) -> Iterator[Town]:
    with closing(Town(directory, nodes, seed=nodes + 11, **said)) as town:
        yield town


def held(town: Town, shots: int, wrong: int, off_ns: int, *, restarts: bool = False) -> None:
    """Each shot once, at its place; nothing else; the nodes that are off named, and no other."""
    share = wrong * town.nodes // 12
    offenders = {f"n{number}" for number in range(share)}
    town.fire(shots, dict.fromkeys(offenders, off_ns))
    if restarts:
        town.restart()
        town.run(60)
    heard_any = {node for node in offenders if node in town.heard}
    assert (town.right, town.false) == (shots, 0)
    assert town.named >= heard_any
    assert town.named <= offenders


@pytest.mark.parametrize(
    ("case", "restarts"),
    [
        ("weeks ahead", True),
        ("most weeks ahead", False),
        ("seconds ahead", True),
        ("far past", False),
    ],
)
def test_each_shot_is_told_once_and_offenders_are_named(
    tmp_path: Path, case: str, *, restarts: bool
) -> None:
    """What was refused or set right as it came stays so: from the disk, and after a kill."""
    with town_of(tmp_path) as town:
        held(town, QUICK, *CASES[case], restarts=restarts)


def test_so_it_is_in_a_cell_of_two_hundred_nodes(tmp_path: Path) -> None:
    """Half of them three seconds ahead: in half of the streets they are more than the others."""
    with town_of(tmp_path, 220) as town:
        held(town, 2, HALF, 3 * S)


@pytest.mark.torture
@pytest.mark.parametrize("nodes", [12, 220])
@pytest.mark.parametrize("case", CASES)
def test_fifteen_shots(tmp_path: Path, case: str, nodes: int) -> None:
    """The same at the length of the incident that was seen."""
    with town_of(tmp_path, nodes) as town:
        held(town, 15, *CASES[case], restarts=True)


@pytest.mark.parametrize("is_vouched", [True, False])
def test_a_backlog_of_two_days_is_located(tmp_path: Path, *, is_vouched: bool) -> None:
    """Late is no fault of a clock: located when it comes, and nobody is named."""
    with town_of(tmp_path, is_vouched=is_vouched) as town:
        town.fire(QUICK, late_s=2 * 86_400.0)
        assert (town.right, town.false, town.named) == (QUICK, 0, set())


# ---- where nobody vouches for the centre's clock


def test_without_a_vouched_clock_right_nodes_are_located_as_ever(tmp_path: Path) -> None:
    """The host's clock is a year off: nothing is judged by it, and receipts say that it is bare."""
    with town_of(tmp_path, is_vouched=False) as town:
        town.wall.off_ns = -365 * 86_400 * S
        town.fire(QUICK)
        assert (town.right, town.false, town.named) == (QUICK, 0, set())
        assert town.clock.now().whose == NOBODY


@pytest.mark.parametrize("wrong", [MOST])
def test_without_one_a_date_19_years_after_the_software_is_set_right(
    tmp_path: Path, wrong: int
) -> None:
    """As on a node: the first of the dates, 1024 weeks apart, that is not before the software."""
    with town_of(tmp_path, is_vouched=False) as town:
        held(town, QUICK, wrong, WEEKS_NS)


def test_without_one_the_larger_camp_is_right(tmp_path: Path) -> None:
    """Around some shots those that are wrong are more: the camps of the whole cell count."""
    with town_of(tmp_path, is_vouched=False) as town:
        held(town, 5, 4, 3 * S)


def test_without_one_two_even_camps_are_both_told_and_both_named(tmp_path: Path) -> None:
    """Nobody can tell who is right, and nobody is called wrong; neither is told as sure."""
    with town_of(tmp_path, is_vouched=False) as town:
        offenders = dict.fromkeys([f"n{number}" for number in range(HALF)], 3 * S)
        town.fire(QUICK, offenders)
        assert (town.right, town.false) == (QUICK, QUICK)
        told = [one for one in town.service.counters.rejected if "clock" in one]
        assert told
        assert all("3 s apart: one shot, twice" in one for one in told)
        assert town.sure == []


@pytest.mark.parametrize("wrong", [HALF, pytest.param(5, marks=pytest.mark.torture)])
def test_so_it_is_among_two_hundred_nodes(tmp_path: Path, wrong: int) -> None:
    """Seen: of eight shots three told twice as sure. Whichever second is told, the true one is it,
    or one of its alternatives, or the larger camp's; and so it is after a restart."""
    with town_of(tmp_path, 220, is_vouched=False) as town:
        share = range(wrong * town.nodes // 12)
        town.fire(2, dict.fromkeys([f"n{number}" for number in share], 3 * S))
        for _ in range(2):
            assert len(town.sure) <= len(town.shots)
            assert town.wrong_and_sure == []
            town.restart()
            town.run(60)


def test_a_trusted_node_is_a_clock_too(tmp_path: Path) -> None:
    """Its freshest record tells the present within seconds; before it there is the software."""
    with town_of(tmp_path, is_vouched=False, clock_node="n11") as town:
        held(town, QUICK, HALF, WEEKS_NS)
        present = town.clock.now()
        assert present.whose == "urn:earshot:lab:a:n11"
        assert abs(present.utc_ns - town.wall.utc_ns) <= (present.bound_ns or 0)


# ---- what is said of it


@pytest.mark.parametrize("is_vouched", [True, False])
def test_receipts_and_first_arrivals_say_by_whose_clock(
    tmp_path: Path, *, is_vouched: bool
) -> None:
    """A bound and whose it is, or that nobody vouches; a node of 0.1.0 gets what it knows."""
    with town_of(tmp_path, is_vouched=is_vouched) as town:
        for node in ("n0", "n1"):
            town.present(node, takes=("brief", "clock") if node == "n0" else ())
        town.fire(1)
        words = [open_word(one.payload, LOCATOR_KEYS) for one in town.receipts()]
        new, old = ([one for one in words if one.source.endswith(node)] for node in ("n0", "n1"))
        whose, bound_ms = (KERNEL, 1) if is_vouched else (NOBODY, None)
        assert {(one.clock, one.bound_ms) for one in new} == {(whose, bound_ms)}
        assert {(one.clock, one.bound_ms) for one in old} == {("", None)}
        first = town.store.arrivals.first("urn:earshot:lab:a:n0", f"{1:032x}", 1)
        at_ns = town.shots[0][0]
        if is_vouched:
            assert isinstance(first, Present)
            assert (first.bound_ns, first.whose) == (1_000_000, KERNEL)
            assert 0 < first.utc_ns - at_ns < 10 * S
        else:
            assert first is None
