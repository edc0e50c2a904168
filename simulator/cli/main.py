"""The `earshot-sim` command: its words, and how errors reach the person at the keyboard.

A command's module is imported only when it is run: none pays for what another needs.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import agent
from agent.errors import EarshotError
from simulator.cli.arguments import (
    add_broker,
    add_outputs,
    add_store,
    add_way,
    count,
    day,
    names,
    place,
    point,
    positive,
    seed,
)

INTERRUPTED = 130
VERBS = ("ping", "report-now", "set-config", "rotate-key")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an EarshotError becomes one line on stderr."""
    try:
        arguments = _parser().parse_args(argv)
        exit_code: int = import_module(f"simulator.cli.{arguments.module}").command(arguments)
    except EarshotError as error:
        print(f"earshot-sim: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="earshot-sim",
        description="Run Earshot's nodes on scenes and recordings, and locate what they heard.",
    )
    parser.add_argument("--version", action="version", version=f"earshot-sim {agent.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_run(commands.add_parser("run", help="run a scenario; exit 1 if a limit of it is missed"))
    _add_livefire(commands.add_parser("livefire", help="replay the public live-fire dataset"))
    _add_locate(commands.add_parser("locate", help="run the reference locator on its own"))
    _add_nodes(
        commands.add_parser(
            "nodes",
            help="show how the nodes are; exit 1 if one is silent, deaf, without time or hot",
            epilog="exit codes: 0 no alarm, 1 an alarm, 2 no broker, 3 nothing or nothing recent "
            "is known",
        )
    )
    _add_replay(commands.add_parser("replay", help="feed one recording through one node"))
    _add_corpus(commands.add_parser("corpus", help="try the node's hearing on labelled clips"))
    _add_inspect(commands.add_parser("inspect", help="show what a node makes of one recording"))
    _add_clocks(commands.add_parser("clocks", help="try the node's clock in its scenarios"))
    _add_receiver(commands.add_parser("receiver", help="play a recorded receiver to a node"))
    _add_command(commands.add_parser("command", help="give a node an order, and hear its reply"))
    _add_timing(commands.add_parser("timing", help="hold the onset picker to the physical limit"))
    _add_registrar(commands.add_parser("registrar", help="enrol nodes, and revoke them"))
    add_store(commands.add_parser("store", help="look after a locator's store, itself stopped"))
    listing = commands.add_parser("scenarios", help="list the scenarios that are packaged")
    listing.set_defaults(module="scenarios")
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", metavar="SCENARIO", help="a file, or a packaged one's name")
    parser.add_argument(
        "--mode",
        choices=("virtual", "fast", "live"),
        default="fast",
        help="virtual: no broker, deterministic; fast: a real broker, sound as fast as it can be "
        "heard; live: everything in real time (default: fast)",
    )
    add_broker(parser)
    add_outputs(parser)
    parser.set_defaults(module="run")


def _add_receiver(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG", help="raw bytes of its line")
    parser.add_argument(
        "--baud", type=count, default=9600, metavar="N", help="of its line (default: 9600)"
    )
    parser.add_argument(
        "--not-before",
        type=day,
        metavar="DATE",
        help="it was recorded after that day: set a week rollover right (default: as it says)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found")
    parser.set_defaults(module="receiver")


def _add_livefire(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, metavar="DATASET_DIR")
    parser.add_argument(
        "--positions", type=names, metavar="FP1,FP2", help="only these firing positions"
    )
    parser.add_argument("--seed", type=seed, default=1, metavar="N", help="(default: 1)")
    parser.add_argument(
        "--blank", action="store_true", help="null control: every excerpt becomes background"
    )
    parser.add_argument(
        "--pulses", action="store_true", help="the ears alone, against the recording system's own"
    )
    parser.add_argument("--mode", choices=("virtual", "fast"), default="fast")
    add_broker(parser)
    add_outputs(parser)
    parser.set_defaults(module="livefire")


def _add_locate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--broker", required=True, metavar="URL", help="mqtt://HOST[:PORT] or mqtts://..."
    )
    add_way(parser)
    parser.add_argument("--registry", required=True, type=Path, metavar="FILE")
    for name, default in (("store", "earshot-locator.sqlite"), ("key", "earshot-locator.pem")):
        parser.add_argument(
            f"--{name}", type=Path, default=Path(default), metavar="FILE",
            help=f"made if absent (default: {default})",
        )  # fmt: skip
    parser.add_argument(
        "--for", type=positive, dest="for_s", metavar="SECONDS", help="(default: until stopped)"
    )
    parser.add_argument(
        "--clock-node",
        metavar="SITE/CELL/NODE",
        help="whose records tell the present where nobody vouches for this host's clock",
    )
    parser.set_defaults(module="locate")


def _add_nodes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--broker", required=True, metavar="URL", help="mqtt://HOST[:PORT] or mqtts://..."
    )
    add_way(parser)
    parser.add_argument("--json", action="store_true", help="print all that is known as JSON")
    parser.add_argument(
        "--wait", type=positive, default=3.0, metavar="SECONDS", dest="wait_s",
        help="for reports, at most (default: 3)",
    )  # fmt: skip
    parser.set_defaults(module="nodes")


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="one channel, WAV or FLAC")
    parser.add_argument("--at", required=True, type=place, metavar="LAT,LON", help="WGS 84")
    parser.add_argument(
        "--start", metavar="UTC", help="of its first sample, 2026-03-14T21:00:00Z (default: now)"
    )
    parser.add_argument("--json", action="store_true", help="print the envelopes, one a line")
    parser.set_defaults(module="replay")


def _add_command(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node", metavar="SITE/CELL/NODE")
    parser.add_argument("verb", nargs="?", choices=VERBS, metavar="VERB", help=", ".join(VERBS))
    parser.add_argument("changes", nargs="*", metavar="NAME=VALUE", help="for set-config")
    parser.add_argument("--broker", metavar="URL", help="mqtts://HOST[:PORT] or mqtt://...")
    parser.add_argument(
        "--registry", required=True, type=Path, metavar="FILE", help="nodes.json of the registrar"
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="operator.pem, which signs")
    add_way(parser)
    parser.add_argument(
        "--handovers", type=Path, default=Path("earshot-handovers.jsonl"), metavar="FILE",
        help="records by which nodes changed their keys; what is heard of them is added, and an "
        "export may be (default: earshot-handovers.jsonl)",
    )  # fmt: skip
    parser.add_argument(
        "--expires", type=positive, metavar="SECONDS",
        help="how long it may be obeyed, at most 600 (default: 60, of a written one 600)",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=positive, default=10.0, metavar="SECONDS", help="(default: 10)"
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--dry-run", action="store_true", help="print the signed command, send nothing"
    )
    way.add_argument("--out", type=Path, metavar="FILE", help="write it, send nothing")
    way.add_argument("--envelope", type=Path, metavar="FILE", help="send one that was written")
    parser.add_argument("--json", action="store_true", help="print what came of it as JSON")
    parser.set_defaults(module="command")


def _add_registrar(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True, dest="verb")
    init = verbs.add_parser("init", help="found a registrar: keys, authority, broker and users")
    init.add_argument("--broker", required=True, metavar="URL", help="mqtts://HOST[:PORT]")
    init.add_argument(
        "--host", action="append", default=[], metavar="NAME", help="the broker's other names"
    )
    sign = verbs.add_parser("sign", help="answer a node's request")
    sign.add_argument("request", type=Path, metavar="REQUEST")
    sign.add_argument("--at", type=point, metavar="LAT,LON,HEIGHT_M", help="WGS 84, if new")
    sign.add_argument(
        "--sigma-m", type=positive, default=1.0, metavar="M", help="of that (default: 1)"
    )
    trust = sign.add_mutually_exclusive_group()
    trust.add_argument("--fingerprint", metavar="WORDS", help="as read at the node (default: asks)")
    trust.add_argument("--yes", action="store_true", help="do not compare: for simulations only")
    sign.set_defaults(new_key="refused")
    for new_key, told in (
        ("rotated", "its evidence key was rotated by command"),
        ("replaced", "node or evidence key are lost: revoke what the old key got"),
    ):
        sign.add_argument(
            f"--{new_key}", dest="new_key", action="store_const", const=new_key, help=told
        )
    sign.add_argument("--out", type=Path, metavar="FILE", help="(default: REQUEST.response)")
    verbs.add_parser("list", help="who holds a certificate, and until when")
    revoke = verbs.add_parser("revoke", help="what somebody has got counts no more")
    revoke.add_argument("name", metavar="SITE/CELL/NODE|ROLE")
    show = verbs.add_parser("show", help="the words of its key, or the history of a node")
    show.add_argument("name", nargs="?", metavar="SITE/CELL/NODE")
    for verb in verbs.choices.values():
        verb.add_argument(
            "--dir", type=Path, default=Path("registrar"), help="(default: registrar)"
        )
    parser.set_defaults(module="registrar")


def _add_clocks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="NAME|PATH.toml",
        help="scenarios or worlds (default: all quick scenarios)",
    )  # fmt: skip
    parser.add_argument("--worlds", action="store_true", help="all quick worlds")
    parser.add_argument(
        "--seeds", type=seed, default=100, metavar="N", help="pooled seeds (default: 100)"
    )
    parser.add_argument(
        "--first-seed", type=seed, default=0, metavar="N", help="the first of them (default: 0)"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures")
    parser.set_defaults(module="clocks")


def _add_timing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pulses", type=count, default=1000, metavar="N", help="in each cell (default: 1000)"
    )
    parser.add_argument("--seed", type=seed, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures")
    parser.add_argument("--report", type=Path, metavar="OUT.html", help="write a page")
    parser.set_defaults(module="timing")


def _add_corpus(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directories", type=Path, nargs="+", metavar="DIR", help="each holds a manifest.csv"
    )
    parser.add_argument("--seed", type=seed, default=1, metavar="N", help="(default: 1)")
    parser.add_argument(
        "--embeddings", type=count, default=5, metavar="N",
        help="streets that each clip is heard in (default: 5)",
    )  # fmt: skip
    parser.add_argument("--microphones", action="store_true", help="through six others as well")
    parser.add_argument(
        "--busy", type=names, metavar="CLASS,...", help="hide shots in streets of these instead"
    )
    add_outputs(parser)
    parser.set_defaults(module="corpus")


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", type=Path, metavar="CLIP", help="WAV or FLAC")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help=".html, .png or .svg (default: CLIP.html)"
    )
    parser.set_defaults(module="inspect")


if __name__ == "__main__":
    sys.exit(main())
