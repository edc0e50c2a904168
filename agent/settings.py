"""The settings file: typed, checked as a whole, every fault told at once.

Validation looks at the file's text only. Whether a path exists, a device is plugged in or a
broker answers is for the adapters to find out; relative paths are left to the working directory.
"""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from agent.core.trust.token_uri import is_token_uri, parse_token_uri
from agent.errors import SettingsError, TokenError
from agent.sections import (
    MAX_RATE_HZ,
    MIN_RATE_HZ,
    AudioSection,
    BrokerSection,
    HearingSection,
    KeysSection,
    LinkSection,
    LogSection,
    NodeSection,
    PanelSection,
    RuntimeSection,
    Section,
    StoreSection,
    TimeSection,
)

__all__ = [
    "MAX_RATE_HZ",
    "MIN_RATE_HZ",
    "REMOTE",
    "AudioSection",
    "Settings",
    "StoreSection",
    "TimeSection",
    "describe",
    "faults_of_changes",
    "is_private",
    "load",
    "parse",
    "read",
    "salvage",
]


# What an operator may change: nothing that makes a node someone else, or that it cannot prove by
# hearing, stamping and being receipted before it keeps the change (`adapters.trialsettings`). The
# bound on a capture latency is the technician's: no latency from afar can be over it.
REMOTE = frozenset(
    {
        "audio.source",
        "audio.rate_hz",
        "audio.full_scale_db_spl",
        "audio.latency_us",
        "hearing.least_score",
        "broker.url",
        "time.system_sigma_ms",
        "time.pps_sigma_ns",
        "time.nmea_lag_ms",
        "time.nmea_sigma_ms",
        "log.level",
    }
)


class Settings(Section, frozen=True, kw_only=True):
    """All settings in effect, defaults included."""

    node: NodeSection
    audio: AudioSection
    hearing: HearingSection
    time: TimeSection
    broker: BrokerSection
    link: LinkSection
    store: StoreSection
    keys: KeysSection
    panel: PanelSection
    runtime: RuntimeSection
    log: LogSection

    def digest(self) -> str:
        """SHA-256 in hex over the settings in effect, however the file was written."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


def load(path: Path) -> Settings:
    """The settings in the file at `path`. Raises SettingsError with every fault."""
    return parse(read(path), str(path))


def read(path: Path) -> str:
    """The text of the file at `path`. Raises SettingsError."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(str(path), [f"cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise SettingsError(str(path), ["is not UTF-8 text"]) from None


def parse(text: str, where: str, changes: Mapping[str, Any] | None = None) -> Settings:
    """The settings in TOML `text`; `where` names it in SettingsError.

    `changes` are values by name ("log.level") that an operator set from afar; only REMOTE ones.
    """
    good, faults = _examine(text, changes or {})
    if faults:
        raise SettingsError(where, faults)
    return _built(good)


def salvage(text: str) -> tuple[Settings, list[str]]:
    """What is good of TOML `text`, stand-ins for what is missing or wrong, and every fault."""
    good, faults = _examine(text, {})
    for name, values in _STAND_INS.items():
        good[name] = {**values, **good.get(name, {})}
    return _built(good), faults


# What the commands that set a node up take for granted.
_STAND_INS: dict[str, dict[str, Any]] = {
    "node": {"site": "site", "cell": "cell", "id": "id"},
    "broker": {"url": "mqtts://broker"},
    "keys": {"locator_public": ("/var/lib/earshot/locator.pub.pem",)},
}


def _examine(text: str, changes: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The good values of each table of `text` with `changes`, and every fault."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return {}, [f"is not TOML: {error}"]
    sections = _sections()
    faults = list(_change(tables, changes))
    faults += [
        _unknown(f"[{name}]", name, list(sections)) for name in tables if name not in sections
    ]
    good: dict[str, dict[str, Any]] = {}
    for name, section in sections.items():
        table = tables.get(name, {})
        if isinstance(table, dict):
            good[name], found = _check(name, section, table)
            faults += found
        else:
            faults.append(f"{name} must be a table: write [{name}] on a line of its own")
    return good, faults or list(_contradictions(good))


def _built(good: dict[str, dict[str, Any]]) -> Settings:
    return Settings(**{name: made(**good.get(name, {})) for name, made in _sections().items()})


def faults_of_changes(changes: Mapping[str, Any]) -> list[str]:
    """One sentence for each of an operator's `changes` that no node takes, whatever its file."""
    tables: dict[str, Any] = {}
    faults = list(_change(tables, changes))
    for name, table in tables.items():
        faults += _check(name, _sections()[name], table)[1]
    return faults


def describe(field_type: Any) -> str:
    """The description in a setting's type: what a correct value is."""
    for part in get_args(field_type):
        if isinstance(part, Meta) and part.description:
            return part.description
        if get_origin(part) is Annotated:
            return describe(part)
    raise LookupError(f"{field_type} has no description")


def _change(tables: dict[str, Any], changes: Mapping[str, Any]) -> Iterator[str]:
    """Put `changes` into `tables`; one sentence for each that is not to be changed so."""
    for name, value in changes.items():
        section, _, key = name.partition(".")
        if name not in REMOTE:
            close = [] if _is_known(name) else get_close_matches(name, REMOTE, n=1)
            hint = (
                f": did you mean {close[0]!r}?" if close else f", only {', '.join(sorted(REMOTE))}"
            )
            yield f"{name[:80]} cannot be changed from afar{hint}"
        elif name == "audio.source" and not str(value).startswith("portaudio:"):
            yield f"{name} from afar must be a device: a recording is no street"
        elif isinstance(table := tables.setdefault(section, {}), dict):
            table[key] = value


def _sections() -> dict[str, Any]:
    """The tables of a file, by name."""
    return {field.name: field.type for field in msgspec.structs.fields(Settings)}


def _is_known(name: str) -> bool:
    table, _, key = name.partition(".")
    section = _sections().get(table)
    return section is not None and key in {field.name for field in msgspec.structs.fields(section)}


def _check(
    name: str, section: type[msgspec.Struct], table: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The good values of one table, and one sentence for each bad, unknown or missing one."""
    fields = {field.name: field for field in msgspec.structs.fields(section)}
    faults = [_unknown(f"{name}.{key}", key, list(fields)) for key in table if key not in fields]
    values: dict[str, Any] = {}
    for key, field in fields.items():
        if key not in table:
            if field.required:
                faults.append(f"{name}.{key} is missing: {describe(field.type)}")
            continue
        try:
            values[key] = msgspec.convert(table[key], field.type)
        except msgspec.ValidationError:
            faults.append(f"{name}.{key} = {table[key]!r} is wrong: {describe(field.type)}")
    return values, faults


def _contradictions(tables: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What no single value shows."""
    time, audio, broker = tables["time"], tables["audio"], tables["broker"]
    if is_token_uri(key := tables["keys"].get("evidence", "")):
        try:
            parse_token_uri(key)
        except TokenError as error:
            yield f"keys.evidence: {error}"
    source = time.get("source")
    if source == "nmea" and not time.get("receiver"):
        yield 'time.source = "nmea" needs time.receiver: the serial device of the receiver'
    if source == "pps-adc" and not audio.get("pps_channel"):
        yield 'time.source = "pps-adc" needs audio.pps_channel: the channel that has the pulse'
    yield from _beyond_bounds(audio)
    if not (broker.get("unencrypted") or is_private(broker["url"])):
        yield (
            f"broker.url = {broker['url']!r} is not encrypted: write mqtts://, or allow it by name "
            "with broker.unencrypted = true"
        )
    yield from _shared_pins(tables["panel"])
    if bool(broker.get("certificate")) != bool(broker.get("certificate_key")):
        yield "broker.certificate and broker.certificate_key belong together: give both or neither"


def _beyond_bounds(audio: dict[str, Any]) -> Iterator[str]:
    latency_us, usual = audio.get("latency_us"), AudioSection()
    bound_us = audio.get("latency_bound_us", usual.latency_bound_us)
    if latency_us is not None and latency_us > bound_us:
        yield (
            f"audio.latency_us = {latency_us} is over audio.latency_bound_us = {bound_us}: "
            "measure it with `earshot time calibrate`, and raise the bound if it is so"
        )


def _shared_pins(panel: dict[str, int]) -> Iterator[str]:
    users: dict[int, str] = {}
    for name, pin in panel.items():
        if (other := users.setdefault(pin, name)) != name:
            yield f"panel.{name} = {pin} is the pin of panel.{other} too: give each its own"


def is_private(url: str) -> bool:
    """Whether nobody beyond this host can read what goes to the broker at `url`."""
    parts = urlsplit(url)
    if parts.scheme == "mqtts" or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _unknown(shown: str, name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "known here: " + ", ".join(known)
    return f"{shown} is unknown: {hint}"
