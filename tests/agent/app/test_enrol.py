"""A node's side of enrolment: keys that stay, answers that fit, files that change together."""

import stat
from pathlib import Path

import msgspec
import pytest

import agent
from agent.adapters.keyfile import Ed25519FileSigner
from agent.app.enrol import Enrolment
from agent.core.trust.enrolment import open_response, seal_response
from agent.core.units import NS_PER_S
from agent.errors import EarshotError, EnrolmentError
from tests.support.drafts import signer_of
from tests.support.enrolled import BROKER_URL, DAY_NS, NOW_NS, Hut, Office, StoppedClock


def test_keys_are_made_once_and_kept_private(hut: Hut) -> None:
    """0600; a second request has the same keys, another nonce and other words."""
    first, first_raw = hut.ask()
    keys = {name: content for name, content in hut.files().items() if b"PRIVATE" in content}
    assert set(keys) == {"evidence.pem", "node.key"}
    assert {stat.S_IMODE((hut.folder / "store" / name).stat().st_mode) for name in keys} == {0o600}
    second, _ = hut.ask()
    assert keys.items() <= hut.files().items()
    assert (first.request.key, first.request.nonce) != (second.request.key, second.request.nonce)
    assert first.request.key == second.request.key
    assert first.words != second.words
    for content in keys.values():
        secret = content.splitlines()[1]
        assert secret not in first_raw


def test_a_request_never_replaces_a_file(hut: Hut) -> None:
    """Not even with another request, and before any key is made."""
    out = hut.folder / "notes"
    out.write_text("mine")
    with pytest.raises(EnrolmentError, match=f"^{out}: exists already"):
        Enrolment(hut.settings).ask(out)
    assert out.read_text() == "mine"
    assert not (hut.folder / "store").exists()


def test_a_key_of_another_kind_is_never_overwritten(hut: Hut) -> None:
    """What lies where a key belongs is named and left alone."""
    hut.ask()
    path = hut.folder / "store" / "node.key"
    path.write_text("something")
    with pytest.raises(EarshotError, match=f"^{path}: no unencrypted private key"):
        hut.ask()
    assert path.read_text() == "something"


def test_an_answer_puts_all_files_in_place(hut: Hut, office: Office) -> None:
    """Authority with its list of the revoked, certificate, keys, pin; readable, not private."""
    answer = office.sign(hut.ask()[1])
    assert hut.install(answer.sealed).is_new
    response, files = open_response(answer.sealed), hut.files()
    assert files["ca.crt"].decode() == response.authority + response.revoked
    assert files["node.crt"].decode() == response.certificate
    assert files["locator.pub.pem"] == (office.directory / "locator.pub.pem").read_bytes()
    assert files["operator.pub.pem"] == (office.directory / "operator.pub.pem").read_bytes()
    assert files["registrar.pub.pem"] == (office.directory / "registrar.pub.pem").read_bytes()
    assert response.broker_url == BROKER_URL
    assert stat.S_IMODE((hut.folder / "store" / "node.crt").stat().st_mode) == 0o644


def test_the_same_answer_again_is_harmless(hut: Hut, office: Office) -> None:
    """Nothing changes; and what was lost since is put back."""
    answer = office.sign(hut.ask()[1])
    hut.install(answer.sealed)
    files = hut.files()
    assert not hut.install(answer.sealed).is_new
    assert hut.files() == files
    (hut.folder / "store" / "ca.crt").unlink()
    (hut.folder / "store" / "node.crt").write_bytes(b"")
    assert hut.install(answer.sealed).is_new
    assert hut.files() == files


def test_an_old_answer_is_refused(hut: Hut, office: Office) -> None:
    """Once a newer request was made, or a newer answer to the same one is installed."""
    first = office.sign(hut.ask()[1])
    second = office.sign(hut.ask()[1], NOW_NS + DAY_NS)
    with pytest.raises(EnrolmentError, match="answers another request than the last one"):
        hut.install(first.sealed)
    hut.install(second.sealed)
    files = hut.files()
    with pytest.raises(EnrolmentError, match="answers another request than the last one"):
        hut.install(first.sealed)
    response = msgspec.structs.replace(
        open_response(second.sealed), issued_utc_ns=str(NOW_NS + DAY_NS - 1)
    )
    signer = Ed25519FileSigner.load(office.directory / "registrar.pem")
    with pytest.raises(EnrolmentError, match="is older than the answer that is installed"):
        hut.install(seal_response(response, signer))
    assert hut.files() == files


def test_another_nodes_answer_is_refused(hut: Hut, office: Office, tmp_path: Path) -> None:
    """With or without a request of our own."""
    other = Hut(tmp_path / "n2", "n2")
    answer = office.sign(other.ask()[1])
    with pytest.raises(EnrolmentError, match="here none was made"):
        hut.install(answer.sealed)
    hut.ask()
    with pytest.raises(EnrolmentError, match="answers another request"):
        hut.install(answer.sealed)
    assert "node.crt" not in hut.files()


def test_the_registrars_words_are_compared_once(hut: Hut, office: Office) -> None:
    """At the first answer, by a person; whoever says no has changed nothing; then it is pinned."""
    told: list[str] = []

    def doubt(words: str) -> None:
        told.append(words)
        raise EnrolmentError("these are others")

    file = hut.folder / "answer"
    file.write_bytes(office.sign(hut.ask()[1]).sealed)
    before = hut.files()
    with pytest.raises(EnrolmentError, match="these are others"):
        Enrolment(hut.settings).install(file, StoppedClock(), doubt)
    assert hut.files() == before
    Enrolment(hut.settings).install(file, StoppedClock(), told.append)
    assert told == [office.registrar.words] * 2
    Enrolment(hut.settings).install(file, StoppedClock(), doubt)


def test_another_registrar_is_refused_once_one_is_pinned(
    hut: Hut, office: Office, tmp_path: Path
) -> None:
    """Also when the pin was laid there with the image, before any answer."""
    (hut.folder / "store").mkdir()
    pin = hut.folder / "store" / "registrar.pub.pem"
    pin.write_text(signer_of("the registrar").public_pem())
    raw = hut.ask()[1]
    answer = office.sign(raw)
    with pytest.raises(EnrolmentError, match=f"another registrar.*remove {pin}"):
        hut.install(answer.sealed)
    assert "node.crt" not in hut.files()
    pin.write_bytes((office.directory / "registrar.pub.pem").read_bytes())
    assert hut.install(answer.sealed).is_new


def test_an_answer_for_an_evidence_key_that_went_is_refused(hut: Hut, office: Office) -> None:
    """Whoever moved the key away since must ask again."""
    answer = office.sign(hut.ask()[1])
    path = hut.folder / "store" / "evidence.pem"
    path.unlink()
    Ed25519FileSigner.create(path)
    with pytest.raises(EnrolmentError, match=r"no longer this node.s: make a new request"):
        hut.install(answer.sealed)


@pytest.mark.parametrize("witness", ["this host's clock", "the last time", "its software"])
def test_dates_are_judged_by_the_latest_clock(
    hut: Hut, office: Office, witness: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host in 1970 still knows what it knew, and when its software was made."""
    answer = office.sign(hut.ask()[1])
    late_ns = NOW_NS + 400 * DAY_NS
    utc_ns = 0
    if witness == "this host's clock":
        utc_ns = late_ns
    elif witness == "the last time":
        (hut.folder / "store" / "known-utc").write_text(f"{late_ns}\n")
    else:
        monkeypatch.setattr(agent, "RELEASED_UTC_S", late_ns // NS_PER_S)
    with pytest.raises(EnrolmentError, match=f"certificate ended at .* by .*{witness}"):
        hut.install(answer.sealed, utc_ns)
    assert "node.crt" not in hut.files()


@pytest.mark.parametrize(("ahead_days", "is_vouched"), [(2, True), (20 * 366, False)])
def test_an_answer_of_a_registrar_whose_clock_is_far_ahead_is_refused(
    hut: Hut, office: Office, ahead_days: int, *, is_vouched: bool
) -> None:
    """By days where the kernel vouches for this host's clock, by decades in any case; else the
    broker would refuse it for as long."""
    asked = hut.ask()[1]
    answer = office.sign(asked, NOW_NS + ahead_days * DAY_NS)
    with pytest.raises(EnrolmentError, match=r"begins only 20.* which is not yet: have it made"):
        hut.install(answer.sealed, is_vouched=is_vouched)
    assert "node.crt" not in hut.files()


def test_a_host_in_1970_takes_a_fresh_answer(hut: Hut, office: Office) -> None:
    """No clock is needed at the pole to be enrolled."""
    assert hut.install(office.sign(hut.ask()[1]).sealed, utc_ns=0).is_new


def test_nothing_is_changed_where_one_file_cannot_be_written(hut: Hut, office: Office) -> None:
    """All or nothing, and the line names the file."""
    answer = office.sign(hut.ask()[1])
    lost = hut.folder / "gone" / "ca.crt"
    hut.config.write_text(hut.config.read_text().replace(f"{hut.folder}/store/ca.crt", str(lost)))
    before = hut.files()
    with pytest.raises(EnrolmentError, match=f"^{lost}: cannot be written: No such file"):
        hut.install(answer.sealed)
    assert hut.files() == before


def test_settings_must_say_where_files_go(hut: Hut, office: Office) -> None:
    """A missing path, and a list of keys that is too short, are named before anything is done."""
    text = hut.config.read_text()
    hut.config.write_text(text.replace("ca = ", "# ca = "))
    with pytest.raises(EnrolmentError, match=r"^set broker\.ca"):
        hut.ask()
    hut.config.write_text(text)
    (office.directory / "locator-2.pub.pem").write_text(signer_of("second").public_pem())
    answer = office.sign(hut.ask()[1])
    with pytest.raises(EnrolmentError, match=r"2 keys for keys\.locator_public, which lists 1"):
        hut.install(answer.sealed)
    assert "node.crt" not in hut.files()


def test_who_wants_no_commands_gets_no_operators(hut: Hut, office: Office) -> None:
    """Where settings name no operator's file, none is written."""
    lines = hut.config.read_text().splitlines()
    hut.config.write_text("\n".join(line for line in lines if "operator_public" not in line))
    hut.install(office.sign(hut.ask()[1]).sealed)
    assert "operator.pub.pem" not in hut.files()
