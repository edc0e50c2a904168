"""`earshot enrol request` and `earshot enrol install`: how a node becomes known, without a network.

The request goes to the registrar as a file, its words by voice; the answer comes back as a file.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

from agent.cli.run import DEFAULT_FILE
from agent.cli.words import compare_words
from agent.settings import load


def add_commands(commands: Any) -> None:
    """Add the `enrol` group to argparse's subparsers."""
    enrol = commands.add_parser("enrol", help="make this node known to a registrar")
    verbs = enrol.add_subparsers(metavar="VERB", required=True)
    request = verbs.add_parser("request", help="make keys if there are none, and a request")
    request.add_argument("--out", type=Path, metavar="FILE", help="(default: NODE.request)")
    request.set_defaults(command=_request)
    install = verbs.add_parser("install", help="take in the registrar's answer")
    install.add_argument("answer", type=Path, metavar="FILE")
    install.add_argument(
        "--registrar",
        metavar="WORDS",
        help="the words of the registrar's key, where it is not trusted yet (default: asks)",
    )
    install.set_defaults(command=_install)
    for parser in (request, install):
        parser.add_argument("--config", type=Path, default=DEFAULT_FILE, metavar="FILE")


def _request(arguments: argparse.Namespace) -> int:
    from agent.app.enrol import Enrolment

    settings = load(arguments.config)
    out = arguments.out or Path(f"{settings.node.id}.request")
    asked = Enrolment(settings).ask(out)
    name = asked.request.common_name
    print(f"{out}: request for {name}. Take it to the registrar, and read these words aloud:")
    print(f"\n    {asked.words}\n")
    if sys.stdout.isatty():
        _show_code(f"earshot {name} {asked.words}")
    return 0


def _show_code(text: str) -> None:
    """The same for a camera, in half blocks."""
    import segno

    segno.make_qr(text, error="l").terminal(compact=True)


def _install(arguments: argparse.Namespace) -> int:
    from agent.adapters.host import SystemClock
    from agent.app.enrol import Enrolment

    settings = load(arguments.config)
    trust = partial(
        compare_words,
        heard=arguments.registrar,
        option="--registrar",
        whose="the registrar's key",
    )
    installed = Enrolment(settings).install(arguments.answer, SystemClock(), trust)
    response = installed.response
    done = "is enrolled" if installed.is_new else "was enrolled with this answer already"
    print(f"{response.common_name} {done}, until {response.until:%Y-%m-%d}.")
    if settings.broker.url.rstrip("/") != response.broker_url:
        print(f"The broker is at {response.broker_url}: write that into broker.url.")
    return 0
