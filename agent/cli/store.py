"""`earshot store`: what can be done to a node's store while its daemon is stopped."""

import argparse
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the commands to argparse's subparsers."""
    parser = commands.add_parser("store", help="look after a node's store, its daemon stopped")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    down = verbs.add_parser(
        "down",
        help="lead it one version down, for the software before",
        epilog="A store goes up by itself when newer software opens it. Before older software is "
        "put back, stop the daemon and run this once with the newer one: nothing is lost.",
    )
    down.set_defaults(command=_down)
    down.add_argument("store", type=Path, metavar="FILE", help="outbox.sqlite of the node")


def _down(arguments: argparse.Namespace) -> int:
    from agent.adapters.outbox import step_down
    from agent.adapters.outbox.schema import DOWNS, STEPS

    version = step_down(arguments.store, STEPS, DOWNS)
    print(f"{arguments.store}: now of version {version}, for the software before this one")
    return 0
