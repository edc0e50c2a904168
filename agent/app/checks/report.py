"""All that can be said of a node now: what its daemon shows, or else what can be seen without it.

Beside a running daemon nothing is opened that it holds: its state file tells. Without it what is
missing is looked for, and what only a running node knows is `unknown`.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import agent
from agent.adapters.statefile import StaleState, read_state
from agent.app.checks.row import (
    Row,
    fault_row,
    good_row,
    in_order,
    row_of,
    skipped_row,
    unknown_row,
    verdict_of,
)
from agent.app.checks.setup import Host, has_unit, program, setup_rows, this_host
from agent.core.clock.node_state import NodeState
from agent.core.records.faults import Check
from agent.core.records.fields import source_of
from agent.core.records.findings import CHECKS, HealthStatus
from agent.core.units import NS_PER_S, moment_of
from agent.errors import SettingsError, StateError
from agent.settings import Settings, read, salvage


@dataclass(frozen=True, slots=True)
class Report:
    """`rows` the worst first; `state` is None where no daemon shows any."""

    source: str
    rows: tuple[Row, ...]
    state: NodeState | None

    @property
    def health(self) -> HealthStatus:
        """The verdict over all rows."""
        return verdict_of(self.rows)


def look(config: Path, *, probes: bool = True) -> Report:
    """Look at the node whose settings file is `config`. Never raises EarshotError.

    Without a daemon its sound, host and broker are probed, which takes some seconds, unless
    `probes` is false.
    """
    state, trouble = _state_of(config)
    host = this_host(config, state.pid if state else None)
    settings, rows = setup_rows(config, host)
    if state:
        told = list(_beside(state, settings, config, host))
        answered = {one.check for one in told}
        rows = [one for one in rows if one.fault or one.check not in answered] + told
        if any(one.fault == "settings-fallback" for one in told):  # the node hears all the same
            rows = [_lighter(one) if one.fault == "settings-faulty" else one for one in rows]
    elif isinstance(trouble, StaleState):
        rows.append(fault_row("agent-hangs", str(trouble), host.restart))
    else:
        rows += _without_daemon(config, host, rows, str(trouble))
        if probes:
            rows += _probed(settings, rows)
    node = settings.node
    source = state.source if state else source_of(node.site, node.cell, node.id)
    answered = {one.check for one in rows}
    rows += [
        _unasked(check, settings, is_running=state is not None)
        for check in CHECKS
        if check not in answered
    ]
    return Report(source, tuple(in_order(rows)), state)


def _lighter(row: Row) -> Row:
    return replace(row, status="warning")


def _beside(state: NodeState, settings: Settings, config: Path, host: Host) -> Iterator[Row]:
    restart = host.restart
    yield good_row("agent", f"runs, process {state.pid}")
    if state.software == agent.__version__:
        yield good_row("version", state.software)
    else:
        told = f"agent {state.software or 'before 0.2.0'}, command {agent.__version__}"
        yield fault_row("version-differs", told, restart)
    if state.file_sha256 and _digest(config) not in ("", state.file_sha256):
        fallen_back = any(one.fault == "settings-fallback" for one in state.findings)
        if not fallen_back:
            yield fault_row("settings-not-read", str(config), restart)
    idle = _idle(settings)
    for finding in state.findings:
        why = idle.get(finding.check) if finding.status == "unknown" else None
        yield skipped_row(finding.check, why) if why else row_of(finding)
    if state.heard:
        last = state.heard[-1]
        age_s = max(0, time.monotonic_ns() - last.host_ns) // NS_PER_S
        at = f" at {moment_of(last.utc_ns):%H:%M:%S} UTC" if last.utc_ns else ""
        yield good_row(
            "last impulse", f"{last.peak_dbfs:.0f} dBFS{at}, {age_s} s ago: {last.reason}"
        )
    else:
        yield good_row("last impulse", "none since the agent began")


def _digest(config: Path) -> str:
    try:
        return hashlib.sha256(config.read_bytes()).hexdigest()
    except OSError:
        return ""


def _state_of(config: Path) -> tuple[NodeState | None, StateError | None]:
    """What the daemon of that settings file shows, or why there is nothing to see."""
    text = ""
    with suppress(SettingsError):
        text = read(config)
    directory = Path(salvage(text)[0].runtime.directory)
    try:
        return read_state(directory, time.monotonic_ns()), None
    except StateError as error:
        return None, error


def _without_daemon(config: Path, host: Host, found: list[Row], why: str) -> Iterator[Row]:
    command = f"{host.as_user}{program()} run --config {config}"
    if host.is_service and has_unit():
        command = f"{host.as_root}systemctl enable --now earshot"
    if any(one.status == "critical" for one in found):
        command = ""  # first what is missing: else the start fails for that
    yield fault_row("agent-stopped", why.partition(": ")[2] or why, command)
    yield good_row("version", agent.__version__)


def _probed(settings: Settings, found: list[Row]) -> list[Row]:
    from agent.app.checks.probe import probed  # numpy and PortAudio, where they are needed

    known = {one.check for one in found}
    told = [row_of(finding) for finding in probed(settings)]
    return [one for one in told if one.fault or one.check not in known]


def _unasked(check: Check, settings: Settings, *, is_running: bool) -> Row:
    """Why there is no answer to `check`: nothing of the kind is set, or nobody could tell."""
    if why := _idle(settings).get(check):
        return skipped_row(check, why)
    return unknown_row(check, "not told by the agent" if is_running else "the agent does not run")


def _idle(settings: Settings) -> dict[Check, str]:
    """The checks that have nothing to look at, and by which setting."""
    time_, panel = settings.time, settings.panel
    has_receiver = time_.receiver is not None or time_.source in ("nmea", "pps", "pps-adc")
    told: dict[Check, str] = {
        "certificate": "" if settings.broker.certificate else "broker.certificate is not set",
        "receiver": "" if has_receiver else f'time.source = "{time_.source}"',
        "position": "" if time_.receiver else "time.receiver is not set",
        "tamper": "" if panel.tamper is not None else "panel.tamper is not set",
        "panel": "" if panel.pins else "no pin is set under [panel]",
    }
    return {check: why for check, why in told.items() if why}
