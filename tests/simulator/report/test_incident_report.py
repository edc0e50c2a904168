"""The report: one page that is whole, needs nothing else, and says what happened."""

from xml.etree import ElementTree

import pytest

from simulator.grid import scenario
from simulator.report import page
from simulator.report.incident_report import ScenarioRun, scenario_report, verdict_line
from simulator.report.limits import broken_promises, missed_limits
from simulator.report.score import Evidence, score
from tests.support.html import SVG, Reader
from tests.support.located import (
    AIR_C,
    arrivals,
    fired,
    grid_result,
    incident,
    located,
    stations,
)

QUICKSTART = scenario.load("quickstart")


def run_of(truth, incidents, faults=(), heard=(), sample=None):
    evidence = Evidence(list(heard), stations(), {"a": AIR_C})
    outcome = score(truth, incidents, evidence)
    return ScenarioRun(
        QUICKSTART, "fast", grid_result(incidents, stations()), outcome, faults, sample
    )


def eventful():
    """One round located, one missed, one false incident."""
    missed = fired(4.0, (40.0, 30.0, 1.5))
    return run_of(
        [fired(1.0), missed],
        [incident(located(1.0, (121.0, 164.0, 1.5))), incident(located(9.0))],
        faults=["1 false incident, allowed 0"],
        heard=arrivals(missed, ["n1", "n2"]),
        sample={"id": "c/3", "data": {"kind": "impulse", "note": "<script>alert(1)</script>"}},
    )


@pytest.mark.parametrize("run", [eventful(), run_of([fired(1.0)], []), run_of([], [])])
def test_the_page_is_whole_and_needs_nothing_else(run):
    """Tags nest, pictures are sound XML, and nothing is fetched or run, whatever happened."""
    text = scenario_report(run)
    reader = Reader(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    assert not [name for name, _ in reader.attributes if name == "src" or name.startswith("on")]
    links = [value for name, value in reader.attributes if name.endswith("href")]
    assert all(value.startswith("#") for value in links)
    assert "url(http" not in text
    assert "@import" not in text
    pictures = SVG.findall(text)
    assert len(pictures) == (3 if run.score.rounds_located else 1)
    for picture in pictures:
        ElementTree.fromstring(picture)


def test_ids_in_the_page_occur_once_or_mean_the_same():
    """Several pictures share one page: what an id names must not depend on which came first."""
    meanings = {}
    for picture in SVG.findall(scenario_report(eventful())):
        for element in ElementTree.fromstring(picture).iter():
            if identity := element.get("id"):
                inside = ElementTree.tostring(element)
                assert meanings.setdefault(identity, inside) == inside


def test_the_same_run_gives_the_same_bytes():
    """No date, no random ids: reports can be compared."""
    assert scenario_report(eventful()) == scenario_report(eventful())


def test_it_says_what_happened():
    """Verdict, key figures, every round, each miss with its reason, and the false incident."""
    text = " ".join(Reader(scenario_report(eventful())).text)
    for told in (
        "Missed: 1 false incident, allowed 0.",
        "1 / 2",
        "1.4 m",
        "121.0, 164.0",
        "Too few nodes: 1.",
        "heard by 2 of 5 nodes; 4 are needed",
        "False incidents",
        "all 42",
        '"kind": "impulse"',
        "drawn x5",
    ):
        assert told in text


def test_what_records_say_cannot_become_markup():
    """A record is foreign matter: angle brackets in it stay text."""
    text = scenario_report(eventful())
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert page.table(["<a>"], [["<b>&"]]).html.count("<b>") == 0


def test_a_good_run_is_called_good():
    """No fault, a green verdict, and no section about misses."""
    run = run_of([fired(1.0)], [incident(located(1.0))])
    text = scenario_report(run)
    assert 'class="verdict"' in text
    assert "Good: 1 of 1 rounds located, median error 0.0 m" in text
    assert "What was not located" not in text


def test_walls_are_drawn():
    """The map shows the scene's walls and tells them apart from the rest."""
    assert ">wall<" in scenario_report(eventful())


def test_limits_are_told_one_by_one():
    """Every limit that is missed is named with what was wanted."""
    outcome = score(
        [fired(1.0), fired(3.0)],
        [incident(located(1.0, (132.0, 165.0, 1.5))), incident(located(7.0))],
    )
    limits = scenario.Limits(max_error_m=10.0, min_located=2, max_false=0)
    assert missed_limits(limits, outcome) == [
        "worst error 12.0 m, allowed 10 m",
        "1 round located, wanted 2",
        "1 false incident, allowed 0",
    ]
    assert missed_limits(scenario.Limits(max_error_m=12, min_located=1, max_false=1), outcome) == []
    assert verdict_line(outcome, ["a", "b"]).startswith("Missed: a; b. (1 of 2 rounds located")


def test_lost_or_unverified_records_break_the_promise():
    """Whatever is located, every published record must verify and every chain be whole."""
    result = grid_result([], stations())
    assert broken_promises(result) == []
    fields = {name: getattr(result, name) for name in result.__dataclass_fields__}
    lossy = type(result)(**{**fields, "records_verified": 41, "chain_faults": ["n1: gap"]})
    assert broken_promises(lossy) == ["n1: gap", "41 of 42 published records verify"]
