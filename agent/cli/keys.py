"""`earshot key new` and `earshot key show`: the node's evidence key."""

import argparse
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
        parser.add_argument("key", metavar="FILE", help="or the pkcs11: URI of a key in a token")
        parser.set_defaults(command=_key, make=make)


def _key(arguments: argparse.Namespace) -> int:
    from agent.app.evidence import evidence_key

    with evidence_key(arguments.key, "new" if arguments.make else "there") as key:
        print(f"keyid: {key.signer.keyid}\n{key.signer.public_pem().strip()}")
    return 0
