"""`earshot-sim registrar`: what a registrar sees, and one line for whatever is wrong."""

from pathlib import Path

import pytest

from simulator.cli import main as cli
from tests.support.drafts import chain_of
from tests.support.enrolled import Hut, Office
from tests.support.terminal import at_terminal

PLACE = ("--at", "40.4406,-79.9959,251")


def run(office: Office, *words: object) -> int:
    return cli.main(["registrar", *map(str, words), "--dir", str(office.directory)])


def test_init_tells_the_words_that_nodes_compare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same that `show` tells; a second init in the same folder is refused."""
    words = ("--broker", "mqtts://broker.town", "--dir", str(tmp_path / "reg"))
    assert cli.main(["registrar", "init", *words]) == 0
    told = capsys.readouterr().out
    assert told.startswith("registrar of mqtts://broker.town in ")
    assert cli.main(["registrar", "show", *words[2:]]) == 0
    assert capsys.readouterr().out == told
    assert cli.main(["registrar", "init", *words]) == 2
    assert "never overwritten" in capsys.readouterr().err


def test_sign_list_revoke_show(
    hut: Hut, office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """One node's life as the registrar sees it."""
    asked, _ = hut.ask()
    request = hut.folder / "1.request"
    assert run(office, "sign", request, *PLACE, "--fingerprint", asked.words) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("town/north/n1 asks, on ")
    assert told[1].startswith(f"{hut.folder}/1.response: answer for town/north/n1, key ")
    assert told[2].endswith(f"for its first one, read aloud: {office.registrar.words}")
    assert hut.install((hut.folder / "1.response").read_bytes()).is_new
    (node,) = office.registrar.ledger.nodes
    assert run(office, "list") == 0
    assert f"town/north/n1                    {node.keyid} until " in capsys.readouterr().out
    assert run(office, "revoke", "town/north/n1") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"town/north/n1 is revoked: copy {office.directory}/ca.crl to the broker and restart it.",
        f"The locator learns it from {office.directory}/nodes.json, at its next start.",
    ]
    assert run(office, "list") == 0
    assert f"{node.keyid} revoked 20" in capsys.readouterr().out
    assert run(office, "show", "town/north/n1") == 0
    shown = capsys.readouterr().out
    assert node.serial in shown
    assert "(40.4406, -79.9959, 251.0) within 1 m" in shown
    assert run(office, "revoke", "broker") == 0
    assert f"{office.directory}/broker.crt and .key are its new" in capsys.readouterr().out


def refused(office: Office, capsys: pytest.CaptureFixture[str], told: str, *words: object) -> None:
    """Exit 2 with one line that holds `told`, and nothing in the registrar's folder changed."""
    before = office.files()
    assert run(office, *words) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith("earshot-sim: ")
    assert told in line
    assert office.files() == before


def test_wrong_words_and_none_are_refused(
    hut: Hut, office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever did not stand at the node cannot be enrolled by mistake."""
    hut.ask()
    request = hut.folder / "1.request"
    wrong = "lusab-babad-gutih-tugad-bisog"
    told = f"{request}: the words of the request are not those given with --fingerprint"
    refused(office, capsys, told, "sign", request, *PLACE, "--fingerprint", wrong)
    refused(office, capsys, '--fingerprint "WORDS" is missing', "sign", request, *PLACE)
    assert not (hut.folder / "1.response").exists()


def test_a_person_at_the_terminal_is_asked(hut: Hut, office: Office) -> None:
    """The words are shown, and "yes" signs."""
    asked, _ = hut.ask()
    words = ("registrar", "sign", hut.folder / "1.request", *PLACE, "--dir", office.directory)
    code, seen = at_terminal("simulator.cli.main", *words, types="no\n")
    assert (code, asked.words in seen) == (2, True)
    code, seen = at_terminal("simulator.cli.main", *words, types="yes\n")
    assert code == 0, seen
    assert (hut.folder / "1.response").exists()


def test_what_must_not_be_answered_is_one_line(
    hut: Hut, office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the file; replays, other keys and unknown places; answers replace no file."""
    hut.ask()
    first = hut.folder / "1.request"
    refused(office, capsys, f"{first}: town/north/n1 is new: say with", "sign", first, "--yes")
    answer = first.with_suffix(".response")
    answer.write_text("mine")
    refused(office, capsys, f"{answer}: exists already", "sign", first, *PLACE, "--yes")
    assert answer.read_text() == "mine"
    out = ("--out", hut.folder / "answer")
    assert run(office, "sign", first, *PLACE, "--yes", *out) == 0
    capsys.readouterr()
    refused(office, capsys, f"{first}: was answered at ", "sign", first, "--yes", "--out", "x")
    (hut.folder / "store" / "evidence.pem").unlink()
    hut.ask()
    second = hut.folder / "2.request"
    refused(office, capsys, "is known by another evidence key", "sign", second, "--yes")
    assert run(office, "sign", second, "--yes", "--replaced") == 0


@pytest.mark.parametrize(
    "raw", [b"", b"hello", bytes(range(256)), b" " * 300_000, chain_of("n1", 1)[0].envelope]
)
def test_what_is_no_request_is_one_line(
    office: Office, raw: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text, noise, something huge, a record."""
    path = tmp_path / "request"
    path.write_bytes(raw)
    refused(office, capsys, f"{path}: ", "sign", path, *PLACE, "--yes")


def test_missing_folders_and_files_are_one_line(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says what makes them."""
    nowhere = str(tmp_path / "none")
    for verb in ("list", "show"):
        assert cli.main(["registrar", verb, "--dir", nowhere]) == 2
        assert "`earshot-sim registrar init` makes a registrar" in capsys.readouterr().err
    refused(office, capsys, "cannot be read: No such file", "sign", nowhere, *PLACE, "--yes")
    for verb in ("show", "revoke"):
        refused(office, capsys, "town/north/n9: no such node", verb, "town/north/n9")


@pytest.mark.parametrize(
    "words",
    [
        ["registrar"],
        ["registrar", "init"],
        ["registrar", "sign"],
        ["registrar", "sign", "r", "--at", "40.4,-79.9"],
        ["registrar", "sign", "r", "--at", "91,0,0"],
        ["registrar", "sign", "r", "--at", "40,-80,nan"],
        ["registrar", "sign", "r", "--yes", "--fingerprint", "x"],
        ["registrar", "sign", "r", "--rotated", "--replaced", "--sigma-m", "0"],
        ["registrar", "revoke"],
    ],
)
def test_wrong_words_are_a_usage_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 with the usage."""
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: earshot-sim registrar")
