"""Whatever a key could sign: sound payloads with a few of their values replaced, and worse.

Strategies for hypothesis. The values are those at which numbers, texts and parsers end.
"""

import json
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

NAMES = (
    *("seq", "prev", "chain", "time", "host_ns", "clock", "data", "kind", "key", "links", "source"),
    *("toa_utc_ns", "sigma_total_ns", "snr_db", "peak_dbfs", "air_temperature_c", "takes"),
    *("upto_seq", "extra", "head", "refused", "expires_utc_ns", "changes", "position"),
)
HARD: tuple[tuple[int | str, Any], ...] = (
    *(("seq", number) for number in (2**48 - 1, 2**48, 2**63 - 1, 2**63, 3 * 10**9)),
    *(("toa_utc_ns", str(ns)) for ns in (2**63 - 1, 2**63, 2**63 - 3_600 * 10**9, -1)),
    *(("links", [[seq, "f" * 64]]) for seq in (2**63, 2**63 - 1, 2**48 - 2)),
    *(("snr_db", 1e308), ("peak_dbfs", -1e308), ("air_temperature_c", 1e308)),
    ("time", "2262-04-11T23:00:00.000000000Z"),
)
EDGES = (
    *(0, -1, 2**31, 2**48 - 1, 2**48, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63) - 1),
    *(0.0, -0.0, 1e308, 1e-320, float("nan"), float("inf"), -float("inf")),
    *("", "0", "-1", "9" * 20, str(2**63 - 1), str(2**63), "-" + "9" * 20, "1" * 5_000),
    *("\x00", "\ud800", "\u202e", "n" * 9_000, "urn:earshot:lab:a:n2", "f" * 32, "0" * 64),
    *("9999-12-31T23:59:59.999999999Z", "0001-01-01T00:00:00Z", "2262-04-11T23:47:16.854775807Z"),
    *("impulse", "heartbeat", "shed", "key", "drone", "earshot.key.v1", "earshot.x.v2"),
    *(None, True, False, [], {}, [[]], [None] * 300, {"kind": "shed"}),
)


def payloads(*sound: bytes) -> st.SearchStrategy[bytes]:
    """Payloads as JSON, most of them one of `sound` with up to four things wrong.

    In half of them what a record says twice agrees again, so that it is not refused for that.
    """
    place = st.integers(0, 200) | st.sampled_from(NAMES)
    edit = st.sampled_from(HARD) | st.tuples(place, st.sampled_from(EDGES) | _JSON)
    edits = st.lists(edit, max_size=3)
    whole = st.sampled_from([json.loads(one) for one in sound])
    spoilt = st.builds(_edited, whole, edits, st.booleans())
    return st.one_of(spoilt, spoilt, spoilt, _JSON.map(_dumped), st.binary(max_size=200))


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def _edited(sound: Any, edits: list[tuple[int | str, Any]], agrees: bool) -> bytes:
    """`sound` with the value at each place, counted or named, replaced, taken out or doubled."""
    changed = json.loads(json.dumps(sound))
    for where, value in edits:
        places = list(_places(changed))
        if isinstance(where, str):
            places = [one for one in places if one[1] == where] or places
            where = 0
        holder, key = places[where % len(places)]
        if value is False:
            del holder[key]
        elif value is True and isinstance(holder, dict):
            holder["of_tomorrow"] = deepcopy(holder[key])
        else:
            holder[key] = deepcopy(value)
        if not changed:
            break
    if agrees and isinstance(changed, dict) and "seq" in changed:
        changed["id"] = f"{changed.get('chain')}/{changed['seq']}"
        if isinstance(data := changed.get("data"), dict):
            changed["type"] = f"earshot.{data.get('kind')}.v1"
    return _dumped(changed)


def _places(value: Any) -> list[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[Any, Any]] = []
    for key, inner in list(pairs):
        found.append((value, key))
        if isinstance(inner, dict | list):
            found += _places(inner)
    return found


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()
