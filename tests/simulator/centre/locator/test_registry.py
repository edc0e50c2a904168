"""The locator's list of nodes: what it takes, and that every mistake in it is named."""

import base64
import json
import math

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.core.records.envelope import raw_public_key
from simulator.centre.locator import registry
from simulator.centre.locator.geodesy import enu_m, middle
from simulator.centre.locator.registry import RegistryError
from tests.support.drafts import signer_of

EC_PEM = (
    generate_private_key(SECP256R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
SMALL_ORDER = base64.b64encode(b"\x01" + bytes(31)).decode()


def row(node="n1", **other):
    """A row as a person would write it, with other values where the test wants them."""
    fields = {
        "site": "town",
        "cell": "north",
        "node": node,
        "key": base64.b64encode(signer_of(node).public_key()).decode(),
        "position": {"enu_m": [1.0, 2.0, 3.0]},
        "sigma_m": 0.5,
    } | other
    return {name: value for name, value in fields.items() if value is not None}


def parsed(*rows):
    return registry.parse(json.dumps(rows), "r.json")


def refusal(*rows):
    with pytest.raises(RegistryError) as refused:
        parsed(*rows)
    return str(refused.value)


def test_rows_become_stations_by_source(tmp_path):
    """A node is found by the source its records name, with its place and its own key."""
    path = tmp_path / "r.json"
    path.write_text(json.dumps([row("n1"), row("n2", key=signer_of("n2").public_pem())]))
    found = registry.load(path)
    assert list(found.stations) == ["urn:earshot:town:north:n1", "urn:earshot:town:north:n2"]
    for source, station in found.stations.items():
        assert station.source == source
        assert (station.enu_m, station.sigma_m) == ((1.0, 2.0, 3.0), 0.5)
        assert raw_public_key(station.key) == signer_of(station.node).public_key()
        assert found.keys[source] is station.key
    assert found.origin_wgs84 is None


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"sigma_m": 0.0}, "rows[0].sigma_m: Expected `float` > 0.0"),
        ({"sigma_m": None}, "rows[0].sigma_m is missing"),
        ({"node": "n 1"}, "rows[0].node: Expected `str` matching regex"),
        ({"key": "AAAA"}, "rows[0].key: an Ed25519 public key has 32 bytes, not 3"),
        ({"key": "not a key"}, "rows[0].key: is neither PEM nor base64"),
        ({"key": SMALL_ORDER}, "rows[0].key: Ed25519 public key is non-canonical or of small"),
        ({"key": EC_PEM}, "rows[0].key: is not an Ed25519 key: give the node's evidence key"),
        ({"key": "-----BEGIN"}, "rows[0].key: holds no public key in PEM format"),
        ({"position": {}}, "rows[0].position must hold either enu_m or wgs84"),
        (
            {"position": {"enu_m": [0, 0, 0], "wgs84": [40, 8, 1]}},
            "rows[0].position must hold either enu_m or wgs84",
        ),
        ({"position": {"enu_m": [0, 0]}}, "rows[0].position.enu_m: Expected `array` of length 3"),
        ({"position": {"enu_m": [0, 0, math.inf]}}, "rows[0].position.enu_m is not a finite"),
        ({"position": {"wgs84": [140, 8, 1]}}, "position.wgs84: latitude 140 is not on Earth"),
        ({"position": {"xyz": [1]}}, "rows[0].position must hold either enu_m or wgs84"),
    ],
)
def test_a_fault_is_named_with_its_place(fault, told):
    """The row, the key in it, and what is wrong with it."""
    message = refusal(row(**fault))
    assert message.startswith("r.json: ")
    assert told in message
    assert "\n" not in message


def test_every_fault_is_told_at_once():
    """Whoever mends the file need not run again to learn of the next fault."""
    message = refusal(row("a", sigma_m=-1), row("b", cell=None), row("c c"))
    for place in ("rows[0].sigma_m", "rows[1].cell is missing", "rows[2].node: Expected `str`"):
        assert place in message


def test_rows_that_contradict_each_other_are_refused():
    """One node in two rows, and metres beside degrees."""
    message = refusal(row("a"), row("a"), row("b", position={"wgs84": [40.0, 8.0, 1.0]}))
    assert "2 rows are for urn:earshot:town:north:a" in message
    assert "2 positions are enu_m and 1 are wgs84: use one of them throughout" in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "r.json: is not JSON: "),
        ("{}", "r.json: must be a list of nodes"),
        ("[]", "r.json: must be a list of nodes"),
        ("[7]", "r.json: rows[0]: Expected `object`, got `int`"),
        ('[{"node": "a", "node": "b"}]', "r.json: is not JSON: 'node' occurs twice"),
        ("[" * 100_000, "r.json: is not JSON: "),
    ],
)
def test_what_is_no_list_of_rows_is_refused(text, told):
    """Whatever stands in the file, one line says what should."""
    with pytest.raises(RegistryError, match=r"^[^\n]*$") as refused:
        registry.parse(text, "r.json")
    assert str(refused.value).startswith(told)


def test_a_missing_file_is_named(tmp_path):
    """And what to write there; so is one that is no text."""
    with pytest.raises(RegistryError, match=r"none\.json: no such file; write a JSON list"):
        registry.load(tmp_path / "none.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe")
    with pytest.raises(RegistryError, match=r"b\.json: cannot be read: "):
        registry.load(tmp_path / "b.json")


def test_degrees_become_metres_around_the_middle():
    """Four nodes around a square of 0.001 degrees: metres as geodesy has them, to a millimetre.

    Reference at 45 N: a degree of latitude is 111 131.8 m and one of longitude 78 846.8 m
    (M and N cos of the WGS 84 ellipsoid), times 1 + height / radius at 100 m.
    """
    corners = [(45.0005, 7.0005), (45.0005, 6.9995), (44.9995, 6.9995), (44.9995, 7.0005)]
    rows = [
        row(f"n{index}", position={"wgs84": [latitude, longitude, 100.0]})
        for index, (latitude, longitude) in enumerate(corners)
    ]
    found = parsed(*rows)
    assert found.origin_wgs84 == pytest.approx((45.0, 7.0, 100.0), abs=1e-9)
    east, north, up = found.stations["urn:earshot:town:north:n0"].enu_m
    assert north == pytest.approx(55.5668, abs=2e-3)
    assert east == pytest.approx(39.4237, abs=2e-3)
    assert up == pytest.approx(-(east**2 + north**2) / 2 / 6.378e6, abs=1e-4)


def test_a_revoked_node_keeps_its_row():
    """So that what it said before can be checked; a moment that is none is refused."""
    source = "urn:earshot:town:north:n1"
    assert not parsed(row()).stations[source].is_revoked
    assert parsed(row(revoked_at="2026-11-24T05:00:00.000000000Z")).stations[source].is_revoked
    assert "rows[0].revoked_at: " in refusal(row(revoked_at="yesterday"))


def test_distances_survive_the_change_of_frame():
    """Straight lines keep their length, whatever the origin: 1e-9 of 20 km."""
    places = [(60.17, 24.94, 12.0), (60.3, 25.1, 90.0), (60.0, 24.8, 0.0)]
    one, other = (
        [enu_m(place, origin) for place in places] for origin in (places[0], (59.9, 25.3, 55.0))
    )
    for first in range(3):
        for second in range(3):
            assert math.dist(one[first], one[second]) == pytest.approx(
                math.dist(other[first], other[second]), rel=1e-9, abs=1e-6
            )


def test_the_date_line_does_not_tear_a_city():
    """The middle of two nodes beside it lies between them, not in Africa."""
    latitude, longitude, _ = middle([(-16.5, 179.999, 0.0), (-16.5, -179.997, 0.0)])
    assert latitude == -16.5
    assert longitude == pytest.approx(-179.999)


def test_half_a_surrogate_is_refused():
    """JSON can spell what no text is."""
    message = refusal(row(key="\ud800"))
    assert message.startswith("r.json: is not JSON: ")
    assert "\n" not in message
