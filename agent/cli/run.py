"""`earshot run` and `earshot check-config`: the daemon and its settings file."""

import argparse
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from agent.errors import SettingsError
from agent.settings import load

log = logging.getLogger("earshot")

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
    settings = load(arguments.config)
    from agent.app.wiring import assemble  # paho and sqlite, for a good file only

    logging.basicConfig(format="%(levelname)s %(message)s", level=settings.log.level.upper())
    with assemble(settings) as daemon:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda got, _: daemon.request_stop(signal.Signals(got).name))
        log.info(
            "node %s listens to %s and delivers to %s",
            settings.node.id,
            settings.audio.source,
            settings.broker.url,
        )
        reason = daemon.run()
        log.info("stopped: %s", reason)
    return 128 + signal.SIGINT if reason == "SIGINT" else 0


def _check_config(arguments: argparse.Namespace) -> int:
    try:
        settings = load(arguments.config)
    except SettingsError as error:
        for fault in error.faults:
            print(f"{arguments.config}: {fault}", file=sys.stderr)
        return error.exit_code
    print(f"{arguments.config}: good, settings digest {settings.digest()[:16]}")
    return 0
