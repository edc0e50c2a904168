"""`earshot-sim store around`: a shot that nobody was told of, asked of a stopped store."""

import json
from pathlib import Path

import pytest

from agent.core.units import rfc3339
from simulator.cli.main import main
from tests.simulator.centre.locator.test_missed import stopped  # noqa: F401
from tests.support.cells import Cell
from tests.support.drafts import signer_of
from tests.support.located import START_NS


@pytest.fixture
def words(stopped: tuple[Path, Cell]) -> list[str]:  # noqa: F811
    path, cell = stopped
    rows = [
        {
            "site": one.site,
            "cell": one.cell,
            "node": one.node,
            "key": signer_of(one.node).public_pem(),
            "position": {"enu_m": one.enu_m},
            "sigma_m": one.sigma_m,
        }
        for one in cell.stations.values()
    ]
    known = path.with_name("registry.json")
    known.write_text(json.dumps(rows))
    return ["store", "around", str(path), "--registry", str(known)]


def test_the_place_and_how_often_chance_makes_one(
    words: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line an answer, and one a cell with what it rests on."""
    assert main([*words, "--at", rfc3339(START_NS)]) == 0
    answer, cell = capsys.readouterr().out.splitlines()
    assert "located 1 round at 120." in answer
    assert answer.endswith("4 nodes only listed it")
    assert cell == "lab/a: 1 answer from 1 sounds told and 12 listed; chance makes 0.0 of as many"


@pytest.mark.parametrize("wrong", [("--at", "noon"), ("--at", rfc3339(START_NS), "--within", "31")])
def test_what_cannot_be_asked(
    words: list[str], wrong: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, with the value."""
    with pytest.raises(SystemExit):
        main([*words, *wrong])
    assert wrong[-1] in capsys.readouterr().err
