"""What a node lacks before it can run: all of it at once, each with the command that mends it.

Nothing is opened that the daemon may hold, and nothing is changed.
"""

import os
import pwd
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.app.checks.row import Row, fault_row, good_row, skipped_row, unknown_row
from agent.core.trust.token_uri import is_token_uri
from agent.errors import KeyFileError, PanelError, SettingsError
from agent.settings import Settings, read, salvage

SERVICE_USER = "earshot"
SERVICE_FILE = Path("/etc/earshot/earshot.toml")
UNITS = (
    Path("/etc/systemd/system/earshot.service"),
    Path("/usr/lib/systemd/system/earshot.service"),
)


@dataclass(frozen=True, slots=True)
class Host:
    """As whom the daemon runs here, and how a person at this terminal becomes that user."""

    user: str
    exists: bool
    uid: int
    is_ours: bool
    is_service: bool

    @property
    def as_user(self) -> str:
        """What stands before a command that the daemon's user must run."""
        return "" if self.is_ours else f"runuser -u {self.user} -- "

    @property
    def as_root(self) -> str:
        """What stands before a command that only root may run."""
        return "" if os.geteuid() == 0 else "sudo "

    @property
    def restart(self) -> str:
        """How the agent is started again; empty where a person runs it by hand."""
        return f"{self.as_root}systemctl restart earshot" if self.is_service else ""


def has_unit() -> bool:
    """Whether systemd is to run the agent here."""
    return any(path.exists() for path in UNITS)


def this_host(config: Path, pid: int | None = None) -> Host:
    """The user of the daemon's process, where it runs; else the service's user for the service's
    own settings file, and for another one whoever asks.
    """
    us = os.geteuid()
    if pid is not None:
        with suppress(OSError):
            uid = Path(f"/proc/{pid}").stat().st_uid
            is_service = config == SERVICE_FILE
            return Host(_name_of(uid), True, uid, is_ours=uid == us, is_service=is_service)
    if config != SERVICE_FILE:
        return Host(_name_of(us), exists=True, uid=us, is_ours=True, is_service=False)
    try:
        uid = pwd.getpwnam(SERVICE_USER).pw_uid
    except KeyError:
        return Host(SERVICE_USER, exists=False, uid=-1, is_ours=False, is_service=True)
    return Host(SERVICE_USER, exists=True, uid=uid, is_ours=uid == us, is_service=True)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def program() -> str:
    """How this program is called at a terminal."""
    beside = Path(sys.executable).with_name("earshot")
    return "earshot" if shutil.which("earshot") or not beside.exists() else str(beside)


def setup_rows(config: Path, host: Host) -> tuple[Settings, list[Row]]:
    """What of the settings is good, and a row for each thing that is there or is missing.

    Where settings are missing or wrong their defaults stand in, so that all else is told too.
    """
    rows: list[Row] = []
    text = ""
    try:
        text = read(config)
    except SettingsError as error:
        told = error.faults[0]
        command = f"{host.as_root}install -D -m 644 earshot.toml {config}"
        rows.append(fault_row("settings-missing", f"{config}: {told}", command))
    settings, faults = salvage(text)
    if text:
        rows += [
            fault_row("settings-faulty", fault, f"{host.as_root}editor {config}")
            for fault in faults
        ] or [good_row("settings", f"{config}, digest {settings.digest()[:8]}")]
    rows += [*_user(host), *_store(settings, host), *_keys(settings, config, host)]
    rows += [*_certificate(settings, config, host), *_time(settings), *_panel(settings)]
    return settings, rows


def _user(host: Host) -> Iterator[Row]:
    if host.exists:
        yield good_row("user", host.user)
    else:
        command = f"{host.as_root}useradd --system --home-dir /var/lib/{host.user} {host.user}"
        yield fault_row("user-missing", host.user, command)


def _store(settings: Settings, host: Host) -> Iterator[Row]:
    """The directory is made by the daemon itself where it may; else someone must."""
    home = Path(settings.store.directory)
    try:
        owner = home.stat().st_uid
    except FileNotFoundError:
        if host.is_ours and os.access(home.parent, os.W_OK):
            yield good_row("outbox", f"{home} will be made")
        else:
            make = f"{host.as_root}install -d -o {host.user} -g {host.user} -m 700 {home}"
            yield fault_row("store-missing", str(home), make)
        return
    except OSError as error:
        yield unknown_row("outbox", f"{home}: {error.strerror}: ask again as root")
        return
    if host.exists and owner != host.uid:
        told = f"{home} belongs to {_name_of(owner)}, the agent runs as {host.user}"
        yield fault_row("store-foreign", told, f"{host.as_root}chown -R {host.user}: {home}")
    else:
        yield good_row("outbox", str(home))


def _keys(settings: Settings, config: Path, host: Host) -> Iterator[Row]:
    from agent.adapters.keyfile import Ed25519FileSigner, load_public_key_file

    keys, good = settings.keys, True
    enrol = f"{host.as_user}{program()} enrol"
    request = f"{enrol} request --config {config}"
    if not is_token_uri(keys.evidence):
        path = Path(keys.evidence)
        try:
            found = path.exists()
            if found:
                Ed25519FileSigner.load(path)
                yield from _owned(path, host)
        except (KeyFileError, PermissionError) as error:
            good = False
            yield _unusable(str(error), path, host)
        else:
            if not found:
                good = False
                yield fault_row("key-missing", keys.evidence, request)
    for names, fault, command in (
        (keys.locator_public, "locator-key-missing", f"{enrol} install FILE --config {config}"),
        (keys.operator_public, "operator-key-missing", ""),
    ):
        for path in map(Path, names):
            try:
                found = path.exists()
                if found:
                    load_public_key_file(path)
            except (KeyFileError, PermissionError) as error:
                good = False
                yield _unusable(str(error), path, host)
            else:
                if not found:
                    good = False
                    yield fault_row(fault, str(path), command)
    if good:
        yield good_row("keys", "evidence, locator" + (", operator" * bool(keys.operator_public)))


def _owned(path: Path, host: Host) -> Iterator[Row]:
    owner = path.stat().st_uid
    if host.exists and owner != host.uid:
        told = f"{path} belongs to {_name_of(owner)}, the agent runs as {host.user}"
        yield fault_row("key-unusable", told, f"{host.as_root}chown {host.user}: {path}")


def _unusable(told: str, path: Path, host: Host) -> Row:
    if "Permission denied" in told:
        return unknown_row("keys", f"{path}: permission denied: ask again as root")
    command = f"{host.as_user}chmod 600 {path}" if "open to others" in told else ""
    return fault_row("key-unusable", told, command)


def _certificate(settings: Settings, config: Path, host: Host) -> Iterator[Row]:
    broker = settings.broker
    named = (broker.ca, broker.certificate, broker.certificate_key)
    if not any(named):
        yield skipped_row("certificate", "broker.certificate is not set")
        return
    lacking = []
    for name in filter(None, named):
        try:
            if not Path(name).exists():
                lacking.append(name)
        except PermissionError:
            yield unknown_row("certificate", f"{name}: permission denied: ask again as root")
            return
    if lacking:
        command = f"{host.as_user}{program()} enrol install FILE --config {config}"
        yield fault_row("certificate-missing", ", ".join(lacking), command)


def _panel(settings: Settings) -> Iterator[Row]:
    """Pins that a pulse holds; whether the others can be opened the daemon tells."""
    from agent.adapters.panel import refuse_held

    try:
        refuse_held(settings.panel.pins)
    except PanelError as error:
        yield fault_row("panel-failed", str(error))


def _time(settings: Settings) -> Iterator[Row]:
    time = settings.time
    if time.source == "sim":
        yield fault_row("time-simulated", 'time.source = "sim"')
    if time.receiver and not Path(time.receiver).exists():
        yield fault_row("receiver-absent", time.receiver)
    if time.source == "pps" and not Path(time.pps_device).exists():
        yield fault_row("pulse-absent", time.pps_device)
    if not time.receiver and time.source in ("system", "sim"):
        yield skipped_row("receiver", f'time.source = "{time.source}"')
