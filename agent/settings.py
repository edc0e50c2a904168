"""The settings file: typed, checked as a whole, every fault told at once.

Validation looks at the file's text only. Whether a path exists, a device is plugged in or a
broker answers is for the adapters to find out; relative paths are left to the working directory.
"""

import hashlib
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from agent.errors import SettingsError

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,32}\Z")]
Text = Annotated[str, Meta(min_length=1)]
MIN_RATE_HZ = 12_000
MAX_RATE_HZ = 96_000

_HOST = r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])"


class _Section(msgspec.Struct, frozen=True, kw_only=True):
    """One table of the file. Each description says what a correct value is, with its unit."""


class NodeSection(_Section, frozen=True, kw_only=True):
    """Who this node is."""

    site: Annotated[Name, Meta(description="the deployment; 1 to 32 letters, digits or dashes")]
    cell: Annotated[Name, Meta(description="part of the site; 1 to 32 letters, digits or dashes")]
    id: Annotated[Name, Meta(description="this node; 1 to 32 letters, digits or dashes")]


class AudioSection(_Section, frozen=True, kw_only=True):
    """The microphone."""

    source: Annotated[
        str,
        Meta(
            pattern=r"^(file|portaudio):[^\n]+\Z",
            description='"portaudio:NAME" for a device, or "file:PATH" for a WAV or FLAC file',
        ),
    ] = "portaudio:default"
    rate_hz: Annotated[
        int,
        Meta(ge=MIN_RATE_HZ, le=MAX_RATE_HZ, description="a device's rate in Hz, 12000 to 96000"),
    ] = 48_000
    block_samples: Annotated[
        int, Meta(ge=64, le=16_384, description="samples taken at a time, 64 to 16384")
    ] = 1024
    full_scale_db_spl: (
        Annotated[
            float,
            Meta(ge=60, le=220, description="dB SPL that reaches full scale, 60 to 220, if known"),
        ]
        | None
    ) = None
    pps_channel: (
        Annotated[
            Literal[1, 2],
            Meta(description="channel of the device that carries the pulse, 1 or 2, if one does"),
        ]
        | None
    ) = None
    latency_us: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=1_000_000,
                description="constant capture latency in us, if `earshot time calibrate` found it",
            ),
        ]
        | None
    ) = None
    latency_bound_us: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="bound in us on that latency while it is not calibrated, to 1 s",
        ),
    ] = 500


class TimeSection(_Section, frozen=True, kw_only=True):
    """Where UTC comes from."""

    source: Annotated[
        Literal["system", "nmea", "pps", "pps-adc", "sim"],
        Meta(
            description='"system" for the host\'s clock, "nmea" for a receiver\'s sentences, "pps" '
            'for its pulse, "pps-adc" for its pulse on audio.pps_channel, "sim" where the host\'s '
            "clock is the truth"
        ),
    ] = "system"
    system_sigma_ms: Annotated[
        int,
        Meta(ge=1, le=10_000, description="least 1-sigma error of the host's clock, 1 to 10000 ms"),
    ] = 50
    require_sync: Annotated[
        bool,
        Meta(description="believe the host's clock only while the kernel calls it synchronised"),
    ] = True
    pps_device: Annotated[
        Text, Meta(description="the pulse: /dev/ppsN, or a directory such as /sys/class/pps/pps0")
    ] = "/dev/pps0"
    pps_sigma_ns: Annotated[
        int,
        Meta(ge=20, le=1_000_000, description="1-sigma of what all pulses share, in ns, to 1 ms"),
    ] = 1000
    receiver: (
        Annotated[
            Text, Meta(description="serial device of a satellite receiver, if there is one")
        ]
        | None
    ) = None
    baud: Annotated[
        Literal[4800, 9600, 19_200, 38_400, 57_600, 115_200],
        Meta(description="speed of that line in bits per second"),
    ] = 9600
    ublox: Annotated[
        bool, Meta(description="ask the receiver for its UBX warnings of spoofing and jamming")
    ] = False
    nmea_lag_ms: Annotated[
        int,
        Meta(ge=0, le=990, description="sentences follow their second by so many ms, 0 to 990"),
    ] = 150
    nmea_sigma_ms: Annotated[
        int, Meta(ge=1, le=500, description="1-sigma error of that lag in ms, 1 to 500")
    ] = 50
    chrony_socket: (
        Annotated[Text, Meta(description="SOCK refclock to offer pulses to chrony at, if wanted")]
        | None
    ) = None


class BrokerSection(_Section, frozen=True, kw_only=True):
    """The way out."""

    url: Annotated[
        str,
        Meta(
            pattern=rf"^mqtts?://{_HOST}(:[0-9]{{1,5}})?/?\Z",
            description="mqtt://HOST[:PORT], or mqtts://HOST[:PORT] for TLS",
        ),
    ]
    protocol: Annotated[
        Literal["auto", "3.1.1", "5"],
        Meta(description='MQTT version: "3.1.1", "5", or "auto" for the newest the broker takes'),
    ] = "auto"


class StoreSection(_Section, frozen=True, kw_only=True):
    """What survives a power cut."""

    directory: Annotated[Text, Meta(description="directory for the outbox; the node's alone")] = (
        "/var/lib/earshot"
    )


class KeysSection(_Section, frozen=True, kw_only=True):
    """Whose word counts."""

    evidence: Annotated[
        Text, Meta(description="file of the key that signs, made by `earshot key new`")
    ] = "/etc/earshot/evidence.pem"
    locator_public: Annotated[
        tuple[Text, ...],
        Meta(min_length=1, description="files of the locator's public keys; receipts need one"),
    ]


class RuntimeSection(_Section, frozen=True, kw_only=True):
    """What the agent shows to commands beside it."""

    directory: Annotated[
        Text, Meta(description="directory for the state file that `earshot time` reads")
    ] = "/run/earshot"


class LogSection(_Section, frozen=True, kw_only=True):
    """What the agent tells the journal."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description='least level to tell: "debug", "info", "warning" or "error"'),
    ] = "info"


class Settings(_Section, frozen=True, kw_only=True):
    """All settings in effect, defaults included."""

    node: NodeSection
    audio: AudioSection
    time: TimeSection
    broker: BrokerSection
    store: StoreSection
    keys: KeysSection
    runtime: RuntimeSection
    log: LogSection

    def digest(self) -> str:
        """SHA-256 in hex over the settings in effect, however the file was written."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


def load(path: Path) -> Settings:
    """The settings in the file at `path`. Raises SettingsError with every fault."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(str(path), [f"cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise SettingsError(str(path), ["is not UTF-8 text"]) from None
    return parse(text, str(path))


def parse(text: str, where: str) -> Settings:
    """The settings in TOML `text`; `where` names it in SettingsError."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(where, [f"is not TOML: {error}"]) from None
    sections = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    faults = [
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
    if not faults:
        faults = list(_contradictions(good["time"], good["audio"]))
    if faults:
        raise SettingsError(where, faults)
    return Settings(**{name: sections[name](**values) for name, values in good.items()})


def describe(field_type: Any) -> str:
    """The description in a setting's type: what a correct value is."""
    for part in get_args(field_type):
        if isinstance(part, Meta) and part.description:
            return part.description
        if get_origin(part) is Annotated:
            return describe(part)
    raise LookupError(f"{field_type} has no description")


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


def _contradictions(time: dict[str, Any], audio: dict[str, Any]) -> Iterator[str]:
    """What no single value shows."""
    source = time.get("source")
    if source == "nmea" and not time.get("receiver"):
        yield 'time.source = "nmea" needs time.receiver: the serial device of the receiver'
    if source == "pps-adc" and not audio.get("pps_channel"):
        yield 'time.source = "pps-adc" needs audio.pps_channel: the channel that has the pulse'


def _unknown(shown: str, name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "known here: " + ", ".join(known)
    return f"{shown} is unknown: {hint}"
