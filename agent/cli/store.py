"""`earshot store`: what can be done to a node's store while its daemon is stopped."""

import argparse
import base64
import json
from dataclasses import asdict
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
    letters = verbs.add_parser("letters", help="list the records that no locator can verify")
    letters.add_argument("--json", action="store_true", help="whole, with their envelopes")
    letters.set_defaults(command=_letters)
    for verb in (down, letters):
        verb.add_argument("store", type=Path, metavar="FILE", help="outbox.sqlite of the node")


def _down(arguments: argparse.Namespace) -> int:
    from agent.adapters.outbox import step_down
    from agent.adapters.outbox.schema import DOWNS, STEPS

    version = step_down(arguments.store, STEPS, DOWNS)
    print(f"{arguments.store}: now of version {version}, for the software before this one")
    return 0


def _letters(arguments: argparse.Namespace) -> int:
    from agent.adapters.outbox.dead import dead_in

    letters = dead_in(arguments.store)
    if arguments.json:
        print(json.dumps([{**asdict(one), "envelope": _base64(one.envelope)} for one in letters]))
        return 0
    for one in letters:
        print(f"record {one.seq} of chain {one.chain[:8]}, {one.kind}: {one.reason}")
    print(f"{len(letters)} dead letters")
    return 0


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
