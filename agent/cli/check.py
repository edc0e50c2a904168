"""`earshot check`: is this node well, and if not, which part to touch and what to do.

Beside the running daemon it reads what that shows, and disturbs nothing; without it, what is
missing is named all at once, with the commands that mend it.
"""

import argparse
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.run import DEFAULT_FILE

if TYPE_CHECKING:
    from agent.app.checks.report import Report

_REFRESH_S = 1.0


def add_commands(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "check",
        help="is this node well? What to touch, and what to do",
        epilog="exit codes: 0 healthy, 1 a warning, 2 critical, 3 not known whether it hears and "
        "knows the time; --clap: 0 all came, 1 something did not",
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_FILE, metavar="FILE")
    parser.add_argument(
        "--quick", action="store_true", help="where no agent runs: look at files alone"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print everything as JSON")
    shown.add_argument("--watch", action="store_true", help="level, faults and impulses, live")
    shown.add_argument("--self-test", action="store_true", help="test the hearing path now")
    shown.add_argument("--clap", action="store_true", help="clap, and see it come back receipted")
    parser.set_defaults(command=_check)


def _check(arguments: argparse.Namespace) -> int:
    from agent.app.checks.report import look
    from agent.app.checks.row import EXIT_CODES

    if arguments.clap:
        from agent.cli.clap import clap

        return clap(arguments.config)
    logging.getLogger("earshot").addHandler(logging.NullHandler())  # the rows tell all of it
    if arguments.self_test:
        from agent.cli.clap import self_test

        self_test(arguments.config)
    if arguments.watch:
        _watch(arguments.config)
    report = look(arguments.config, probes=not arguments.quick)
    _show(report, as_json=arguments.json)
    return _left(EXIT_CODES[report.health])


def _left(code: int) -> int:
    """`code`; but a read of a sound device that never returns must not hold a person up."""
    if any(thread.name == "listening" for thread in threading.enumerate()):
        sys.stdout.flush()
        os._exit(code)
    return code


def _show(report: "Report", *, as_json: bool) -> None:
    from agent.app.checks import words

    if as_json:
        print(words.as_json(report))
    else:
        for line in words.lines(report, has_colours=sys.stdout.isatty()):
            print(line)


def _watch(config: Path) -> None:
    """Until Ctrl-C: a screen of 80x24 on a terminal, else a line a second."""
    from agent.app.checks.report import look
    from agent.app.checks.screen import line_of, screen_of

    is_terminal = sys.stdout.isatty()
    if is_terminal:
        print("\x1b[2J", end="")
    while True:
        report = look(config, probes=False)
        if is_terminal:
            lines = (f"{line}\x1b[K" for line in screen_of(report))
            print("\x1b[H" + "\n".join(lines) + "\x1b[J", end="", flush=True)
        else:
            print(line_of(report), flush=True)
        try:
            time.sleep(_REFRESH_S)
        except KeyboardInterrupt:
            if is_terminal:
                print(flush=True)
            raise
