"""The `earshot` command: its groups, and how errors reach the person at the keyboard.

Commands import what they need when they run, so that none pays for another.
"""

import argparse
import sys
from collections.abc import Sequence

import agent
from agent.cli import check, devices, enrol, keys, level, run, store, time, verify
from agent.errors import EarshotError

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an EarshotError becomes one line on stderr."""
    try:
        arguments = _parser().parse_args(argv)
        exit_code: int = arguments.command(arguments)
    except EarshotError as error:
        print(f"earshot: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="earshot", description="Hear impulses, stamp, sign and deliver them."
    )
    parser.add_argument("--version", action="version", version=f"earshot {agent.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    check.add_commands(commands)
    devices.add_commands(commands)
    run.add_commands(commands)
    level.add_commands(commands)
    keys.add_commands(commands)
    enrol.add_commands(commands)
    time.add_commands(commands)
    verify.add_commands(commands)
    store.add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
