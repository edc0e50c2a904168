"""`earshot key new` and `earshot key show`: the node's evidence key."""

import argparse
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the `key` group to argparse's subparsers."""
    key = commands.add_parser("key", help="make or show the key that signs")
    verbs = key.add_subparsers(metavar="VERB", required=True)
    for verb, make, told in (
        ("new", True, "make a private key in a new file and show its public half"),
        ("show", False, "show the public half of a private key"),
    ):
        parser = verbs.add_parser(verb, help=told)
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.set_defaults(command=_key, make=make)


def _key(arguments: argparse.Namespace) -> int:
    from agent.adapters.keyfile import Ed25519FileSigner

    open_key = Ed25519FileSigner.create if arguments.make else Ed25519FileSigner.load
    signer = open_key(arguments.file)
    print(f"keyid: {signer.keyid}\n{signer.public_pem().strip()}")
    return 0
