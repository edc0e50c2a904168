"""`earshot level`: how loud it is at the microphone, and its calibration against a known level."""

import argparse
import secrets
import sys
import time
from pathlib import Path
from typing import Any

from agent.cli.put import tell_line
from agent.cli.run import DEFAULT_FILE
from agent.errors import StateError
from agent.settings import Settings, load

_LEAST_DB_SPL, _MOST_DB_SPL = 60.0, 130.0
_PATIENCE_S = 20.0
_REFRESH_S = 1.0


def add_commands(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "level",
        help="how loud it is; `level calibrate` measures a tone of known level",
        epilog="The agent must be running: it is not stopped, and records the calibration.",
    )
    parser.add_argument("verb", nargs="?", choices=("show", "calibrate"), default="show")
    parser.add_argument("--config", type=Path, default=DEFAULT_FILE, metavar="FILE")
    parser.add_argument("--once", action="store_true", help="show it once, not until Ctrl-C")
    parser.add_argument(
        "--spl",
        type=_spl,
        default=94.0,
        metavar="DB",
        help="with calibrate: level of the tone in dB SPL, RMS (default: a 94 dB calibrator)",
    )
    parser.add_argument(
        "--write", action="store_true", help="with calibrate: put the line into the settings file"
    )
    parser.set_defaults(command=_level)


def _spl(text: str) -> float:
    try:
        level = float(text)
    except ValueError:
        level = float("nan")
    if not _LEAST_DB_SPL <= level <= _MOST_DB_SPL:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no level of a calibrator: {_LEAST_DB_SPL:.0f} to {_MOST_DB_SPL:.0f}"
        )
    return level


def _level(arguments: argparse.Namespace) -> int:
    from agent.adapters.statefile import read_state
    from agent.app.checks.screen import meter_lines

    settings = load(arguments.config)
    if arguments.verb == "calibrate":
        return _calibrate(settings, arguments.config, arguments.spl, write=arguments.write)

    while True:
        state = read_state(Path(settings.runtime.directory), time.monotonic_ns())
        if sys.stdout.isatty() and not arguments.once:
            print("\x1b[H\x1b[2J", end="")
        print("\n".join(meter_lines(state)), flush=True)
        if arguments.once:
            return 0
        time.sleep(_REFRESH_S)


def _calibrate(settings: Settings, path: Path, db_spl: float, *, write: bool) -> int:
    from agent.adapters.statefile import read_state, wish
    from agent.core.records.visit import Wish

    shown = Path(settings.runtime.directory)
    read_state(shown, time.monotonic_ns())
    asked = Wish(id=secrets.token_hex(16), verb="calibrate", level_db_spl=db_spl)
    wish(shown, asked)
    print(f"measuring a tone of {db_spl:g} dB SPL: hold the calibrator still ...", flush=True)
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        answer = read_state(shown, time.monotonic_ns()).answer
        if answer and answer.id == asked.id and answer.outcome == "failed":
            raise StateError(f"not calibrated: {answer.reason}")
        if answer and answer.id == asked.id and answer.value is not None:
            return _calibrated(path, answer.value, write=write)
        time.sleep(0.2)
    raise StateError("not calibrated: the agent gave no answer: `earshot check` says how it is")


def _calibrated(path: Path, full_scale_db_spl: float, *, write: bool) -> int:
    print(f"measured and recorded: full scale is {full_scale_db_spl:.1f} dB SPL")
    tell_line(path, f"full_scale_db_spl = {full_scale_db_spl:.1f}", write=write)
    return 0
