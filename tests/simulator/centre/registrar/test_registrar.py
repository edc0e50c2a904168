"""The registrar's desk: whom it enrols, whom it refuses, and what it never loses."""

import base64
import json
import stat
from pathlib import Path

import pytest
from cryptography import x509

from agent.adapters.keyring import load_keyring
from agent.core.records.envelope import raw_public_key
from agent.core.trust.enrolment import EnrolmentRequest, open_response
from agent.core.units import rfc3339
from agent.errors import EarshotError, EnrolmentError
from simulator.centre.locator import registry
from simulator.centre.registrar.registrar import Registrar, found, opened
from tests.support.enrolled import DAY_NS, NOW_NS, PLACE, Hut, Office


def revoked(office: Office) -> set[int]:
    """Serial numbers on the published list."""
    crl = x509.load_pem_x509_crl((office.directory / "ca.crl").read_bytes())
    return {one.serial_number for one in crl}


def forget(hut: Hut) -> None:
    """The node has lost its evidence key."""
    (hut.folder / "store" / "evidence.pem").unlink()


def test_private_keys_are_private(office: Office) -> None:
    """Folder and key files are the registrar's alone; certificates and public keys are not."""
    assert stat.S_IMODE(office.directory.stat().st_mode) == 0o700
    for path, content in office.files().items():
        expected = 0o600 if b"PRIVATE" in content else 0o644
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_a_registrar_is_never_overwritten(office: Office, tmp_path: Path) -> None:
    """Nor anything else: a folder must be new or empty, and a failure leaves none behind."""
    before = office.files()
    with pytest.raises(EnrolmentError, match="exists already; a registrar is never overwritten"):
        found(office.directory, "mqtts://other", (), NOW_NS)
    assert office.files() == before
    for url in ("mqtt://127.0.0.1", "127.0.0.1", "mqtts://"):
        with pytest.raises(EnrolmentError, match=r"write mqtts://HOST\[:PORT\]"):
            found(tmp_path / "fresh", url, (), NOW_NS)
    assert [path.name for path in tmp_path.iterdir()] == ["registrar"]
    (tmp_path / "empty").mkdir()
    found(tmp_path / "empty", "mqtts://broker.town", (), NOW_NS)


def test_the_registry_is_the_one_that_others_read(office: Office, hut: Hut, tmp_path: Path) -> None:
    """The locator and `earshot verify` find each node with its key and its place."""
    asked, raw = hut.ask()
    office.sign(raw)
    office.sign(Hut(tmp_path / "n2", "n2").ask()[1], place=((40.5, -79.9, 240.0), 3.0))
    path = office.directory / "nodes.json"
    stations, keys = registry.load(path).stations, load_keyring(path).keys
    assert set(stations) == {"urn:earshot:town:north:n1", "urn:earshot:town:north:n2"}
    key = raw_public_key(asked.request.evidence_key())
    assert raw_public_key(keys["urn:earshot:town:north:n1"]) == key
    assert raw_public_key(stations["urn:earshot:town:north:n1"].key) == key
    assert stations["urn:earshot:town:north:n2"].sigma_m == 3.0


def test_the_words_are_heard_before_anything_is_done(office: Office, hut: Hut) -> None:
    """The same words as at the node; who does not know them has changed nothing."""
    asked, raw = hut.ask()
    told: list[tuple[EnrolmentRequest, str]] = []

    def doubt(request: EnrolmentRequest, words: str) -> None:
        told.append((request, words))
        raise EnrolmentError("not these")

    before = office.files()
    with opened(office.directory) as desk, pytest.raises(EnrolmentError, match="not these"):
        desk.sign(raw, doubt, PLACE, NOW_NS)
    assert told == [(asked.request, asked.words)]
    assert office.files() == before


def test_a_request_is_answered_once(office: Office, hut: Hut) -> None:
    """A replay is refused, and the line names the answer that is kept."""
    raw = hut.ask()[1]
    answer = office.sign(raw)
    assert answer.kept.read_bytes() == answer.sealed
    before = office.files()
    with pytest.raises(EnrolmentError, match=f"is answered once: the answer is {answer.kept}"):
        office.sign(raw)
    assert office.files() == before


def test_a_new_node_needs_a_place_and_a_known_one_keeps_it(office: Office, hut: Hut) -> None:
    """Renewing needs no survey; a new one is taken."""
    raw = hut.ask()[1]
    with pytest.raises(EnrolmentError, match="town/north/n1 is new: say with --at"):
        office.sign(raw, place=None)
    office.sign(raw)
    assert office.sign(hut.ask()[1], place=None).node.place == PLACE
    moved = ((40.41, -79.9, 251.0), 0.5)
    assert office.sign(hut.ask()[1], place=moved).node.place == moved
    assert revoked(office) == set()


def serials(office: Office, name: str) -> set[int]:
    ledger = office.registrar.ledger
    return {int(one.serial, 16) for one in (*ledger.roles, *ledger.nodes) if one.name == name}


def current(office: Office, name: str) -> int:
    """The serial number of a role's certificate as it is on disk."""
    pem = (office.directory / f"{name}.crt").read_bytes()
    return x509.load_pem_x509_certificate(pem).serial_number


def test_another_key_for_a_known_node_is_refused(office: Office, hut: Hut) -> None:
    """Unless it is said that the old one is lost; then that one's certificates are revoked."""
    first = office.sign(hut.ask()[1]).node
    forget(hut)
    raw = hut.ask()[1]
    before = office.files()
    with pytest.raises(EnrolmentError, match=f"another evidence key .{first.keyid}"):
        office.sign(raw)
    assert office.files() == before
    second = office.sign(raw, new_key="replaced").node
    assert second.keyid != first.keyid
    assert revoked(office) == {int(first.serial, 16)}
    assert json.loads((office.directory / "nodes.json").read_text()) == [
        json.loads(json.dumps(second.row))
    ]
    former = office.directory / "former" / f"town.north.n1.{first.keyid}.json"
    (key,) = load_keyring(former).keys.values()
    assert raw_public_key(key) == base64.b64decode(first.key)
    assert registry.load(former).stations["urn:earshot:town:north:n1"].is_revoked


def test_a_rotated_key_gets_a_certificate_and_leaves_the_registry_alone(
    office: Office, hut: Hut
) -> None:
    """The locator follows it through the node's own records, from the key that is registered."""
    first = office.sign(hut.ask()[1]).node
    forget(hut)
    second = office.sign(hut.ask()[1], new_key="rotated").node
    assert second.row == first.row
    assert second.keyid != first.keyid
    assert revoked(office) == set()
    assert office.sign(hut.ask()[1]).node.row == first.row


def test_a_key_is_one_nodes_alone(office: Office, hut: Hut, tmp_path: Path) -> None:
    """A card that was copied to a second node is seen."""
    hut.ask()
    office.sign(hut.ask()[1])
    twin = Hut(tmp_path / "n2", "n2")
    (twin.folder / "store").mkdir()
    for name in ("evidence.pem", "node.key"):
        path = twin.folder / "store" / name
        path.write_bytes(hut.files()[name])
        path.chmod(0o600)
    with pytest.raises(EnrolmentError, match="is that of town/north/n1: each node needs its own"):
        office.sign(twin.ask()[1])


def test_a_revoked_node_is_out_with_its_key(office: Office, hut: Hut) -> None:
    """It cannot be revoked twice nor renewed; with a new key it may come back."""
    first = office.sign(hut.ask()[1]).node
    office.sign(hut.ask()[1])
    office.revoke("town/north/n1", NOW_NS + DAY_NS)
    assert revoked(office) == serials(office, "town/north/n1")
    assert len(revoked(office)) == 2
    path = office.directory / "nodes.json"
    since = {"urn:earshot:town:north:n1": rfc3339(NOW_NS + DAY_NS)}
    assert load_keyring(path).revoked_at == since
    assert registry.load(path).stations["urn:earshot:town:north:n1"].is_revoked
    with pytest.raises(EnrolmentError, match=f"was revoked at {rfc3339(NOW_NS + DAY_NS)[:10]}"):
        office.revoke("town/north/n1")
    with pytest.raises(EnrolmentError, match=f"{first.keyid} of town/north/n1 was revoked"):
        office.sign(hut.ask()[1])
    forget(hut)
    with pytest.raises(EnrolmentError, match="its keys have no heirs"):
        office.sign(hut.ask()[1], new_key="rotated")
    assert office.sign(hut.ask()[1]).node.revoked is None


def test_a_role_that_is_revoked_gets_new_files(office: Office) -> None:
    """The broker keeps its names; the old certificate is on the list."""
    for role in ("broker", "locator", "operator"):
        old, old_key = current(office, role), (office.directory / f"{role}.key").read_bytes()
        office.revoke(role)
        assert old in revoked(office)
        assert current(office, role) not in revoked(office)
        assert (office.directory / f"{role}.key").read_bytes() != old_key
    leaf = x509.load_pem_x509_certificate((office.directory / "broker.crt").read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]


def test_nobody_unknown_can_be_revoked(office: Office) -> None:
    """The line says where the names are."""
    with pytest.raises(EnrolmentError, match="town/north/n9: no such node; `registrar list`"):
        office.revoke("town/north/n9")


def test_answers_carry_every_key_in_force(office: Office, hut: Hut) -> None:
    """Any locator*.pub.pem beside the first; a file that is no key stops it all, by name."""
    second = office.directory / "locator-2.pub.pem"
    second.write_bytes((office.directory / "operator.pub.pem").read_bytes())
    response = open_response(office.sign(hut.ask()[1]).sealed)
    assert len(response.locators) == 2
    second.write_text("key")
    before = office.files()
    with pytest.raises(EnrolmentError, match=f"^{second}: holds no public key"):
        office.sign(hut.ask()[1])
    assert office.files() == before


@pytest.mark.parametrize("name", ["ledger.json", "ca.crt", "ca.key", "registrar.pem"])
def test_a_broken_folder_is_named(office: Office, name: str) -> None:
    """One line with the file; what is left is not touched."""
    (office.directory / name).write_text("{}")
    with pytest.raises(EarshotError, match=f"^{office.directory / name}: "):
        Registrar(office.directory)
    (office.directory / name).unlink()
    with pytest.raises(EarshotError, match=f"^{office.directory / name}: cannot be read"):
        Registrar(office.directory)
