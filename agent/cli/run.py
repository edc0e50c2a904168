"""`earshot run` and `earshot check-config`: the daemon and its settings file."""

import argparse
import faulthandler
import logging
import signal
import sys
from contextlib import suppress
from io import UnsupportedOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import EarshotError, SettingsError
from agent.settings import load

if TYPE_CHECKING:
    from agent.adapters.trialsettings import TrialSettings
    from agent.app.daemon import Daemon

log = logging.getLogger("earshot")

POWER_OFF_CODE = 77  # systemd/earshot-panel.conf ends the computer at it
DEFAULT_FILE = Path("/etc/earshot/earshot.toml")


def add_commands(commands: Any) -> None:
    """Add both commands to argparse's subparsers."""
    run = commands.add_parser("run", help="listen until stopped")
    run.add_argument("--config", type=Path, default=DEFAULT_FILE, metavar="FILE")
    run.set_defaults(command=_run)
    check = commands.add_parser("check-config", help="tell every fault of a settings file")
    check.add_argument("config", type=Path, metavar="FILE")
    check.set_defaults(command=_check_config)


def _run(arguments: argparse.Namespace) -> int:
    """Runs until stopped; where settings are to be tried or taken back, run after run."""
    from agent.adapters.trialsettings import TrialSettings
    from agent.app.commanddesk import RESTART, RESTART_BEFORE
    from agent.app.showing import POWER_OFF

    logging.basicConfig(format="%(levelname)s %(message)s")
    with suppress(UnsupportedOperation):  # a stderr that is no file
        faulthandler.enable()  # the watchdog's SIGABRT then tells where each thread hangs
    stop, distrusted = _Stop(), ""
    while True:
        trial = TrialSettings(arguments.config, distrusted)
        log.setLevel(trial.settings.log.level.upper())
        if trial.trouble:
            log.error("%s", trial.trouble)
        try:
            reason = _one_run(trial, stop)
        except EarshotError as error:
            if not trial.give_up(str(error)):
                raise _with_the_rest(error, arguments.config) from None
            log.error("settings are taken back: %s", error)
        else:
            log.info("stopped: %s", reason)
            if reason == POWER_OFF:
                return POWER_OFF_CODE
            if reason not in (RESTART, RESTART_BEFORE):
                return 128 + signal.SIGINT if reason == "SIGINT" else 0
        distrusted = trial.distrusted


def _with_the_rest(error: EarshotError, config: Path) -> EarshotError:
    """`error`, and that more is missing for a start, where it is."""
    from agent.app.checks.setup import setup_rows, this_host

    _, rows = setup_rows(config, this_host(config))
    count = sum(one.status == "critical" for one in rows)
    if count < 2:
        return error
    return EarshotError(
        f"{error}; {count} things are missing in all: `earshot check --config {config}` names "
        "them, with the commands"
    )


class _Stop:
    """SIGINT and SIGTERM, whichever run they find; what comes between two ends the second."""

    def __init__(self) -> None:
        self._reason = ""
        self._daemon: Daemon | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def watch(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        if self._reason:
            daemon.request_stop(self._reason)

    def _on_signal(self, number: int, _: Any) -> None:
        self._reason = signal.Signals(number).name
        if self._daemon:
            self._daemon.request_stop(self._reason)


def _one_run(trial: "TrialSettings", stop: _Stop) -> str:
    from agent.app.wiring import assemble  # paho and sqlite, for a good file only

    settings = trial.settings
    with assemble(trial) as daemon:
        stop.watch(daemon)
        log.info(
            "node %s listens to %s and delivers to %s",
            settings.node.id,
            settings.audio.source,
            settings.broker.url,
        )
        return daemon.run()


def _check_config(arguments: argparse.Namespace) -> int:
    try:
        settings = load(arguments.config)
    except SettingsError as error:
        for fault in error.faults:
            print(f"{arguments.config}: {fault}", file=sys.stderr)
        return error.exit_code
    print(f"{arguments.config}: good, settings digest {settings.digest()[:16]}")
    return 0
