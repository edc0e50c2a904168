"""What an operator asks of a node, as values: commands made and read, before anything is sent.

Whatever no node would take is told here, in words; whether the node obeys is its own matter.
"""

import math
import secrets
import tomllib
from collections.abc import Sequence
from difflib import get_close_matches

from agent.core.records.envelope import peek
from agent.core.records.kinds import COMMAND_TYPE, parse
from agent.core.records.remote_records import Verb
from agent.core.trust import Command
from agent.core.trust.commands import MAX_LIFE_NS, Value
from agent.core.units import NS_PER_S, rfc3339
from agent.errors import EarshotError, MalformedRecord, RecordError, SettingsError
from agent.settings import faults_of_changes
from simulator.centre.locator.registry import Registry, Station

MAX_LIFE_S = MAX_LIFE_NS // NS_PER_S


class OrderError(EarshotError):
    """A command that cannot be made or sent, and why."""


def station_named(name: str, known: Registry, where: str) -> Station:
    """The node SITE/CELL/NODE in the registry `where`. Raises OrderError."""
    stations = {f"{one.site}/{one.cell}/{one.node}": one for one in known.stations.values()}
    station = stations.get(name)
    if station is None:
        close = get_close_matches(name, stations, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "nodes are named SITE/CELL/NODE there"
        raise OrderError(f"{name!r} is not in {where}: {hint}")
    if station.is_revoked:
        raise OrderError(f"{name} was revoked, as {where} says: no broker lets it in")
    return station


def changes_of(pairs: Sequence[str]) -> dict[str, Value]:
    """Settings by name from "log.level=debug": values as in TOML, text also without quotes.

    Raises OrderError or SettingsError for what no node would take.
    """
    changes: dict[str, Value] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise OrderError(f"{pair!r} is not NAME=VALUE")
        if name in changes:
            raise OrderError(f"{name} is given twice")
        changes[name] = _value(name, text)
    if faults := faults_of_changes(changes):
        raise SettingsError("set-config", faults)
    return changes


def make(
    station: Station, verb: Verb, changes: dict[str, Value], utc_ns: int, life_s: float
) -> Command:
    """A command to obey within `life_s` from `utc_ns` on. Raises OrderError."""
    if verb == "set-config" and not changes:
        raise OrderError("set-config changes nothing: name a setting and its value, NAME=VALUE")
    if verb != "set-config" and changes:
        raise OrderError(f"{verb} takes no settings: {', '.join(changes)} is for set-config")
    if not 1 <= life_s <= MAX_LIFE_S:
        raise OrderError(f"a command lives 1 to {MAX_LIFE_S} s, not {life_s:g}")
    return Command(
        id=secrets.token_hex(16),
        source=station.source,
        verb=verb,
        issued_utc_ns=str(utc_ns),
        expires_utc_ns=str(utc_ns + round(life_s * NS_PER_S)),
        changes=changes,
    )


def read(raw: bytes, station: Station, where: str, utc_ns: int | None) -> Command:
    """The command in an envelope that is to go to `station` now; only the node verifies it, and
    only the node knows whether it has expired where nobody vouches for `utc_ns` (None).

    Raises OrderError for what is no command, another node's, or too old.
    """
    try:
        payload_type, payload = peek(raw)
        if payload_type != COMMAND_TYPE:
            raise MalformedRecord(f"{payload_type} is no command")
        command = parse(payload, Command)
    except RecordError as error:
        raise OrderError(f"{where}: holds no command: {error}") from None
    if command.source != station.source:
        raise OrderError(f"{where}: is a command for {command.source}, not {station.source}")
    expires_ns = int(command.expires_utc_ns)
    if utc_ns is not None and expires_ns <= utc_ns:
        told = f"{rfc3339(expires_ns)[:19]}Z"
        raise OrderError(f"{where}: expired at {told} by this computer's clock: have it made again")
    return command


def _value(name: str, text: str) -> Value:
    try:
        values = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = values.pop("value")
    if values or not isinstance(value, str | int | float | bool):
        return text
    if isinstance(value, float) and not math.isfinite(value):
        raise OrderError(f"{name} = {text} is no number that JSON can carry")
    return value
