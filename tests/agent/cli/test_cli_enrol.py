"""`earshot enrol`: what a technician sees, and one line for whatever is wrong."""

import time
from pathlib import Path

import pytest

from agent.cli import main as cli
from agent.core.records.envelope import seal
from agent.core.trust.enrolment import REQUEST_TYPE
from tests.support.drafts import signer_of
from tests.support.enrolled import Hut, Office
from tests.support.terminal import at_terminal

PROGRAM = "agent.cli.main"


def answer_for(hut: Hut, office: Office) -> Path:
    path = hut.folder / "n1.response"
    path.write_bytes(office.sign(hut.ask()[1], time.time_ns()).sealed)
    return path


def run(hut: Hut, *words: object) -> int:
    return cli.main(["enrol", *map(str, words), "--config", str(hut.config)])


def test_a_request_tells_its_words_and_no_secret(
    hut: Hut, office: Office, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file goes beside us by default, and the words are those that the registrar will see."""
    monkeypatch.chdir(hut.folder)
    assert run(hut, "request") == 0
    told = capsys.readouterr().out
    assert told.startswith("n1.request: request for town/north/n1.")
    seen: list[str] = []
    office.registrar.sign(
        (hut.folder / "n1.request").read_bytes(),
        lambda request, words: seen.append(words),
        ((0.0, 0.0, 0.0), 1.0),
        0,
    )
    assert seen == [told.split()[-1]]
    assert "▀" not in told
    for name in ("evidence.pem", "node.key"):
        secret = hut.files()[name].decode().splitlines()[1]
        assert secret not in told
    assert run(hut, "request") == 2
    assert capsys.readouterr().err.startswith("earshot: n1.request: exists already")


def test_a_terminal_shows_a_code_for_a_camera(hut: Hut) -> None:
    """In half blocks, at most 80 wide."""
    words = ("enrol", "request", "--config", hut.config, "--out", hut.folder / "r")
    code, seen = at_terminal(PROGRAM, *words)
    assert code == 0, seen
    lines = [line for line in seen.splitlines() if "▀" in line or "█" in line]
    assert len(lines) > 12
    assert max(map(len, lines)) <= 80


def test_an_answer_is_taken_with_the_registrars_words(
    hut: Hut, office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """However they were written down; the second time none are needed."""
    answer = answer_for(hut, office)
    heard = office.registrar.words.upper().replace("-", ", ")
    assert run(hut, "install", answer, "--registrar", heard) == 0
    until = office.registrar.ledger.nodes[0].until
    assert capsys.readouterr().out == f"town/north/n1 is enrolled, until {until:%Y-%m-%d}.\n"
    assert run(hut, "install", answer) == 0
    assert "was enrolled with this answer already" in capsys.readouterr().out


def test_a_broker_elsewhere_is_told_of(
    hut: Hut, office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """The settings are the technician's: the line says what to write there."""
    hut.config.write_text(hut.config.read_text().replace("mqtts://127.0.0.1:8883", "mqtts://town"))
    answer = answer_for(hut, office)
    assert run(hut, "install", answer, "--registrar", office.registrar.words) == 0
    told = capsys.readouterr().out.splitlines()[1]
    assert told == "The broker is at mqtts://127.0.0.1:8883: write that into broker.url."


@pytest.mark.parametrize(("typed", "code"), [("yes\n", 0), ("no\n", 2), ("\n", 2), ("\x04", 2)])
def test_a_person_at_the_terminal_is_asked(hut: Hut, office: Office, typed: str, code: int) -> None:
    """The words are shown; only "yes" is a yes."""
    answer = answer_for(hut, office)
    words = ("enrol", "install", answer, "--config", hut.config)
    ended, seen = at_terminal(PROGRAM, *words, types=typed)
    assert office.registrar.words in seen
    assert ended == code, seen
    assert ("node.crt" in hut.files()) == (code == 0)


def test_wrong_words_and_none_are_refused(
    hut: Hut, office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit 2, nothing installed."""
    answer, before = answer_for(hut, office), hut.files()
    for words, told in (
        (("--registrar", "lusab babad gutih tugad bisog"), "are not those given with --registrar"),
        (("--registrar", ""), "are not those given with --registrar"),
        ((), '--registrar "WORDS" is missing'),
    ):
        assert run(hut, "install", answer, *words) == 2
        line = capsys.readouterr().err
        assert line.startswith(f"earshot: {answer}: ")
        assert told in line
        assert line.count("\n") == 1
    assert hut.files() == before


THIEF = signer_of("thief")
BROKEN = {
    "nothing": b"",
    "text": b"hello",
    "bytes": bytes(range(256)),
    "deep": b"[" * 200_000,
    "huge": b" " * 300_000,
    "object": b"{}",
    "a request": seal(REQUEST_TYPE, b"{}", THIEF),
    "a record": seal("application/vnd.earshot.record.v1+json", b"{}", THIEF),
    "no answer": seal("application/vnd.earshot.enrolment-response.v1+json", b"{}", THIEF),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_answer_is_one_line(
    hut: Hut, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the file; exit 2; nothing is touched."""
    hut.ask()
    before, path = hut.files(), hut.folder / "answer"
    path.write_bytes(BROKEN[kind])
    assert run(hut, "install", path, "--registrar", "any") == 2
    line = capsys.readouterr().err
    assert line.startswith(f"earshot: {path}: ")
    assert line.count("\n") == 1
    assert hut.files() == before


def test_a_missing_answer_and_wrong_settings_are_one_line(
    hut: Hut, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is named in each."""
    assert run(hut, "install", "/nowhere/answer") == 2
    assert capsys.readouterr().err.startswith("earshot: /nowhere/answer: cannot be read: No such")
    assert cli.main(["enrol", "request", "--config", "/nowhere/node.toml"]) == 2
    assert capsys.readouterr().err.startswith("earshot: /nowhere/node.toml: ")
    hut.config.write_text(hut.config.read_text().replace("certificate_key", "# "))
    assert run(hut, "request") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_name_too_long_for_a_certificate_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before any key is made."""
    hut = Hut(tmp_path / "n1", "n" * 32)
    hut.config.write_text(hut.config.read_text().replace('"north"', f'"{"c" * 32}"'))
    assert run(hut, "request", "--out", tmp_path / "r") == 2
    assert "shorten node.site" in capsys.readouterr().err
    assert not (hut.folder / "store").exists()
