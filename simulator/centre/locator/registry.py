"""Who may speak, and where they hang: the locator's list of nodes, from a JSON file.

The file is a list of rows {site, cell, node, key, position, sigma_m}. `key` is the node's public
key, PEM or base64 of its 32 bytes; `position` is {"enu_m": [e, n, u]} for all rows, or
{"wgs84": [lat, lon, height_m]} for all. From WGS 84, metres are those on the plane that touches
the Earth amid the nodes: right within a city, one origin for the whole file. A row that also has
`revoked_at` (RFC 3339) is of a node that is heard no more, kept to check what it said before.
What else a row holds is ignored, and told.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from agent.core.records.envelope import load_registered_key
from agent.core.records.fields import NodeId, UtcText, source_of
from agent.errors import EarshotError, KeyFileError
from simulator.centre.locator.geodesy import Wgs84, enu_m, middle
from simulator.scene.tables import faults_of, unknown

log = logging.getLogger("earshot.locator")

_TOLD_NAMES = 8
_LIMITS_WGS84 = (("latitude", 90.0), ("longitude", 180.0), ("height_m", 9_000.0))


class RegistryError(EarshotError):
    """A registry cannot be read or makes no sense; the one line names the file and all faults."""


@dataclass(frozen=True, slots=True)
class Station:
    """One node as the locator knows it; `sigma_m` is how well its position is known."""

    source: str
    site: str
    cell: str
    node: str
    key: Ed25519PublicKey
    enu_m: tuple[float, float, float]
    sigma_m: float
    is_revoked: bool = False


@dataclass(frozen=True, slots=True)
class Registry:
    """Stations by source; `origin_wgs84` is where their metres begin, if that is known."""

    stations: dict[str, Station]
    origin_wgs84: Wgs84 | None

    @property
    def keys(self) -> dict[str, Ed25519PublicKey]:
        """Each node's key by its source: what an EventStore verifies with."""
        return {source: station.key for source, station in self.stations.items()}


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One object of the file."""


class _Position(_Table, frozen=True, kw_only=True):
    enu_m: tuple[float, float, float] | None = None
    wgs84: tuple[float, float, float] | None = None


class _Row(_Table, frozen=True, kw_only=True):
    site: NodeId
    cell: NodeId
    node: NodeId
    key: str
    position: _Position
    sigma_m: Annotated[float, Meta(gt=0)]
    revoked_at: UtcText | None = None

    @property
    def source(self) -> str:
        return source_of(self.site, self.cell, self.node)


def load(path: Path) -> Registry:
    """The registry in a file. Raises RegistryError: one line that names every fault."""
    try:
        return parse(path.read_text("utf-8"), str(path))
    except FileNotFoundError:
        raise RegistryError(f"{path}: no such file; write a JSON list of nodes there") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path}: cannot be read: {error}") from None


def parse(text: str, where: str) -> Registry:
    """The registry in JSON `text`. Raises RegistryError: `where`, then every fault, one line."""
    try:
        content = json.loads(text, object_pairs_hook=_without_duplicates)
        json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise RegistryError(f"{where}: is not JSON: {error}") from None
    if not isinstance(content, list) or not content:
        raise RegistryError(f"{where}: must be a list of nodes, [{{...}}, ...], not empty")
    _set_aside_unknown(content, where)
    faults = list(faults_of(content, tuple[_Row, ...], "rows"))
    if not faults:
        rows = msgspec.convert(content, tuple[_Row, ...])
        faults = list(_contradictions(rows))
        if not faults:
            return _registry(rows)
    raise RegistryError(f"{where}: " + "; ".join(faults))


def _set_aside_unknown(rows: list[Any], where: str) -> None:
    """Take out of `rows` what this version does not know, and tell of it: it may be a slip."""
    told = []
    for index, row in enumerate(rows):
        inner = row.get("position") if isinstance(row, dict) else None
        for table, kind, place in ((row, _Row, ""), (inner, _Position, ".position")):
            if isinstance(table, dict):
                names = [field.name for field in msgspec.structs.fields(kind)]
                for name in sorted(table.keys() - names):
                    told.append(f"rows[{index}]{place} {unknown(name, names)}")
                    del table[name]
    if told:
        more = f"; and {len(told) - _TOLD_NAMES} more" if len(told) > _TOLD_NAMES else ""
        log.warning("%s: ignored: %s%s", where, "; ".join(told[:_TOLD_NAMES]), more)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for name, times in Counter(name for name, _ in pairs).items():
        if times > 1:
            raise ValueError(f"{name!r} occurs twice in one object")
    return dict(pairs)


def _contradictions(rows: Sequence[_Row]) -> Iterator[str]:
    """What the types alone do not show."""
    for source, times in Counter(row.source for row in rows).items():
        if times > 1:
            yield f"{times} rows are for {source}"
    for index, row in enumerate(rows):
        try:
            load_registered_key(row.key)
        except KeyFileError as error:
            yield f"rows[{index}].key: {error}"
        if (row.position.enu_m is None) == (row.position.wgs84 is None):
            yield f"rows[{index}].position must hold either enu_m or wgs84"
        if row.position.wgs84:
            for (name, limit), value in zip(_LIMITS_WGS84, row.position.wgs84, strict=True):
                if abs(value) > limit:
                    yield f"rows[{index}].position.wgs84: {name} {value:g} is not on Earth"
    in_wgs84 = sum(row.position.wgs84 is not None for row in rows)
    in_enu_m = sum(row.position.enu_m is not None for row in rows)
    if in_wgs84 and in_enu_m:
        yield f"{in_enu_m} positions are enu_m and {in_wgs84} are wgs84: use one of them throughout"


def _registry(rows: Sequence[_Row]) -> Registry:
    places = [row.position.wgs84 for row in rows if row.position.wgs84]
    origin = middle(places) if places else None
    stations = (
        Station(
            source=row.source,
            site=row.site,
            cell=row.cell,
            node=row.node,
            key=load_registered_key(row.key),
            enu_m=_metres(row.position, origin),
            sigma_m=row.sigma_m,
            is_revoked=row.revoked_at is not None,
        )
        for row in rows
    )
    return Registry({station.source: station for station in stations}, origin)


def _metres(position: _Position, origin: Wgs84 | None) -> tuple[float, float, float]:
    if position.wgs84 and origin:
        return enu_m(position.wgs84, origin)
    assert position.enu_m is not None  # noqa: S101 - a row has one of the two
    return position.enu_m
