"""`earshot verify`: which scores were repeated, and what was heard around a moment."""

import json
from pathlib import Path

import msgspec
import pytest

from agent.cli.main import main
from agent.core.records.chain import Head
from tests.agent.cli.test_cli_verify import CHAIN, envelopes, export
from tests.support.drafts import draft, impulse, sealer_of


def test_scores_that_cannot_be_repeated_are_said_and_are_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a model that this version does not hold the name, of records that name none the count."""
    named = msgspec.structs.replace(impulse().verdict, model_sha256="e" * 64)
    foreign = msgspec.structs.replace(impulse(), verdict=named)
    sealer, head, lines = sealer_of("n1"), Head(CHAIN), []
    for number, data in enumerate((impulse(), foreign, foreign)):
        sealed = sealer.seal(draft(data, number), head)
        head = sealed.head
        lines.append(sealed.envelope)
    records, registry = export(tmp_path, lines)
    assert main(["verify", str(records), "--keys", str(registry)]) == 0
    told = capsys.readouterr().out
    assert "1 scores not repeated: their records name no model" in told
    assert "2 scores not repeated: this version does not hold the model eeee" in told
    assert main(["verify", str(records), "--keys", str(registry), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert scores == {"repeated": 0, "unnamed": 1, "foreign": {"e" * 64: 2}, "thinned": 0}


@pytest.mark.parametrize(
    "words", [("--around", "noon"), ("--around", "2026-11-27T18:00"), ("--within", "-1")]
)
def test_a_moment_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str]
) -> None:
    """Exit 2, with how to write it."""
    records, registry = export(tmp_path, envelopes())
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(records), "--keys", str(registry), *words])
    assert ended.value.code == 2
    assert words[1] in capsys.readouterr().err
